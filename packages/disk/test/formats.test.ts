/**
 * A journal that a released version has written is opened by every later one. `SLUICE_WRITE_FIXTURE=1` writes the present
 * format's anew, which is right only as long as no release has written it.
 */
import { assert, describe, it } from "@effect/vitest"
import { DiskLog, Journal } from "@sluice/disk"
import { Effect, Option, Schema } from "effect"
import { cp, mkdir, readdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { format } from "../src/internal/frame.ts"
import { inTemporaryDirectory } from "./support/directory.ts"

const fixtures = join(import.meta.dirname, "fixtures")
const segmentBytes = 64 * 1024
const Order = { key: "shop/Order", schema: Schema.Struct({ id: Schema.Finite, text: Schema.String }) }
const Level = { key: "plant/Level", schema: Schema.Finite, version: 3 }
const retention = { count: 400 }
const orders = 600
const text = (id: number) => `order ${id} `.repeat(10)

const journal = (directory: string) => Journal.layer({ directory, segmentBytes })
const opened = Effect.all([DiskLog.backing({ retention }).make(Order), DiskLog.backing().make(Level)])

const write = Effect.fnUntraced(function*(directory: string) {
  yield* Effect.gen(function*() {
    const [order, level] = yield* opened
    for (let id = 0; id < orders; id++) yield* order.produceAsync({ id, text: text(id) })
    yield* level.produceAsync(21.5)
    yield* level.produceAsync(22)
    const shipping = yield* order.acquire("shipping", { from: { sequence: 100n } })
    yield* shipping.commit({ through: 450n, attempts: new Map([[452n, 2]]) })
    yield* order.acquire("gone", { from: "head" })
    yield* order.removeGroup("gone")
  }).pipe(Effect.scoped, Effect.provide(journal(directory)))
})

describe("a journal", () => {
  if (process.env["SLUICE_WRITE_FIXTURE"] === "1") {
    it.live(`of format ${format} is written`, () =>
      Effect.gen(function*() {
        const directory = join(fixtures, `journal-${format}`)
        yield* Effect.promise(() => rm(directory, { recursive: true, force: true }))
        yield* Effect.promise(() => mkdir(directory, { recursive: true }))
        yield* write(directory)
        for (const name of yield* Effect.promise(() => readdir(directory))) {
          if (name.startsWith(".")) yield* Effect.promise(() => rm(join(directory, name)))
        }
      }))
  }
  it.live.each(Array.from({ length: format }, (_, i) => i + 1))(
    "of format %i has what was written",
    (version) =>
      Effect.gen(function*() {
        const directory = yield* inTemporaryDirectory
        yield* Effect.promise(() => cp(join(fixtures, `journal-${version}`), directory, { recursive: true }))
        yield* Effect.gen(function*() {
          const [order, level] = yield* opened
          assert.deepStrictEqual([yield* order.oldest, yield* order.head], [200n, BigInt(orders)])
          for (let from = 200; from < orders;) {
            const entries = yield* order.read(BigInt(from), 100)
            for (const { sequence, value } of entries) {
              assert.deepStrictEqual([sequence, value], [BigInt(from), Option.some({ id: from, text: text(from) })])
              from++
            }
          }
          assert.deepStrictEqual((yield* level.read(0n, 9)).map(({ value }) => value), [
            Option.some(21.5),
            Option.some(22)
          ])
          assert.deepStrictEqual((yield* order.groups).map(({ committed, name }) => [name, committed]), [[
            "shipping",
            450n
          ]])
          const { attempts, epoch } = yield* order.acquire("shipping", { from: "head" })
          assert.deepStrictEqual([epoch, attempts], [3n, new Map([[452n, 2]])])
          yield* order.produceAsync({ id: orders, text: text(orders) })
          assert.strictEqual(yield* order.head, BigInt(orders + 1))
        }).pipe(Effect.scoped, Effect.provide(journal(directory)))
      })
  )
})
