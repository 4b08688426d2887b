/**
 * A topology is checked whole before anything happens, and starts whole or not at all; and two of one name are told apart, or
 * are one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Buffer, BufferClosed, Collector, Consumer, Log, Record, Source, Topology, Transform } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import {
  Cause,
  ConfigProvider,
  Context,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Logger,
  Metric,
  Option,
  Queue,
  References,
  Schedule,
  Schema,
  Scope,
  Stream,
  Tracer
} from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { TestClock } from "effect/testing"
import { logOf } from "../src/internal/logKey.ts"
import { variableOf } from "../src/internal/recordConfig.ts"
import { backing, type MemoryEngine, openLog } from "./memoryEngine.ts"
import { adjust, settle, yieldsOften } from "./support.ts"

class A extends Record.Service<A>()("whole/A", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 8 } }) {}
class B extends Record.Service<B>()("whole/B", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 8 } }) {}
class Stored extends Record.Service<Stored>()("whole/Stored", { schema: Schema.Int, writers: "many" }) {}
class Other extends Record.Service<Other>()("whole/Other", { schema: Schema.Int, writers: "many" }) {}

const silent = { drainTimeout: 0, onShutdown: () => Effect.void } as const
const quiet = Logger.layer([])
const Records = Layer.mergeAll(A.layer, B.layer, Stored.layerLog(Log.memory()), Other.layerLog(Log.memory()))
type Records = A | B | Stored | Other | Log.LogOf<Stored> | Log.LogOf<Other>

const test = <E>(name: string, body: Effect.Effect<void, E, Records | Scope.Scope>, timeout?: number): void =>
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide([Records, quiet])), timeout)

const reads = (record: Record.RecordClass<any, any, number>, name = "reads") =>
  Consumer.layer(record, { name, handle: () => Effect.void })
const writes = (record: Record.RecordClass<any, any, number>, name = "writes") =>
  Source.layer(record, { name, stream: Stream.never })
const collects = (record: typeof Stored | typeof Other, name: string, group: string) =>
  Collector.layer(record as typeof Stored, { name, group, handle: () => Effect.void })

/** A topology in the scope of the test. */
const start = <E, R>(components: Layer.Layer<never, E, R>, options?: Topology.TopologyOptions) =>
  Effect.map(
    Layer.build(Layer.fresh(Topology.layer(components, { ...silent, ...options }))),
    (context) => Context.get(context, Topology.Topology)
  )
/** The faults for which a topology is refused. */
const faultsOf = <E, R>(components: Layer.Layer<never, E, R>) =>
  Effect.map(Effect.flip(Effect.scoped(start(components))), (error) => {
    assert.instanceOf(error, Topology.TopologyInvalid)
    return (error as Topology.TopologyInvalid).faults
  })
const tags = (faults: Topology.TopologyInvalid["faults"]) => faults.map(({ _tag }) => _tag)

describe("a topology is refused", () => {
  test(
    "with TwoBuffers where the layer of a record was made twice",
    Effect.gen(function*() {
      const twice = () => A.layerBuffer(Buffer.bounded({ capacity: 8 }))
      const faults = yield* faultsOf(
        Layer.mergeAll(writes(A).pipe(Layer.provide(twice())), reads(A).pipe(Layer.provide(twice())))
      )
      assert.deepStrictEqual(tags(faults), ["TwoBuffers"])
      assert.match(faults[0].message, /record "whole\/A" has two buffers, since its layer was made twice/)
      // Made once, it is one.
      const once = twice()
      yield* start(Layer.mergeAll(writes(A).pipe(Layer.provide(once)), reads(A).pipe(Layer.provide(once))))
    })
  )

  describe("with TwoDefinitions where two classes have one key", () => {
    class Numbers extends Record.Service<Numbers>()("whole/Same", { schema: Schema.Int }) {}
    class Texts extends Record.Service<Texts>()("whole/Same", { schema: Schema.String }) {}
    const text = Consumer.layer(Texts, { name: "texts", handle: () => Effect.void })
    const both = Layer.merge(Numbers.layer, Texts.layer)
    const told = (faults: Topology.TopologyInvalid["faults"]) => {
      assert.deepStrictEqual(tags(faults), ["TwoDefinitions"])
      assert.match(faults[0].message, /two definitions have the key "whole\/Same"/)
    }

    test(
      "and the layer of one stands in for the other",
      Effect.map(faultsOf(reads(Numbers).pipe(Layer.provide(both))), told)
    )
    test(
      "and components of both are given one of them",
      Effect.map(faultsOf(Layer.mergeAll(reads(Numbers), text).pipe(Layer.provide(both))), told)
    )
    test(
      "and components of both are given each their own",
      Effect.map(
        faultsOf(
          Layer.mergeAll(reads(Numbers).pipe(Layer.provide(Numbers.layer)), text.pipe(Layer.provide(Texts.layer)))
        ),
        told
      )
    )
  })

  test(
    "with DuplicateGroup where two collectors hold one group of one record, and names both",
    Effect.gen(function*() {
      const faults = yield* faultsOf(Layer.mergeAll(
        collects(Stored, "one", "g"),
        collects(Stored, "two", "g"),
        collects(Stored, "three", "h"),
        collects(Other, "four", "g")
      ))
      assert.deepStrictEqual(tags(faults), ["DuplicateGroup"])
      assert.match(faults[0].message, /"one" and "two" collect record "whole\/Stored" in the same group "g"/)
      yield* start(Layer.mergeAll(
        collects(Stored, "one", "g"),
        collects(Stored, "three", "h"),
        collects(Other, "four", "g")
      ))
    })
  )

  test(
    "with RecordIsClosed where a record was closed by hand",
    Effect.gen(function*() {
      yield* (yield* A).close
      const faults = yield* faultsOf(Layer.mergeAll(reads(A), reads(B, "of another")))
      assert.deepStrictEqual(tags(faults), ["RecordIsClosed"])
      assert.match(faults[0].message, /record "whole\/A" is closed/)
    })
  )
  test(
    "with RecordIsClosed where an earlier topology has drained a record",
    Effect.gen(function*() {
      yield* Effect.scoped(start(reads(A)))
      assert.deepStrictEqual(tags(yield* faultsOf(writes(A))), ["RecordIsClosed"])
      // With a record of its own it starts.
      yield* start(writes(A).pipe(Layer.provide(Layer.fresh(A.layer))))
    })
  )

  test(
    "with NoComponents where nothing declares itself",
    Effect.gen(function*() {
      const faults = yield* faultsOf(Layer.empty)
      assert.deepStrictEqual(tags(faults), ["NoComponents"])
      assert.include(faults[0].message, "there is no component in it")
    })
  )

  test(
    "with all its faults at once, in one error whose message has a line for each",
    Effect.gen(function*() {
      yield* (yield* B).close
      const twice = () => A.layerBuffer(Buffer.bounded({ capacity: 8 }))
      const components = Layer.mergeAll(
        writes(A, "same").pipe(Layer.provide(twice())),
        reads(A, "same").pipe(Layer.provide(twice())),
        reads(B, "of what is closed"),
        collects(Stored, "one", "g"),
        collects(Stored, "two", "g")
      )
      const faults = yield* faultsOf(components)
      const expected = ["DuplicateName", "TwoBuffers", "RecordIsClosed", "DuplicateGroup"]
      assert.deepStrictEqual(tags(faults), expected)
      const lines = new Topology.TopologyInvalid({ faults }).message.split("\n")
      assert.deepStrictEqual(lines, ["the topology has 4 faults:", ...faults.map(({ message }) => `- ${message}`)])
    })
  )
})

