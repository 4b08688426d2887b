/** What a topology tells while it runs: metrics, spans, and who holds whom back. */
import { assert, describe, it } from "@effect/vitest"
import { Consumer, Record, Topology, Transform } from "@sluice/core"
import { Effect, Exit, Fiber, Latch, Layer, Logger, Metric, Schedule, Schema, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { runtimeOf } from "../src/internal/recordRuntime.ts"
import { settle } from "./support.ts"

class Tight
  extends Record.Service<Tight>()("i/Tight", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 2 } })
{}
class Ring
  extends Record.Service<Ring>()("i/Ring", { schema: Schema.Int, buffer: { kind: "SpmcRing", capacity: 2 } })
{}

/** Warnings and errors logged while `effect` ran, topology included. */
const warnings = <A, E, R>(effect: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => {
    if (logLevel === "Warn" || logLevel === "Error") lines.push(String(message))
  })
  return Effect.provide(effect(lines), Logger.layer([logger]))
}

describe("metrics", () => {
  it.effect("are not registered where the topology does without", () =>
    Effect.gen(function*() {
      yield* Layer.build(Topology.layer(Consumer.layer(Ring, { name: "plain", handle: () => Effect.void }), {
        metrics: false,
        onShutdown: () => Effect.void
      }))
      const series = yield* Metric.snapshot
      assert.deepStrictEqual(series.filter(({ id }) => id.startsWith("sluice_")), [])
    }).pipe(Effect.provide(Ring.layer), Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map())))

  it.effect("are the statistics, read on demand, with record and component; gone with the topology", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const App = Topology.layer(
        Layer.mergeAll(
          Consumer.layer(Ring, { name: "slow", handle: () => gate.await }),
          Transform.layer({ name: "copy", from: Ring, to: Tight, through: (values) => values })
        ),
        { drainTimeout: 0, onShutdown: () => Effect.void }
      ).pipe(Layer.provideMerge(Layer.mergeAll(Ring.layer, Tight.layer)))
      const read = Effect.map(Metric.snapshot, (series) =>
        Object.fromEntries(
          series.filter(({ id }) => id.startsWith("sluice_")).map(({ attributes, id, state }) => [
            `${id}${
              JSON.stringify(
                Object.entries(attributes ?? {}).flatMap(([name, value]) => name === "topology" ? [] : value)
              )
            }`,
            "count" in (state as object) ? (state as { count: number }).count : (state as { value: number }).value
          ])
        ))
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Ring).producer("test")
        for (const value of [1, 2, 3, 4]) {
          yield* producer.produce(value)
          yield* settle
        }
        assert.deepInclude(yield* read, {
          "sluice_record_produced_total[\"i/Ring\"]": 4,
          "sluice_record_held[\"i/Ring\"]": 2,
          "sluice_record_produced_total[\"i/Tight\"]": 2,
          "sluice_reader_pending[\"i/Ring\",\"slow\"]": 3,
          "sluice_reader_received_total[\"i/Ring\",\"slow\"]": 1,
          "sluice_component_in_flight[\"slow\"]": 1,
          "sluice_component_handled_total[\"slow\"]": 0
        })
        yield* gate.open
        yield* settle
        assert.deepInclude(yield* read, {
          "sluice_reader_lagged_total[\"i/Ring\",\"slow\"]": 1,
          "sluice_component_handled_total[\"slow\"]": 3
        })
        assert.isDefined((yield* read)["sluice_component_latency_milliseconds[\"slow\",\"0.99\"]"])
      })).pipe(Effect.provide(App))
      assert.deepStrictEqual(yield* read, {})
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("spans", () => {
  const recorded = () => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return { spans, layer: Layer.succeed(Tracer.Tracer, tracer) }
  }

  it.effect("a handler's span links to the span that produced the value, where one was open", () =>
    Effect.gen(function*() {
      const { layer, spans } = recorded()
      const seen: Array<unknown> = []
      const App = Topology.layer(
        Layer.mergeAll(
          Consumer.layer(Ring, {
            name: "one",
            handle: (value) =>
              Effect.map(Effect.currentSpan, (span) => void seen.push([value, span.name])).pipe(Effect.ignore)
          }),
          Consumer.layer(Tight, { name: "batch", handleBatch: () => Effect.yieldNow })
        ),
        { drainTimeout: 0, onShutdown: () => Effect.void }
      ).pipe(Layer.provideMerge(Layer.mergeAll(Ring.layer, Tight.layer)))
      yield* Effect.scoped(Effect.gen(function*() {
        const ring = yield* (yield* Ring).producer("test")
        const tight = yield* (yield* Tight).producer("test")
        yield* Effect.withSpan(ring.produce(1), "produced one")
        yield* ring.produce(2)
        yield* Effect.withSpan(tight.produceAsync(1), "first")
        yield* Effect.withSpan(tight.tryProduce(2), "second")
        const waiting = yield* Effect.forkChild(Effect.withSpan(tight.produceAsync(3), "third"), {
          startImmediately: true
        })
        yield* settle
        yield* Fiber.join(waiting)
        yield* settle
      })).pipe(Effect.provide(Layer.provideMerge(App, layer)))
      assert.deepStrictEqual(seen, [[1, "Consumer.handle"]])
      const handled = spans.filter(({ name }) => name === "Consumer.handle").map((span) => ({
        component: span.attributes.get("component"),
        links: span.links.map(({ span: linked }) => (linked as Tracer.Span).name)
      }))
      assert.deepStrictEqual(handled[0], { component: "one", links: ["produced one"] })
      assert.deepStrictEqual(handled.slice(1).flatMap(({ links }) => links), ["first", "second", "third"])
    }))

  it.effect("a reader and `latest` give the value itself", () =>
    Effect.scoped(Effect.gen(function*() {
      const record = yield* Ring
      const reader = yield* record.subscribe
      const producer = yield* record.producer("test")
      yield* Effect.withSpan(Effect.all([producer.produce(1), producer.produce(2)]), "span")
      assert.deepStrictEqual(yield* reader.recvBatch(2), [1, 2])
      assert.include(String(yield* record.latest), "2")
    })).pipe(Effect.provide(Layer.mergeAll(Ring.layer, recorded().layer))))
})

