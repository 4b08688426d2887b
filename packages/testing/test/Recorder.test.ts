import { assert, describe, it } from "@effect/vitest"
import { Buffer, BufferFailed, Consumer, Record, Topology } from "@sluice/core"
import { Blocked, BufferLaws, Recorder } from "@sluice/testing"
import { Effect, Fiber, Layer, References, Schema } from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"

class Number extends Record.Service<Number>()("t/Number", { schema: Schema.Int }) {}

const recordedOf = (backing: Buffer.BackingOf<number>) =>
  Effect.gen(function*() {
    const recorder = yield* Recorder.make(backing)
    const buffer = yield* recorder.backing.make({ key: "test", schema: Schema.Int })
    return { buffer, recorder }
  })
const produced = (
  verb: Extract<Recorder.Event<number>, { _tag: "Produced" }>["verb"],
  value: number,
  outcome: Recorder.Outcome
) => ({ _tag: "Produced", verb, value, outcome }) as const
const received = (value: number, reader = 1) => ({ _tag: "Received", reader, value }) as const

describe("a recorder", () => {
  it.effect("of a Bounded buffer writes down each verb with its outcome, and a wait until it is answered", () =>
    Effect.gen(function*() {
      const { buffer, recorder } = yield* recordedOf(Buffer.bounded({ capacity: 2 }))
      const { recv } = yield* buffer.subscribe
      yield* buffer.produce(1)
      yield* buffer.tryProduce(2)
      yield* buffer.produce(3)
      yield* Effect.flip(buffer.tryProduce(4))
      assert.strictEqual(buffer.produceUnsafe(5), "Full")
      const waiting = yield* Blocked.fork(buffer.produceAsync(6))
      const interrupted = yield* Blocked.fork(buffer.produceAsync(7))
      yield* Fiber.interrupt(interrupted)
      assert.deepStrictEqual(yield* recorder.events, [
        produced("produce", 1, "Accepted"),
        produced("tryProduce", 2, "Accepted"),
        produced("produce", 3, "Dropped"),
        produced("tryProduce", 4, "Full"),
        produced("produceUnsafe", 5, "Full"),
        produced("produceAsync", 6, "Waiting"),
        produced("produceAsync", 7, "Interrupted")
      ])
      assert.strictEqual(yield* recv, 1)
      yield* Fiber.join(waiting)
      const refused = yield* Blocked.fork(buffer.produceAsync(8))
      yield* buffer.close
      yield* Effect.exit(Fiber.join(refused))
      yield* buffer.produce(9)
      assert.strictEqual(buffer.produceUnsafe(10), "Closed")
      assert.deepStrictEqual((yield* recorder.events).slice(5), [
        produced("produceAsync", 6, "Accepted"),
        produced("produceAsync", 7, "Interrupted"),
        received(1),
        produced("produceAsync", 8, "Closed"),
        produced("produce", 9, "Dropped"),
        produced("produceUnsafe", 10, "Closed")
      ])
      assert.deepStrictEqual(yield* recorder.produced, [1, 2, 6])
      assert.deepStrictEqual(yield* recorder.received, [1])
    }).pipe(Effect.scoped))

  it.effect("of a ring writes down what each reader received, and what it missed", () =>
    Effect.gen(function*() {
      const { buffer, recorder } = yield* recordedOf(Buffer.spmcRing({ capacity: 2 }))
      const first = yield* buffer.subscribe
      const second = yield* buffer.subscribe
      yield* Effect.forEach([1, 2, 3], buffer.produce)
      assert.strictEqual((yield* Effect.flip(first.recv))._tag, "Lagged")
      yield* first.recvBatch(8)
      yield* Effect.flip(second.tryRecv)
      yield* second.tryRecv
      assert.deepStrictEqual((yield* recorder.events).slice(3), [
        { _tag: "Lagged", reader: 1, missed: 1 },
        received(2),
        received(3),
        { _tag: "Lagged", reader: 2, missed: 1 },
        received(2, 2)
      ])
      assert.deepStrictEqual(yield* recorder.produced, [1, 2, 3])
    }).pipe(Effect.scoped))

  it.effect("of a mailbox shows all that was produced, and that readers received only what was left", () =>
    Effect.gen(function*() {
      const { buffer, recorder } = yield* recordedOf(Buffer.mailbox)
      const { recv, tryRecv } = yield* buffer.subscribe
      yield* Effect.forEach([1, 2, 3], buffer.produceAsync)
      yield* recv
      yield* tryRecv
      assert.deepStrictEqual(yield* recorder.produced, [1, 2, 3])
      assert.deepStrictEqual(yield* recorder.received, [3])
      assert.deepInclude(buffer.stats(), { produced: 3, overwritten: 2 })
    }).pipe(Effect.scoped))

  it.effect("tells the value that was dropped from the one that went in beside it, whatever the scheduler's budget", () =>
    Effect.gen(function*() {
      for (let budget = 3; budget < 20; budget++) {
        const { buffer, recorder } = yield* recordedOf(Buffer.bounded({ capacity: 1 }))
        const producing = Effect.forEach([1, 2, 3], buffer.produce, { concurrency: "unbounded" })
        yield* Effect.provideService(producing, MaxOpsBeforeYield, budget)
        assert.deepStrictEqual(yield* recorder.produced, [1])
      }
    }).pipe(Effect.scoped, Effect.provideService(References.CurrentLoggers, new Set())))

  it.effect("writes down a verb when it runs, not when it is made", () =>
    Effect.gen(function*() {
      const { buffer, recorder } = yield* recordedOf(Buffer.mailbox)
      const verbs = Effect.all([buffer.produce(1), buffer.tryProduce(1), buffer.produceAsync(1)])
      assert.deepStrictEqual(yield* recorder.events, [])
      yield* Effect.andThen(verbs, verbs)
      assert.strictEqual((yield* recorder.events).length, 6)
    }).pipe(Effect.scoped))

  it.effect("writes down a backing's fault as failed, and hands it on", () =>
    Effect.gen(function*() {
      const faulty = Buffer.make<number>({
        record: "test",
        kind: "Faulty",
        push: () => undefined,
        pushAsync: (value) => Effect.fail(new BufferFailed({ record: "test", value, cause: "no disk" })),
        subscribe: Effect.die("without readers"),
        close: Effect.void
      })
      const { buffer, recorder } = yield* recordedOf({ make: () => Effect.succeed(faulty) })
      assert.instanceOf(yield* Effect.flip(buffer.produceAsync(1)), BufferFailed)
      assert.deepStrictEqual(yield* recorder.events, [produced("produceAsync", 1, "Failed")])
      assert.strictEqual(buffer.kind, "Faulty")
    }).pipe(Effect.scoped))

  it.effect("is awaited by any number of fibers, without polling, and shows one value too many", () =>
    Effect.gen(function*() {
      const { buffer, recorder } = yield* recordedOf(Buffer.bounded({ capacity: 8 }))
      const two = yield* Blocked.fork(recorder.awaitProduced(2))
      const three = yield* Blocked.fork(recorder.awaitProduced(3))
      yield* buffer.produceAsync(1)
      yield* Blocked.check(two)
      yield* Effect.all([buffer.produceAsync(2), buffer.produceAsync(3)])
      assert.deepStrictEqual(yield* Fiber.join(two), [1, 2, 3])
      assert.deepStrictEqual(yield* Fiber.join(three), [1, 2, 3])
      assert.deepStrictEqual(yield* recorder.awaitProduced(1), [1, 2, 3])
    }).pipe(Effect.scoped))

  it.effect("is not awaited in vain once the record is closed", () =>
    Effect.gen(function*() {
      const { buffer, recorder } = yield* recordedOf(Buffer.bounded({ capacity: 8 }))
      const waiting = yield* Blocked.fork(recorder.awaitProduced(2))
      yield* buffer.produce(1)
      yield* buffer.close
      const error = yield* Effect.flip(Fiber.join(waiting))
      assert.strictEqual(error.message, "record \"test\" was closed after 1 value(s), and 2 are awaited")
      assert.deepStrictEqual(yield* recorder.awaitProduced(1), [1])
    }).pipe(Effect.scoped))
})