test(
  "two names of one record in `emits` write it in order, under one claim",
  Effect.gen(function*() {
    const reader = yield* (yield* B).subscribe
    const topology = yield* start(Consumer.layer(A, {
      name: "emits",
      emits: { here: B, there: B },
      handle: (value, { here, there }) => Effect.andThen(here.produceAsync(value), there.produceAsync(value + 100))
    }))
    const { produceAsync } = yield* (yield* A).producer("test")
    for (const value of [1, 2, 3]) yield* produceAsync(value)
    yield* settle
    assert.deepStrictEqual(yield* reader.recvBatch(10), [1, 101, 2, 102, 3, 103])
    const { records } = yield* topology.snapshot
    assert.deepStrictEqual(records.map(({ key, writers }) => [key, writers]), [
      ["whole/A", ["test"]],
      ["whole/B", ["emits"]]
    ])
  })
)

describe("the same component layers in several topologies of a program", () => {
  /** A service that counts how often it is built, and a record that does, beneath components. */
  const beneath = () => {
    const built = { service: 0, record: 0 }
    const seen: Array<number> = []
    class Sink extends Context.Service<Sink, { readonly put: (value: number) => void }>()("whole/Sink") {}
    class Shared extends Record.Service<Shared>()("whole/Shared", { schema: Schema.Int, writers: "many" }) {}
    const SinkLive = Layer.effect(
      Sink,
      Effect.gen(function*() {
        // Not at once: others come while it is built.
        yield* Effect.yieldNow
        built.service++
        const { produceUnsafe } = yield* (yield* Shared).producer("sink")
        return {
          put: (value: number) => {
            seen.push(value)
            produceUnsafe(value)
          }
        }
      })
    ).pipe(
      Layer.provideMerge(Shared.layerBuffer({
        make: (info) => Effect.suspend(() => (built.record++, Buffer.spmcRing({ capacity: 8 }).make(info)))
      }))
    )
    const components = Layer.mergeAll(
      Source.layer(A, { name: "source", stream: Stream.make(1, 2, 3) }),
      Consumer.layer(A, {
        name: "sink",
        handle: (value) => Effect.map(Sink, ({ put }) => put(value))
      })
    )
    return { built, seen, SinkLive, components }
  }
  type Beneath = ReturnType<typeof beneath>

  const arrangements: { readonly [how: string]: (given: Beneath) => Layer.Layer<never, unknown, A | Assembly> } = {
    "with a service beneath": ({ SinkLive, components }) => Layer.provide(components, SinkLive),
    "merged with others": ({ SinkLive, components }) =>
      Layer.mergeAll(Layer.provide(components, SinkLive), Layer.provide(reads(A, "beside"), SinkLive)),
    "each with the service beneath it": ({ SinkLive, components }) =>
      Layer.mergeAll(
        Layer.provide(components, SinkLive),
        Consumer.layer(A, { name: "beside", handle: () => Effect.void }).pipe(Layer.provide(SinkLive))
      ),
    "unwrapped from an effect": ({ SinkLive, components }) =>
      Layer.provide(Layer.unwrap(Effect.as(Effect.yieldNow, components)), SinkLive),
    "suspended": ({ SinkLive, components }) =>
      Layer.suspend(() => Layer.provide(Layer.suspend(() => components), SinkLive)),
    "beneath others": ({ SinkLive, components }) =>
      reads(A, "above").pipe(Layer.provideMerge(Layer.provide(components, SinkLive)))
  }

  for (const [how, arrange] of Object.entries(arrangements)) {
    it.effect(`have their components in each, on services that are built once: ${how}`, () =>
      Effect.gen(function*() {
        const given = beneath()
        const components = arrange(given)
        const topologies = ["one", "two", "three"].map((name) => {
          class Plant extends Context.Service<Plant, Topology.Topology["Service"]>()(`whole/Plant/${name}`) {}
          return {
            Plant,
            layer: Layer.effect(Plant, Topology.Topology).pipe(
              Layer.provide(Topology.layer(components, silent)),
              Layer.provide(Layer.fresh(A.layer))
            )
          }
        })
        const [one, two, three] = topologies
        const context = yield* Layer.build(Layer.mergeAll(one!.layer, two!.layer, three!.layer))
        for (const { Plant } of topologies) {
          const topology = Context.get(context, Plant)
          yield* topology.awaitDone
          const handled = (yield* topology.snapshot).components.filter(({ name }) => name === "sink")
          assert.deepStrictEqual(handled.map(({ handled }) => handled), [3])
        }
        assert.deepStrictEqual(given.seen.toSorted(), [1, 1, 1, 2, 2, 2, 3, 3, 3])
        assert.deepStrictEqual(given.built, { service: 1, record: 1 })
      }).pipe(Effect.scoped, Effect.provide(quiet)))

    it.effect(`have their components in one after the other, on services that are built once: ${how}`, () =>
      Effect.gen(function*() {
        const given = beneath()
        const components = arrange(given)
        const memoMap = yield* Layer.makeMemoMap
        yield* Layer.buildWithMemoMap(given.SinkLive, memoMap, yield* Effect.scope)
        for (const round of [1, 2, 3]) {
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithMemoMap(
            Topology.layer(components, silent).pipe(Layer.provide(Layer.fresh(A.layer))),
            memoMap,
            scope
          )
          yield* Context.get(context, Topology.Topology).awaitDone
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(given.seen.length, 3 * round)
        }
        assert.deepStrictEqual(given.built, { service: 1, record: 1 })
      }).pipe(Effect.scoped, Effect.provide(quiet)))
  }
})

/** What a topology may take before it has started: all of it is free. */
const isFree = Effect.gen(function*() {
  const [a, b] = [yield* A, yield* B]
  // No claim.
  yield* Effect.scoped(a.producer("next"))
  yield* Effect.scoped(b.producer("next"))
  // No reader that would hold producers back: each value is over once this one has it.
  yield* Effect.scoped(Effect.gen(function*() {
    const reader = yield* a.subscribe
    const { tryProduce } = yield* a.producer("next")
    for (let value = 0; value < 20; value++) {
      yield* tryProduce(value)
      assert.strictEqual(yield* reader.recv, value)
    }
  }))
})