describe("lag", () => {
  it.effect("is warned about at most once a second, and what came after the last warning at the end", () =>
    warnings((lines) =>
      Effect.gen(function*() {
        const gates = [Latch.makeUnsafe(false), Latch.makeUnsafe(false)]
        const App = Topology.layer(
          Consumer.layer(Ring, { name: "slow", handle: (value) => gates[value]?.await ?? Effect.void }),
          { onShutdown: () => Effect.void }
        ).pipe(Layer.provideMerge(Ring.layer))
        yield* Effect.scoped(Effect.gen(function*() {
          const producer = yield* (yield* Ring).producer("test")
          const push = (values: ReadonlyArray<number>) =>
            Effect.andThen(Effect.forEach(values, (value) => producer.produce(value)), settle)
          yield* push([0])
          yield* push([10, 11, 12, 13, 1])
          yield* gates[0]!.open
          yield* settle
          yield* push([10, 11, 12, 13, 14, 15])
          yield* gates[1]!.open
          yield* settle
        })).pipe(Effect.provide(App))
        assert.deepStrictEqual(lines, [
          "component \"slow\" falls behind on record \"i/Ring\": missed 3 value(s) since the last warning, 3 in all",
          "component \"slow\" falls behind on record \"i/Ring\": missed 4 value(s) since the last warning, 7 in all"
        ])
      })
    ))
})

