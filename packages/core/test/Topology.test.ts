import { assert, describe, it } from "@effect/vitest"
import { Consumer, Record, Source, Topology, Transform } from "@sluice/core"
import { Context, Effect, Exit, Fiber, Latch, Layer, Schedule, Schema, Scope, Stream } from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { adjust, settle } from "./support.ts"

const bounded = { kind: "Bounded", capacity: 100 } as const
class A extends Record.Service<A>()("t/A", { schema: Schema.Int, buffer: bounded }) {}
class B extends Record.Service<B>()("t/B", { schema: Schema.Int, buffer: bounded }) {}
class C extends Record.Service<C>()("t/C", { schema: Schema.Int, buffer: bounded }) {}
class D extends Record.Service<D>()("t/D", { schema: Schema.Int, buffer: bounded }) {}
const Records = Layer.mergeAll(A.layer, B.layer, C.layer, D.layer)

/** A topology by hand: what it does, its report, and its end when the test says so. */
const started = <R>(components: Layer.Layer<never, never, R>, options?: { readonly drainTimeout?: string }) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const reports: Array<Topology.ShutdownReport> = []
    const layer = Topology.layer(components, {
      ...options as {},
      onShutdown: (report) => Effect.sync(() => reports.push(report))
    }).pipe(Layer.provideMerge(Records))
    const context = yield* Layer.buildWithScope(
      layer as Layer.Layer<A | B | C | D | Topology.Topology, Topology.TopologyInvalid>,
      scope
    )
    const topology = Context.get(context, Topology.Topology)
    const component = (name: string) =>
      Effect.map(topology.snapshot, ({ components }) => components.find((found) => found.name === name)!)
    const stop = Effect.flatMap(Scope.close(scope, Exit.void), () => Effect.sync(() => reports[0]!))
    const produce = (values: Iterable<number>) =>
      Effect.scoped(
        Effect.flatMap(Context.get(context, A).producer("test"), ({ produceAsync }) =>
          Effect.forEach(values, (value) => produceAsync(value), { discard: true }))
      )
    /** All of them in one step, so that nobody reads in between. */
    const burst = (values: Iterable<number>) =>
      Effect.scoped(
        Effect.map(Context.get(context, A).producer("test"), ({ produceUnsafe }) => {
          for (const value of values) assert.strictEqual(produceUnsafe(value), "Accepted")
        })
      )
    return { context, topology, component, stop, produce, burst, reports }
  })

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const collect = (record: Record.RecordClass<any, any, number>, name: string) => {
  const seen: Array<number> = []
  return {
    seen,
    layer: Consumer.layer(record, { name, handle: (value) => Effect.sync(() => void seen.push(value)) })
  }
}

