/** What is done with values that are stored: they are read back in order, and let go of. */
import { Effect, Schema } from "effect"
import type { FigureCase, FigureMatch, Gauge } from "../../figures.ts"
import { loopDelay } from "../../loopDelay.ts"
import { WrongDelivery } from "../../workload.ts"
import { assertCount, failing, inFlight, Item, itemsOf, temporary, timed } from "../ground.ts"
import * as Sluice from "../peers/sluice.ts"
import * as Sqlite from "../peers/sqlite.ts"

const readMax = 1024

interface Replay {
  readonly bytes: number
  readonly count: number
}
const itemsFor = ({ bytes, count }: Replay, share: number) => itemsOf(Math.ceil(count * share), bytes)
const outOfOrder = (next: number) => new WrongDelivery({ message: `replay: ${next} was expected, and another came` })

/** From files that another journal has written, so that nothing is in memory. */
const written = (items: ReadonlyArray<Item>) =>
  Effect.gen(function*() {
    const directory = yield* temporary
    yield* Effect.scoped(Effect.gen(function*() {
      const { store } = yield* Sluice.open(yield* Sluice.journal(directory))
      yield* inFlight(store, items, 1000)
    }))
    return yield* Sluice.journal(directory)
  })
const bytesOfOurs = (replay: Replay): Gauge => ({
  name: "Sluice engine.read",
  read: (share) =>
    Effect.gen(function*() {
      const items = itemsFor(replay, share)
      const engine = yield* Sluice.engineOf(yield* written(items))
      let next = 0
      const millis = yield* timed(Effect.gen(function*() {
        while (next < items.length) {
          for (const { bytes, sequence } of yield* engine.read(next, readMax)) {
            if (sequence !== next || bytes.length === 0) return yield* outOfOrder(next)
            next++
          }
        }
      }))
      return [millis * 1e3 / items.length]
    }).pipe(failing)
})
const valuesOfOurs = (replay: Replay): Gauge => ({
  name: "Sluice log.read",
  read: (share) =>
    Effect.gen(function*() {
      const items = itemsFor(replay, share)
      const log = yield* Sluice.logOf(yield* written(items))
      let next = 0
      const millis = yield* timed(Effect.gen(function*() {
        while (next < items.length) {
          for (const { value } of yield* log.read(BigInt(next), readMax)) {
            if (value._tag === "None" || value.value.sequence !== next) return yield* outOfOrder(next)
            next++
          }
        }
      }))
      return [millis * 1e3 / items.length]
    }).pipe(failing)
})
/** `isNext` looks at the bytes of a row. */
const selected = (name: string, replay: Replay, isNext: (body: Uint8Array, next: number) => boolean): Gauge => ({
  name,
  read: (share) =>
    Effect.gen(function*() {
      const { rows, storeAll } = yield* Sqlite.open
      const items = itemsFor(replay, share)
      storeAll(items)
      let next = 0
      const millis = yield* timed(Effect.sync(() => {
        for (const { body } of rows()) {
          if (!(body instanceof Uint8Array && isNext(body, next))) return
          next++
        }
      }))
      yield* assertCount("sqlite replay", next, items.length)
      return [millis * 1e3 / items.length]
    })
})
const columns = [{ name: "wall", unit: "µs/value" }]
const select = "node:sqlite, SELECT in order"
const bytesOf = (replay: Replay, pass: number, gate: number): FigureMatch => ({
  title: `${replay.bytes} B, as bytes`,
  columns,
  ours: bytesOfOurs(replay),
  others: [selected(select, replay, ({ length }) => length > 0)],
  targets: [{ contestant: select, pass, stretch: 1.5 * pass, gate }]
})
const decodeItem = Schema.decodeUnknownSync(Schema.fromJsonString(Item))
const text = new TextDecoder()
const valuesOf = (replay: Replay): FigureMatch => ({
  title: `${replay.bytes} B, decoded by the schema`,
  columns,
  ours: valuesOfOurs(replay),
  others: [
    selected(`${select}, and Schema`, replay, (body, next) => decodeItem(text.decode(body)).sequence === next)
  ]
})
const [small, large] = [{ bytes: 100, count: 120_000 }, { bytes: 1024, count: 60_000 }]
export const replay: FigureCase = {
  name: "replay",
  about: "all values are read back in order, from files that were just opened",
  matches: [bytesOf(small, 6, 4), bytesOf(large, 2.5, 1.1), valuesOf(small), valuesOf(large)]
}

/** So that the loop's clock has run before and after. */
const ticks = "10 millis"
/** Nine of ten go when the record is opened with a retention that keeps only the newest. */
const dropped: Gauge = {
  name: "Sluice",
  read: (share) =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const options = { segmentBytes: 4 * 1024 * 1024 }
      const items = itemsOf(Math.ceil(60_000 * share), 1024)
      yield* Effect.scoped(Effect.gen(function*() {
        const { store } = yield* Sluice.open(yield* Sluice.journal(directory, options))
        yield* inFlight(store, items, 1000)
      }))
      const journal = yield* Sluice.journal(directory, options)
      const before = journal.stats().segments
      const since = yield* loopDelay
      yield* Effect.sleep(ticks)
      const cpuBefore = process.cpuUsage()
      const kept = Math.ceil(items.length / 10)
      const log = yield* Sluice.logOf(journal, { count: kept })
      yield* Effect.callback<void, WrongDelivery>((resume) => {
        const deadline = performance.now() + 10_000
        const look = (): void => {
          if (journal.stats().segments <= Math.ceil(before / 10) + 2) resume(Effect.void)
          else if (performance.now() < deadline) setTimeout(look, 1)
          else {resume(
              Effect.fail(new WrongDelivery({ message: `retention: ${journal.stats().segments} segments stay` }))
            )}
        }
        look()
      })
      const { system, user } = process.cpuUsage(cpuBefore)
      yield* Effect.sleep(ticks)
      const { max } = since()
      yield* assertCount("retention", Number((yield* log.head) - (yield* log.oldest)), kept)
      return [(system + user) / 1e3, max]
    }).pipe(failing)
}
export const retention: FigureCase = {
  name: "retention",
  about: "nine of ten of 60,000 values of 1 KiB go at once: the work of it, and how late the event loop is",
  matches: [{
    title: "drop 90 %",
    columns: [{ name: "CPU", unit: "ms" }, { name: "stall", unit: "ms" }],
    ours: dropped,
    others: [],
    limits: [{ figure: "CPU", bound: "at most", pass: 100 }, { figure: "stall", bound: "at most", pass: 10 }]
  }]
}