describe("a stall", () => {
  const App = (handle: (value: number) => Effect.Effect<void, string>) =>
    Topology.layer(
      Layer.mergeAll(
        Consumer.layer(Tight, { name: "holds back", handle, restart: Schedule.spaced("10 seconds") }),
        Consumer.layer(Tight, { name: "healthy", handle: () => Effect.void })
      ),
      { drainTimeout: 0, onShutdown: () => Effect.void }
    ).pipe(Layer.provideMerge(Tight.layer))

  it.effect("of more than a second is told with the reader's name, at most once a second, and not before", () => {
    const gate = Latch.makeUnsafe(false)
    return warnings((lines) =>
      Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Tight).producer("test")
        const waiting = yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4], (value) => producer.produceAsync(value)))
        yield* settle
        yield* TestClock.adjust("999 millis")
        yield* settle
        assert.deepStrictEqual(lines, [])
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.strictEqual(lines.length, 1)
        assert.match(
          lines[0]!,
          /record "i\/Tight" is stalled: no producer has got room for 1 s, held back by "holds back"$/
        )
        yield* TestClock.adjust("1 seconds")
        yield* settle
        assert.strictEqual(lines.length, 2)
        yield* gate.open
        yield* Fiber.join(waiting)
      })).pipe(Effect.provide(App(() => gate.await)))
    )
  })

  it.effect("is counted from when a producer was last let in, however much others read meanwhile", () => {
    const gate = Latch.makeUnsafe(false)
    return warnings((lines) =>
      Effect.scoped(Effect.gen(function*() {
        const record = yield* Tight
        const other = yield* record.subscribe
        const producer = yield* record.producer("test")
        const waiting = yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4], (value) => producer.produceAsync(value)))
        yield* settle
        // Room for 3; from now on "holds back", which has 1 in hand, lets nobody in.
        assert.strictEqual(yield* other.recv, 1)
        yield* settle
        for (const value of [2, 3]) {
          yield* TestClock.adjust("400 millis")
          assert.strictEqual(yield* other.recv, value)
          yield* settle
        }
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("199 millis")
        yield* settle
        assert.deepStrictEqual(lines, [])
        yield* TestClock.adjust("1 millis")
        yield* settle
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /no producer has got room for 1 s, held back by "holds back"$/)
        yield* gate.open
        yield* other.recv
        yield* Fiber.join(waiting)
      })).pipe(Effect.provide(App(() => gate.await)))
    )
  })

  it.effect("by a restarting reader says so, and ends with its backoff", () =>
    warnings((lines) =>
      Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Tight).producer("test")
        const waiting = yield* Effect.forkChild(Effect.forEach([1, 2, 3, 4], (value) => producer.produceAsync(value)))
        yield* settle
        yield* TestClock.adjust("1 seconds")
        yield* settle
        assert.isTrue(
          lines.some((line) => line.endsWith("held back by \"holds back\", which is restarting")),
          String(lines)
        )
        assert.isUndefined(waiting.pollUnsafe())
        yield* TestClock.adjust("9 seconds")
        yield* settle
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiting)))
      })).pipe(Effect.provide(App((value) => value === 1 ? Effect.fail("no") : Effect.void)))
    ))
})

describe("producers outside the topology", () => {
  const gated = (gate: Latch.Latch) =>
    Topology.layer(Consumer.layer(Tight, { name: "c", handle: () => gate.await }), { onShutdown: () => Effect.void })

  it.effect("that wait for room when the drain begins are let in, one after the other", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const scope = yield* Scope.make()
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Tight).producer("http")
        yield* Layer.buildWithScope(gated(gate), scope)
        const waiting = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3, 4, 5], (value) => producer.produceAsync(value), { concurrency: "unbounded" })
        )
        yield* settle
        const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* settle
        assert.isUndefined(waiting.pollUnsafe())
        yield* gate.open
        yield* Fiber.join(waiting)
        yield* Fiber.join(stopping)
        assert.strictEqual((yield* Effect.flip(producer.tryProduce(6)))._tag, "BufferClosed")
      }))
    }).pipe(Effect.provide(Tight.layer)))

  it.effect("that only hold a claim, or whose claim's scope has closed, are not waited for", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const scope = yield* Scope.make()
      const claimScope = yield* Scope.make()
      const record = yield* Tight
      const producer = yield* Scope.provide(record.producer("http"), claimScope)
      yield* Layer.buildWithScope(gated(gate), scope)
      const waiting = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3, 4, 5], (value) => Effect.exit(producer.produceAsync(value)), {
          concurrency: "unbounded"
        })
      )
      yield* settle
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* settle
      yield* Scope.close(claimScope, Exit.void)
      yield* settle
      // The record is closed: those that waited are refused, and what was held is still handled.
      const exits = yield* Fiber.join(waiting)
      assert.deepStrictEqual(exits.map(Exit.isSuccess), [true, true, true, false, false])
      assert.isUndefined(stopping.pollUnsafe())
      yield* gate.open
      yield* Fiber.join(stopping)
    }).pipe(Effect.provide(Tight.layer)))
})