describe("putting together", () => {
  const consumer = (name: string) => Consumer.layer(A, { name, handle: () => Effect.void })

  it.effect("tells every writer conflict, duplicate name and cycle at once, and starts nothing", () =>
    Effect.gen(function*() {
      let ran = false
      const source = (name: string) =>
        Source.layer(A, { name, stream: Stream.fromEffect(Effect.sync(() => ((ran = true), 1))) })
      const components = Layer.mergeAll(
        source("one"),
        source("two"),
        consumer("same"),
        consumer("same"),
        Transform.layer({ name: "there", from: B, to: C, through: (values) => values }),
        Consumer.layer(C, { name: "back", emits: { b: B }, handle: (value, emit) => emit.b.produce(value) })
      )
      const error = yield* Effect.flip(started(components))
      assert.strictEqual(error._tag, "TopologyInvalid")
      assert.deepStrictEqual(error.faults.map(({ _tag }) => _tag), ["DuplicateName", "Cycle", "WriterConflict"])
      assert.include(error.message, "3 faults")
      assert.include(error.message, "two components are named \"same\"")
      assert.include(error.message, "t/B → there → t/C → back → t/B")
      assert.include(error.message, "\"two\" cannot write record \"t/A\": it is claimed by \"one\"")
      yield* settle
      assert.isFalse(ran)
    }))

  it.effect("gives back every claim when it is refused", () =>
    Effect.gen(function*() {
      const source = (name: string) => Source.layer(A, { name, stream: Stream.empty })
      const record = yield* A
      yield* Effect.flip(Layer.build(Topology.layer(Layer.mergeAll(source("one"), source("two")))))
      yield* record.producer("free")
    }).pipe(Effect.scoped, Effect.provide(A.layer)))

  it.effect("a producer claimed by hand is a conflict too", () =>
    Effect.gen(function*() {
      const record = yield* A
      yield* record.producer("by hand")
      const source = Source.layer(A, { name: "source", stream: Stream.empty })
      const error = yield* Effect.flip(Layer.build(Topology.layer(source)))
      assert.include(error.message, "claimed by \"by hand\"")
    }).pipe(Effect.scoped, Effect.provide(A.layer)))

  it.effect("readers attach before sources start: no first value is lost, even of a ring", () =>
    Effect.gen(function*() {
      class First extends Record.Service<First>()("t/First", { schema: Schema.Int }) {}
      const seen: Array<number> = []
      const components = Layer.mergeAll(
        Source.layer(First, { name: "source", stream: Stream.range(1, 5) }),
        Consumer.layer(First, { name: "late", handle: (value) => Effect.sync(() => void seen.push(value)) })
      )
      yield* Effect.flatMap(Topology.Topology, ({ awaitDone }) => awaitDone).pipe(
        Effect.provide(Topology.layer(components).pipe(Layer.provide(First.layer)))
      )
      assert.deepStrictEqual(seen, [1, 2, 3, 4, 5])
    }))

  it("refuses a batch or a concurrency that is no positive integer", () => {
    assert.throws(
      () => Consumer.layer(A, { name: "c", batchMax: 0, handleBatch: () => Effect.void }),
      /consumer "c": `batchMax` must be a positive integer, got 0/
    )
  })
})