describe("a reader of a recorded buffer", () => {
  it.effect("loses nothing when it is interrupted in the midst of reading, whatever the scheduler's budget", () =>
    Effect.gen(function*() {
      const values = Array.from({ length: 100 }, (_, index) => index)
      for (let budget = 3; budget < 100; budget++) {
        for (let ahead = 0; ahead < 8; ahead++) {
          const { buffer } = yield* recordedOf(Buffer.bounded({ capacity: 100 }))
          const reader = yield* buffer.subscribe
          yield* Effect.forEach(values, buffer.produceAsync)
          const taken: Array<number> = []
          const reading = yield* Effect.forkChild(
            Effect.forEach(Array.from({ length: ahead }), () => Effect.suspend(() => Effect.void)).pipe(
              Effect.andThen(
                Effect.forever(Effect.map(reader.recv, (value) => taken.push(value)), { disableYield: true })
              ),
              Effect.provideService(MaxOpsBeforeYield, budget)
            ),
            { startImmediately: true }
          )
          yield* Fiber.interrupt(reading)
          const left = taken.length === 100 ? [] : yield* reader.recvBatch(100)
          assert.deepStrictEqual([...taken, ...left], values, `budget ${budget}, ${ahead} operations ahead`)
        }
      }
    }).pipe(Effect.scoped))
})

describe("a recorded record", () => {
  const App = Topology.layer(
    Consumer.layer(Number, { name: "c", handle: () => Effect.void }),
    { onShutdown: () => Effect.void }
  ).pipe(Layer.provideMerge(Recorder.layer(Number, Buffer.bounded({ capacity: 4 }))))

  it.effect("is a record of a topology as any other, and its recorder is found by the record", () =>
    Effect.gen(function*() {
      const numbers = yield* Recorder.of(Number)
      const producer = yield* (yield* Number).producer("test")
      yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8, 9], producer.produceAsync)
      assert.deepStrictEqual(yield* numbers.awaitProduced(9), [1, 2, 3, 4, 5, 6, 7, 8, 9])
      assert.deepStrictEqual(yield* numbers.received, [1, 2, 3, 4, 5, 6, 7, 8, 9])
      const { components, records } = yield* Effect.flatMap(Topology.Topology, ({ snapshot }) => snapshot)
      assert.deepInclude(records[0], { key: "t/Number", kind: "Bounded", capacity: 4, produced: 9 })
      assert.deepInclude(components[0], { handled: 9 })
    }).pipe(Effect.scoped, Effect.provide(App)))

  it.effect("starts with nothing written down each time its layer is built", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* Recorder.of(Number)).events, [])
    }).pipe(Effect.provide(App)))
})

describe("a recorder keeps every law that the buffer inside it keeps", () => {
  it.effect.each(BufferLaws.ours)("$name", (inner) => {
    const subject: BufferLaws.Subject = {
      ...inner,
      make: (capacity) =>
        Effect.flatMap(
          Recorder.make({ make: () => inner.make(capacity) }),
          ({ backing }) => backing.make({ key: inner.name, schema: Schema.Finite })
        )
    }
    return Effect.forEach(
      BufferLaws.lawsOf(inner),
      (law) =>
        Effect.matchEffect(law.check(inner), { onSuccess: () => law.check(subject), onFailure: () => Effect.void })
    )
  }, 30_000)
})