describe("a refused topology takes nothing", () => {
  test(
    "no claim, no mark on a record, no reader; and the collector of its group goes on under the same epoch",
    Effect.gen(function*() {
      const epochs: Array<bigint> = []
      const collector = (name: string) =>
        Collector.layer(Stored, {
          name,
          group: "g",
          batch: { max: 1 },
          handle: ({ epoch }) => Effect.sync(() => void epochs.push(epoch))
        })
      const first = yield* start(collector("runs"))
      const { produceAsync } = yield* (yield* Stored).producer("test")
      yield* produceAsync(1)
      yield* settle
      const faults = yield* faultsOf(Layer.mergeAll(collector("comes later"), writes(B), reads(A)))
      assert.deepStrictEqual(tags(faults), ["RecordInUse"])
      yield* produceAsync(2)
      yield* settle
      assert.deepInclude((yield* first.snapshot).components[0]!, { status: "Running", handled: 2, lastCause: null })
      assert.deepStrictEqual(epochs, [epochs[0]!, epochs[0]!])
      yield* isFree
      yield* start(Layer.mergeAll(writes(B), reads(A)))
    })
  )
})

describe("a topology that fails to start gives everything back, and the next try starts:", () => {
  /** A record whose buffer cannot be subscribed to the first time. */
  class Remote extends Record.Service<Remote>()("whole/Remote", { schema: Schema.Int }) {}
  const remote = (first: Effect.Effect<never>) => {
    let tries = 0
    return Remote.layerBuffer({
      make: (record) =>
        Effect.map(Buffer.spmcRing({ capacity: 8 }).make(record), (ring) =>
          Buffer.make({
            record: record.key,
            kind: "Remote",
            push: (value: number) => void ring.produceUnsafe(value),
            close: ring.close,
            subscribe: Effect.suspend(() => tries++ === 0 ? first : ring.subscribe)
          }))
    })
  }
  const components = Layer.mergeAll(
    writes(B),
    reads(A),
    collects(Stored, "collects", "g"),
    Consumer.layer(Remote, { name: "reads afar", handle: () => Effect.void })
  )
  /** Nobody holds the group, whoever acquired it. */
  const groupIsFree = Effect.gen(function*() {
    yield* TestClock.adjust("1 second")
    const groups = yield* (yield* logOf<Stored, number>(Stored.key)).groups
    // Where fibers yield often another component may attach first, and the group was not acquired.
    if (!yieldsOften) assert.deepStrictEqual(groups.map(({ name }) => name), ["g"])
    for (const { idleSince } of groups) assert.strictEqual(idleSince, 0)
  })

  test(
    "where a reader cannot subscribe",
    Effect.gen(function*() {
      const exit = yield* Effect.exit(start(components))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      yield* isFree
      yield* groupIsFree
      yield* start(components)
    }).pipe(Effect.scoped, Effect.provide(remote(Effect.die("the broker is down"))))
  )

  test(
    "where it is interrupted while a reader's subscribe hangs",
    Effect.gen(function*() {
      const starting = yield* Effect.forkChild(start(components), { startImmediately: true })
      yield* settle
      assert.isUndefined(starting.pollUnsafe())
      yield* Fiber.interrupt(starting)
      yield* isFree
      yield* groupIsFree
      yield* start(components)
    }).pipe(Effect.scoped, Effect.provide(remote(Effect.never)))
  )

  it.effect("where a group cannot be acquired, for which the layer fails with the LogFailed itself", () => {
    let tries = 0
    const failed = new Log.LogFailed({ record: Stored.key, cause: "no connection" })
    const backing: Log.LogBacking = {
      durability: "fsynced",
      make: (record) =>
        Effect.map(Log.memory().make(record), (log) =>
          Object.assign(Object.create(log), {
            acquire: ((group, options) =>
              Effect.suspend(() =>
                tries++ === 1 ? Effect.fail(failed) : log.acquire(group, options)
              )) satisfies typeof log.acquire
          }))
    }
    const components = Layer.mergeAll(
      writes(B),
      reads(A),
      collects(Stored, "collects", "g"),
      collects(Stored, "fails", "h")
    )
    return Effect.gen(function*() {
      const exit = yield* Effect.exit(start(components))
      assert.deepStrictEqual(exit, Exit.fail(failed))
      yield* isFree
      yield* groupIsFree
      yield* start(components)
    }).pipe(
      Effect.scoped,
      Effect.provide([A.layer, B.layer, Stored.layerLog(backing), quiet])
    )
  })
})

describe("a collector by hand that is refused", () => {
  class Dead extends Record.Service<Dead>()("whole/Dead", { schema: Schema.BigInt }) {}

  test(
    "with WriterConflict fences nobody: the one that works goes on",
    Effect.gen(function*() {
      const options = {
        group: "g",
        deadLetter: { record: Dead, as: ({ sequence }: Collector.DeadLetter) => sequence }
      }
      const first = yield* Collector.make(Stored, options)
      const { produceAsync } = yield* (yield* Stored).producer("test")
      yield* produceAsync(1)
      const batch = yield* first.take
      const refused = yield* Effect.flip(Effect.scoped(Collector.make(Stored, options)))
      assert.strictEqual(refused._tag, "WriterConflict")
      yield* first.ackDurable(batch)
      yield* produceAsync(2)
      assert.deepInclude(yield* first.take, { values: [2], epoch: batch.epoch })
    }).pipe(Effect.scoped, Effect.provide(Dead.layer))
  )
})