describe("handlers", () => {
  it.effect("handle, handleBatch, handleUnsafe and a transform each get every value in order", () =>
    Effect.gen(function*() {
      const one: Array<number> = []
      const batches: Array<ReadonlyArray<number>> = []
      const plain: Array<number> = []
      const doubled = collect(B, "doubled")
      const { burst, component, stop } = yield* started(Layer.mergeAll(
        Consumer.layer(A, {
          name: "one",
          handle: (value) => Effect.yieldNow.pipe(Effect.map(() => void one.push(value)))
        }),
        Consumer.layer(A, {
          name: "batch",
          batchMax: 8,
          handleBatch: (values) => Effect.sync(() => void batches.push(values))
        }),
        Consumer.layer(A, { name: "plain", handleUnsafe: (value) => void plain.push(value) }),
        Transform.layer({ name: "double", from: A, to: B, through: Stream.map((value) => value * 2) }),
        doubled.layer
      ))
      yield* burst(range(1, 20))
      yield* stop
      assert.deepStrictEqual(one, range(1, 20))
      assert.deepStrictEqual(plain, range(1, 20))
      assert.deepStrictEqual(batches.flat(), range(1, 20))
      assert.isAbove(Math.max(...batches.map(({ length }) => length)), 1)
      assert.isAtMost(Math.max(...batches.map(({ length }) => length)), 8)
      assert.deepStrictEqual(doubled.seen, range(1, 20).map((value) => value * 2))
      for (const name of ["one", "batch", "plain", "double", "doubled"]) {
        assert.deepInclude(yield* component(name), { handled: 20, abandoned: 0, inFlight: 0, status: "Done" }, name)
      }
    }))

  it.effect("concurrency handles that many at once, and each value once", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const seen: Array<number> = []
      let atOnce = 0
      const { component, produce, stop } = yield* started(Consumer.layer(A, {
        name: "slots",
        concurrency: 3,
        handle: (value) =>
          Effect.gen(function*() {
            atOnce++
            yield* gate.await
            seen.push(value)
          })
      }))
      yield* produce(range(1, 10))
      yield* settle
      assert.strictEqual(atOnce, 3)
      assert.strictEqual((yield* component("slots")).inFlight, 3)
      yield* gate.open
      yield* stop
      assert.deepStrictEqual(seen.toSorted((a, b) => a - b), range(1, 10))
    }))

  it.effect("consumers that compete for a mailbox get their turns", () =>
    Effect.gen(function*() {
      class Work extends Record.Service<Work>()("t/Work", { schema: Schema.Int, buffer: { kind: "Mailbox" } }) {}
      const names = ["a", "b", "c"]
      const App = Topology.layer(Layer.mergeAll(
        ...names.map((name) => Consumer.layer(Work, { name, handleUnsafe: () => undefined })) as [
          Layer.Layer<never, never, Work>
        ]
      )).pipe(Layer.provideMerge(Work.layer))
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Work).producer("test")
        yield* settle
        for (const value of range(1, 300)) {
          yield* producer.produce(value)
          yield* settle
        }
        const { components } = yield* (yield* Topology.Topology).snapshot
        assert.deepStrictEqual(components.map(({ handled }) => handled), [100, 100, 100])
      })).pipe(Effect.provide(App as Layer.Layer<Work | Topology.Topology>))
    }))

  it.effect("a handler emits into the records it named, in order", () =>
    Effect.gen(function*() {
      const odd = collect(B, "odd")
      const even = collect(C, "even")
      const { produce, stop } = yield* started(Layer.mergeAll(
        Consumer.layer(A, {
          name: "split",
          emits: { odd: B, even: C },
          handle: (value, emit) => (value % 2 === 0 ? emit.even : emit.odd).produce(value)
        }),
        odd.layer,
        even.layer
      ))
      yield* produce(range(1, 10))
      yield* stop
      assert.deepStrictEqual([odd.seen, even.seen], [[1, 3, 5, 7, 9], [2, 4, 6, 8, 10]])
    }))

  it.effect("a join reads each of its inputs as a Stream", () =>
    Effect.gen(function*() {
      const joined = collect(C, "joined")
      const { produce, stop } = yield* started(Layer.mergeAll(
        Transform.layer({ name: "copy", from: A, to: B, through: Stream.map((value) => value + 100) }),
        Transform.layer({ name: "join", from: { a: A, b: B }, to: C, through: ({ a, b }) => Stream.merge(a, b) }),
        joined.layer
      ))
      yield* produce([1, 2])
      yield* stop
      assert.deepStrictEqual(joined.seen.toSorted((a, b) => a - b), [1, 2, 101, 102])
    }))

  it.effect("a reader that falls behind is counted, told to onLag, and goes on", () =>
    Effect.gen(function*() {
      class Small
        extends Record.Service<Small>()("t/Small", { schema: Schema.Int, buffer: { kind: "SpmcRing", capacity: 2 } })
      {}
      const seen: Array<number> = []
      const missed: Array<number> = []
      const gate = Latch.makeUnsafe(false)
      const App = Topology.layer(Consumer.layer(Small, {
        name: "slow",
        onLag: (lagged) => Effect.sync(() => void missed.push(lagged.missed)),
        handle: (value) => Effect.map(gate.await, () => void seen.push(value))
      })).pipe(Layer.provideMerge(Small.layer))
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Small).producer("test")
        yield* producer.produce(0)
        yield* settle
        for (const value of range(1, 9)) yield* producer.produce(value)
        yield* gate.open
        yield* settle
        const { readers } = yield* (yield* Topology.Topology).snapshot
        assert.deepStrictEqual(readers, [
          { record: "t/Small", component: "slow", input: null, pending: 0, received: 3, lagged: 7, conflated: 0 }
        ])
      })).pipe(Effect.provide(App))
      assert.deepStrictEqual([seen, missed], [[0, 8, 9], [7]])
    }))

  it.effect("what a reader of the latest value skipped is counted as conflated", () =>
    Effect.gen(function*() {
      class Level
        extends Record.Service<Level>()("t/Level", { schema: Schema.Int, buffer: { kind: "SingleLatest" } })
      {}
      const seen: Array<number> = []
      const App = Topology.layer(
        Consumer.layer(Level, { name: "last", handleUnsafe: (value) => void seen.push(value) })
      ).pipe(
        Layer.provideMerge(Level.layer)
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Level).producer("test")
        for (const value of range(1, 5)) producer.produceUnsafe(value)
        yield* settle
        const { readers } = yield* (yield* Topology.Topology).snapshot
        assert.deepInclude(readers[0]!, { received: 1, conflated: 4 })
      })).pipe(Effect.provide(App))
      assert.deepStrictEqual(seen, [5])
    }))
})

