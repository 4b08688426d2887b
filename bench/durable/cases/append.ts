/** What it costs to store a value: fibers that wait for `produceAsync`, beside the disk itself and other stores. */
import { Effect } from "effect"
import type { Target } from "../../contestant.ts"
import type { FigureCase, FigureMatch, Gauge } from "../../figures.ts"
import { loopDelay } from "../../loopDelay.ts"
import { percentiles } from "../../stopwatch.ts"
import { failing, inFlight, type Item, itemsOf, type Store, temporary, timed, together } from "../ground.ts"
import * as Lmdb from "../peers/lmdb.ts"
import * as Raw from "../peers/raw.ts"
import * as Sluice from "../peers/sluice.ts"
import * as Sqlite from "../peers/sqlite.ts"

type Drive = (store: Store, items: ReadonlyArray<Item>, size: number) => ReturnType<typeof inFlight>
interface Load {
  readonly drive: Drive
  readonly size: number
  readonly count: number
  readonly bytes: number
}

const costColumns = [{ name: "wall", unit: "µs/value" }]
/** Once to warm the files up, then timed. */
const costOf = (store: Store, { bytes, count, drive, size }: Load, share: number) =>
  Effect.gen(function*() {
    const items = itemsOf(Math.ceil(count * share / size) * size, bytes)
    yield* drive(store, items.slice(0, size * 4), size)
    const millis = yield* timed(drive(store, items, size))
    return [millis * 1e3 / items.length]
  })

const raw = ({ bytes, count, size }: Load): Gauge => ({
  name: Raw.name,
  read: (share) =>
    Effect.gen(function*() {
      const items = itemsOf(Math.ceil(count * share / size) * size, bytes)
      const { batches, store } = yield* Raw.open(items, size)
      const millis = yield* timed(Effect.gen(function*() {
        for (let index = 0; index < batches; index++) yield* store(index)
      }))
      return [millis * 1e3 / items.length]
    })
})
const sluice = (load: Load): Gauge => ({
  name: "Sluice produceAsync",
  read: (share) =>
    Effect.gen(function*() {
      const journal = yield* Sluice.journal(yield* temporary)
      const { store } = yield* Sluice.open(journal)
      yield* Sluice.settled(journal, store)
      return yield* costOf(store, load, share)
    })
})
const sqlite = (load: Load): Gauge => ({
  name: Sqlite.name,
  read: (share) => Effect.flatMap(Sqlite.open, ({ store }) => costOf(store, load, share))
})
const lmdb = (load: Load): Gauge => ({
  name: Lmdb.name,
  read: (share) => Effect.flatMap(Lmdb.open, (store) => costOf(store, load, share))
})

const at = (title: string, load: Load, target: Omit<Target, "contestant">): FigureMatch => ({
  title,
  columns: costColumns,
  ours: sluice(load),
  others: [raw(load)],
  targets: [{ contestant: Raw.name, ...target }]
})
/** Gates for what was measured where the disk answers in 0.15 ms: see docs/performance.md. */
const besideStores = (bytes: number, [sqliteGate, lmdbGate]: readonly [number, number]): FigureMatch => {
  const load = { drive: inFlight, size: 1000, count: bytes > 500 ? 40_000 : 240_000, bytes }
  return {
    title: `1,000 in flight, ${bytes} B, beside stores`,
    columns: costColumns,
    ours: sluice(load),
    others: [sqlite(load), lmdb(load)],
    targets: [
      { contestant: Sqlite.name, pass: 1.5, stretch: 2.5, gate: sqliteGate },
      { contestant: Lmdb.name, pass: 1.3, stretch: 2, gate: lmdbGate }
    ]
  }
}

export const append: FigureCase = {
  name: "append",
  about: "to store a value of 100 B, or as said; a ratio below 1 is that of the raw disk to ours",
  matches: [
    at("64 in flight", { drive: inFlight, size: 64, count: 32_768, bytes: 100 }, {
      pass: 0.65,
      stretch: 0.85,
      gate: 0.45
    }),
    at("1,000 in flight", { drive: inFlight, size: 1000, count: 240_000, bytes: 100 }, {
      pass: 0.25,
      stretch: 0.5,
      // Beside a raw disk that stores a value in 0.25 µs: what a fiber needs to encode, wait and go on is more than that.
      gate: 0.09
    }),
    at("16 produced together", { drive: together, size: 16, count: 6_400, bytes: 100 }, { pass: 0.45, stretch: 0.7 })
  ]
}
export const stores: FigureCase = {
  name: "stores",
  about: "to store a value, beside embedded stores that flush what they answer for",
  matches: [besideStores(100, [0.7, 0.9]), besideStores(1024, [1.2, 1])]
}

