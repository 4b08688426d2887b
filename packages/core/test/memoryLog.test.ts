/** The log in memory as its user has it: behind a record, with consumers, streams and groups. What every log does is in `LogLaws`. */
import { assert, describe, it } from "@effect/vitest"
import { Consumer, Log, Record, Source, Topology } from "@sluice/core"
import {
  Cause,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Scheduler,
  Schema,
  type Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { cursorOf } from "../src/internal/reader.ts"
import { settle } from "./support.ts"

class Count extends Record.Service<Count>()("test/Count", { schema: Schema.Int }) {}

const logOf = (options?: Parameters<typeof Log.memory>[0]): Effect.Effect<Log.Log<number>, never, Scope.Scope> =>
  Effect.acquireRelease(Log.memory(options).make({ key: "test", schema: Schema.Int }), (log) => log.close)

const none: ReadonlyMap<bigint, number> = new Map()
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index)

describe("behind a record", () => {
  it.effect("a consumer handles what is produced, and a drain finishes what is held", () =>
    Effect.gen(function*() {
      const handled: Array<number> = []
      const components = Layer.mergeAll(
        Source.layer(Count, { name: "numbers", stream: Stream.fromIterable(numbers(1000)) }),
        Consumer.layer(Count, {
          name: "batches",
          handleBatch: (values) => Effect.sync(() => void handled.push(...values))
        })
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(
          Topology.layer(components).pipe(Layer.provideMerge(Count.layerLog(Log.memory({ capacity: 1000 }))))
        )
        const topology = Context.get(context, Topology.Topology)
        yield* topology.awaitDone
        const { readers, records } = yield* topology.snapshot
        assert.deepStrictEqual(records.map(({ held, kind, produced }) => ({ held, kind, produced })), [
          { held: 1000, kind: "Log", produced: 1000 }
        ])
        assert.deepStrictEqual(readers.map(({ lagged, pending }) => ({ lagged, pending })), [{ lagged: 0, pending: 0 }])
      }))
      assert.deepStrictEqual(handled, numbers(1000))
    }))

  it.effect("Record.stream has every value from its start to the close", () =>
    Effect.gen(function*() {
      const record = yield* Count
      const reading = yield* Effect.forkChild(Stream.runCollect(Record.stream(Count)), { startImmediately: true })
      yield* settle
      yield* Stream.run(Stream.fromIterable(numbers(10)), Record.sink(Count, "writer"))
      yield* record.close
      assert.deepStrictEqual(yield* Fiber.join(reading), numbers(10))
    }).pipe(Effect.provide(Count.layerLog(Log.memory()))))

  it.effect("a capacity that is no positive integer dies when the record is built, naming it", () =>
    Effect.gen(function*() {
      for (const capacity of [0, -1, 1.5, Number.NaN]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Count.layerLog(Log.memory({ capacity })))))
        assert.include(
          String(Exit.isFailure(exit) && Cause.squash(exit.cause)),
          `record "test/Count": the capacity of a Log must be a positive integer, got ${capacity}`
        )
      }
    }))
})

describe("an entry", () => {
  const schema = Schema.Struct({ celsius: Schema.FiniteFromString, at: Schema.Date })
  it.effect("has the JSON of its encoded value as bytes", () =>
    Effect.gen(function*() {
      const log = yield* Log.memory().make({ key: "test", schema })
      yield* TestClock.adjust(5)
      const value = { celsius: 21, at: new Date(0) }
      yield* log.tryProduce(value)
      const [entry] = yield* log.read(0n, 1)
      assert.strictEqual(new TextDecoder().decode(entry!.bytes), `{"celsius":"21","at":"1970-01-01T00:00:00.000Z"}`)
      assert.strictEqual(entry!.bytes, entry!.bytes)
      assert.strictEqual(Option.getOrThrow(entry!.value), value)
      assert.strictEqual(entry!.at, 5)
    }).pipe(Effect.scoped))

  it.effect("of a value that does not fit its schema has what JSON makes of it, or nothing", () =>
    Effect.gen(function*() {
      const log = yield* Log.memory().make({ key: "test", schema })
      const knot: { self?: unknown } = {}
      knot.self = knot
      for (const value of [{ celsius: "hot" }, knot, undefined]) yield* log.tryProduce(value as any)
      const texts = (yield* log.read(0n, 9)).map(({ bytes }) => new TextDecoder().decode(bytes))
      assert.deepStrictEqual(texts, [`{"celsius":"hot"}`, "", ""])
    }).pipe(Effect.scoped))
})

