import { assert, describe, it } from "@effect/vitest"
import { Buffer, Consumer, type Log, type ProduceError, Record, Topology, type TryProduceError } from "@sluice/core"
import {
  Cause,
  type Config,
  ConfigProvider,
  Context,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Option,
  PubSub,
  Queue,
  Schema,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { settle } from "./support.ts"

class Ring
  extends Record.Service<Ring>()("test/Ring", { schema: Schema.Int, buffer: { kind: "SpmcRing", capacity: 3 } })
{}
class Plain extends Record.Service<Plain>()("test/Plain", { schema: Schema.Int }) {}
class Shared extends Record.Service<Shared>()("test/Shared", { schema: Schema.Int, writers: "many" }) {}
class Strict extends Record.Service<Strict>()("test/Strict", { schema: Schema.Int, validate: true }) {}

/** Lines logged by `effect` at warning and above. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn" || logLevel === "Error") lines.push(String(message))
    })
    const value = yield* Effect.provide(effect, Logger.layer([logger]))
    return { value, lines }
  })

describe("claims", () => {
  it.effect("a second claimant is refused with the holder's name, until the first lets go", () =>
    Effect.gen(function*() {
      const record = yield* Ring
      yield* Effect.scoped(Effect.gen(function*() {
        yield* record.producer("first")
        const conflict = yield* Effect.flip(Effect.scoped(record.producer("second")))
        assert.deepStrictEqual({ ...conflict }, {
          ...new Record.WriterConflict({
            record: "test/Ring",
            holder: "first",
            claimant: "second"
          })
        })
        assert.match(
          conflict.message,
          /"second" cannot write record "test\/Ring": it is claimed by "first".*writers: "many"/
        )
      }))
      yield* Effect.scoped(record.producer("second"))
    }).pipe(Effect.provide(Ring.layer)))

  it.effect("a record of many writers takes any number of claims", () =>
    Effect.scoped(Effect.gen(function*() {
      const record = yield* Shared
      const [a, b] = [yield* record.producer("a"), yield* record.producer("a")]
      assert.deepStrictEqual([a.produceUnsafe(1), b.produceUnsafe(2)], ["Accepted", "Accepted"])
      assert.deepStrictEqual(yield* record.latest, Option.some(2))
    })).pipe(Effect.provide(Shared.layer)))

  it.effect("a handle whose claim was released answers as closed, also to effects made before", () =>
    Effect.gen(function*() {
      const record = yield* Ring
      const { claim, early } = yield* Effect.scoped(Effect.map(record.producer("p"), (claim) => ({
        claim,
        early: claim.tryProduce(1)
      })))
      const attempts: ReadonlyArray<Effect.Effect<void, TryProduceError<number> | ProduceError<number>>> = [
        early,
        claim.tryProduce(1),
        claim.produceAsync(1)
      ]
      for (const refused of attempts) {
        const error = yield* Effect.flip(refused)
        assert.strictEqual(error._tag, "BufferClosed")
        assert.strictEqual(error.value, 1)
      }
      assert.strictEqual(claim.produceUnsafe(1), "Closed")
      yield* claim.produce(1)
      assert.deepStrictEqual(yield* record.latest, Option.none())
    }).pipe(Effect.provide(Ring.layer)))

  it.effect("verbs may be passed on without their producer", () =>
    Effect.scoped(Effect.gen(function*() {
      const record = yield* Ring
      const { produceAsync } = yield* record.producer("p")
      yield* Stream.runForEach(Stream.make(1, 2), produceAsync)
      assert.deepStrictEqual(yield* record.latest, Option.some(2))
    })).pipe(Effect.provide(Ring.layer)))
})

describe("a buffer that was written against the interface alone", () => {
  it.effect("answers each verb itself", () =>
    Effect.gen(function*() {
      const called: Array<string> = []
      const backing: Buffer.BackingOf<number> = {
        make: (info) =>
          Effect.map(Buffer.mailbox.make(info), (inner) => ({
            ...inner,
            kind: "Foreign",
            close: inner.close,
            produce: (value) => Effect.andThen(Effect.sync(() => called.push("produce")), inner.produce(value)),
            tryProduce: (value) =>
              Effect.andThen(Effect.sync(() => called.push("tryProduce")), inner.tryProduce(value)),
            produceAsync: (value) =>
              Effect.andThen(Effect.sync(() => called.push("produceAsync")), inner.produceAsync(value)),
            produceUnsafe: (value) => {
              called.push("produceUnsafe")
              return inner.produceUnsafe(value)
            }
          }))
      }
      yield* Effect.scoped(Effect.gen(function*() {
        const record = yield* Ring
        const producer = yield* record.producer("p")
        yield* producer.produce(1)
        yield* producer.tryProduce(2)
        yield* producer.produceAsync(3)
        producer.produceUnsafe(4)
        assert.deepStrictEqual(yield* record.latest, Option.some(4))
      })).pipe(Effect.provide(Ring.layerBuffer(backing)))
      assert.deepStrictEqual(called, ["produce", "tryProduce", "produceAsync", "produceUnsafe"])
    }))
})

describe("validate", () => {
  it.effect("a value that does not fit dies at the producer, and nothing enters", () =>
    Effect.scoped(Effect.gen(function*() {
      const record = yield* Strict
      const producer = yield* record.producer("p")
      for (const verb of [producer.produce, producer.tryProduce, producer.produceAsync]) {
        const exit: Exit.Exit<void, unknown> = yield* Effect.exit(verb(1.5) as Effect.Effect<void, unknown>)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.match(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), /record "test\/Strict".*does not fit/)
      }
      assert.throws(() => producer.produceUnsafe(1.5), /test\/Strict/)
      assert.deepStrictEqual(yield* record.latest, Option.none())
      yield* producer.produce(1)
      assert.deepStrictEqual(yield* record.latest, Option.some(1))
    })).pipe(Effect.provide(Strict.layer)))
})

describe("layers", () => {
  it.effect("closing the layer's scope closes the record for producers and readers", () =>
    Effect.gen(function*() {
      const { producer, reader } = yield* Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(Ring.layer)
        const record = Context.get(context, Ring)
        const outer = yield* Scope.make()
        const producer = yield* Scope.provide(record.producer("p"), outer)
        const reader = yield* Scope.provide(record.subscribe, outer)
        yield* producer.produce(1)
        return { producer, reader }
      }))
      assert.strictEqual((yield* Effect.flip(producer.tryProduce(2)))._tag, "BufferClosed")
      assert.strictEqual(yield* reader.recv, 1)
      assert.strictEqual((yield* Effect.flip(reader.recv))._tag, "RecordClosed")
    }))

  it.effect("a record without a buffer is a ring of 1024", () =>
    Effect.gen(function*() {
      const { records } = yield* snapshotOf(Plain.layer, Plain)
      assert.deepStrictEqual([records.kind, records.capacity], ["SpmcRing", 1024])
    }))

  it("a capacity that is not a positive integer is refused where the record is defined", () => {
    for (const capacity of [0, -1, 1.5, Number.NaN]) {
      assert.throws(
        () => Record.Service<Ring>()("test/Wrong", { schema: Schema.Int, buffer: { kind: "Bounded", capacity } }),
        /record "test\/Wrong": the capacity of a Bounded must be a positive integer/
      )
    }
  })

  it.effect("a backing in code with a wrong capacity dies, naming the record", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Layer.build(Ring.layerBuffer(Buffer.spmcRing({ capacity: 0 }))).pipe(Effect.scoped)
      )
      assert.match(String(Exit.isFailure(exit) && Cause.squash(exit.cause)), /record "test\/Ring".*got 0/)
    }))
})

describe("an application's own Queue and PubSub", () => {
  it.effect("closing the record leaves them running", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<number>(4)
      const pubsub = yield* PubSub.bounded<number>(4)
      for (const backing of [Buffer.fromQueue(queue), Buffer.fromPubSub(pubsub)]) {
        yield* Effect.scoped(Effect.gen(function*() {
          const record = yield* Ring
          const reader = yield* record.subscribe
          const producer = yield* record.producer("p")
          yield* producer.produceAsync(1)
          yield* record.close
          assert.strictEqual((yield* Effect.flip(producer.tryProduce(2)))._tag, "BufferClosed")
          assert.strictEqual(yield* reader.recv, 1)
          assert.strictEqual((yield* Effect.flip(reader.recv))._tag, "RecordClosed")
        })).pipe(Effect.provide(Ring.layerBuffer(backing)))
      }
      assert.isTrue(yield* Queue.offer(queue, 3))
      assert.isTrue(yield* PubSub.publish(pubsub, 3))
    }))

  it.effect("a waiting reader hears what the application itself puts in, and its shutdown", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<number>(4)
      const pubsub = yield* PubSub.bounded<number>(4)
      const cases = [
        [Buffer.fromQueue(queue), Queue.offer(queue, 7), Queue.shutdown(queue)],
        [Buffer.fromPubSub(pubsub), PubSub.publish(pubsub, 7), PubSub.shutdown(pubsub)]
      ] as const
      for (const [backing, put, shutdown] of cases) {
        yield* Effect.scoped(Effect.gen(function*() {
          const record = yield* Ring
          const reader = yield* record.subscribe
          const waiting = yield* Effect.forkChild(reader.recv, { startImmediately: true })
          yield* settle
          assert.isUndefined(waiting.pollUnsafe())
          yield* put
          assert.strictEqual(yield* Fiber.join(waiting), 7)
          const ending = yield* Effect.forkChild(Effect.flip(reader.recv), { startImmediately: true })
          yield* settle
          yield* shutdown
          assert.strictEqual((yield* Fiber.join(ending))._tag, "RecordClosed")
          const producer = yield* record.producer("p")
          assert.strictEqual(producer.produceUnsafe(1), "Closed")
        })).pipe(Effect.provide(Ring.layerBuffer(backing)))
      }
    }))

  it.effect("the last value of a PubSub that ended comes once", () =>
    Effect.gen(function*() {
      const pubsub = yield* PubSub.unbounded<number>()
      yield* Effect.scoped(Effect.gen(function*() {
        const record = yield* Ring
        const [early, late] = [yield* record.subscribe, yield* record.subscribe]
        const waiting = yield* Effect.forkChild(early.recv, { startImmediately: true })
        yield* settle
        yield* PubSub.end(pubsub, -1)
        assert.strictEqual(yield* Fiber.join(waiting), -1)
        assert.strictEqual(yield* late.recv, -1)
        for (const reader of [early, late]) assert.strictEqual((yield* Effect.flip(reader.recv))._tag, "RecordClosed")
      })).pipe(Effect.provide(Ring.layerBuffer(Buffer.fromPubSub(pubsub))))
    }))

  it.effect("a rendezvous queue is refused when the record is built", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<number>(0)
      const exit = yield* Effect.exit(Effect.scoped(Layer.build(Ring.layerBuffer(Buffer.fromQueue(queue)))))
      assert.match(
        String(Exit.isFailure(exit) && Cause.squash(exit.cause)),
        /record "test\/Ring": a queue of capacity 0/
      )
    }))
})

describe("layerLog", () => {
  it.effect("provides the record and the proof that it is a log", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Plain.layerLog(fakeLog))
      assert.strictEqual(Context.get(context, Plain).key, "test/Plain")
      const log = context.mapUnsafe.get("@sluice/core/LogOf/test/Plain") as Log.Log<number>
      assert.strictEqual(log.durability, "volatile")
    }).pipe(Effect.scoped))
})

describe("as Stream and Sink", () => {
  it.effect("the sink claims, waits for space and lets go; the stream ends with the record", () =>
    Effect.gen(function*() {
      const record = yield* Ring
      const reading = yield* Effect.forkChild(Stream.runCollect(Record.stream(Ring)), { startImmediately: true })
      yield* settle
      yield* Stream.run(Stream.make(1, 2, 3), Record.sink(Ring, "writer"))
      yield* Effect.scoped(record.producer("next"))
      yield* record.close
      assert.deepStrictEqual(yield* Fiber.join(reading), [1, 2, 3])
      const refused = yield* Effect.flip(Stream.run(Stream.make(4), Record.sink(Ring, "late")))
      assert.strictEqual(refused._tag, "BufferClosed")
    }).pipe(Effect.provide(Ring.layer)))

  it.effect("a stream that ended early holds nobody back", () =>
    Effect.gen(function*() {
      class Work extends Record.Service<Work>()("test/Work", {
        schema: Schema.Int,
        buffer: { kind: "Bounded", capacity: 2 }
      }) {}
      yield* Effect.scoped(Effect.gen(function*() {
        const record = yield* Work
        const other = yield* record.subscribe
        const first = yield* Effect.forkChild(Stream.runCollect(Stream.take(Record.stream(Work), 1)), {
          startImmediately: true
        })
        yield* settle
        const producer = yield* record.producer("p")
        for (let value = 0; value < 20; value++) {
          yield* producer.produceAsync(value)
          assert.strictEqual(yield* other.recv, value)
          yield* settle
        }
        assert.deepStrictEqual(yield* Fiber.join(first), [0])
      })).pipe(Effect.provide(Work.layer))
    }))

  it.effect("a stream skips what it missed, or fails with it", () =>
    Effect.gen(function*() {
      const record = yield* Ring
      const go = yield* Queue.unbounded<void>()
      const slowly = <E>(stream: Stream.Stream<number, E, Ring>) =>
        Effect.forkChild(
          Effect.exit(stream.pipe(Stream.tap(() => Queue.take(go)), Stream.runCollect)),
          { startImmediately: true }
        )
      const skipping = yield* slowly(Record.stream(Ring))
      const failing = yield* slowly(Record.stream(Ring, { onLag: "fail" }))
      yield* settle
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* record.producer("p")
        yield* producer.produce(0)
        yield* settle
        for (let value = 1; value <= 8; value++) yield* producer.produce(value)
      }))
      yield* record.close
      for (let i = 0; i < 10; i++) yield* Queue.offer(go, undefined)
      assert.deepStrictEqual(yield* Fiber.join(skipping), Exit.succeed([0, 6, 7, 8]))
      const failed = yield* Fiber.join(failing)
      assert.include(String(failed), "missed 5 value(s)")
    }).pipe(Effect.provide(Ring.layer)))
})

describe("produce on a full buffer", () => {
  class Tight
    extends Record.Service<Tight>()("test/Tight", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 1 } })
  {}
  it.effect("drops, counts, and warns at most once a second with the record's name", () =>
    Effect.scoped(Effect.gen(function*() {
      const { lines } = yield* logged(Effect.gen(function*() {
        const record = yield* Tight
        const producer = yield* record.producer("p")
        for (let value = 0; value < 10; value++) yield* producer.produce(value)
        yield* TestClock.adjust("999 millis")
        yield* producer.produce(10)
        yield* TestClock.adjust("1 millis")
        yield* producer.produce(11)
      }))
      assert.deepStrictEqual(lines.map((line) => /record "test\/Tight" is full.*: (\d+) so far/.exec(line)?.[1]), [
        "1",
        "11"
      ])
    })).pipe(Effect.provide(Tight.layer)))
})

const configured = (
  provider: ConfigProvider.ConfigProvider,
  layer: Layer.Layer<any, Config.ConfigError> = Ring.layerConfig
) =>
  snapshotOf(layer).pipe(
    Effect.map(({ records: { capacity, kind } }) => [kind, capacity]),
    Effect.provide(ConfigProvider.layer(provider))
  )
const env = (variables: globalThis.Record<string, string>) => ConfigProvider.fromEnvRecord(variables)

describe("layerConfig", () => {
  it.effect("without configuration it is the definition", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* configured(env({})), ["SpmcRing", 3])
    }))

  it.effect("reads RECORDS_<KEY>_*, through the plain provider, constantCase, nested and as a path", () =>
    Effect.gen(function*() {
      const variables = { RECORDS_TEST_RING_KIND: "Bounded", RECORDS_TEST_RING_CAPACITY: "9" }
      const providers = [
        env(variables),
        ConfigProvider.constantCase(env(variables)),
        ConfigProvider.nested(
          env({ APP_RECORDS_TEST_RING_KIND: "Bounded", APP_RECORDS_TEST_RING_CAPACITY: "9" }),
          "APP"
        ),
        ConfigProvider.fromUnknown({ records: { "test/Ring": { kind: "Bounded", capacity: 9 } } })
      ]
      for (const provider of providers) assert.deepStrictEqual(yield* configured(provider), ["Bounded", 9])
    }))

  it.effect("a kind alone keeps the definition's capacity, a capacity alone its kind", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* configured(env({ RECORDS_TEST_RING_KIND: "Bounded" })), ["Bounded", 3])
      assert.deepStrictEqual(yield* configured(env({ RECORDS_TEST_RING_CAPACITY: "7" })), ["SpmcRing", 7])
      assert.deepStrictEqual(yield* configured(env({ RECORDS_TEST_RING_KIND: "Mailbox" })), ["Mailbox", 1])
    }))

  it.effect("refuses what makes no sense, naming the record, the variable and what it must be", () =>
    Effect.gen(function*() {
      const refusals: ReadonlyArray<readonly [globalThis.Record<string, string>, RegExp]> = [
        [{ KIND: "Ring" }, /RECORDS_TEST_RING_KIND .*must be one of SpmcRing, .*PubSub.*got "Ring"/],
        [{ CAPACITY: "0" }, /RECORDS_TEST_RING_CAPACITY .*must be a positive integer, got "0"/],
        [{ CAPACITY: "-2" }, /must be a positive integer/],
        [{ CAPACITY: "1.5" }, /must be a positive integer/],
        [{ CAPACITY: "many" }, /must be a positive integer, got "many"/],
        [{ KIND: "SingleLatest", CAPACITY: "3" }, /CAPACITY .*does not apply: a SingleLatest holds one value/],
        [{ STRATEGY: "sliding" }, /STRATEGY .*applies to Queue and PubSub, not to a SpmcRing/],
        [{ KIND: "Queue", STRATEGY: "wait" }, /STRATEGY .*must be one of suspend, dropping, sliding, got "wait"/]
      ]
      for (const [fields, expected] of refusals) {
        const variables = Object.fromEntries(Object.entries(fields).map(([k, v]) => [`RECORDS_TEST_RING_${k}`, v]))
        const error = yield* Effect.flip(configured(env(variables)))
        assert.strictEqual(error._tag, "ConfigError")
        assert.match(error.message, expected)
        assert.include(error.message, "record \"test/Ring\"")
      }
    }))

  it.effect("chooses among the application's own backings by name", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<number>(5)
      const layer = Ring.layerConfigWith({ shared: Buffer.fromQueue(queue) })
      assert.deepStrictEqual(yield* configured(env({ RECORDS_TEST_RING_KIND: "shared" }), layer), ["Queue", 5])
      const error = yield* Effect.flip(configured(env({ RECORDS_TEST_RING_KIND: "disk" }), layer))
      assert.match(error.message, /PubSub, shared/)
    }))

  it.effect("two records whose variable would be the same are refused", () =>
    Effect.gen(function*() {
      class One extends Record.Service<One>()("a/HotThing", { schema: Schema.Int }) {}
      class Two extends Record.Service<Two>()("a/hot-thing", { schema: Schema.Int }) {}
      const both = Effect.scoped(Layer.build(Layer.mergeAll(One.layerConfig, Two.layerConfig)))
      const error = yield* Effect.flip(Effect.provide(both, ConfigProvider.layer(env({}))))
      assert.match(
        error.message,
        /"a\/HotThing" and "a\/hot-thing" would both be configured by RECORDS_A_HOT_THING_KIND/
      )
      // One after the other they are no conflict.
      yield* Effect.scoped(Layer.build(One.layerConfig))
      yield* Effect.scoped(Layer.build(Two.layerConfig))
    }))

  it.effect("a RECORDS_ variable that no record reads is warned about once the topology starts", () =>
    Effect.gen(function*() {
      const provider = env({ RECORDS_TEST_RNIG_KIND: "Bounded", RECORDS_TEST_RING_CAPACITY: "4", OTHER: "x" })
      const { lines } = yield* logged(configured(provider))
      assert.deepStrictEqual(lines.length, 1)
      assert.match(lines[0]!, /no record reads RECORDS_TEST_RNIG_KIND: check the spelling/)
    }))
})

/** A log in name only: a ring with the members of the contract. */
const fakeLog: Log.LogBacking = {
  durability: "volatile",
  make: (record) =>
    Effect.map(Buffer.spmcRing({ capacity: 4 }).make(record), (buffer) =>
      Object.assign(Object.create(buffer), {
        durability: "volatile",
        oldest: Effect.succeed(0n),
        head: Effect.succeed(0n)
      }))
}

/** The record and its statistics as a topology around one consumer of it sees them. */
const snapshotOf = <E>(layer: Layer.Layer<any, E>, record: Record.RecordClass.Any = Ring) =>
  Effect.gen(function*() {
    const topology = yield* Topology.Topology
    const { records } = yield* topology.snapshot
    return { records: records[0]! }
  }).pipe(
    Effect.provide(
      Topology.layer(Consumer.layer(record, { name: "c", handleUnsafe: () => undefined })).pipe(Layer.provide(layer))
    )
  )
