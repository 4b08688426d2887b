/**
 * A topology is checked whole before anything happens, and starts whole or not at all; and two of one name are told apart, or
 * are one.
 */
import { assert, describe, it } from "@effect/vitest"
import { Buffer, Collector, Consumer, Log, Record, Source, Topology } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import { Cause, Context, Effect, Exit, Fiber, Layer, Logger, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { logOf } from "../src/internal/logKey.ts"
import { settle } from "./support.ts"

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
    assert.deepStrictEqual(groups.map(({ idleSince, name }) => [name, idleSince]), [["g", 0]])
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
