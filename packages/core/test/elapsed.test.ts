/**
 * What takes so long takes so long, whatever becomes of the wall clock meanwhile: it may be set back or ahead at any moment,
 * by hand, by NTP or by a machine that wakes up. Each guarantee is tried with a step of it in both directions.
 */
import { assert, describe, it } from "@effect/vitest"
import { Collector, Consumer, Log, Record, Source, Topology } from "@sluice/core"
import { Clock, Context, Effect, Exit, Fiber, Latch, Layer, Logger, Schedule, Schema, Scope, Stream } from "effect"
import { adjust, settle } from "./support.ts"

class Ring
  extends Record.Service<Ring>()("e/Ring", { schema: Schema.Int, buffer: { kind: "SpmcRing", capacity: 2 } })
{}
class Work
  extends Record.Service<Work>()("e/Work", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 100 } })
{}
class Tight
  extends Record.Service<Tight>()("e/Tight", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 1 } })
{}
class Value extends Record.Service<Value>()("e/Value", { schema: Schema.Int, writers: "many" }) {}
const Records = Layer.mergeAll(Ring.layer, Work.layer, Tight.layer, Value.layerLog(Log.memory()))
type Records = Ring | Work | Tight | Value | Log.LogOf<Value>

interface Given {
  /** Sets the wall clock. What has elapsed is not touched by it. */
  readonly set: Effect.Effect<void>
  /** What was logged since the last look, at warning and above. */
  readonly lines: () => ReadonlyArray<string>
}
/** Not a multiple of what anything here waits for. */
const far = 3_600_000 - 377

const guarantee = <E>(
  name: string,
  body: (given: Given) => Effect.Effect<void, E, Records | Scope.Scope>
): void => {
  for (const [how, by] of [["back", -far], ["ahead", far]] as const) {
    it.effect(`${name}, where the clock is set ${how}`, () =>
      Effect.gen(function*() {
        const real = yield* Clock.Clock
        let offset = 0
        const currentTimeMillisUnsafe = () => real.currentTimeMillisUnsafe() + offset
        const currentTimeNanosUnsafe = () => real.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
        const clock: Clock.Clock = {
          ...real,
          currentTimeMillisUnsafe,
          currentTimeNanosUnsafe,
          currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
          currentTimeNanos: Effect.sync(currentTimeNanosUnsafe)
        }
        let logged: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel === "Warn" || logLevel === "Error") logged.push(String(message))
        })
        const given: Given = {
          set: Effect.sync(() => void (offset += by)),
          lines: () => {
            const lines = logged
            logged = []
            return lines
          }
        }
        yield* body(given).pipe(
          Effect.scoped,
          Effect.provide([Records, Logger.layer([logger])]),
          Effect.provideService(Clock.Clock, clock)
        )
      }))
  }
}

/** A topology whose end is the test's. */
const started = <E, R>(components: Layer.Layer<never, E, R>, options?: Topology.TopologyOptions) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const reports: Array<Topology.ShutdownReport> = []
    const context = yield* Layer.buildWithScope(
      Topology.layer(components, {
        ...options,
        onShutdown: (report) => Effect.sync(() => void reports.push(report))
      }),
      scope
    )
    yield* settle
    const topology = Context.get(context, Topology.Topology)
    return {
      component: Effect.map(topology.snapshot, ({ components }) => components[0]!),
      stop: Effect.map(Scope.close(scope, Exit.void), () => reports[0]!)
    }
  })
/** One collector by hand, and a producer for it. */
const collecting = (options: Omit<Collector.CollectorOptions, "group">) =>
  Effect.gen(function*() {
    const { produceAsync } = yield* (yield* Value).producer("test")
    const collector = yield* Collector.make(Value, { group: "g", ...options })
    return {
      collector,
      produce: (...values: ReadonlyArray<number>) => Effect.forEach(values, (value) => produceAsync(value)),
      /** A take whose scope is the test's. */
      take: Effect.forkChild(collector.take, { startImmediately: true })
    }
  })

