/** Logs over an engine of bytes: every law, and what becomes of values when the engine fails, is slow, or goes. */
import { assert, describe, it } from "@effect/vitest"
import { Buffer, type BufferFailed, Collector, Consumer, Engine, Log, Record, Source, Topology } from "@sluice/core"
import { BufferLaws, CollectorLaws, LogLaws } from "@sluice/testing"
import {
  Cause,
  Clock,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  Random,
  Schema,
  SchemaTransformation,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { casesOf } from "../../../test/support/cases.ts"
import { cursorOf } from "../src/internal/reader.ts"
import { backing, Medium, MemoryEngine, openLog } from "./memoryEngine.ts"
import { settle } from "./support.ts"

const record = { key: "test", schema: Schema.Finite }
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const failure = <E>(exit: Exit.Exit<unknown, E>): unknown => Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

/** What is logged, as text. */
const logging = () => {
  const lines: Array<string> = []
  return { lines, layer: Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]) }
}
const storedIn = ({ medium }: MemoryEngine) => medium.stored.map(({ bytes }) => Number(text(bytes)))

const turn = Effect.andThen(Effect.yieldNow, Effect.andThen(Effect.yieldNow, Effect.yieldNow))
const logs = [
  LogLaws.subject("a log over an engine", LogLaws.promises.memory, backing, { turn }),
  LogLaws.subject(
    "one whose readers are always behind its tail",
    LogLaws.promises.memory,
    (options) => backing({ ...options, tailMax: 1, readMax: 2 }),
    { turn }
  ),
  LogLaws.subject(
    "one that others append to",
    LogLaws.promises.memory,
    (options) => backing({ ...options, others: true }),
    { turn }
  )
]
describe.each(logs)("$name", (subject) => {
  for (const law of LogLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
})
describe.each(casesOf("log interleavings over an engine", { budget: 40, full: 4000 }))(
  "seed $seed",
  ({ runs, seed }) => {
    it.effect.each(logs)(
      "under any interleaving $name does what its model does",
      (subject) =>
        Effect.forEach(numbers(Math.ceil(runs / 3), seed), (seed) => LogLaws.checkInterleaving(subject, seed), {
          discard: true
        }),
      600_000
    )
  }
)

const collectors = [
  CollectorLaws.subject("collectors over an engine", () => backing(), { turn }),
  CollectorLaws.subject("collectors over one that others append to", () => backing({ others: true }), { turn })
]
describe.each(collectors)("$name", (subject) => {
  for (const law of CollectorLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
})

/** These laws put values in without waiting for the answer, and look at once: so the engine answers at once. */
const prompt = (capacity: number, tailMax: number): Buffer.BackingOf<number> => ({
  make: (record) =>
    Effect.map(Effect.orDie(openLog(record, { capacity, tailMax })), ({ engine, log }) => {
      const flushed = <A, E>(effect: Effect.Effect<A, E>) => Effect.tap(effect, () => Effect.sync(engine.flush))
      return Object.assign(Object.create(log), {
        produceUnsafe: (value: number) => {
          const produced = log.produceUnsafe(value)
          engine.flush()
          return produced
        },
        produce: (value: number) => flushed(log.produce(value)),
        tryProduce: (value: number) => flushed(log.tryProduce(value))
      })
    })
})
const buffers = [
  BufferLaws.subject(
    "a log over an engine as a buffer",
    BufferLaws.promises.spmcRing,
    (capacity) => prompt(capacity, 1024)
  ),
  BufferLaws.subject(
    "one with the smallest tail as a buffer",
    BufferLaws.promises.spmcRing,
    (capacity) => prompt(capacity, 1)
  )
]
describe.each(buffers)("$name", (subject) => {
  for (const law of BufferLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
})

describe("produceAsync", () => {
  it.effect("returns once its value is stored, which is when readers and reads have it", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record, { onDemand: true })
      const reader = yield* log.subscribe
      const read = yield* Effect.forkChild(log.read(0n, 9), { startImmediately: true })
      const producing = yield* Effect.forkChild(log.produceAsync(7), { startImmediately: true })
      yield* settle
      assert.isUndefined(producing.pollUnsafe())
      assert.isUndefined(read.pollUnsafe())
      assert.deepStrictEqual(yield* reader.tryRecv, Option.none())
      assert.deepStrictEqual(yield* log.latest, Option.none())
      assert.deepInclude(log.stats(), { held: 0, produced: 1, capacity: null })
      engine.flush()
      yield* Fiber.join(producing)
      assert.deepStrictEqual(yield* reader.tryRecv, Option.some(7))
      assert.deepStrictEqual(yield* log.latest, Option.some(7))
      const [entry] = yield* Fiber.join(read)
      assert.deepStrictEqual([entry!.sequence, entry!.value, text(entry!.bytes)], [0n, Option.some(7), "7"])
    }).pipe(Effect.scoped))

  it.effect("hands the value back when the engine fails, and what comes after leaves no hole", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record)
      const reader = yield* log.subscribe
      yield* log.produceAsync(0)
      engine.faults.appends = 1
      const exits = yield* Effect.forEach([1, 2], (value) => Effect.exit(log.produceAsync(value)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        exits.map((exit) => {
          const { cause, record, value } = failure(exit) as BufferFailed<number>
          return { cause, record, value }
        }),
        [1, 2].map((value) => ({ cause: "the disk is gone", record: "test", value }))
      )
      yield* log.produceAsync(3)
      assert.deepStrictEqual(yield* reader.recvBatch(9), [0, 3])
      assert.deepStrictEqual((yield* log.read(0n, 9)).map(({ sequence }) => sequence), [0n, 1n])
      assert.deepInclude(log.stats(), { produced: 2, failed: 2, held: 2 })
    }).pipe(Effect.scoped))

  it.effect("interrupted at any point, has stored its value whole or not at all, and lets others in", () =>
    Effect.gen(function*() {
      for (const turns of numbers(12)) {
        for (const full of [false, true]) {
          const { engine, log } = yield* openLog(record, { queueMax: 1 })
          engine.setFull(full)
          const first = yield* Effect.forkChild(log.produceAsync(1), { startImmediately: true })
          const second = yield* Effect.forkChild(log.produceAsync(2), { startImmediately: true })
          if (full) yield* settle
          engine.setFull(false)
          for (const _ of numbers(turns)) yield* Effect.promise(() => Promise.resolve())
          yield* Fiber.interrupt(first)
          const exit = first.pollUnsafe()!
          yield* Fiber.join(second)
          yield* settle
          const stored = storedIn(engine)
          if (Exit.isSuccess(exit)) assert.deepStrictEqual(stored, [1, 2])
          else assert.include(["1,2", "2"], stored.join())
          assert.strictEqual(log.stats().produced, stored.length)
          yield* log.close
        }
      }
    }).pipe(Effect.scoped))

  it.effect("interrupted when the engine then fails, is told in the log", () => {
    const { layer, lines } = logging()
    return Effect.gen(function*() {
      const { engine, log } = yield* openLog(record, { onDemand: true })
      const producing = yield* Effect.forkChild(log.produceAsync(1), { startImmediately: true })
      yield* Fiber.interrupt(producing)
      engine.faults.appends = 1
      engine.flush()
      yield* settle
      assert.deepStrictEqual(lines, [
        `record "test" could not store values that were accepted: 1 failed so far. the disk is gone`
      ])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe("verbs that do not wait", () => {
  it.effect("count what the engine fails to store later, and say so once a second", () => {
    const { layer, lines } = logging()
    return Effect.gen(function*() {
      const { engine, log } = yield* openLog(record)
      for (const round of [1, 2, 3]) {
        engine.faults.appends = 1
        yield* log.produce(1)
        yield* log.tryProduce(2)
        log.produceUnsafe(3)
        yield* settle
        assert.strictEqual(log.stats().failed, 3 * round)
        assert.strictEqual(lines.length, round < 3 ? 1 : 2)
        if (round === 2) yield* TestClock.adjust("1 second")
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("refuse where the engine is full", () =>
    Effect.gen(function*() {
      const { log } = yield* openLog(record, { onDemand: true, queueMax: 1, capacity: 5 })
      yield* log.tryProduce(0)
      assert.strictEqual((yield* Effect.flip(log.tryProduce(1)))._tag, "BufferFull")
      assert.strictEqual(log.produceUnsafe(1), "Full")
      yield* log.produce(1)
      assert.deepInclude(log.stats(), { capacity: 5, produced: 1, dropped: 1 })
    }).pipe(Effect.scoped))
})

describe("a value that does not encode", () => {
  it.effect("fails, dies, throws or is dropped, by the verb, and is not stored", () => {
    const { layer, lines } = logging()
    return Effect.gen(function*() {
      const { engine, log } = yield* openLog(record)
      const wrong: any = "hot"
      const failed = yield* Effect.flip(log.produceAsync(wrong))
      assert.deepInclude(failed, { _tag: "BufferFailed", record: "test", value: wrong })
      const died = failure(yield* Effect.exit(log.tryProduce(wrong)))
      assert.instanceOf(died, TypeError)
      assert.include((died as TypeError).message, `record "test": a value does not encode: `)
      assert.throws(() => log.produceUnsafe(wrong), TypeError)
      yield* log.produce(wrong)
      yield* log.produce(wrong)
      assert.strictEqual(lines.length, 1)
      assert.include(lines[0], `record "test": \`produce\` drops values that do not encode: 2 failed so far`)
      assert.deepInclude(log.stats(), { produced: 0, failed: 3, dropped: 0 })
      yield* settle
      assert.deepStrictEqual(storedIn(engine), [])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe("the close", () => {
  it.effect("refuses who waits for room, and lets the engine store what it has taken", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record, { onDemand: true, queueMax: 2 })
      const reader = yield* log.subscribe
      const read = yield* Effect.forkChild(log.read(2n, 1), { startImmediately: true })
      const producing = yield* Effect.forEach(numbers(4), (value) =>
        Effect.forkChild(log.produceAsync(value), { startImmediately: true }))
      const closing = yield* Effect.forkChild(log.close, { startImmediately: true })
      assert.strictEqual(log.produceUnsafe(9), "Closed")
      assert.isUndefined(read.pollUnsafe())
      assert.deepStrictEqual(yield* reader.tryRecv, Option.none())
      yield* Fiber.join(closing)
      assert.isTrue(engine.closed)
      const exits = yield* Effect.forEach(producing, (fiber) =>
        Fiber.await(fiber))
      assert.deepStrictEqual(exits.map((exit) => (failure(exit) as Error | undefined)?.name), [
        undefined,
        undefined,
        "BufferClosed",
        "BufferClosed"
      ])
      assert.deepStrictEqual(storedIn(engine), [0, 1])
      assert.deepStrictEqual(yield* reader.recvBatch(9), [0, 1])
      assert.strictEqual((yield* Effect.flip(reader.recv))._tag, "RecordClosed")
      assert.strictEqual((yield* Effect.flip(Fiber.join(read)))._tag, "RecordClosed")
      yield* log.close
    }).pipe(Effect.scoped))

  it.effect("of the log's scope ends a reader that is still behind", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { engine, log } = yield* Scope.provide(openLog(record, { tailMax: 1 }), scope)
      for (const value of numbers(4)) yield* log.produceAsync(value)
      engine.faults.reads = Infinity
      const reader = yield* log.subscribeFrom("oldest")
      const receiving = yield* Effect.forkChild(reader.recv, { startImmediately: true })
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Effect.flip(Fiber.join(receiving)))._tag, "RecordClosed")
    }).pipe(Effect.scoped))
})

describe("a reader behind the tail", () => {
  it.effect("has every value in order, many at a time, and joins those that keep up", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record, { tailMax: 8, readMax: 16 })
      const keepsUp = yield* log.subscribe
      for (const value of numbers(100)) {
        yield* log.produceAsync(value)
        assert.strictEqual(yield* keepsUp.recv, value)
      }
      assert.deepStrictEqual(engine.asked, [])
      const reader = yield* log.subscribeFrom({ sequence: 3n })
      assert.strictEqual(yield* reader.pending, 97)
      assert.deepStrictEqual(yield* reader.tryRecv, Option.some(3))
      const rest: Array<number> = []
      while (rest.length < 96) rest.push(...(yield* reader.recvBatch(7)))
      assert.deepStrictEqual(rest, numbers(96, 4))
      assert.deepStrictEqual(engine.asked, [3, 19, 35, 51, 67, 83].map((from) => ({ from, max: 16 })))
      yield* log.produceAsync(100)
      assert.strictEqual(yield* reader.recv, 100)
      assert.deepStrictEqual(cursorOf(reader)!.counts(), { received: 98, lagged: 0, conflated: 0 })
    }).pipe(Effect.scoped))

  it.effect("that is interrupted while it is fetched for has taken nothing", () =>
    Effect.gen(function*() {
      for (const turns of numbers(8)) {
        const { engine, log } = yield* openLog(record, { tailMax: 1, readMax: 4 })
        for (const value of numbers(10)) yield* log.produceAsync(value)
        const reader = yield* log.subscribeFrom("oldest")
        const receiving = yield* Effect.forkChild(reader.recv, { startImmediately: true })
        for (const _ of numbers(turns)) yield* Effect.yieldNow
        yield* Fiber.interrupt(receiving)
        const first = Exit.isSuccess(receiving.pollUnsafe()!) ? 1 : 0
        const rest: Array<number> = []
        while (rest.length < 10 - first) rest.push(yield* reader.recv)
        assert.deepStrictEqual(rest, numbers(10 - first, first))
        assert.isAtMost(engine.asked.length, 4)
      }
    }).pipe(Effect.scoped))

  it.effect("is told exactly what has expired, also while it is fetched for", () =>
    Effect.gen(function*() {
      const { log } = yield* openLog(record, { tailMax: 1, capacity: 4 })
      for (const value of numbers(4)) yield* log.produceAsync(value)
      const reader = yield* log.subscribeFrom("oldest")
      const receiving = yield* Effect.forkChild(Effect.exit(reader.recv), { startImmediately: true })
      for (const value of numbers(6, 4)) log.produceUnsafe(value)
      assert.deepInclude(failure(yield* Fiber.join(receiving)), { _tag: "Lagged", missed: 6 })
      assert.deepStrictEqual(yield* Effect.forEach(numbers(4), () => reader.recv), numbers(4, 6))
    }).pipe(Effect.scoped))

  it.effect("waits while the engine cannot be read, less and less often, and warns", () => {
    const { layer, lines } = logging()
    return Effect.gen(function*() {
      const { engine, log } = yield* openLog(record, { tailMax: 1 })
      for (const value of numbers(3)) yield* log.produceAsync(value)
      engine.faults.reads = 10
      const reader = yield* log.subscribeFrom("oldest")
      const receiving = yield* Effect.forkChild(reader.recv, { startImmediately: true })
      for (const _ of numbers(40)) {
        yield* settle
        yield* TestClock.adjust("1 second")
      }
      yield* settle
      assert.strictEqual(yield* Fiber.join(receiving), 0)
      assert.strictEqual(engine.asked.length, 11)
      assert.strictEqual(
        lines[0],
        `record "test" cannot be read now, and its readers wait: the disk cannot be read`
      )
      assert.isAtMost(lines.length, 10)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("feeds a consumer all the same, beside one that keeps up", () =>
    Effect.gen(function*() {
      class Count extends Record.Service<Count>()("test/Count", { schema: Schema.Finite }) {}
      const handled: { [name: string]: Array<number> } = { fast: [], slow: [] }
      const components = Layer.mergeAll(
        Source.layer(Count, { name: "numbers", stream: Stream.fromIterable(numbers(500)) }),
        Consumer.layer(Count, { name: "fast", handleUnsafe: (value) => void handled["fast"]!.push(value) }),
        Consumer.layer(Count, {
          name: "slow",
          handle: (value) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void handled["slow"]!.push(value)))
        })
      )
      const context = yield* Layer.build(
        Topology.layer(components).pipe(
          Layer.provideMerge(Count.layerLog(backing({ tailMax: 2, readMax: 5, queueMax: 16 })))
        )
      )
      yield* Context.get(context, Topology.Topology).awaitDone
      assert.deepStrictEqual(handled, { fast: numbers(500), slow: numbers(500) })
    }).pipe(Effect.scoped))
})

describe("a value that no longer decodes", () => {
  it.effect("is passed over by readers, which count it, and an entry without value to reads", () => {
    const { layer, lines } = logging()
    return Effect.gen(function*() {
      const medium = new Medium()
      const before = yield* openLog(record, {}, medium)
      for (const value of numbers(5)) yield* before.log.produceAsync(value)
      for (const [sequence, rotten] of [[1, "\"hot\""], [3, "{"]] as const) {
        Object.assign(medium.stored[sequence]!, { bytes: new TextEncoder().encode(rotten) })
      }
      const { log } = yield* openLog(record, {}, medium)
      const reader = yield* log.subscribeFrom("oldest")
      assert.deepStrictEqual(yield* reader.recvBatch(9), [0, 2, 4])
      assert.deepStrictEqual(cursorOf(reader)!.counts(), { received: 3, lagged: 2, conflated: 0 })
      const entries = yield* log.read(0n, 9)
      assert.deepStrictEqual(entries.map(({ value }) => Option.getOrNull(value)), [0, null, 2, null, 4])
      assert.strictEqual(text(entries[1]!.bytes), "\"hot\"")
      assert.deepStrictEqual(lines, [
        `record "test" has stored values that do not decode, which readers pass over: 1 so far, the last one is sequence 1. `
        + `Raise its version and give it a migration, or read them with \`read\``
      ])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe("versions", () => {
  const OrderV0 = Schema.Struct({ cents: Schema.NumberFromString })
  const Order = Schema.Struct({ cents: Schema.Int, currency: Schema.String })
  const migrated = OrderV0.pipe(Schema.decodeTo(
    Schema.toType(Order),
    SchemaTransformation.transform({
      decode: ({ cents }) => ({ cents, currency: "EUR" }),
      encode: ({ cents }) => ({ cents })
    })
  ))
  const v0 = { key: "orders", schema: OrderV0 }

  it.effect("decode what was stored under an earlier one, by its migration or not at all", () =>
    Effect.gen(function*() {
      const medium = new Medium()
      yield* (yield* openLog(v0, {}, medium)).log.produceAsync({ cents: 5 })
      const unknown = yield* openLog({ ...v0, version: 7 }, {}, medium)
      yield* unknown.log.produceAsync({ cents: 6 })
      const v1 = { key: "orders", schema: Order, version: 1, migrations: { 0: migrated } }
      const { log } = yield* openLog(v1, {}, medium)
      assert.deepStrictEqual(yield* log.latest, Option.none())
      yield* log.produceAsync({ cents: 7, currency: "CHF" })
      const entries = yield* log.read(0n, 9)
      assert.deepStrictEqual(entries.map(({ bytes }) => text(bytes)), [
        `{"cents":"5"}`,
        `{"cents":"6"}`,
        `{"cents":7,"currency":"CHF"}`
      ])
      assert.deepStrictEqual(entries.map(({ value }) => Option.getOrNull(value)), [
        { cents: 5, currency: "EUR" },
        null,
        { cents: 7, currency: "CHF" }
      ])
      const codec = Engine.codecOf(v1)
      assert.strictEqual(codec.version, 1)
      assert.deepStrictEqual(codec.decode(0, new Uint8Array([0xff])), Option.none())
    }).pipe(Effect.scoped))

  it("and migrations of a record are checked where it is defined", () => {
    const define = (version: number, migrations = {}) => () =>
      Record.Service<any>()("shop/Orders", { schema: Order, version, migrations })
    for (const version of [-1, 0.5, Number.NaN]) {
      assert.throws(
        define(version),
        `record "shop/Orders": its version must be a non-negative integer, got ${version}`
      )
    }
    for (const from of ["1", "2", "-1", "x"]) {
      assert.throws(
        define(1, { [from]: migrated }),
        `record "shop/Orders": a migration must be from a version before 1, got ${from}`
      )
    }
    assert.doesNotThrow(define(1, { 0: migrated }))
  })

  it.effect("reach the backing of a record", () =>
    Effect.gen(function*() {
      class Orders extends Record.Service<Orders>()("shop/Orders", {
        schema: Order,
        version: 1,
        migrations: { 0: migrated }
      }) {}
      let seen: Buffer.RecordInfo<any> | undefined
      yield* Layer.build(Orders.layerLog({
        durability: "volatile",
        make: (record) => Effect.suspend(() => (seen = record, Log.memory().make(record)))
      }))
      assert.deepStrictEqual([seen?.version, seen?.migrations], [1, { 0: migrated }])
    }).pipe(Effect.scoped))
})

describe("latest", () => {
  it.effect("is the newest stored value, also right after opening", () =>
    Effect.gen(function*() {
      const medium = new Medium()
      const before = yield* openLog(record, {}, medium)
      for (const value of numbers(3)) yield* before.log.produceAsync(value)
      const { engine, log } = yield* openLog(record, {}, medium)
      engine.faults.reads = Infinity
      assert.deepStrictEqual(yield* log.latest, Option.some(2))
      yield* log.produceAsync(3)
      assert.deepStrictEqual(yield* log.latest, Option.some(3))
    }).pipe(Effect.scoped))

  it.effect("of a log that cannot be read fails its making", () =>
    Effect.gen(function*() {
      const medium = new Medium()
      yield* (yield* openLog(record, {}, medium)).log.produceAsync(1)
      const engine = new MemoryEngine(0, yield* Clock.Clock, {}, medium)
      engine.faults.reads = 1
      const failed = yield* Effect.flip(Engine.make(record, engine))
      assert.deepInclude(failed, { _tag: "LogFailed", record: "test", cause: "the disk cannot be read" })
    }).pipe(Effect.scoped))
})

describe("a log that others append to", () => {
  it.effect("has their values, in order among its own", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record, { others: true })
      const reader = yield* log.subscribe
      const read = yield* Effect.forkChild(log.read(0n, 9), { startImmediately: true })
      yield* settle
      engine.appendBeside("5")
      assert.strictEqual(yield* reader.recv, 5)
      assert.strictEqual((yield* Fiber.join(read)).length, 1)
      assert.deepStrictEqual(yield* log.latest, Option.some(5))
      yield* log.produceAsync(6)
      engine.appendBeside("7")
      assert.deepStrictEqual(yield* Effect.forEach([1, 2], () => reader.recv), [6, 7])
      assert.deepStrictEqual(yield* log.latest, Option.some(7))
      assert.strictEqual(yield* log.head, 3n)
    }).pipe(Effect.scoped))
})

describe("failures of the engine", () => {
  it.effect("reach whoever reads and commits as LogFailed, and can be tried again", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record)
      yield* log.produceAsync(1)
      engine.faults.reads = 1
      assert.deepInclude(yield* Effect.flip(log.read(0n, 1)), { _tag: "LogFailed", cause: "the disk cannot be read" })
      assert.strictEqual((yield* log.read(0n, 1)).length, 1)
      const group = yield* log.acquire("group", { from: "oldest" })
      engine.faults.commits = 1
      const progress = { through: 0n, attempts: new Map<bigint, number>() }
      assert.deepInclude(yield* Effect.flip(group.commit(progress)), { _tag: "LogFailed", cause: "the disk is gone" })
      yield* group.commit(progress)
    }).pipe(Effect.scoped))

  it.effect("that answer a read with nothing are told, not waited for", () =>
    Effect.gen(function*() {
      const { engine, log } = yield* openLog(record)
      yield* log.produceAsync(1)
      Object.assign(engine, { read: () => Effect.succeed([]) })
      const failed = yield* Effect.flip(log.read(0n, 1))
      assert.include(String(failed), "the engine keeps sequence 0 and answered a read from there without it")
    }).pipe(Effect.scoped))
})

describe("a collector over an engine that failed to store values", () => {
  it.effect("is done once it has handled those that were stored", () =>
    Effect.gen(function*() {
      class Count extends Record.Service<Count>()("test/Count", { schema: Schema.Finite, writers: "many" }) {}
      const handled: Array<number> = []
      let opened: MemoryEngine | undefined
      const faulty: Log.LogBacking = {
        durability: "replicated",
        make: (record) => Effect.orDie(Effect.map(openLog(record), ({ engine, log }) => (opened = engine, log)))
      }
      const Handle = Collector.layer(Count, {
        name: "handle",
        group: "handle",
        handle: ({ values }) => Effect.sync(() => void handled.push(...values))
      })
      const context = yield* Layer.build(Topology.layer(Handle).pipe(Layer.provideMerge(Count.layerLog(faulty))))
      const claim = yield* Context.get(context, Count).producer("test")
      yield* claim.produceAsync(1)
      opened!.faults.appends = 1
      assert.strictEqual((yield* Effect.flip(claim.produceAsync(2)))._tag, "BufferFailed")
      yield* claim.produceAsync(3)
      yield* Context.get(context, Topology.Topology).awaitDone
      assert.deepStrictEqual(handled, [1, 3])
    }).pipe(Effect.scoped))
})

describe("a stall", () => {
  it.effect("names the group that holds the engine", () => {
    const { layer, lines } = logging()
    class Count extends Record.Service<Count>()("test/Count", { schema: Schema.Finite }) {}
    return Effect.gen(function*() {
      const held: Log.LogBacking = {
        durability: "replicated",
        make: (record) =>
          Effect.orDie(
            Effect.tap(backing({ capacity: 2 }).make(record), (log) => log.acquire("slow", { from: "oldest" }))
          )
      }
      yield* Layer.build(
        Topology.layer(Source.layer(Count, { name: "numbers", stream: Stream.fromIterable(numbers(5)) }), {
          drainTimeout: 0,
          onShutdown: () => Effect.void
        }).pipe(Layer.provideMerge(Count.layerLog(held)))
      )
      for (const _ of numbers(8)) yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual(lines, [
        `record "test/Count" is stalled: no producer has got room for 1 s, held back by group "slow"`
      ])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})

describe.each(casesOf("contended engines", { budget: 30, full: 2000 }))("seed $seed", ({ runs, seed }) => {
  it.effect(
    "producers that contend are served in order, whoever fails or is interrupted, and each is told the truth",
    () => Effect.forEach(numbers(runs, seed), (seed) => Random.withSeed(contend, seed), { discard: true }),
    600_000
  )
})

const below = (limit: number) => Effect.map(Random.next, (random) => Math.floor(random * limit))

/** Producers of both kinds at a narrow engine that fails at times, and interrupts among them. */
const contend = Effect.gen(function*() {
  const { engine, log } = yield* openLog(record, {
    queueMax: 1 + (yield* below(4)),
    tailMax: 1 + (yield* below(8)),
    readMax: 3
  })
  const reader = yield* log.subscribe
  const reading = yield* Effect.forkChild(Effect.gen(function*() {
    const received: Array<number> = []
    while (true) {
      const batch = yield* Effect.option(reader.recvBatch(4))
      if (Option.isNone(batch)) return received
      received.push(...batch.value)
    }
  }))
  const asked: Array<{ readonly value: number; readonly fiber: Fiber.Fiber<void, unknown> }> = []
  const accepted: Array<number> = []
  for (const value of numbers(60)) {
    const dice = yield* below(10)
    if (dice < 7) {
      asked.push({ value, fiber: yield* Effect.forkChild(log.produceAsync(value), { startImmediately: true }) })
    } else if (dice === 7) {
      if (log.produceUnsafe(value) === "Accepted") accepted.push(value)
    } else if (dice === 8) engine.faults.appends = 1
    else if (asked.length > 0) asked[yield* below(asked.length)]!.fiber.interruptUnsafe()
    if ((yield* below(4)) === 0) yield* Effect.promise(() => Promise.resolve())
  }
  const exits = yield* Effect.forEach(asked, ({ fiber }) => Fiber.await(fiber))
  for (const _ of numbers(4)) yield* settle
  yield* log.close
  const stored = storedIn(engine)
  assert.deepStrictEqual(stored, stored.toSorted((a, b) => a - b))
  for (const [index, { value }] of asked.entries()) {
    const exit = exits[index]!
    if (Exit.isSuccess(exit)) assert.include(stored, value)
    else if (!Cause.hasInterruptsOnly(exit.cause)) assert.notInclude(stored, value)
  }
  assert.strictEqual(log.stats().produced, stored.length)
  assert.deepStrictEqual(yield* Fiber.join(reading), stored)
  for (const value of stored) assert.isTrue(accepted.includes(value) || asked.some((one) => one.value === value))
}).pipe(Effect.scoped, Effect.provide(Logger.layer([])))