describe("series of one name are told apart:", () => {
  const series = (name: string) =>
    Effect.map(Metric.snapshot, (all) =>
      all.filter(({ id }) => id === name).map(({ attributes, state }) => {
        const { count, value } = state as { readonly count?: number; readonly value?: number }
        return [{ ...attributes }, count ?? value] as const
      }))
  const handled = series("sluice_component_handled_total")
  const own = (record: Record.RecordClass<any, any, number>) =>
    reads(record).pipe(Layer.provide(Layer.fresh(record.layer)))
  const inScope = <E, R>(effect: Effect.Effect<unknown, E, R>) =>
    Effect.map(Scope.make(), (scope) => ({
      started: Scope.provide(effect, scope),
      end: Scope.close(scope, Exit.void)
    }))
  const alone = <E>(name: string, body: Effect.Effect<void, E, Records | Scope.Scope>) =>
    test(name, Effect.suspend(() => Effect.provideService(body, Metric.MetricRegistry, new Map())))

  alone(
    "two topologies by their `topology`, each with its own numbers, and a name is free again after its end",
    Effect.gen(function*() {
      const { produceAsync } = yield* (yield* A).producer("test")
      yield* start(reads(A))
      const second = yield* inScope(start(own(B)))
      yield* second.started
      yield* produceAsync(1)
      yield* settle
      assert.deepStrictEqual(yield* handled, [
        [{ component: "reads", topology: "topology" }, 1],
        [{ component: "reads", topology: "topology-2" }, 0]
      ])
      assert.deepStrictEqual(
        (yield* series("sluice_record_held")).map(([attributes]) => attributes),
        [{ record: "whole/A", topology: "topology" }, { record: "whole/B", topology: "topology-2" }]
      )
      yield* second.end
      yield* produceAsync(2)
      yield* settle
      assert.deepStrictEqual(yield* handled, [[{ component: "reads", topology: "topology" }, 2]])
      // One that is refused has had no name.
      assert.deepStrictEqual(tags(yield* faultsOf(reads(A))), ["RecordInUse"])
      yield* start(own(B))
      yield* start(own(B))
      assert.deepStrictEqual(
        (yield* handled).map(([{ topology }]) => topology),
        ["topology", "topology-2", "topology-3"]
      )
    })
  )
  alone(
    "two topologies by the `name` that they were given",
    Effect.gen(function*() {
      yield* start(own(A), { name: "plant" })
      yield* start(own(A))
      yield* start(own(A), { name: "plant" })
      assert.deepStrictEqual(
        (yield* handled).map(([{ topology }]) => topology),
        ["plant", "topology", "plant-2"]
      )
    })
  )
  alone(
    "two collectors by hand of one group by their `instance`, which is free again after",
    Effect.gen(function*() {
      const committed = series("sluice_collector_committed")
      const at = { record: "whole/Stored", group: "g" }
      const { produceAsync } = yield* (yield* Stored).producer("test")
      yield* produceAsync(1)
      const first = yield* Collector.make(Stored, { group: "g" })
      yield* first.ackDurable(yield* first.take)
      const second = yield* inScope(Collector.make(Stored, { group: "g" }))
      yield* second.started
      yield* Collector.make(Stored, { group: "another" })
      assert.deepStrictEqual(yield* committed, [[at, 0], [{ ...at, instance: "2" }, 0], [
        { ...at, group: "another" },
        -1
      ]])
      yield* second.end
      assert.deepStrictEqual(yield* committed, [[at, 0], [{ ...at, group: "another" }, -1]])
      yield* Collector.make(Stored, { group: "g" })
      assert.deepStrictEqual((yield* committed)[2], [{ ...at, instance: "2" }, 0])
    })
  )
  alone(
    "the two readers of a join that reads one record twice by their `input`, also in the snapshot",
    Effect.gen(function*() {
      const topology = yield* start(Transform.layer({
        name: "join",
        from: { left: A, right: A },
        to: B,
        through: ({ left, right }) => Stream.merge(left, Stream.map(Stream.take(right, 1), (value) => -value))
      }))
      const { produceAsync } = yield* (yield* A).producer("test")
      for (const value of [1, 2, 3]) yield* produceAsync(value)
      yield* settle
      const seen = (yield* topology.snapshot).readers.map(({ input, pending, received }) => [input, received, pending])
      assert.deepStrictEqual(seen, [["left", 3, 0], ["right", 1, 2]])
      const at = { record: "whole/A", component: "join" }
      assert.deepStrictEqual(yield* series("sluice_reader_received_total"), [
        [{ ...at, input: "left", topology: "topology" }, 3],
        [{ ...at, input: "right", topology: "topology" }, 1]
      ])
      assert.deepStrictEqual((yield* series("sluice_reader_pending")).map(([, pending]) => pending), [0, 2])
    })
  )
})

describe("the Topology in the context of a handler", () => {
  test(
    "is its own, with the snapshot and the graph",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const asks = (record: Record.RecordClass<any, any, number>, name: string) =>
        Consumer.layer(record, {
          name,
          handle: () =>
            Effect.gen(function*() {
              const topology = yield* Topology.Topology
              const { components } = yield* topology.snapshot
              const { edges } = yield* topology.graph
              seen.push([name, components.map(({ inFlight, name }) => [name, inFlight]), edges.length])
            })
        })
      yield* start(Layer.mergeAll(asks(A, "one"), reads(A, "beside")))
      yield* start(asks(B, "two"))
      yield* (yield* (yield* A).producer("test")).produceAsync(1)
      yield* settle
      yield* (yield* (yield* B).producer("test")).produceAsync(1)
      yield* settle
      assert.deepStrictEqual(seen, [["one", [["one", 1], ["beside", 0]], 2], ["two", [["two", 1]], 1]])
    })
  )
  test(
    "dies where it is asked while layers are built, and says what to do",
    Effect.gen(function*() {
      for (const asks of ["snapshot", "graph", "awaitFailure", "awaitDone"] as const) {
        const early = Layer.effectDiscard(
          Effect.flatMap(Topology.Topology, (topology): Effect.Effect<unknown, unknown> => topology[asks])
        )
        const exit = yield* Effect.exit(Effect.scoped(start(Layer.provide(reads(A), early) as typeof early)))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.match(
          String(Exit.isFailure(exit) && Cause.squash(exit.cause)),
          /the topology has not started: ask it in a handler, not while layers are built/
        )
      }
    })
  )
})

