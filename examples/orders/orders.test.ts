/** The shop as its customers have it, over HTTP, and as its operator does, who kills it. */
import { assert, describe, it } from "@effect/vitest"
import { Log } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Effect, Layer, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { start } from "../childProcess.ts"
import { nowhere, Shipment } from "./carrier.ts"
import { type Order, Orders, Refused } from "./records.ts"
import * as shop from "./shop.ts"

const orderOf = (id: string, to = "Oslo"): Order => ({ id, item: "tea", quantity: 1, to })

const post = (url: string, body: string) => fetch(url, { method: "POST", body, signal: AbortSignal.timeout(10_000) })

const open = async (directory: string, ...args: ReadonlyArray<string>) => {
  const running = start("orders/main.ts", ["--directory", directory, "--port", "0", ...args])
  const [, url] = await running.line(/^takes orders at (http:\S+), /)
  return { ...running, url: url! }
}

const inDirectory = async (test: (directory: string) => Promise<void>) => {
  const directory = await mkdtemp(join(tmpdir(), "sluice-orders-"))
  try {
    await test(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Sends orders one after another until the shop is gone; what it answered for is in `taken`. */
const customer = async (url: string, orders: ReadonlyArray<Order>, taken: Set<string>) => {
  for (const order of orders) {
    const response = await post(url, JSON.stringify(order)).catch(() => undefined)
    if (response === undefined) return
    assert.strictEqual(response.status, 202)
    taken.add(order.id)
    await response.text().catch(() => undefined)
  }
}

const shipmentsIn = async (directory: string) =>
  (await readFile(join(directory, "shipped.jsonl"), "utf8")).split("\n").flatMap((line) => {
    // Whoever was killed may have left half a line.
    try {
      return line === "" ? [] : [Schema.decodeUnknownSync(Shipment)(JSON.parse(line))]
    } catch {
      return []
    }
  })

const refusedIn = (directory: string) =>
  Effect.gen(function*() {
    const log = yield* DiskLog.backing().make(Refused)
    const entries = yield* log.read(0n, 1000)
    return entries.map(({ value }) => Effect.runSync(Effect.fromOption(value)))
  }).pipe(
    Effect.scoped,
    Effect.provide(Journal.layer({ directory: join(directory, "journal") })),
    Effect.runPromise
  )

describe.concurrent("orders", { timeout: 90_000 }, () => {
  it("every order that was answered 202 is shipped, however often the process is killed", () =>
    inDirectory(async (directory) => {
      const lives = 4
      const customers = 8
      const taken = new Set<string>()
      const processes = new Set<number>()
      for (let life = 0; life < lives; life++) {
        const running = await open(directory, "--failures", "20", "--seed", String(life + 1))
        const before = taken.size
        if (life === 0) {
          // In a batch of its own: who shares one with it may be killed in an attempt that counts.
          assert.strictEqual((await post(running.url, JSON.stringify(orderOf("lost", nowhere)))).status, 202)
        }
        const all = Promise.all(Array.from({ length: customers }, (_, index) =>
          customer(
            running.url,
            Array.from({ length: 400 }, (_, n) => orderOf(`${life}-${index}-${n}`)),
            taken
          )))
        // With some shipped, some on their way and some under way to the record.
        for (let shipments = 0; shipments < 3 + 2 * life; shipments++) await running.line(/^shipped /)
        running.signal("SIGKILL")
        assert.strictEqual((await running.ended).code, null)
        await all
        assert.isAbove(taken.size, before)
      }

      const running = await open(directory)
      const deadline = Date.now() + 30_000
      while (true) {
        const { waiting } = await (await fetch(new URL("/", running.url))).json() as { readonly waiting: number }
        if (waiting === 0) break
        assert.isBelow(Date.now(), deadline, `${waiting} orders still wait`)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      running.signal("SIGINT")
      const { code, stdout } = await running.ended
      assert.match(
        stdout.at(-1)!,
        /^shut down in time, took \d+ ms: \d+ orders shipped in this run, 0 wait for the next$/
      )
      assert.strictEqual(code, 0)

      const refused = await refusedIn(directory)
      const shipments = await shipmentsIn(directory)
      const shipped = new Set(shipments.map(({ id }) => id))
      assert.deepStrictEqual([...taken].filter((id) => !shipped.has(id)), [])
      for (const { process } of shipments) processes.add(process)
      assert.isAtLeast(processes.size, lives)
      const once = new Set(shipments.map(({ process, sequence }) => `${process} ${sequence}`))
      assert.strictEqual(once.size, shipments.length, "none is shipped twice by one process")
      // Stored before it is settled, so that a kill in between has it stored again.
      assert.deepStrictEqual([...new Set(refused.map(({ order }) => JSON.parse(order).id))], ["lost"])
      assert.match(refused[0]!.reason, /the carrier does not go to Atlantis/)
    }))

  it("what is no order is refused with its reason, and what is too large at once", () =>
    inDirectory(async (directory) => {
      const running = await open(directory)
      const answers = async (body: string) => {
        const response = await post(running.url, body)
        return [response.status, (await response.json() as { readonly error: string }).error] as const
      }
      const [status, error] = await answers(JSON.stringify({ ...orderOf("a"), quantity: 0 }))
      assert.strictEqual(status, 400)
      assert.match(error, /between 1 and 1000[^]*\["quantity"\]/)
      assert.deepStrictEqual(await answers("{"), [400, "the body is not JSON"])
      assert.deepStrictEqual(await answers("x".repeat(20_000)), [413, "an order takes at most 16384 bytes"])
      running.signal("SIGTERM")
      const ended = await running.ended
      assert.strictEqual(ended.code, 0)
      assert.strictEqual(ended.stderr, "")
    }))

  it("a directory that another shop writes to is refused with exit code 1", () =>
    inDirectory(async (directory) => {
      const first = await open(directory)
      const { code, stderr, stdout } = await start("orders/main.ts", ["--directory", directory, "--port", "0"]).ended
      assert.match(stderr, /the journal at \S+ is in use by process \d+/)
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: [] })
      first.signal("SIGINT")
      assert.strictEqual((await first.ended).code, 0)
    }))

  it("--help prints the usage and every flag", async () => {
    const { code, stdout } = await start("orders/main.ts", ["--help"]).ended
    for (const part of ["USAGE", "--port", "--directory", "--failures", "--seed"]) {
      assert.include(stdout.join("\n"), part)
    }
    assert.strictEqual(code, 0)
  })
})

describe("the shop answers 503", () => {
  const answers = (body: Effect.Effect<void, never, Orders>) => {
    const record = Orders.layerLog(Log.memory({ capacity: 1 }))
    const { dispose, handler } = HttpRouter.toWebHandler(
      Layer.mergeAll(shop.routes({ patience: "10 millis" }), Layer.effectDiscard(body)).pipe(Layer.provide(record)),
      { disableLogger: true }
    )
    const send = (order: Order) =>
      handler(new Request("http://shop/orders", { method: "POST", body: JSON.stringify(order) }))
    return { dispose, send }
  }

  it("when it is closing", async () => {
    const { dispose, send } = answers(Effect.flatMap(Orders, ({ close }) => close))
    const response = await send(orderOf("a"))
    assert.strictEqual(response.status, 503)
    assert.deepStrictEqual(await response.json(), { error: "the shop is closing: send the order again" })
    await dispose()
  })
})