const alone = 300
const latencies = (name: string, open: (items: ReadonlyArray<Item>) => ReturnType<typeof oneByOne>): Gauge => ({
  name,
  read: (share) => open(itemsOf(Math.ceil(alone * share), 100))
})
const oneByOne = (items: ReadonlyArray<Item>, store: Store) =>
  failing(Effect.gen(function*() {
    const times: Array<number> = []
    for (const item of items) times.push(1e3 * (yield* timed(store(item))))
    return percentiles(times, [0.5, 0.99])
  }))

export const latency: FigureCase = {
  name: "latency",
  about: "one value at a time, from the call until it is stored",
  matches: [{
    title: "one at a time",
    columns: ["p50", "p99"].map((name) => ({ name, unit: "µs" })),
    ours: latencies("Sluice produceAsync", (items) =>
      Effect.scoped(Effect.gen(function*() {
        const journal = yield* Sluice.journal(yield* temporary)
        const { store } = yield* Sluice.open(journal)
        yield* Sluice.settled(journal, store)
        return yield* oneByOne(items, store)
      }))),
    others: [latencies(Raw.name, (items) =>
      Effect.scoped(Effect.gen(function*() {
        const { store } = yield* Raw.open(items, 1)
        return yield* oneByOne(items, ({ sequence }) => store(sequence))
      })))],
    targets: [{ contestant: Raw.name, pass: 1, stretch: 1, gate: 0.75 }]
  }]
}

const delayColumns = ["p99", "max"].map((name) => ({ name, unit: "ms" }))
const late = (name: string, load: Load, options?: Parameters<typeof Sluice.journal>[1]): Gauge => ({
  name,
  read: (share) =>
    Effect.gen(function*() {
      const { store } = yield* Sluice.open(yield* Sluice.journal(yield* temporary, options))
      const items = itemsOf(Math.ceil(load.count * share), load.bytes)
      yield* load.drive(store, items.slice(0, load.size * 4), load.size)
      const since = yield* loopDelay
      yield* load.drive(store, items, load.size)
      const { max, p99 } = since()
      return [p99, max]
    })
})
export const stalls: FigureCase = {
  name: "stalls",
  about: "how late the event loop is while values are stored",
  matches: [
    {
      title: "64 in flight, 1 KiB, a new segment each 4 MiB",
      columns: delayColumns,
      ours: late("Sluice produceAsync", { drive: inFlight, size: 64, count: 20_000, bytes: 1024 }, {
        segmentBytes: 4 * 1024 * 1024
      }),
      others: [],
      limits: [{ figure: "max", bound: "at most", pass: 10 }]
    },
    {
      title: "1,000 in flight, 100 B",
      columns: delayColumns,
      ours: late("Sluice produceAsync", { drive: inFlight, size: 1000, count: 60_000, bytes: 100 }),
      others: [],
      limits: [{ figure: "p99", bound: "at most", pass: 20 }]
    }
  ]
}

/** Whether so many records share a journal, or have one each. */
const records = 16
const each = Array.from({ length: records }, (_, index) => Sluice.recordOf(`bench/Items${index}`))
const spread = (name: string, journals: number): Gauge => ({
  name,
  read: (share) =>
    Effect.gen(function*() {
      const opened = yield* Effect.forEach(
        Array.from({ length: journals }),
        () => Effect.flatMap(temporary, (directory) => Sluice.journal(directory))
      )
      const stores = yield* Effect.forEach(each, (record, index) => Sluice.open(opened[index % journals]!, record))
      const items = itemsOf(Math.ceil(16_384 * share), 100)
      const store: Store = (item) => stores[item.sequence % records]!.store(item)
      yield* inFlight(store, items.slice(0, 256), 64)
      return [(yield* timed(inFlight(store, items, 64))) * 1e3 / items.length]
    })
})
export const shared: FigureCase = {
  name: "shared",
  about: "16 records with four values of each in flight",
  matches: [{
    title: "16 records",
    columns: costColumns,
    ours: spread("Sluice, one journal", 1),
    others: [spread("Sluice, 16 journals", 16)],
    targets: [{ contestant: "Sluice, 16 journals", pass: 2.5, stretch: 3.5, gate: 1.9 }]
  }]
}