describe("a released claim writes no more: those that wait under it are refused, and the next writer's value comes in;", () => {
  class One extends Record.Service<One>()("whole/One", { schema: Schema.Int }) {}
  const inner = (of: (buffer: Buffer.Buffer<number>) => Buffer.Buffer<number>) =>
    One.layerBuffer({ make: (info) => Effect.map(Buffer.bounded({ capacity: 1 }).make(info), of) })
  const kinds: { readonly [kind: string]: Layer.Layer<One> } = {
    Bounded: One.layerBuffer(Buffer.bounded({ capacity: 1 })),
    Queue: One.layerBuffer(Buffer.fromConfig({ kind: "Queue", capacity: 1, strategy: "suspend" })),
    PubSub: One.layerBuffer(Buffer.fromConfig({ kind: "PubSub", capacity: 1, strategy: "suspend" })),
    "the application's own Queue": Layer.unwrap(
      Effect.map(Queue.bounded<number>(1), (queue) => One.layerBuffer(Buffer.fromQueue(queue)))
    ),
    "Buffer.make with `pushAsync`": inner((bounded) =>
      Buffer.make<number>({
        record: bounded.record,
        kind: "Custom",
        push: (value) => void bounded.produceUnsafe(value),
        tryPush: bounded.produceUnsafe,
        pushAsync: bounded.produceAsync,
        subscribe: bounded.subscribe,
        close: bounded.close
      })
    ),
    "a buffer of somebody else's": inner((bounded) => ({
      ...bounded,
      kind: "Foreign",
      latest: bounded.latest,
      close: bounded.close
    }))
  }

  for (const [kind, layer] of Object.entries(kinds)) {
    for (const roomIsMade of ["later", "at once"] as const) {
      it.effect(`${kind}, where room is made ${roomIsMade}`, () =>
        Effect.gen(function*() {
          const record = yield* One
          const reader = yield* record.subscribe
          const scope = yield* Scope.make()
          const one = yield* Scope.provide(record.producer("one"), scope)
          yield* one.produceAsync(0)
          const waiting = yield* Effect.forEach(
            [1, 2],
            (value) => Effect.forkChild(one.produceAsync(value), { startImmediately: true })
          )
          yield* settle
          assert.deepStrictEqual(waiting.map((fiber) => fiber.pollUnsafe()), [undefined, undefined])
          yield* Scope.close(scope, Exit.void)
          if (roomIsMade === "later") yield* settle
          assert.strictEqual(yield* reader.recv, 0)
          const two = yield* record.producer("two")
          yield* two.produceAsync(10)
          yield* settle
          const exits = waiting.map((fiber) => fiber.pollUnsafe())
          assert.deepStrictEqual(
            exits,
            [1, 2].map((value) => Exit.fail(new BufferClosed({ record: "whole/One", value })))
          )
          assert.strictEqual(yield* reader.recv, 10)
          yield* settle
          assert.deepStrictEqual(yield* reader.tryRecv, Option.none())
        }).pipe(Effect.scoped, Effect.provide(layer)))
    }
  }

  it.effect("a log in memory that a group holds back", () =>
    Effect.gen(function*() {
      const record = yield* One
      const collector = yield* Collector.make(One, { group: "g", batch: { max: 1 } })
      const scope = yield* Scope.make()
      const one = yield* Scope.provide(record.producer("one"), scope)
      yield* one.produceAsync(0)
      const waiting = yield* Effect.forkChild(one.produceAsync(1), { startImmediately: true })
      yield* settle
      assert.isUndefined(waiting.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      yield* collector.ackDurable(yield* collector.take)
      const two = yield* record.producer("two")
      yield* two.produceAsync(10)
      yield* settle
      assert.deepStrictEqual(waiting.pollUnsafe(), Exit.fail(new BufferClosed({ record: "whole/One", value: 1 })))
      assert.deepStrictEqual((yield* collector.take).values, [10])
      assert.strictEqual((yield* collector.progress).head, 2n)
    }).pipe(Effect.scoped, Effect.provide(One.layerLog(Log.memory({ capacity: 1 })))))

  /** A log over an engine, which the test holds. */
  const overEngine = <E>(
    options: Parameters<typeof openLog>[1],
    body: (engine: () => MemoryEngine) => Effect.Effect<void, E, One | Scope.Scope>
  ) => {
    let engine: MemoryEngine | undefined
    return Effect.suspend(() => body(() => engine!)).pipe(
      Effect.scoped,
      Effect.provide(One.layerLog({
        durability: "replicated",
        make: (info) =>
          Effect.map(Effect.orDie(openLog(info, options)), (opened) => {
            engine = opened.engine
            return opened.log
          })
      }))
    )
  }
  it.effect("a log over an engine that is full", () =>
    overEngine({}, (engine) =>
      Effect.gen(function*() {
        const record = yield* One
        const reader = yield* record.subscribe
        engine().setFull(true)
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(record.producer("one"), scope)
        const waiting = yield* Effect.forkChild(one.produceAsync(1), { startImmediately: true })
        yield* settle
        assert.isUndefined(waiting.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        engine().setFull(false)
        const two = yield* record.producer("two")
        yield* two.produceAsync(10)
        yield* settle
        assert.deepStrictEqual(
          waiting.pollUnsafe(),
          Exit.fail(new BufferClosed({ record: "whole/One", value: 1 }))
        )
        assert.strictEqual(yield* reader.recv, 10)
        assert.strictEqual(engine().head(), 1)
      })))
  it.effect("but what an engine has taken already is stored, and says so", () =>
    overEngine({ onDemand: true }, (engine) =>
      Effect.gen(function*() {
        const record = yield* One
        const reader = yield* record.subscribe
        const scope = yield* Scope.make()
        const one = yield* Scope.provide(record.producer("one"), scope)
        const waiting = yield* Effect.forkChild(one.produceAsync(1), { startImmediately: true })
        yield* settle
        yield* Scope.close(scope, Exit.void)
        yield* settle
        assert.isUndefined(waiting.pollUnsafe())
        engine().flush()
        yield* settle
        assert.deepStrictEqual(waiting.pollUnsafe(), Exit.void)
        assert.strictEqual(yield* reader.recv, 1)
      })))
})

describe("a transform whose input is run twice is refused, and says so:", () => {
  const twice: { readonly [how: string]: (values: Stream.Stream<number>) => Stream.Stream<number, unknown> } = {
    "by merging two halves of it": (values) =>
      Stream.merge(Stream.filter(values, (value) => value > 2), Stream.filter(values, (value) => value <= 2)),
    "by concatenating it": (values) => Stream.concat(Stream.take(values, 1), values),
    "by `Stream.retry`": (values) =>
      Stream.retry(
        Stream.mapEffect(values, (value) => value === 2 ? Effect.fail("no") : Effect.succeed(value)),
        Schedule.recurs(3)
      )
  }
  for (const [how, through] of Object.entries(twice)) {
    test(
      how,
      Effect.gen(function*() {
        const topology = yield* start(
          Transform.layer({ name: "twice", from: A, to: B, restart: Schedule.recurs(0), through })
        )
        const { produceAsync } = yield* (yield* A).producer("test")
        for (const value of [1, 2, 3]) yield* produceAsync(value)
        yield* settle
        const failure = yield* Effect.flip(topology.awaitFailure)
        assert.strictEqual(failure.component, "twice")
        assert.match(
          failure.message,
          /transform "twice": its input of record "whole\/A" is run a second time.*Stream\.broadcast/
        )
        assert.strictEqual((yield* topology.snapshot).components[0]!.status, "Failed")
      })
    )
  }
  test(
    "but a restart runs it anew, and goes on with its reader",
    Effect.gen(function*() {
      const reader = yield* (yield* B).subscribe
      yield* start(Transform.layer({
        name: "again",
        from: A,
        to: B,
        restart: Schedule.recurs(3),
        through: Stream.mapEffect((value) => value === 2 ? Effect.fail("no") : Effect.succeed(value))
      }))
      const { produceAsync } = yield* (yield* A).producer("test")
      for (const value of [1, 2, 3]) yield* produceAsync(value)
      yield* settle
      assert.deepStrictEqual(yield* reader.recvBatch(10), [1, 3])
    })
  )
})

test(
  "a span around the whole application is opened for no value, and a producer's own span is linked",
  Effect.gen(function*() {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const around: Array<boolean> = []
    const seesSpan = Effect.map(Effect.option(Effect.currentSpan), (span) => void around.push(Option.isSome(span)))
    yield* Effect.gen(function*() {
      const { produceAsync } = yield* (yield* Other).producer("test")
      spans.length = 0
      const topology = yield* start(Layer.mergeAll(
        Source.layer(A, { name: "source", stream: Stream.range(1, 100) }),
        Transform.layer({ name: "copies", from: A, to: B, through: (values) => values }),
        Consumer.layer(B, { name: "consumer", handle: () => seesSpan }),
        Consumer.layer(B, {
          name: "emits",
          emits: { stored: Stored },
          handle: (value, { stored }) => stored.produce(value)
        }),
        Collector.layer(Stored, { name: "collector", group: "g", handle: () => seesSpan }),
        Consumer.layer(Other, { name: "linked", handle: () => Effect.yieldNow })
      ))
      yield* topology.awaitDone
      assert.deepStrictEqual(spans.map(({ name }) => name), [])
      assert.isAbove(around.length, 100)
      assert.notInclude(around, true)
      yield* Effect.withSpan(produceAsync(1), "own")
      yield* settle
      assert.deepStrictEqual(
        spans.flatMap(({ links }) => links.map(({ span }) => span._tag === "Span" && span.name)),
        ["own"]
      )
    }).pipe(Effect.withSpan("main"), Effect.provideService(Tracer.Tracer, tracer))
  })
)

describe("a reader of somebody else's, whose `pending`", () => {
  class Remote extends Record.Service<Remote>()("whole/Remote", { schema: Schema.Int }) {}
  type Pending = (pending: Effect.Effect<number>) => Effect.Effect<number>
  /** A ring of which the reader says by `pending` how much is ready. */
  const remote = (pending: Pending): Buffer.BackingOf<number> => ({
    make: (info) =>
      Effect.map(Buffer.spmcRing({ capacity: 8 }).make(info), (ring) =>
        Buffer.make<number>({
          record: info.key,
          kind: "Remote",
          push: (value) => void ring.produceUnsafe(value),
          subscribe: Effect.map(ring.subscribe, ({ pending: known, recv, recvBatch, tryRecv }) => ({
            recv,
            recvBatch,
            tryRecv,
            pending: pending(known)
          })),
          close: ring.close
        }))
  })
  const ways: { readonly [how: string]: { readonly pending: Pending; readonly knows: boolean } } = {
    "takes a turn": { pending: (known) => Effect.andThen(Effect.yieldNow, known), knows: true },
    "never answers": { pending: () => Effect.never, knows: false },
    "dies": { pending: () => Effect.die("it does not know"), knows: false },
    "throws": {
      pending: () =>
        Effect.suspend(() => {
          throw new Error("it does not know")
        }),
      knows: false
    }
  }
  for (const [how, { knows, pending }] of Object.entries(ways)) {
    it.effect(`${how} keeps neither a snapshot, nor awaitDone, nor a drain and its report`, () =>
      Effect.gen(function*() {
        const gate = Latch.makeUnsafe(false)
        const reports: Array<Topology.ShutdownReport> = []
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(
          Topology.layer(
            Layer.mergeAll(
              Consumer.layer(Remote, { name: "reads", handle: (value) => value === 9 ? Effect.never : gate.await }),
              Source.layer(A, { name: "ends", stream: Stream.empty })
            ),
            { drainTimeout: 0, onShutdown: (report) => Effect.sync(() => void reports.push(report)) }
          ),
          scope
        )
        const topology = Context.get(context, Topology.Topology)
        const { produceUnsafe } = yield* (yield* Remote).producer("test")
        /** With as much time as may pass. */
        const within = <T, E>(effect: Effect.Effect<T, E>) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
            for (let tenth = 0; tenth < 20 && fiber.pollUnsafe() === undefined; tenth++) yield* adjust("100 millis")
            assert.isDefined(fiber.pollUnsafe())
            return yield* Fiber.join(fiber)
          })
        const reader = Effect.map(within(topology.snapshot), ({ readers }) => readers[0]!)
        for (const value of [1, 2, 3]) produceUnsafe(value)
        yield* settle
        assert.deepInclude(yield* reader, { received: 1, pending: knows ? 2 : 0 })
        const done = yield* Effect.forkChild(topology.awaitDone, { startImmediately: true })
        yield* settle
        yield* adjust("3 seconds")
        yield* settle
        assert.isUndefined(done.pollUnsafe())
        yield* gate.open
        yield* within(Fiber.join(done))
        assert.deepInclude(yield* reader, { received: 3, pending: 0 })
        // The drain's deadline passes with one in hand and two left.
        for (const value of [9, 10, 11]) produceUnsafe(value)
        yield* settle
        yield* within(Scope.close(scope, Exit.void))
        const left = knows ? [{ record: "whole/Remote", component: "reads", values: 2 }] : []
        assert.deepInclude(reports[0]!, { interrupted: ["reads"], left })
      }).pipe(
        Effect.scoped,
        Effect.provide([A.layer, Remote.layerBuffer(remote(pending)), quiet])
      ))
  }

  it.effect("is a plain function that throws keeps none of them either", () =>
    Effect.gen(function*() {
      const topology = yield* start(Consumer.layer(Remote, { name: "reads", handle: () => Effect.void }))
      yield* (yield* (yield* Remote).producer("test")).produce(1)
      yield* settle
      yield* topology.awaitDone
      assert.deepInclude((yield* topology.snapshot).readers[0]!, { received: 1, pending: 0 })
    }).pipe(
      Effect.scoped,
      Effect.provide([
        Remote.layerBuffer({
          make: (info) =>
            Effect.map(Buffer.spmcRing({ capacity: 8 }).make(info), (ring) =>
              Buffer.make<number>({
                record: info.key,
                kind: "Remote",
                push: (value) => void ring.produceUnsafe(value),
                subscribe: Effect.map(ring.subscribe, ({ recv }) => {
                  const arrived: Array<number> = []
                  return Buffer.makeReader<number>({
                    record: info.key,
                    poll: () => arrived.length > 0 ? Exit.succeed(arrived.shift()!) : undefined,
                    wait: Effect.map(Effect.orDie(recv), (value) => void arrived.push(value)),
                    pending: () => {
                      throw new Error("it does not know")
                    }
                  })
                }),
                close: ring.close
              }))
        }),
        quiet
      ])
    ))
})