describe("the latency of a handler", () => {
  guarantee("is how long it took", ({ set }) =>
    Effect.gen(function*() {
      const { component } = yield* started(Consumer.layer(Work, { name: "c", handle: () => Effect.sleep(20) }))
      yield* (yield* (yield* Work).producer("test")).produce(1)
      yield* settle
      yield* set
      yield* adjust(20)
      yield* settle
      assert.deepStrictEqual((yield* component).latency, { p50: 20, p99: 20, max: 20 })
    }))
})

describe("a warning that comes once a second", () => {
  guarantee("of lag comes again after a second, and not before", ({ lines, set }) =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      yield* started(Consumer.layer(Ring, { name: "c", handle: () => gate.await }), { drainTimeout: 0 })
      const { produceUnsafe } = yield* (yield* Ring).producer("test")
      /** It has fallen behind, and looks. */
      const fallBehind = Effect.gen(function*() {
        for (let value = 0; value < 10; value++) produceUnsafe(value)
        gate.openUnsafe()
        yield* settle
        gate.closeUnsafe()
        return lines().length
      })
      assert.strictEqual(yield* fallBehind, 1)
      yield* set
      yield* adjust(999)
      assert.strictEqual(yield* fallBehind, 0)
      yield* adjust(1)
      assert.strictEqual(yield* fallBehind, 1)
    }))

  guarantee(
    "of values that `produce` drops comes again after a second, and not before",
    ({ lines, set }) =>
      Effect.gen(function*() {
        const producer = yield* (yield* Tight).producer("test")
        const drop = Effect.map(producer.produce(0), () => lines().length)
        assert.strictEqual(yield* drop, 0)
        assert.strictEqual(yield* drop, 1)
        yield* set
        yield* adjust(999)
        assert.strictEqual(yield* drop, 0)
        yield* adjust(1)
        assert.strictEqual(yield* drop, 1)
      })
  )

  guarantee("of a stalled record comes after a second, and says how long", ({ lines, set }) =>
    Effect.gen(function*() {
      yield* started(Consumer.layer(Tight, { name: "c", handle: () => Effect.never }), { drainTimeout: 0 })
      const { produceAsync } = yield* (yield* Tight).producer("test")
      yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4], (value) => produceAsync(value)))
      yield* settle
      yield* set
      yield* adjust(999)
      yield* settle
      assert.deepStrictEqual(lines(), [])
      yield* adjust(1)
      yield* settle
      const [line, ...others] = lines()
      assert.match(line ?? "", /record "e\/Tight" is stalled: no producer has got room for 1 s/)
      assert.deepStrictEqual(others, [])
    }))

  guarantee(
    "of a stalled collector comes after `stallAfter`, and says how long",
    ({ lines, set }) =>
      Effect.gen(function*() {
        const { produce, take } = yield* collecting({ stallAfter: "10 seconds" })
        yield* produce(1)
        yield* Fiber.join(yield* take)
        yield* settle
        yield* adjust("4 seconds")
        yield* set
        yield* adjust(5999)
        yield* settle
        assert.deepStrictEqual(lines(), [])
        yield* adjust(1)
        yield* settle
        const [line, ...others] = lines()
        assert.match(line ?? "", /nothing has been settled at its watermark for 10 s/)
        assert.deepStrictEqual(others, [])
      })
  )
})