describe("a released claim", () => {
  /** Producers that wait under a claim for room in a record that nobody reads. */
  const wait = Effect.fnUntraced(function*(record: Tight["Service"], name: string, count: number) {
    const scope = yield* Scope.make()
    const { produceAsync } = yield* Scope.provide(record.producer(name), scope)
    const fibers = yield* Effect.forEach(
      Array.from({ length: count }, (_, index) => index),
      (value) => Effect.forkChild(produceAsync(value), { startImmediately: true })
    )
    yield* settle
    return { release: Scope.close(scope, Exit.void), end: Fiber.interruptAll(fibers) }
  })
  const fill = (record: Tight["Service"]) =>
    Effect.scoped(Effect.flatMap(record.producer("first"), ({ tryProduce }) => Effect.forEach([1, 2], tryProduce)))

  it.effect("counts no producer as waiting, neither then nor once those that waited have ended", () =>
    Effect.gen(function*() {
      const record = yield* Tight
      const { nobodyWaits } = runtimeOf("i/Tight", record)
      yield* fill(record)
      const released = yield* wait(record, "released", 3)
      assert.isFalse(nobodyWaits.isOpen())
      yield* released.release
      assert.isTrue(nobodyWaits.isOpen())
      // Those that have ended by now end nobody else's wait.
      yield* released.end
      yield* settle
      assert.isTrue(nobodyWaits.isOpen())
      const other = yield* wait(record, "other", 2)
      assert.isFalse(nobodyWaits.isOpen())
      yield* other.end
      yield* settle
      assert.isTrue(nobodyWaits.isOpen())
      yield* other.release
      assert.isTrue(nobodyWaits.isOpen())
    }).pipe(Effect.provide(Tight.layer)))

  it.effect("does not hold up a drain, which waits for who waits under the next claim", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const scope = yield* Scope.make()
      const record = yield* Tight
      yield* fill(record)
      const released = yield* wait(record, "released", 3)
      yield* released.release
      yield* released.end
      yield* Layer.buildWithScope(
        Topology.layer(Consumer.layer(Tight, { name: "c", handle: () => gate.await }), {
          onShutdown: () => Effect.void
        }),
        scope
      )
      yield* settle
      yield* Effect.scoped(Effect.gen(function*() {
        const { produceAsync } = yield* record.producer("next")
        yield* produceAsync(3)
        const waiting = yield* Effect.forkChild(Effect.exit(produceAsync(4)))
        yield* settle
        const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* settle
        const early = [waiting, stopping].filter((fiber) => fiber.pollUnsafe() !== undefined)
        yield* gate.open
        yield* Fiber.join(stopping)
        assert.deepStrictEqual([early.length, yield* Fiber.join(waiting)], [0, Exit.void])
      }))
    }).pipe(Effect.provide(Tight.layer)))
})

describe("a record of two topologies", () => {
  it.effect("is no longer in use once the first has drained", () =>
    Effect.gen(function*() {
      const topology = (name: string) =>
        Layer.build(Topology.layer(Consumer.layer(Ring, { name, handle: () => Effect.void }), {
          onShutdown: () => Effect.void
        }))
      yield* Effect.scoped(topology("first"))
      const faults = yield* Effect.match(Effect.scoped(topology("second")), {
        onFailure: ({ faults }) => faults.map(({ _tag }) => _tag),
        onSuccess: () => []
      })
      assert.notInclude(faults, "RecordInUse")
    }).pipe(Effect.provide(Ring.layer)))

  it.effect("is refused while the first runs", () =>
    Effect.gen(function*() {
      const topology = (name: string) =>
        Layer.build(Topology.layer(Consumer.layer(Ring, { name, handle: () => Effect.void }), {
          drainTimeout: 0,
          onShutdown: () => Effect.void
        }))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* topology("first")
        const error = yield* Effect.flip(topology("second"))
        assert.deepStrictEqual(error.faults.map(({ _tag }) => _tag), ["RecordInUse"])
        assert.include(error.message, "record \"i/Ring\" is part of another topology that still runs")
      }))
    }).pipe(Effect.provide(Ring.layer)))
})