describe("a handler that fails", () => {
  it.effect("costs the value it held, restarts with its reader, and says so", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const { component, produce, stop } = yield* started(Consumer.layer(A, {
        name: "faulty",
        handle: (value) => value % 4 === 0 ? Effect.die(`no ${value}`) : Effect.sync(() => void seen.push(value))
      }))
      yield* produce(range(1, 10))
      yield* settle
      assert.deepStrictEqual(seen, [1, 2, 3])
      assert.deepInclude(yield* component("faulty"), { status: "Restarting", handled: 3, abandoned: 1 })
      yield* adjust("120 millis")
      yield* adjust("120 millis")
      yield* settle
      assert.deepStrictEqual(seen, [1, 2, 3, 5, 6, 7, 9, 10])
      const { lastCause, ...counts } = yield* component("faulty")
      assert.deepInclude(counts, { status: "Running", handled: 8, abandoned: 2, restarts: 2 })
      assert.include(lastCause, "no 8")
      yield* stop
    }))

  it.effect("a batch that fails costs the batch; a thrown exception and a failed Effect are failures too", () =>
    Effect.gen(function*() {
      const { burst, component, stop } = yield* started(Layer.mergeAll(
        Consumer.layer(A, { name: "batch", handleBatch: () => Effect.fail("no") }),
        Consumer.layer(A, {
          name: "throws",
          handleUnsafe: () => {
            throw new Error("thrown")
          }
        }),
        Transform.layer({
          name: "transform",
          from: A,
          to: B,
          through: Stream.map(() => {
            throw new Error("mapped")
          })
        })
      ))
      yield* burst([1, 2, 3])
      yield* settle
      assert.deepInclude(yield* component("batch"), { handled: 0, abandoned: 3 })
      assert.deepInclude(yield* component("throws"), { handled: 0, abandoned: 1 })
      assert.deepInclude(yield* component("transform"), { handled: 0, abandoned: 1 })
      const report = yield* stop
      assert.deepInclude(report, { withinDeadline: true, left: [] })
      assert.deepInclude(yield* component("throws"), { handled: 0, abandoned: 3 })
      assert.deepInclude(yield* component("transform"), { handled: 0, abandoned: 3 })
    }))

  it.effect("a schedule starts anew once a value was handled, and its end is the component's", () =>
    Effect.gen(function*() {
      const { component, context, produce, stop, topology } = yield* started(Consumer.layer(A, {
        name: "limited",
        restart: Schedule.recurs(1),
        handle: (value) => value < 0 ? Effect.fail(`no ${value}`) : Effect.void
      }))
      const failure = yield* Effect.forkChild(Effect.flip(topology.awaitFailure), { startImmediately: true })
      yield* produce([-1, 1, -2, 2, -3, 3])
      yield* settle
      assert.deepInclude(yield* component("limited"), { status: "Running", handled: 3, abandoned: 3 })
      yield* produce([-4, -5, 6])
      yield* settle
      const error = yield* Fiber.join(failure)
      assert.strictEqual(error._tag, "ComponentFailed")
      assert.match(error.message, /component "limited" has failed for good.*no -5/)
      assert.strictEqual((yield* Effect.flip(topology.awaitDone))._tag, "ComponentFailed")
      assert.deepInclude(yield* component("limited"), { status: "Failed", handled: 3, abandoned: 5 })
      // Its reader is gone, so it holds nobody back; 6 was left.
      yield* produce(range(1, 99))
      const record = Context.get(context, A)
      assert.strictEqual(yield* Effect.scoped(Effect.flatMap(record.subscribe, ({ pending }) => pending)), 100)
      assert.deepInclude(yield* stop, { left: [{ record: "t/A", component: "limited", values: 1 }] })
    }))

  it.effect("a source that fails runs again from its start; one that ends leaves its record open", () =>
    Effect.gen(function*() {
      let attempt = 0
      const seen = collect(A, "all")
      const { component, stop, topology } = yield* started(Layer.mergeAll(
        Source.layer(A, {
          name: "source",
          restart: Schedule.spaced("1 second"),
          stream: Stream.suspend(() =>
            ++attempt === 1 ? Stream.concat(Stream.make(1, 2), Stream.fail("no")) : Stream.make(10, 20)
          )
        }),
        seen.layer
      ))
      yield* settle
      assert.deepInclude(yield* component("source"), { status: "Restarting" })
      yield* adjust("1 second")
      yield* topology.awaitDone
      assert.deepStrictEqual(seen.seen, [1, 2, 10, 20])
      assert.deepInclude(yield* component("source"), { status: "Done", handled: 4, restarts: 1 })
      assert.deepInclude(yield* component("all"), { status: "Running" })
      yield* stop
    }))
})

