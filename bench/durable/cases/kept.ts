/** What is done with values that are stored: they are read back in order, and let go of. */
import { Effect } from "effect"
import type { FigureCase, FigureMatch, Gauge } from "../../figures.ts"
import { loopDelay } from "../../loopDelay.ts"
import { WrongDelivery } from "../../workload.ts"
import { assertCount, failing, inFlight, itemsOf, temporary, timed } from "../ground.ts"
import * as Sluice from "../peers/sluice.ts"
import * as Sqlite from "../peers/sqlite.ts"

const readMax = 1024

/** From files that another journal has written, so that nothing is in memory. */
const replayed = (bytes: number, count: number): Gauge => ({
  name: "Sluice log.read",
  read: (share) =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const items = itemsOf(Math.ceil(count * share), bytes)
      yield* Effect.scoped(Effect.gen(function*() {
        const { store } = yield* Sluice.open(yield* Sluice.journal(directory))
        yield* inFlight(store, items, 1000)
      }))
      const log = yield* Sluice.logOf(yield* Sluice.journal(directory))
      let next = 0
      const millis = yield* timed(Effect.gen(function*() {
        while (next < items.length) {
          for (const { sequence, value } of yield* log.read(BigInt(next), readMax)) {
            if (value._tag === "None" || value.value.sequence !== next || sequence !== BigInt(next)) {
              return yield* new WrongDelivery({ message: `replay: ${sequence} came where ${next} was expected` })
            }
            next++
          }
        }
      }))
      return [millis * 1e3 / items.length]
    }).pipe(failing)
})
const selected = (bytes: number, count: number): Gauge => ({
  name: "node:sqlite, SELECT in order",
  read: (share) =>
    Effect.gen(function*() {
      const { readAll, storeAll } = yield* Sqlite.open
      const items = itemsOf(Math.ceil(count * share), bytes)
      storeAll(items)
      let read = 0
      const millis = yield* timed(Effect.sync(() => {
        // Its sequences begin at 1, those in the bodies at 0.
        read = readAll()
      }))
      yield* assertCount("sqlite replay", read, items.length)
      return [millis * 1e3 / items.length]
    })
})
const replayOf = (bytes: number, count: number, pass: number): FigureMatch => ({
  title: `${bytes} B`,
  columns: [{ name: "wall", unit: "µs/value" }],
  ours: replayed(bytes, count),
  others: [selected(bytes, count)],
  targets: [{ contestant: "node:sqlite, SELECT in order", pass, stretch: 1.5 * pass }]
})
export const replay: FigureCase = {
  name: "replay",
  about: "all values are read back in order and decoded, from files that were just opened",
  matches: [replayOf(100, 60_000, 6), replayOf(1024, 20_000, 2.5)]
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