describe("two that settle one delivery at once", () => {
  type Settles = (
    collector: Collector.Collector<number>,
    batch: Collector.Batch<number>,
    scope: Scope.Closeable
  ) => Effect.Effect<unknown, { readonly _tag: string }>
  const verbs: { readonly [verb: string]: Settles } = {
    ack: ({ ack }, batch) => ack(batch),
    ackDurable: ({ ackDurable }, batch) => ackDurable(batch),
    release: ({ release }, batch) => release(batch),
    reject: ({ reject }, batch) => reject(batch, "no"),
    "the scope's success": (_, __, scope) => Scope.close(scope, Exit.void),
    "the scope's failure": (_, __, scope) => Scope.close(scope, Exit.fail("no"))
  }
  const givesBack = ["release", "the scope's failure"]
  const isEnd = (verb: string) => verb.startsWith("the scope")

  for (const first of Object.keys(verbs)) {
    it.effect(`by ${first} and any other verb: one succeeds, the other is AlreadyAcked, wherever a fiber yields`, () =>
      Effect.gen(function*() {
        for (const second of Object.keys(verbs)) {
          // A scope closes once.
          if (isEnd(first) && isEnd(second)) continue
          for (let ops = 3; ops <= 15; ops++) {
            const what = `${first} and ${second}, with a yield after ${ops} operations`
            yield* Effect.gen(function*() {
              const { produceAsync } = yield* (yield* Stored).producer("test")
              const collector = yield* Collector.make(Stored, { group: "g", retry: Schedule.spaced("1 second") })
              yield* produceAsync(1)
              yield* settle
              const scope = yield* Scope.make()
              const batch = yield* Scope.provide(collector.take, scope)
              const settling = yield* Effect.forEach([first, second], (verb) =>
                Effect.forkChild(
                  Effect.provideService(
                    Effect.result(verbs[verb]!(collector, batch, scope)),
                    MaxOpsBeforeYield,
                    ops
                  )
                ))
              const results = yield* Effect.forEach(settling, Fiber.join)
              const tagOf = (index: number) => {
                const result = results[index]!
                return result._tag === "Success" ? "success" : result.failure._tag
              }
              const told = [tagOf(0), tagOf(1)]
              // An end of a scope that comes second says nothing.
              const end = isEnd(first) ? 0 : isEnd(second) ? 1 : undefined
              const winner = end === undefined
                ? told.indexOf("success")
                : told[1 - end] === "success"
                ? 1 - end
                : end
              const expected = [0, 1].map((index) => index === winner || index === end ? "success" : "AlreadyAcked")
              assert.deepStrictEqual(told, expected, what)
              // Right after, and once all that goes on has come to its end.
              const isBack = givesBack.includes([first, second][winner]!)
              const settled = { watermark: isBack ? -1n : 0n, fetched: 0n, inFlight: 0, holes: 0 }
              assert.deepInclude(yield* collector.progress, settled, what)
              assert.strictEqual(yield* collector.flush, settled.watermark, what)
              if (isBack) {
                yield* adjust("1 second")
                const again = yield* collector.take
                assert.deepInclude(again, { values: [1], attempt: 2 }, what)
                yield* collector.ackDurable(again)
              }
              assert.deepInclude(
                yield* collector.progress,
                { committed: 0n, watermark: 0n, inFlight: 0, holes: 0, oldestUnackedAge: 0 },
                what
              )
            }).pipe(Effect.scoped, Effect.provide(Layer.fresh(Stored.layerLog(Log.memory()))))
          }
        }
      }).pipe(Effect.provideService(References.MinimumLogLevel, "None")))
  }
})