describe("a record that is closed under its writer", () => {
  it.effect("ends the source or transform that writes it, rather than letting it fail for ever", () =>
    Effect.gen(function*() {
      const { component, context, produce, stop } = yield* started(
        Layer.mergeAll(
          Transform.layer({ name: "transform", from: A, to: B, through: (values) => values }),
          Source.layer(C, { name: "source", stream: Stream.range(1, 1000) }),
          Consumer.layer(B, { name: "b", handle: () => Effect.void })
        )
      )
      yield* settle
      yield* Context.get(context, B).close
      yield* Context.get(context, C).close
      yield* produce([1, 2])
      yield* settle
      assert.deepInclude(yield* component("transform"), { status: "Done", abandoned: 1, restarts: 0 })
      assert.deepInclude(yield* component("source"), { status: "Done", handled: 100, abandoned: 900, restarts: 0 })
      assert.deepInclude(yield* stop, {
        withinDeadline: true,
        left: [{ record: "t/A", component: "transform", values: 1 }]
      })
    }))
})

describe("shutdown", () => {
  class Sink extends Context.Service<Sink, { readonly write: (line: string) => Effect.Effect<void> }>()("t/Sink") {}

  it.effect("a chain handles what waits in each record, in graph order, with its services open", () =>
    Effect.gen(function*() {
      const events: Array<string> = []
      const gate = Latch.makeUnsafe(false)
      const SinkLayer = Layer.effect(
        Sink,
        Effect.acquireRelease(
          Effect.succeed({ write: (line: string) => Effect.sync(() => void events.push(line)) }),
          () => Effect.sync(() => events.push("sink closed"))
        )
      )
      const hop = <S1, K1 extends string, S2, K2 extends string>(
        name: string,
        from: Record.RecordClass<S1, K1, number>,
        to: Record.RecordClass<S2, K2, number>
      ) =>
        Consumer.layer(from, {
          name,
          emits: { to },
          handle: (value, emit) =>
            Effect.gen(function*() {
              yield* gate.await
              yield* (yield* Sink).write(`${name} ${value}`)
              yield* emit.to.produceAsync(value)
            })
        })
      const components = Layer.mergeAll(
        hop("a→b", A, B),
        hop("b→c", B, C),
        Consumer.layer(C, {
          name: "end",
          handle: (value) => Effect.flatMap(Sink, ({ write }) => write(`end ${value}`))
        })
      ).pipe(Layer.provide(SinkLayer))
      const { produce, stop } = yield* started(components)
      yield* produce([1, 2, 3])
      yield* settle
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* settle
      assert.deepStrictEqual(events, [])
      yield* gate.open
      const report = yield* Fiber.join(stopping)
      for (const stage of ["a→b", "b→c", "end"]) {
        assert.deepStrictEqual(events.filter((line) => line.startsWith(stage)), [1, 2, 3].map((n) => `${stage} ${n}`))
      }
      assert.strictEqual(events.at(-1), "sink closed")
      assert.deepStrictEqual({ ...report, took: 0 }, {
        withinDeadline: true,
        took: 0,
        left: [],
        interrupted: [],
        waited: [],
        faults: []
      })
    }))

  it.effect("a diamond closes the record where it meets only when both sides have ended", () =>
    Effect.gen(function*() {
      class Meet extends Record.Service<Meet>()("t/Meet", { schema: Schema.Int, buffer: bounded, writers: "many" }) {}
      const gate = Latch.makeUnsafe(false)
      const met = collect(Meet, "met")
      const side = (name: string, through: (value: number) => Effect.Effect<number>) =>
        Transform.layer({ name, from: A, to: Meet, through: Stream.mapEffect(through) })
      const { produce, stop } = yield* started(
        Layer.mergeAll(
          side("fast", Effect.succeed),
          side("slow", (value) => Effect.as(gate.await, value + 100)),
          met.layer
        ).pipe(Layer.provide(Meet.layer))
      )
      yield* produce([1, 2, 3])
      yield* settle
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* settle
      assert.deepStrictEqual(met.seen, [1, 2, 3])
      yield* gate.open
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(met.seen, [1, 2, 3, 101, 102, 103])
    }))

  it.effect("a source stops, and what it had already emitted goes in", () =>
    Effect.gen(function*() {
      class One
        extends Record.Service<One>()("t/One", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 1 } })
      {}
      const seen: Array<number> = []
      const App = Topology.layer(
        Layer.mergeAll(
          Source.layer(One, { name: "endless", stream: Stream.forever(Stream.make(1, 2, 3)) }),
          Consumer.layer(One, {
            name: "c",
            handle: (value) => Effect.map(Effect.sleep("1 millis"), () => void seen.push(value))
          })
        ),
        { onShutdown: () => Effect.void }
      ).pipe(Layer.provide(One.layer))
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(App, scope)
      yield* adjust("4 millis")
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* adjust("100 millis")
      yield* Fiber.join(stopping)
      const { components } = yield* Context.get(context, Topology.Topology).snapshot
      assert.deepInclude(components.find(({ name }) => name === "endless")!, { handled: seen.length, abandoned: 0 })
      assert.deepStrictEqual(seen, Array.from({ length: seen.length }, (_, index) => index % 3 + 1))
    }))

  it.effect("a source pulls nothing more once the drain has begun, and all it had emitted is handled", () =>
    Effect.gen(function*() {
      class Two
        extends Record.Service<Two>()("t/Two", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 2 } })
      {}
      let emitted = 0
      const seen: Array<number> = []
      const App = Topology.layer(
        Layer.mergeAll(
          Source.layer(Two, {
            name: "source",
            stream: Stream.fromEffectRepeat(Effect.delay(Effect.sync(() => ++emitted), "5 millis"))
          }),
          Consumer.layer(Two, {
            name: "slow",
            handle: (value) => Effect.map(Effect.sleep("50 millis"), () => void seen.push(value))
          })
        ),
        { onShutdown: () => Effect.void }
      ).pipe(Layer.provide(Two.layer))
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(App, scope)
      yield* adjust("502 millis")
      const atStop = emitted
      assert.isAbove(atStop, 10)
      const stopping = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* adjust("4 seconds")
      yield* Fiber.join(stopping)
      assert.strictEqual(emitted, atStop)
      assert.deepStrictEqual(seen, range(1, atStop))
    }))

  it.effect("what has not finished at the deadline is interrupted, named, and what it left is counted", () =>
    Effect.gen(function*() {
      const { component, produce, stop } = yield* started(
        Consumer.layer(A, { name: "stuck", handle: () => Effect.never }),
        { drainTimeout: "2 seconds" }
      )
      yield* produce(range(1, 5))
      yield* settle
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* adjust("1999 millis")
      assert.isUndefined(stopping.pollUnsafe())
      assert.deepInclude(yield* component("stuck"), { status: "Draining" })
      yield* adjust("1 millis")
      const report = yield* Fiber.join(stopping)
      assert.deepStrictEqual(report, {
        withinDeadline: false,
        took: 2000,
        left: [{ record: "t/A", component: "stuck", values: 4 }],
        interrupted: ["stuck"],
        waited: [],
        faults: []
      })
      assert.deepInclude(yield* component("stuck"), { handled: 0, abandoned: 1 })
    }))

  it.effect("a handler that cannot be interrupted does not hold the shutdown for ever", () =>
    Effect.gen(function*() {
      const { produce, stop } = yield* started(
        Consumer.layer(A, { name: "deaf", handle: () => Effect.uninterruptible(Effect.never) }),
        { drainTimeout: "1 second" }
      )
      yield* produce([1])
      yield* settle
      const stopping = yield* Effect.forkChild(stop, { startImmediately: true })
      yield* adjust("2 seconds")
      assert.deepInclude(yield* Fiber.join(stopping), { withinDeadline: false, interrupted: ["deaf"] })
    }))

  it.effect("a component in a backoff of a minute is woken, and drains", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const { produce, stop } = yield* started(Consumer.layer(A, {
        name: "backing off",
        restart: Schedule.spaced("1 minute"),
        handle: (value) => value === 1 ? Effect.fail("no") : Effect.sync(() => void seen.push(value))
      }))
      yield* produce([1, 2, 3])
      yield* settle
      assert.deepStrictEqual(seen, [])
      assert.deepInclude(yield* stop, { withinDeadline: true, took: 0, left: [] })
      assert.deepStrictEqual(seen, [2, 3])
    }))

  it.effect("awaitDone returns when the sources have ended and all they produced was handled, not before", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const handled: Array<number> = []
      const { stop, topology } = yield* started(Layer.mergeAll(
        Source.layer(A, { name: "source", stream: Stream.range(1, 3) }),
        Transform.layer({ name: "pass", from: A, to: B, through: (values) => values }),
        Consumer.layer(B, { name: "slow", handle: (value) => Effect.map(gate.await, () => void handled.push(value)) })
      ))
      const done = yield* Effect.forkChild(topology.awaitDone, { startImmediately: true })
      yield* settle
      assert.isUndefined(done.pollUnsafe())
      yield* gate.open
      yield* Fiber.join(done)
      assert.deepStrictEqual(handled, [1, 2, 3])
      yield* stop
    }))
})