describe("`took` of a drain's report", () => {
  guarantee("is how long the drain took", ({ set }) =>
    Effect.gen(function*() {
      const { stop } = yield* started(Consumer.layer(Work, { name: "c", handle: () => Effect.sleep(300) }))
      yield* (yield* (yield* Work).producer("test")).produce(1)
      yield* settle
      yield* adjust(100)
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* settle
      yield* set
      yield* adjust(200)
      const { took, withinDeadline } = yield* Fiber.join(stopping)
      assert.deepStrictEqual([took, withinDeadline], [200, true])
    }))

  guarantee("and its deadline are, where the deadline passes", ({ set }) =>
    Effect.gen(function*() {
      const { stop } = yield* started(
        Consumer.layer(Work, { name: "c", handle: () => Effect.uninterruptible(Effect.never) }),
        { drainTimeout: "2 seconds" }
      )
      yield* (yield* (yield* Work).producer("test")).produce(1)
      yield* settle
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* settle
      yield* adjust("1 second")
      yield* set
      // The deadline, and what is given to what cannot be interrupted: half a second, for good.
      yield* adjust(1499)
      yield* settle
      assert.isUndefined(stopping.pollUnsafe())
      yield* adjust(1)
      yield* settle
      const { took, withinDeadline } = yield* Fiber.join(stopping)
      assert.deepStrictEqual([took, withinDeadline], [2500, false])
    }))
})

describe("a collector", () => {
  guarantee("hands out a batch that is not full after `within`, and not before", ({ set }) =>
    Effect.gen(function*() {
      const { produce, take } = yield* collecting({ batch: { max: 10, within: "100 millis" } })
      yield* produce(1)
      yield* settle
      const taking = yield* take
      yield* settle
      yield* adjust(20)
      yield* set
      // It looks again at when the batch is due.
      yield* produce(2)
      yield* settle
      yield* adjust(79)
      yield* settle
      assert.isUndefined(taking.pollUnsafe())
      yield* adjust(1)
      yield* settle
      assert.isDefined(taking.pollUnsafe())
      assert.deepStrictEqual((yield* Fiber.join(taking)).values, [1, 2])
    }))

  guarantee("hands a batch out again after its delay, and not before", ({ set }) =>
    Effect.gen(function*() {
      const { collector, produce, take } = yield* collecting({ batch: { max: 1 } })
      yield* produce(1, 2)
      const [first, second] = [yield* Fiber.join(yield* take), yield* Fiber.join(yield* take)]
      yield* collector.release(first, { delay: "1 second" })
      const taking = yield* take
      yield* settle
      yield* adjust(500)
      yield* set
      // It looks again at when the batch is due.
      yield* collector.ack(second)
      yield* settle
      yield* adjust(499)
      yield* settle
      assert.isUndefined(taking.pollUnsafe())
      yield* adjust(1)
      yield* settle
      assert.isDefined(taking.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(taking)).attempt, 2)
    }))

  for (const schedule of ["fixed", "windowed"] as const) {
    guarantee(
      `hands a batch out again as a schedule says that looks at the time: ${schedule}`,
      ({ set }) =>
        Effect.gen(function*() {
          const { collector, produce, take } = yield* collecting({
            batch: { max: 1 },
            retry: Schedule[schedule]("1 second")
          })
          yield* produce(1)
          yield* collector.release(yield* Fiber.join(yield* take))
          for (const attempt of [2, 3, 4]) {
            const taking = yield* take
            yield* settle
            if (attempt > 2) yield* set
            yield* adjust(999)
            yield* settle
            assert.isUndefined(taking.pollUnsafe(), `attempt ${attempt}`)
            yield* adjust(1)
            yield* settle
            assert.isDefined(taking.pollUnsafe(), `attempt ${attempt}`)
            const batch = yield* Fiber.join(taking)
            assert.strictEqual(batch.attempt, attempt)
            yield* set
            yield* collector.release(batch)
          }
        })
    )
  }

  guarantee(
    "commits `commitEvery.within` after what was settled first, and not before",
    ({ set }) =>
      Effect.gen(function*() {
        const { collector, produce, take } = yield* collecting({
          batch: { max: 1 },
          commitEvery: { acks: 1000, within: "1 second" }
        })
        const committed = Effect.map(collector.progress, (progress) => progress.committed)
        yield* produce(0, 1)
        const batches = [yield* Fiber.join(yield* take), yield* Fiber.join(yield* take)]
        yield* collector.ack(batches[0]!)
        yield* settle
        yield* adjust(500)
        yield* set
        // It looks again at when the commit is due.
        yield* collector.ack(batches[1]!)
        yield* settle
        yield* adjust(499)
        yield* settle
        assert.strictEqual(yield* committed, -1n)
        yield* adjust(1)
        yield* settle
        assert.strictEqual(yield* committed, 1n)
      })
  )
})