describe("a log", () => {
  it.effect("holds 65,536 values unless it is told otherwise", () =>
    Effect.gen(function*() {
      const log = yield* logOf()
      for (const value of numbers(65_537)) log.produceUnsafe(value)
      assert.strictEqual(yield* log.oldest, 1n)
      assert.deepInclude(log.stats(), { capacity: 65_536, held: 65_536, produced: 65_537, overwritten: 0 })
      assert.deepStrictEqual(yield* log.latest, Option.some(65_536))
    }).pipe(Effect.scoped))

  it.effect("is read as it was produced, whatever span was open there", () =>
    Effect.gen(function*() {
      const log = yield* logOf()
      yield* Effect.withSpan(log.tryProduce(7), "producing")
      yield* log.tryProduce(8)
      const entries = yield* log.read(0n, 9)
      assert.deepStrictEqual(entries.map(({ value }) => Option.getOrNull(value)), [7, 8])
      assert.deepStrictEqual(entries.map(({ bytes }) => new TextDecoder().decode(bytes)), ["7", "8"])
      assert.strictEqual(yield* (yield* log.subscribeFrom("oldest")).recv, 7)
    }).pipe(Effect.scoped))

  it.effect("counts what a reader from any place has received and missed", () =>
    Effect.gen(function*() {
      const log = yield* logOf({ capacity: 4 })
      for (const value of numbers(6)) log.produceUnsafe(value)
      for (
        const [from, received, lagged] of [["oldest", 4, 0], [{ sequence: 1n }, 4, 1], [
          { sequence: 5n },
          1,
          0
        ]] as const
      ) {
        const reader = yield* log.subscribeFrom(from)
        yield* Effect.exit(reader.tryRecv)
        while (Option.isSome(yield* reader.tryRecv)) { /* all of them */ }
        assert.deepStrictEqual(cursorOf(reader)!.counts(), { received, lagged, conflated: 0 })
      }
    }).pipe(Effect.scoped))

  it.effect("keeps its times in order when the clock goes back", () =>
    Effect.gen(function*() {
      const log = yield* logOf()
      for (const time of [50, 40, 60]) {
        yield* TestClock.setTime(time)
        yield* log.tryProduce(time)
      }
      assert.deepStrictEqual((yield* log.read(0n, 9)).map(({ at }) => at), [50, 50, 60])
      assert.strictEqual(yield* (yield* log.subscribeFrom({ time: 45 })).recv, 50)
    }).pipe(Effect.scoped))

  it.effect("that a group holds back says which group, once no producer got room for a second", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function*() {
      const components = Source.layer(Count, { name: "numbers", stream: Stream.fromIterable(numbers(5)) })
      const Held = Count.layerLog({
        durability: "volatile",
        make: (record) =>
          Effect.gen(function*() {
            const log = yield* Log.memory({ capacity: 2 }).make(record)
            yield* log.acquire("ahead", { from: { sequence: 0n } }).pipe(Effect.orDie)
            yield* log.acquire("behind", { from: "oldest" }).pipe(Effect.orDie)
            return log
          })
      })
      yield* Layer.build(
        Topology.layer(components, { drainTimeout: 0, onShutdown: () => Effect.void }).pipe(Layer.provideMerge(Held))
      )
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(lines, [
        `record "test/Count" is stalled: no producer has got room for 1 s, held back by group "ahead" and group "behind"`
      ])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
  })
})

describe("a read that waits", () => {
  it.effect("does nothing until what it waits for is there", () =>
    Effect.gen(function*() {
      let steps = 0
      class Counting extends Scheduler.MixedScheduler {
        override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
          steps++
          return super.shouldYield(fiber)
        }
      }
      const log = yield* logOf()
      const reading = yield* Effect.forkChild(
        Effect.provideService(log.read(0n, 1), Scheduler.Scheduler, new Counting()),
        { startImmediately: true }
      )
      yield* settle
      const before = steps
      yield* settle
      assert.strictEqual(steps, before)
      yield* log.tryProduce(1)
      assert.strictEqual((yield* Fiber.join(reading)).length, 1)
    }).pipe(Effect.scoped))
})

describe("two holders of a group in one process", () => {
  it.effect("share everything without a gap: what the first has committed is not read again", () =>
    Effect.gen(function*() {
      const log = yield* logOf({ capacity: 100 })
      const producing = yield* Effect.forkChild(Effect.forEach(numbers(500), (value) => log.produceAsync(value)))
      const committed: Array<number> = []
      const work = (count: number) =>
        Effect.gen(function*() {
          const group = yield* log.acquire("workers", { from: "oldest" })
          let next = group.committed + 1n
          for (let round = 0; round < count && committed.length < 500; round++) {
            const entries = yield* log.read(next, 7)
            yield* Effect.yieldNow
            const through = entries.at(-1)!.sequence
            yield* group.commit({ through, attempts: none })
            committed.push(...entries.map(({ value }) => Option.getOrThrow(value)))
            next = through + 1n
          }
        }).pipe(Effect.scoped, Effect.exit)
      const first = yield* Effect.forkChild(work(10_000), { startImmediately: true })
      yield* settle
      const second = yield* Effect.forkChild(work(10_000), { startImmediately: true })
      const fenced = yield* Fiber.join(first)
      assert.strictEqual(Exit.isFailure(fenced) && (Cause.squash(fenced.cause) as Log.StaleEpoch)._tag, "StaleEpoch")
      assert.deepStrictEqual(yield* Fiber.join(second), Exit.void)
      yield* Fiber.join(producing)
      assert.deepStrictEqual(committed, numbers(500))
      assert.deepStrictEqual(yield* log.groups, [{ name: "workers", committed: 499n, idleSince: 0 }])
    }).pipe(Effect.scoped))
})

describe("the errors", () => {
  it.effect("name the record, the group and what to do", () =>
    Effect.gen(function*() {
      const log = yield* logOf()
      const first = yield* log.acquire("ship", { from: "oldest" })
      const outOfRange = yield* Effect.flip(first.commit({ through: 4n, attempts: none }))
      assert.strictEqual(
        outOfRange.message,
        `group "ship" of record "test" cannot commit through 4: it has committed through -1, and the next value will be 0. `
          + `Commit only what was read and settled`
      )
      yield* log.acquire("ship", { from: "oldest" })
      const stale = yield* Effect.flip(first.commit({ through: -1n, attempts: none }))
      assert.strictEqual(
        stale.message,
        `group "ship" of record "test" is no longer held with epoch 1: it was acquired by another holder, removed or `
          + `released. This holder's progress is no longer committed, and it must stop`
      )
    }).pipe(Effect.scoped))
})