describe("interruption of a handler", () => {
  it.effect("loses at most the value it held, counted, whatever the moment and the scheduler's budget", () =>
    Effect.gen(function*() {
      for (const budget of [3, 4, 5, 7, 11, 2048]) {
        for (let turn = 0; turn < 20; turn++) {
          yield* Effect.gen(function*() {
            const seen: Array<number> = []
            const { component, produce, stop } = yield* started(
              Consumer.layer(A, {
                name: "c",
                handle: (value) => Effect.map(Effect.yieldNow, () => void seen.push(value))
              }),
              { drainTimeout: "1 second" }
            )
            yield* produce([1, 2, 3, 4, 5])
            const stopping = yield* Effect.forkChild(Effect.sleep("1 second").pipe(Effect.andThen(stop)), {
              startImmediately: true
            })
            for (let i = 0; i < turn; i++) yield* Effect.yieldNow
            yield* adjust("3 seconds")
            const { left } = yield* Fiber.join(stopping)
            const { abandoned, handled } = yield* component("c")
            assert.isAtMost(abandoned, 1)
            assert.strictEqual(handled, seen.length)
            assert.strictEqual(handled + abandoned + left.reduce((sum, { values }) => sum + values, 0), 5)
          }).pipe(Effect.provideService(MaxOpsBeforeYield, budget))
        }
      }
    }))
})