describe("a batch that is named otherwise than it was handed out", () => {
  test(
    "is AckOutOfRange where the range is wider, and nothing in it is settled",
    Effect.gen(function*() {
      const { produceAsync } = yield* (yield* Stored).producer("test")
      const collector = yield* Collector.make(Stored, { group: "g", batch: { max: 1 } })
      for (const value of [7, 8, 9]) yield* produceAsync(value)
      const [a, b] = [yield* collector.take, yield* collector.take, yield* collector.take]
      for (const wide of [{ ...a, last: 1n }, { ...a, last: 2n }, { ...b, first: 0n }, { ...b, last: 2n }]) {
        for (const verb of [collector.ack, collector.release, collector.ackDurable]) {
          assert.strictEqual((yield* Effect.flip(verb(wide)))._tag, "AckOutOfRange", `${wide.first} to ${wide.last}`)
        }
      }
      assert.deepInclude(yield* collector.progress, { watermark: -1n, inFlight: 3, holes: 0 })
    })
  )
  test(
    "is AlreadyAcked where it was given back and divided since, also while its parts are in flight",
    Effect.gen(function*() {
      const { produceAsync } = yield* (yield* Stored).producer("test")
      const collector = yield* Collector.make(Stored, {
        group: "g",
        batch: { max: 3, within: "1 second" },
        maxAttempts: 2,
        deadLetter: "drop"
      })
      for (const value of [7, 8, 9]) yield* produceAsync(value)
      const whole = yield* collector.take
      assert.deepStrictEqual(whole.values, [7, 8, 9])
      yield* collector.release(whole, { delay: 0 })
      const tag = Effect.map(Effect.flip(collector.ack(whole)), ({ _tag }) => _tag)
      assert.strictEqual(yield* tag, "AlreadyAcked")
      const parts = [yield* collector.take, yield* collector.take, yield* collector.take]
      assert.deepStrictEqual(parts.map(({ attempt, values }) => [values, attempt]), [[[7], 2], [[8], 2], [[9], 2]])
      assert.strictEqual(yield* tag, "AlreadyAcked")
      for (const part of parts) {
        yield* collector.ack(part)
        assert.strictEqual(yield* tag, "AlreadyAcked")
      }
      assert.strictEqual(yield* collector.flush, 2n)
    })
  )
  it.effect("may be as large as it likes: one of 150,000 values is divided, and each is handed out again", () =>
    Effect.gen(function*() {
      const size = 150_000
      const { produceUnsafe } = yield* (yield* Stored).producer("test")
      const collector = yield* Collector.make(Stored, {
        group: "g",
        batch: { max: size, within: "1 second" },
        maxReadAhead: size,
        maxAttempts: 2,
        deadLetter: "drop"
      })
      for (let value = 0; value < size; value++) produceUnsafe(value)
      const whole = yield* collector.take
      assert.strictEqual(whole.values.length, size)
      yield* collector.release(whole, { delay: 0 })
      for (const value of [0, 1, 2]) assert.deepInclude(yield* collector.take, { values: [value], attempt: 2 })
    }).pipe(Effect.scoped, Effect.provide([Stored.layerLog(Log.memory({ capacity: 200_000 })), quiet])))
})

describe("a batch that is not full waits `within` for more,", () => {
  const options = { group: "g", batch: { max: 100, within: "1 hour" } } as const
  const ten: ReadonlyArray<number> = Array.from({ length: 10 }, (_, value) => value)
  const fill = Effect.gen(function*() {
    const producer = yield* (yield* Stored).producer("fills")
    yield* Effect.forEach(ten, producer.tryProduce)
    assert.strictEqual((yield* Effect.flip(producer.tryProduce(10)))._tag, "BufferFull")
    return producer
  })
  /** Time does not pass. */
  const atOnce = (collector: Collector.Collector<number>) =>
    Effect.gen(function*() {
      const taking = yield* Effect.forkChild(collector.take, { startImmediately: true })
      yield* settle
      return taking
    })
  const ofTen = (backing: Log.LogBacking) => Stored.layerLog(backing)
  const full: { readonly [log: string]: Log.LogBacking } = {
    "a log in memory": Log.memory({ capacity: 10 }),
    "a log over an engine": backing({ capacity: 10 })
  }

  for (const [log, layer] of Object.entries(full)) {
    it.effect(`but not once ${log} is full, and can bring no more`, () =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Stored, options)
        yield* fill
        const taking = yield* atOnce(collector)
        assert.isDefined(taking.pollUnsafe())
        assert.deepStrictEqual((yield* Fiber.join(taking)).values.slice(), ten)
      }).pipe(Effect.scoped, Effect.provide(ofTen(layer))))

    it.effect(`but not once ${log} is full while it waits, and others wait for room`, () =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Stored, options)
        const taking = yield* atOnce(collector)
        assert.isUndefined(taking.pollUnsafe())
        const { produceAsync } = yield* (yield* Stored).producer("waits")
        yield* Effect.forkChild(Effect.forEach([...ten, 10, 11], (value) => produceAsync(value)), {
          startImmediately: true
        })
        yield* settle
        assert.isDefined(taking.pollUnsafe())
        const batch = yield* Fiber.join(taking)
        assert.deepStrictEqual(batch.values.slice(), ten)
        // Once there is room again it waits again.
        const next = yield* atOnce(collector)
        yield* collector.ackDurable(batch)
        yield* settle
        assert.isUndefined(next.pollUnsafe())
        yield* adjust("1 hour")
        yield* settle
        assert.deepStrictEqual((yield* Fiber.join(next)).values, [10, 11])
      }).pipe(Effect.scoped, Effect.provide(ofTen(layer))))
  }

  it.effect("also of a full log, of which there is more to fetch", () => {
    const gate = Latch.makeUnsafe(false)
    const slow: Log.LogBacking = {
      durability: "volatile",
      make: (record) =>
        Effect.map(Log.memory({ capacity: 10 }).make(record), (log) =>
          Object.assign(Object.create(log), {
            read: ((from, max) =>
              Effect.andThen(
                from >= 4n ? gate.await : Effect.void,
                log.read(from, from >= 4n ? max : Math.min(max, 4 - Number(from)))
              )) satisfies typeof log.read
          }))
    }
    return Effect.gen(function*() {
      const collector = yield* Collector.make(Stored, options)
      yield* fill
      const taking = yield* atOnce(collector)
      assert.isUndefined(taking.pollUnsafe())
      assert.strictEqual((yield* collector.progress).fetched, 3n)
      yield* gate.open
      yield* settle
      assert.isDefined(taking.pollUnsafe())
      assert.deepStrictEqual((yield* Fiber.join(taking)).values.slice(), ten)
    }).pipe(Effect.scoped, Effect.provide(ofTen(slow)))
  })

  it.effect("also where the log is not full", () =>
    Effect.gen(function*() {
      const collector = yield* Collector.make(Stored, options)
      const { tryProduce } = yield* (yield* Stored).producer("test")
      yield* Effect.forEach(ten.slice(1), tryProduce)
      const taking = yield* atOnce(collector)
      yield* adjust("59 minutes")
      yield* settle
      assert.isUndefined(taking.pollUnsafe())
      yield* adjust("1 minute")
      yield* settle
      assert.deepStrictEqual((yield* Fiber.join(taking)).values.slice(), ten.slice(1))
    }).pipe(Effect.scoped, Effect.provide(ofTen(Log.memory({ capacity: 10 })))))
})