describe("a group of a log in memory", () => {
  class Kept extends Record.Service<Kept>()("e/Kept", { schema: Schema.Int, writers: "many" }) {}
  const layer = Kept.layerLog(Log.memory({ capacity: 2, retention: { groupIdleTimeout: "1 minute" } }))
  /** A full log, since a group has committed nothing and is idle from now on. */
  const full = Effect.gen(function*() {
    yield* Effect.scoped(Collector.make(Kept, { group: "idle" }))
    const producer = yield* (yield* Kept).producer("test")
    for (const value of [1, 2]) yield* producer.tryProduce(value)
    return producer
  })

  guarantee("expires once it has been idle for so long, and not before", ({ set }) =>
    Effect.gen(function*() {
      const producer = yield* full
      const refused = Effect.map(Effect.flip(producer.tryProduce(3)), ({ _tag }) => _tag)
      yield* set
      assert.strictEqual(yield* refused, "BufferFull")
      yield* adjust(59_999)
      assert.strictEqual(yield* refused, "BufferFull")
      yield* adjust(1)
      yield* producer.tryProduce(3)
    }).pipe(Effect.provide(layer)))

  guarantee("that expires lets those in that wait for it, and not before", ({ set }) =>
    Effect.gen(function*() {
      const busy = yield* Collector.make(Kept, { group: "busy", batch: { max: 1 } })
      const { produceAsync } = yield* full
      const waiting = yield* Effect.forkChild(produceAsync(3), { startImmediately: true })
      yield* settle
      yield* adjust("10 seconds")
      yield* set
      // The log looks again at what holds it back.
      yield* busy.ackDurable(yield* busy.take)
      yield* settle
      yield* adjust(49_999)
      yield* settle
      assert.isUndefined(waiting.pollUnsafe())
      yield* adjust(1)
      yield* settle
      assert.isDefined(waiting.pollUnsafe())
      yield* Fiber.join(waiting)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

describe("a restart", () => {
  for (const schedule of ["fixed", "windowed"] as const) {
    guarantee(`waits as a schedule says that looks at the time: ${schedule}`, ({ set }) =>
      Effect.gen(function*() {
        const { component } = yield* started(Consumer.layer(Work, {
          name: "c",
          handle: () => Effect.fail("no"),
          restart: Schedule[schedule]("1 second")
        }))
        const { produceUnsafe } = yield* (yield* Work).producer("test")
        for (let value = 0; value < 10; value++) produceUnsafe(value)
        yield* settle
        for (const restarts of [1, 2, 3]) {
          yield* set
          yield* adjust(999)
          yield* settle
          assert.strictEqual((yield* component).restarts, restarts - 1)
          yield* adjust(1)
          yield* settle
          assert.strictEqual((yield* component).restarts, restarts)
        }
      }))
  }

  guarantee(
    "schedule that ends after a time ends after that time, and not before",
    ({ set }) =>
      Effect.gen(function*() {
        const { component } = yield* started(Source.layer(Work, {
          name: "s",
          stream: Stream.fail("no"),
          restart: Schedule.max([Schedule.spaced("1 second"), Schedule.during("5 seconds")])
        }))
        yield* settle
        yield* adjust("2 seconds")
        yield* set
        for (const restarts of [3, 4, 5]) {
          yield* adjust("1 second")
          yield* settle
          assert.deepInclude(yield* component, { restarts, status: "Restarting" })
        }
        yield* adjust("1 second")
        yield* settle
        assert.deepInclude(yield* component, { restarts: 6, status: "Failed" })
      })
  )
})