describe("configuration", () => {
  const env = (variables: globalThis.Record<string, string>) =>
    ConfigProvider.layer(ConfigProvider.fromEnv({ env: variables }))
  class Temperature extends Record.Service<Temperature>()("датчик/Темп", { schema: Schema.Int }) {}
  class Humidity extends Record.Service<Humidity>()("датчик/Влага", { schema: Schema.Int }) {}
  class Oil extends Record.Service<Oil>()("Öl", { schema: Schema.Int }) {}
  class L extends Record.Service<L>()("l", { schema: Schema.Int }) {}

  it.effect("has a name of its own for each key, in whatever letters it is written", () =>
    Effect.gen(function*() {
      const names = [Temperature, Humidity, Oil, L].map(({ key }) => variableOf(key, "kind"))
      assert.strictEqual(new Set(names).size, names.length)
      assert.deepStrictEqual(names.slice(2), ["RECORDS_U00D6_L_KIND", "RECORDS_L_KIND"])
      for (const name of names) assert.match(name, /^[A-Z0-9_]+$/)
      const { records } = yield* Effect.flatMap(
        start(Layer.mergeAll(reads(Temperature, "t"), reads(Humidity, "h"), reads(Oil, "o"), reads(L, "l"))),
        ({ snapshot }) => snapshot
      ).pipe(
        Effect.provide(
          Layer.mergeAll(Temperature.layerConfig, Humidity.layerConfig, Oil.layerConfig, L.layerConfig).pipe(
            Layer.provide(env({ [names[1]!]: "Mailbox", RECORDS_U00D6_L_KIND: "SingleLatest" }))
          )
        )
      )
      assert.deepStrictEqual(records.map(({ kind }) => kind), ["SpmcRing", "Mailbox", "SingleLatest", "SpmcRing"])
    }).pipe(Effect.scoped, Effect.provide(quiet)))

  it.effect("refuses a strategy or a capacity beside a backing that is set up in code", () =>
    Effect.gen(function*() {
      for (const [field, text] of [["STRATEGY", "sliding"], ["CAPACITY", "4"]] as const) {
        const built = Layer.build(L.layerConfigWith({ mine: Buffer.mailbox }))
        const error = yield* Effect.flip(
          Effect.provide(Effect.scoped(built), env({ RECORDS_L_KIND: "mine", [`RECORDS_L_${field}`]: text }))
        )
        assert.include(error.message, `record "l": RECORDS_L_${field} `)
        assert.match(error.message, /does not apply to the backing "mine", which is set up in code/)
      }
    }))
})

describe("layers around components", () => {
  class Inner extends Record.Service<Inner>()("w/Inner", { schema: Schema.Int }) {}
  class Outer extends Record.Service<Outer>()("w/Outer", { schema: Schema.Int }) {}
  const consumer = (name: string) => Consumer.layer(Outer, { name, handle: () => Effect.void })

  it.effect("may be those of a service that stands on a topology of its own", () =>
    Effect.gen(function*() {
      class Auditing extends Context.Service<Auditing, { readonly names: Effect.Effect<ReadonlyArray<string>> }>()(
        "w/Auditing"
      ) {}
      let builds = 0
      const AuditingLive = Layer.effect(
        Auditing,
        Effect.map(Topology.Topology, ({ snapshot }) => {
          builds++
          return { names: Effect.map(snapshot, ({ components }) => components.map(({ name }) => name)) }
        })
      ).pipe(
        Layer.provide(Topology.layer(Consumer.layer(Inner, { name: "audit", handle: () => Effect.void }))),
        Layer.provide(Inner.layer)
      )
      const seen: Array<ReadonlyArray<string>> = []
      const App = Topology.layer(
        Layer.mergeAll(
          Source.layer(Outer, { name: "source", stream: Stream.make(1) }),
          Consumer.layer(Outer, {
            name: "auditing",
            handle: () => Effect.flatMap(Auditing, ({ names }) => Effect.map(names, (names) => void seen.push(names)))
          }).pipe(Layer.provide(AuditingLive))
        )
      ).pipe(Layer.provide(Layer.fresh(Outer.layer)))
      for (let time = 1; time <= 2; time++) {
        yield* Effect.flatMap(Topology.Topology, ({ awaitDone }) => awaitDone).pipe(Effect.provide(Layer.fresh(App)))
        assert.deepStrictEqual([seen.length, builds], [time, time])
      }
      assert.deepStrictEqual(seen, [["audit"], ["audit"]])
    }))

  it.effect("may have one component in two places: it is one", () =>
    Effect.gen(function*() {
      const Sensor = Source.layer(Outer, { name: "sensor", stream: Stream.make(1, 2) })
      const App = Topology.layer(Layer.merge(
        Layer.merge(Sensor, consumer("alarms")),
        Layer.merge(Sensor, consumer("archive"))
      )).pipe(Layer.provide(Layer.fresh(Outer.layer)))
      for (let time = 1; time <= 3; time++) {
        const names = yield* Effect.map(
          Effect.flatMap(Topology.Topology, ({ snapshot }) => snapshot),
          ({ components }) => components.map(({ name }) => name)
        ).pipe(Effect.provide(Layer.fresh(App)))
        assert.sameMembers([...names], ["sensor", "alarms", "archive"])
      }
    }))
})
