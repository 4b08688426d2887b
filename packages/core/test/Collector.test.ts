import { assert, describe, it } from "@effect/vitest"
import { Collector, Log, Record, Source, Topology } from "@sluice/core"
import {
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  References,
  Schedule,
  Schema,
  Scope,
  Stream
} from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { Faults } from "./faultyLog.ts"
import { adjust, settle } from "./support.ts"

class Value extends Record.Service<Value>()("c/Value", { schema: Schema.Int, writers: "many" }) {}
class Parked extends Record.Service<Parked>()("c/Parked", {
  schema: Schema.Struct({ sequence: Schema.BigInt, attempts: Schema.Int, reason: Schema.String }),
  writers: "many",
  buffer: { kind: "Bounded", capacity: 100 }
}) {}
class Tight
  extends Record.Service<Tight>()("c/Tight", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 1 } })
{}
const park = {
  record: Parked,
  as: ({ attempts, reason, sequence }: Collector.DeadLetter) => ({ attempts, reason, sequence })
}
const now = { retry: Schedule.recurs(1_000_000) }

/** Runs with a log of its own and its faults, and nothing in the output. */
const withLog = <A, E>(
  use: (faults: Faults) => Effect.Effect<A, E, Value | Log.LogOf<Value> | Parked | Scope.Scope>,
  options?: Parameters<typeof Log.memory>[0]
): Effect.Effect<A, E> => {
  const faults = new Faults()
  return Effect.scoped(use(faults)).pipe(
    Effect.provide(Layer.mergeAll(Value.layerLog(faults.backing(options)), Parked.layer)),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}
const produce = (...values: ReadonlyArray<number>) =>
  Effect.scoped(Effect.gen(function*() {
    const claim = yield* (yield* Value).producer("test")
    for (const value of values) yield* claim.produceAsync(value)
  }))
const firsts = (batches: ReadonlyArray<Collector.Batch<number>>) => batches.map(({ first }) => Number(first))
const tagOf = <A, E extends { readonly _tag: string }, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), ({ _tag }) => _tag)
/** A take whose scope is the caller's to close. */
const takeOpen = (collector: Collector.Collector<number>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const batch = yield* Scope.provide(collector.take, scope)
    return { batch, end: (exit: Exit.Exit<unknown, unknown> = Exit.void) => Scope.close(scope, exit) }
  })
/** What is written to the log while `effect` runs. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel}: ${String(message)}`))
    return Effect.map(
      Effect.provideService(effect, References.CurrentLoggers, new Set([logger])).pipe(
        Effect.provideService(References.MinimumLogLevel, "All")
      ),
      () => lines
    )
  })
const one = { batch: { max: 1 } }

describe("take", () => {
  it.effect("hands out what is ready, in order, with sequences, the epoch and the first attempt", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g" })
        yield* produce(7, 8, 9)
        const { batch } = yield* takeOpen(collector)
        assert.deepStrictEqual(batch.values, [7, 8, 9])
        assert.deepStrictEqual([batch.first, batch.last, batch.attempt], [0n, 2n, 1])
        const next = yield* Collector.make(Value, { group: "g" })
        yield* produce(1)
        assert.isAbove(Number((yield* takeOpen(next)).batch.epoch), Number(batch.epoch))
      })
    ))

  it.effect("acknowledges by a scope that ends well, and gives back by one that fails, dies or is interrupted", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one, retry: Schedule.spaced("1 second") })
        yield* produce(0, 1, 2, 3)
        const exits = [Exit.void, Exit.fail("no"), Exit.die("no"), Exit.interrupt(1)]
        for (const exit of exits) yield* (yield* takeOpen(collector)).end(exit)
        yield* settle
        assert.strictEqual((yield* collector.progress).committed, 0n)
        yield* adjust("1 second")
        const again = [yield* takeOpen(collector), yield* takeOpen(collector), yield* takeOpen(collector)]
        assert.deepStrictEqual(firsts(again.map(({ batch }) => batch)), [1, 2, 3])
        assert.deepStrictEqual(again.map(({ batch }) => batch.attempt), [2, 2, 2])
        for (const { end } of again) yield* end()
        assert.strictEqual(yield* collector.flush, 3n)
        assert.strictEqual((yield* collector.progress).inFlight, 0)
      })
    ))

  it.effect("leaves what was settled by hand as it is, however the scope ends", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one })
        yield* produce(0, 1)
        const a = yield* takeOpen(collector)
        yield* collector.ack(a.batch)
        yield* a.end(Exit.fail("later"))
        const b = yield* takeOpen(collector)
        yield* collector.release(b.batch, { delay: 0 })
        yield* b.end()
        assert.strictEqual((yield* collector.progress).watermark, 0n)
        assert.strictEqual((yield* takeOpen(collector)).batch.attempt, 2)
      })
    ))

  it.effect("interrupted while it waits, or losing a race, has taken nothing", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g" })
        const waiting = yield* Effect.forkChild(Effect.scoped(collector.take))
        yield* settle
        yield* Fiber.interrupt(waiting)
        yield* produce(5)
        yield* settle
        assert.strictEqual((yield* collector.progress).inFlight, 0)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* Effect.exit(Effect.raceFirst(Effect.void, collector.take))
        }))
        yield* settle
        assert.strictEqual((yield* collector.progress).watermark, -1n)
        const { batch } = yield* takeOpen(collector)
        assert.deepStrictEqual([batch.values, batch.attempt], [[5], 1])
      })
    ))

  it.effect("fails once with LogFailed where the log cannot be read, and goes on by itself", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        faults.reads = 1
        const collector = yield* Collector.make(Value, { group: "g" })
        yield* produce(1)
        assert.strictEqual(yield* tagOf(Effect.scoped(collector.take)), "LogFailed")
        const taking = yield* Effect.forkChild(Effect.scoped(collector.take))
        yield* adjust("200 millis")
        assert.deepStrictEqual((yield* Fiber.join(taking)).values, [1])
      })
    ))

  it.effect("does not fail of a read that has gone well since", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        faults.reads = 1
        const collector = yield* Collector.make(Value, { group: "g" })
        yield* produce(1)
        yield* adjust("1 second")
        yield* (yield* takeOpen(collector)).end()
        const waiting = yield* Effect.forkChild(takeOpen(collector))
        yield* settle
        assert.isUndefined(waiting.pollUnsafe())
        yield* produce(2)
        assert.deepStrictEqual((yield* Fiber.join(waiting)).batch.values, [2])
      })
    ))

  it.effect(
    "interrupted at any point has either handed its batch over or acknowledges nothing",
    () =>
      Effect.gen(function*() {
        for (const budget of [3, 4, 5, 6, 8, 16]) {
          for (let turns = 0; turns < 60; turns++) {
            yield* withLog(() =>
              Effect.gen(function*() {
                const collector = yield* Collector.make(Value, { group: "g" })
                const scope = yield* Scope.make()
                const taking = yield* Effect.forkChild(
                  Effect.provideService(Scope.provide(collector.take, scope), MaxOpsBeforeYield, budget)
                )
                yield* produce(1)
                for (let i = 0; i < turns; i++) yield* Effect.yieldNow
                yield* Fiber.interrupt(taking)
                const taken = Exit.isSuccess(yield* Fiber.await(taking))
                // Whoever owns the scope may know nothing of a batch, and ends well.
                yield* Scope.close(scope, Exit.void)
                const { watermark } = yield* collector.progress
                assert.strictEqual(watermark, taken ? 0n : -1n, `budget ${budget}, turn ${turns}`)
              })
            )
          }
        }
      }),
    30_000
  )

  it.effect("fails where the record is closed and everything in it is settled, not before", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one })
        yield* produce(1, 2)
        yield* (yield* Value).close
        const a = yield* takeOpen(collector)
        const b = yield* takeOpen(collector)
        const over = yield* Effect.forkChild(tagOf(Effect.scoped(collector.take)))
        yield* b.end()
        yield* settle
        assert.isUndefined(over.pollUnsafe())
        yield* a.end()
        assert.strictEqual(yield* Fiber.join(over), "LogFailed")
      })
    ))
})

describe("batches", () => {
  it.effect("are cut by count and by bytes, and one larger than the limit goes alone", () =>
    withLog(() =>
      Effect.gen(function*() {
        yield* produce(1, 2, 3, 100_000, 4, 5)
        const sizes = (options: Omit<Collector.CollectorOptions, "group">, group: string) =>
          Effect.gen(function*() {
            const collector = yield* Collector.make(Value, { group, ...options })
            const sizes: Array<number> = []
            for (let left = 6; left > 0;) {
              const { batch } = yield* takeOpen(collector)
              sizes.push(batch.values.length)
              left -= batch.values.length
            }
            return sizes
          })
        assert.deepStrictEqual(yield* sizes({ batch: { max: 4 } }, "count"), [4, 2])
        assert.deepStrictEqual(yield* sizes({ batch: { bytesMax: 2 } }, "bytes"), [2, 1, 1, 2])
      })
    ))

  it.effect("wait `within` for more, and no longer once they are full", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", batch: { max: 3, within: "1 second" } })
        yield* produce(1)
        const first = yield* Effect.forkChild(takeOpen(collector))
        yield* adjust("900 millis")
        assert.isUndefined(first.pollUnsafe())
        yield* produce(2)
        yield* adjust("100 millis")
        assert.deepStrictEqual((yield* Fiber.join(first)).batch.values, [1, 2])
        yield* produce(3, 4, 5)
        assert.deepStrictEqual((yield* takeOpen(collector)).batch.values, [3, 4, 5])
      })
    ))
})

describe("the window", () => {
  it.effect("is as wide as maxReadAhead: nothing more is fetched until the watermark moves", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", maxReadAhead: 4, ...one })
        yield* produce(...Array.from({ length: 10 }, (_, i) => i))
        const open = [yield* takeOpen(collector), yield* takeOpen(collector)]
        yield* settle
        assert.strictEqual((yield* collector.progress).fetched, 3n)
        yield* open[1]!.end()
        yield* settle
        assert.deepInclude(yield* collector.progress, { fetched: 3n, watermark: -1n, holes: 1, inFlight: 1 })
        yield* open[0]!.end()
        yield* settle
        assert.deepInclude(yield* collector.progress, {
          fetched: 5n,
          watermark: 1n,
          committed: 1n,
          holes: 0,
          head: 10n
        })
        assert.isTrue(faults.asked.every(({ max }) => max <= 4))
      })
    ))

  it.effect("hands out at most maxInFlight batches, and the next as soon as one is settled", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", maxInFlight: 2, ...one })
        yield* produce(0, 1, 2)
        const a = yield* takeOpen(collector)
        yield* takeOpen(collector)
        const third = yield* Effect.forkChild(takeOpen(collector))
        yield* settle
        assert.isUndefined(third.pollUnsafe())
        yield* a.end()
        assert.deepStrictEqual((yield* Fiber.join(third)).batch.values, [2])
      })
    ))

  it.effect("goes on, twice as far at most, while commits hang, and then waits", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        faults.commits.push("hang")
        const collector = yield* Collector.make(Value, { group: "g", maxReadAhead: 4, ...one })
        yield* produce(...Array.from({ length: 20 }, (_, i) => i))
        const all = yield* Effect.forkChild(Effect.forever(Effect.scoped(collector.take)))
        for (let i = 0; i < 20; i++) yield* settle
        assert.deepInclude(yield* collector.progress, { fetched: 7n, watermark: 7n, committed: -1n })
        yield* Fiber.interrupt(all)
      })
    ))

  it.effect("skips nothing that it still holds: what is in flight is settled first", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one, maxReadAhead: 1 })
        yield* produce(0)
        const { end } = yield* takeOpen(collector)
        yield* produce(1, 2, 3, 4, 5)
        const next = yield* Effect.forkChild(takeOpen(collector))
        yield* settle
        assert.deepInclude(yield* collector.progress, { watermark: -1n, fetched: 0n })
        yield* end()
        assert.deepStrictEqual((yield* Fiber.join(next)).batch.values, [3])
      }), { capacity: 3, retention: { unacknowledged: "expire" } }))

  it.effect("of two values is not skipped over while one of them is held", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one, maxReadAhead: 2 })
        yield* produce(0, 1)
        const a = yield* takeOpen(collector)
        const b = yield* takeOpen(collector)
        yield* produce(2, 3, 4, 5)
        yield* a.end()
        yield* settle
        assert.deepInclude(yield* collector.progress, { watermark: 0n, fetched: 1n })
        yield* b.end()
        assert.deepStrictEqual((yield* takeOpen(collector)).batch.values, [4])
      }), { capacity: 2, retention: { unacknowledged: "expire" } }))

  it.effect("commits by itself where commitEvery would not and its width is at stake", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          maxReadAhead: 4,
          commitEvery: { acks: 1000, within: "1 hour" }
        })
        yield* produce(...Array.from({ length: 20 }, (_, i) => i))
        for (let i = 0; i < 20; i++) yield* (yield* takeOpen(collector)).end()
        assert.strictEqual(yield* collector.flush, 19n)
      })
    ))

  it.effect("skips what has expired, counts it, and says so", () =>
    withLog(() =>
      Effect.gen(function*() {
        const lines = yield* logged(Effect.gen(function*() {
          yield* produce(0, 1, 2, 3, 4, 5)
          const collector = yield* Collector.make(Value, { group: "g", from: { sequence: 0n } })
          const { batch, end } = yield* takeOpen(collector)
          assert.deepStrictEqual(batch.values, [3, 4, 5])
          yield* end()
          assert.strictEqual(yield* collector.flush, 5n)
        }))
        assert.isTrue(lines.some((line) => line.includes("missed 3 value(s)")), lines.join("\n"))
      }), { capacity: 3 }))
})

describe("acks", () => {
  it.effect("come in any order; the watermark moves only over a run without a gap, and only it is committed", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one })
        yield* produce(0, 1, 2, 3)
        const batches = yield* Effect.all([0, 1, 2, 3].map(() => takeOpen(collector)))
        for (const index of [2, 1, 3]) yield* collector.ack(batches[index]!.batch)
        yield* settle
        assert.deepInclude(yield* collector.progress, { watermark: -1n, committed: -1n, holes: 1 })
        yield* collector.ack(batches[0]!.batch)
        yield* settle
        assert.deepInclude(yield* collector.progress, { watermark: 3n, committed: 3n, holes: 0 })
        assert.deepStrictEqual(faults.stored.map(({ attempts, through }) => [through, attempts.size]), [[3n, 0]])
      })
    ))

  it.effect("out of order are refused in strict order, where also nothing overtakes a batch that waits", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", order: "strict", ...one })
        yield* produce(0, 1, 2)
        const a = yield* takeOpen(collector)
        const b = yield* takeOpen(collector)
        const error = yield* Effect.flip(collector.ack(b.batch))
        assert.strictEqual(error._tag, "AckOutOfOrder")
        assert.include(error.message, "settle the batch that begins at 0 first")
        yield* collector.release(a.batch, { delay: "1 second" })
        const next = yield* Effect.forkChild(takeOpen(collector))
        yield* adjust("999 millis")
        assert.isUndefined(next.pollUnsafe())
        yield* adjust("1 millis")
        const again = yield* Fiber.join(next)
        assert.deepStrictEqual([again.batch.first, again.batch.attempt], [0n, 2])
        yield* collector.ack(again.batch)
        yield* collector.ack(b.batch)
        assert.strictEqual(yield* collector.flush, 1n)
      })
    ))

  it.effect("that are misuse are typed and change nothing", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", batch: { max: 2 } })
        yield* produce(0, 1, 2, 3)
        const { batch } = yield* takeOpen(collector)
        const other = yield* takeOpen(collector)
        yield* collector.ack(other.batch)
        yield* settle
        const before = yield* collector.progress
        const each = [
          collector.ack,
          collector.ackDurable,
          collector.release,
          (b: Collector.Batch<number>) => collector.reject(b, "")
        ]
        for (const verb of each) {
          assert.strictEqual(yield* tagOf(verb(other.batch)), "AlreadyAcked")
          assert.strictEqual(yield* tagOf(verb({ ...batch, last: 0n })), "AckOutOfRange")
          assert.strictEqual(yield* tagOf(verb({ ...batch, first: 1n })), "AckOutOfRange")
          assert.strictEqual(yield* tagOf(verb({ ...batch, last: 99n })), "AckOutOfRange")
          assert.strictEqual(yield* tagOf(verb({ ...batch, attempt: 2 })), "AckOutOfRange")
          assert.strictEqual(yield* tagOf(verb({ ...batch, epoch: batch.epoch + 1n })), "AckOutOfRange")
          assert.strictEqual(yield* tagOf(verb({ ...batch, epoch: batch.epoch - 1n })), "StaleEpoch")
        }
        assert.deepStrictEqual(yield* collector.progress, before)
        yield* collector.ack(batch)
        assert.strictEqual(yield* collector.flush, 3n)
      })
    ))

  it.effect("that are durable return once the watermark has passed and that is stored", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          commitEvery: { acks: 1000, within: "1 hour" }
        })
        yield* produce(0, 1, 2)
        const a = yield* takeOpen(collector)
        const b = yield* takeOpen(collector)
        const durable = yield* Effect.forkChild(collector.ackDurable(b.batch))
        yield* settle
        assert.isUndefined(durable.pollUnsafe())
        yield* collector.ack(a.batch)
        yield* Fiber.join(durable)
        assert.deepStrictEqual(faults.stored.map(({ through }) => through), [1n])
        faults.commits.push("after")
        const c = yield* takeOpen(collector)
        assert.strictEqual(yield* tagOf(collector.ackDurable(c.batch)), "LogFailed")
        assert.strictEqual(yield* tagOf(collector.ack(c.batch)), "AlreadyAcked")
        assert.strictEqual(yield* collector.flush, 2n)
      })
    ))
})

describe("commits", () => {
  it.effect("come after so many acks or so much time", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          commitEvery: { acks: 3, within: "1 second" }
        })
        yield* produce(0, 1, 2, 3)
        for (let i = 0; i < 3; i++) yield* (yield* takeOpen(collector)).end()
        yield* settle
        assert.deepStrictEqual(faults.stored.map(({ through }) => through), [2n])
        yield* (yield* takeOpen(collector)).end()
        yield* adjust("999 millis")
        assert.strictEqual(faults.stored.length, 1)
        yield* adjust("1 millis")
        yield* settle
        assert.deepStrictEqual(faults.stored.map(({ through }) => through), [2n, 3n])
      })
    ))

  for (const fault of ["before", "after"] as const) {
    it.effect(`that fail ${fault} they took effect are tried again, and nothing is lost`, () =>
      withLog((faults) =>
        Effect.gen(function*() {
          faults.commits.push(fault, fault)
          const collector = yield* Collector.make(Value, { group: "g", ...one })
          yield* produce(0, 1)
          yield* (yield* takeOpen(collector)).end()
          yield* settle
          assert.deepInclude(yield* collector.progress, { watermark: 0n, committed: -1n })
          // A holder that takes over now has at most what was stored, and at least what was not settled.
          yield* adjust("1 second")
          yield* settle
          assert.deepInclude(yield* collector.progress, { watermark: 0n, committed: 0n })
          const next = yield* Collector.make(Value, { group: "g" })
          assert.deepStrictEqual((yield* takeOpen(next)).batch.values, [1])
        })
      ))
  }

  it.effect("are made at the close of the scope, and what is in flight is no attempt", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const collector = yield* Scope.provide(
          Collector.make(Value, {
            group: "g",
            ...one,
            maxAttempts: 3,
            deadLetter: "drop",
            commitEvery: { acks: 1000, within: "1 hour" }
          }),
          scope
        )
        yield* produce(0, 1)
        yield* (yield* takeOpen(collector)).end()
        const held = yield* takeOpen(collector)
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(faults.stored.at(-1), { through: 0n, attempts: new Map() })
        assert.strictEqual(yield* tagOf(collector.ack(held.batch)), "StaleEpoch")
        assert.strictEqual(yield* tagOf(Effect.scoped(collector.take)), "StaleEpoch")
        yield* held.end(Exit.fail("late"))
        const next = yield* Collector.make(Value, { group: "g" })
        assert.deepInclude((yield* takeOpen(next)).batch, { values: [1], attempt: 1 })
      })
    ))
})

describe("retries", () => {
  it.effect("wait as the schedule says, ahead of what is new, and hold nothing else up", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one, retry: Schedule.exponential("1 second") })
        yield* produce(0, 1, 2)
        yield* (yield* takeOpen(collector)).end(Exit.fail("first"))
        yield* (yield* takeOpen(collector)).end()
        yield* adjust("1 second")
        const again = yield* takeOpen(collector)
        assert.deepStrictEqual([again.batch.first, again.batch.attempt], [0n, 2])
        yield* again.end(Exit.fail("second"))
        yield* adjust("1 second")
        assert.deepStrictEqual((yield* takeOpen(collector)).batch.values, [2])
        const third = yield* Effect.forkChild(takeOpen(collector))
        yield* adjust("999 millis")
        assert.isUndefined(third.pollUnsafe())
        yield* adjust("1 millis")
        assert.strictEqual((yield* Fiber.join(third)).batch.attempt, 3)
      })
    ))

  it.effect("end at maxAttempts: each value for itself, stored with its bytes before the watermark passes", () =>
    withLog(() =>
      Effect.gen(function*() {
        const letters: Array<Collector.DeadLetter> = []
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...now,
          maxAttempts: 2,
          deadLetter: { record: Parked, as: (letter) => (letters.push(letter), park.as(letter)) }
        })
        yield* produce(0, 1, 2)
        yield* (yield* takeOpen(collector)).end(Exit.fail("poison"))
        for (let i = 0; i < 3; i++) {
          const { batch, end } = yield* takeOpen(collector)
          assert.deepStrictEqual([batch.values.length, batch.attempt], [1, 2])
          yield* end(batch.values[0] === 1 ? Exit.fail("poison") : Exit.void)
        }
        yield* settle
        assert.strictEqual(yield* collector.flush, 2n)
        assert.deepStrictEqual(
          letters.map(({ attempts, bytes, group, reason, record, sequence }) => ({
            attempts,
            text: new TextDecoder().decode(bytes),
            group,
            reason,
            record,
            sequence
          })),
          [{ attempts: 2, text: "1", group: "g", reason: "poison", record: "c/Value", sequence: 1n }]
        )
      })
    ))

  it.effect("of a dead letter that cannot be stored go on, and the watermark waits for it", () =>
    withLog(() =>
      Effect.gen(function*() {
        let failures = 3
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          maxAttempts: 1,
          deadLetter: {
            record: Parked,
            as: (letter) => {
              if (failures-- > 0) throw new Error("not now")
              return park.as(letter)
            }
          }
        })
        yield* produce(0, 1)
        yield* (yield* takeOpen(collector)).end(Exit.fail("poison"))
        yield* (yield* takeOpen(collector)).end()
        yield* settle
        assert.deepInclude(yield* collector.progress, { watermark: -1n, holes: 1 })
        yield* adjust("10 seconds")
        yield* settle
        assert.deepInclude(yield* collector.progress, { watermark: 1n, holes: 0 })
      })
    ))

  it.effect("count over crashes: a value that kills its holder reaches its limit too", () =>
    withLog(() =>
      Effect.gen(function*() {
        const reader = yield* (yield* Parked).subscribe
        yield* produce(0, 1)
        const attempts: Array<number> = []
        // The first one gets further, so that what kills is in the middle of its window.
        for (let crash = 0; crash < 8; crash++) {
          const collector = yield* Collector.make(Value, { group: "g", ...one, maxAttempts: 3, deadLetter: park })
          while (true) {
            const { batch, end } = yield* takeOpen(collector)
            if (batch.values[0] !== 0) {
              yield* end()
              yield* collector.flush
              break
            }
            attempts.push(batch.attempt)
            if (attempts.length > 5) assert.fail(`tried again: ${attempts}`)
            break
          }
          // What was rejected at once is put aside meanwhile.
          yield* settle
          if ((yield* collector.progress).watermark === 1n) break
        }
        assert.deepStrictEqual(attempts, [1, 2, 3])
        assert.deepInclude(yield* reader.recv, { sequence: 0n, attempts: 3 })
      })
    ))

  it.effect("that would come before their attempt is stored do not happen", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...now,
          maxAttempts: 5,
          deadLetter: "drop",
          commitEvery: { acks: 1000, within: "1 hour" }
        })
        yield* produce(0)
        yield* (yield* takeOpen(collector)).end(Exit.fail("no"))
        faults.commits.push("before")
        assert.strictEqual(yield* tagOf(Effect.scoped(collector.take)), "LogFailed")
        assert.strictEqual((yield* collector.progress).inFlight, 0)
        const { batch } = yield* takeOpen(collector)
        assert.strictEqual(batch.attempt, 2)
        assert.deepStrictEqual(faults.stored.at(-1)!.attempts, new Map([[0n, 2]]))
      })
    ))
})

describe("rejection", () => {
  it.effect("by hand returns once the letter is stored; where it cannot be, it says so and goes on", () =>
    withLog(() =>
      Effect.gen(function*() {
        let failures = 1
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          deadLetter: {
            record: Parked,
            as: (letter) => {
              if (failures-- > 0) throw new Error("not now")
              return park.as(letter)
            }
          }
        })
        const reader = yield* (yield* Parked).subscribe
        yield* produce(0, 1)
        const { batch } = yield* takeOpen(collector)
        assert.strictEqual(yield* tagOf(collector.reject(batch, "bad")), "LogFailed")
        assert.strictEqual(yield* tagOf(collector.ack(batch)), "AlreadyAcked")
        yield* adjust("1 second")
        assert.deepStrictEqual(yield* reader.recv, { sequence: 0n, attempts: 1, reason: "bad" })
        yield* collector.reject((yield* takeOpen(collector)).batch, "worse")
        assert.strictEqual(yield* collector.flush, 1n)
      })
    ))

  it.effect("of what does not decode comes at once; without a place to go it is never passed, and named", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        faults.rotten.add(1n)
        yield* produce(0, 1, 2)
        const reader = yield* (yield* Parked).subscribe
        const careful = yield* Collector.make(Value, { group: "careful", deadLetter: park })
        for (let i = 0; i < 2; i++) yield* (yield* takeOpen(careful)).end()
        yield* settle
        assert.strictEqual(yield* careful.flush, 2n)
        assert.deepInclude(yield* reader.recv, { sequence: 1n, attempts: 0, reason: "it does not decode" })
        const lines = yield* logged(Effect.gen(function*() {
          const careless = yield* Collector.make(Value, { group: "careless" })
          for (let i = 0; i < 2; i++) yield* (yield* takeOpen(careless)).end()
          yield* settle
          assert.deepInclude(yield* careless.progress, { watermark: 0n, holes: 1 })
        }))
        assert.isTrue(lines.some((line) => line.startsWith("Error") && line.includes("sequence 1")), lines.join("\n"))
        const dropping = yield* Collector.make(Value, { group: "dropping", deadLetter: "drop" })
        for (let i = 0; i < 2; i++) yield* (yield* takeOpen(dropping)).end()
        yield* settle
        assert.strictEqual(yield* dropping.flush, 2n)
      })
    ))

  it.effect("can be taken back: redrive appends the value anew, by its sequence", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        faults.rotten.add(1n)
        yield* produce(5, 6)
        yield* Collector.redrive(Value, 0n)
        for (const sequence of [1n, 3n, -1n]) {
          assert.strictEqual(yield* tagOf(Collector.redrive(Value, sequence)), "LogFailed")
        }
        const collector = yield* Collector.make(Value, { group: "g", from: { sequence: 2n } })
        assert.deepInclude((yield* takeOpen(collector)).batch, { first: 2n, values: [5] })
      })
    ))
})

describe("stream", () => {
  it.effect("hands out batches to settle by hand, gives back the rest, and ends with the record", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "g", ...one, ...now })
        yield* produce(0, 1, 2)
        const [, second] = yield* Stream.runCollect(
          Stream.take(collector.stream, 2).pipe(
            Stream.tap((batch) => batch.first === 0n ? collector.ack(batch) : Effect.void)
          )
        )
        assert.strictEqual(yield* tagOf(collector.ack(second!)), "AckOutOfRange")
        yield* (yield* Value).close
        const seen = yield* Stream.runCollect(Stream.tap(collector.stream, (batch) => collector.ack(batch)))
        assert.deepStrictEqual(seen.map(({ attempt, first }) => [first, attempt]), [[1n, 1], [2n, 1]])
      })
    ))
})

describe("fencing", () => {
  it.effect("ends the first holder at its next commit; nothing that either committed comes again", () =>
    withLog(() =>
      Effect.gen(function*() {
        const first = yield* Collector.make(Value, { group: "g", ...one })
        yield* produce(0, 1, 2, 3)
        yield* (yield* takeOpen(first)).end()
        yield* settle
        const held = yield* takeOpen(first)
        const also = yield* takeOpen(first)
        const second = yield* Collector.make(Value, { group: "g", ...one })
        const waiting = yield* Effect.forkChild(Stream.runDrain(first.stream))
        const durable = yield* Effect.forkChild(first.ackDurable(also.batch))
        yield* settle
        yield* first.ack(held.batch)
        yield* settle
        assert.strictEqual(yield* tagOf(Fiber.join(durable)), "StaleEpoch")
        assert.strictEqual(yield* tagOf(Fiber.join(waiting)), "StaleEpoch")
        for (const verb of [Effect.scoped(first.take), first.flush, first.ack(held.batch)]) {
          assert.strictEqual(yield* tagOf(verb as Effect.Effect<unknown, { readonly _tag: string }>), "StaleEpoch")
        }
        assert.strictEqual(yield* tagOf(second.ack(held.batch)), "StaleEpoch")
        const seen: Array<number> = []
        for (let i = 0; i < 3; i++) {
          const { batch, end } = yield* takeOpen(second)
          seen.push(...batch.values)
          yield* end()
        }
        assert.deepStrictEqual(seen, [1, 2, 3])
        assert.strictEqual(yield* second.flush, 3n)
        // What the first still does changes nothing.
        yield* held.end(Exit.fail("late"))
        assert.strictEqual((yield* second.progress).committed, 3n)
      })
    ))

  it.effect("ends a rejection that waits", () =>
    withLog(() =>
      Effect.gen(function*() {
        const first = yield* Collector.make(Value, {
          group: "g",
          ...one,
          deadLetter: {
            record: Tight,
            as: ({ sequence }) => Number(sequence)
          }
        })
        yield* produce(0, 1, 2)
        const [a, b, c] = yield* Effect.all([takeOpen(first), takeOpen(first), takeOpen(first)])
        // It is full after that, and has no reader.
        yield* first.reject(a.batch, "bad")
        const rejecting = yield* Effect.forkChild(tagOf(first.reject(b.batch, "bad")))
        yield* settle
        assert.isUndefined(rejecting.pollUnsafe())
        yield* Collector.make(Value, { group: "g" })
        yield* first.release(c.batch)
        assert.strictEqual(yield* Fiber.join(rejecting), "StaleEpoch")
      }).pipe(Effect.provide(Tight.layer))
    ))
})

describe("groups", () => {
  it.effect("each see every value, at a pace of their own", () =>
    withLog(() =>
      Effect.gen(function*() {
        const a = yield* Collector.make(Value, { group: "a" })
        const b = yield* Collector.make(Value, { group: "b", ...one })
        yield* produce(0, 1)
        assert.deepStrictEqual((yield* takeOpen(a)).batch.values, [0, 1])
        assert.deepStrictEqual((yield* takeOpen(b)).batch.values, [0])
        const late = yield* Collector.make(Value, { group: "late", from: "head" })
        yield* produce(2)
        assert.deepStrictEqual((yield* takeOpen(late)).batch.values, [2])
      })
    ))
})

describe("the warning of a stall", () => {
  it.effect("names the sequence, says why, comes again, and is put off by inProgress", () =>
    withLog(() =>
      Effect.gen(function*() {
        const lines = yield* logged(Effect.gen(function*() {
          const collector = yield* Collector.make(Value, { group: "g", ...one, stallAfter: "10 seconds" })
          yield* produce(0, 1, 2)
          yield* (yield* takeOpen(collector)).end()
          const { batch } = yield* takeOpen(collector)
          yield* (yield* takeOpen(collector)).end()
          yield* adjust("9 seconds")
          yield* batch.inProgress
          yield* adjust("9 seconds")
          yield* batch.inProgress
          yield* adjust("21 seconds")
        }))
        const stalls = lines.filter((line) => line.includes("is stalled"))
        assert.strictEqual(stalls.length, 2, lines.join("\n"))
        assert.include(stalls[0]!, "Warn: group \"g\" of record \"c/Value\"")
        assert.include(stalls[0]!, "Sequence 1 holds it back, in the hands of a handler")
      })
    ))
})

describe("metrics", () => {
  it.effect("tell where a group stands", () =>
    withLog(() =>
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, { group: "metered", ...one })
        yield* produce(0, 1, 2)
        yield* (yield* takeOpen(collector)).end()
        yield* takeOpen(collector)
        yield* settle
        const series = (yield* Metric.snapshot).filter(({ attributes }) => attributes?.["group"] === "metered")
        const value = (name: string) =>
          series.filter(({ id }) => id === `sluice_collector_${name}`).map(({ state }: any) =>
            state.value ?? state.count
          )
        assert.deepStrictEqual(
          ["committed", "watermark", "fetched", "head", "in_flight", "holes", "acknowledged_total"].map(value),
          [[0], [0], [2], [3], [1], [0], [1]]
        )
      })
    ))
})

describe("options", () => {
  it("that cannot be are refused, by name", () => {
    const layer = (options: object) => () =>
      Collector.layer(Value, { name: "x", group: "g", handle: () => Effect.void, ...options })
    assert.throws(
      layer({ maxReadAhead: 0 }),
      /group "g" of record "c\/Value": `maxReadAhead` must be a positive integer, got 0/
    )
    assert.throws(layer({ batch: { max: 1.5 } }), /`batch.max`/)
    assert.throws(layer({ maxAttempts: 3 }), /`deadLetter` must be a record or "drop"/)
    assert.throws(
      layer({ commitEvery: { acks: 1, within: "soon" } }),
      /`commitEvery.within` must be a duration, got soon/
    )
  })
})

// ---- Collector.layer

const passing = Effect.forever(adjust("1 second"))
const quiet = { onShutdown: () => Effect.void }

describe("as a component", () => {
  it.effect("handles all that a source produces, and is done with it", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const seen: Array<number> = []
        const App = Topology.layer(
          Layer.mergeAll(
            Source.layer(Value, { name: "source", stream: Stream.range(0, 99) }),
            Collector.layer(Value, {
              name: "collect",
              group: "g",
              concurrency: 3,
              batch: { max: 7 },
              handle: ({ values }) => Effect.andThen(Effect.yieldNow, Effect.sync(() => void seen.push(...values)))
            })
          ),
          quiet
        )
        yield* Effect.gen(function*() {
          const topology = yield* Topology.Topology
          yield* topology.awaitDone
          const { components, readers } = yield* topology.snapshot
          assert.deepInclude(components.find(({ name }) => name === "collect"), {
            handled: 100,
            abandoned: 0,
            inFlight: 0
          })
          assert.deepInclude(readers[0], { component: "collect", pending: 0, received: 100, lagged: 0 })
          assert.include((yield* topology.graph).mermaid, "collect")
        }).pipe(Effect.provide(App))
        assert.deepStrictEqual(seen.toSorted((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i))
        assert.strictEqual(faults.stored.at(-1)!.through, 99n)
      })
    ))

  it.effect("takes failure, defect and interruption of a handler as an attempt, and goes on with the rest", () =>
    withLog(() =>
      Effect.gen(function*() {
        const seen: Array<readonly [number, number]> = []
        const faults: { readonly [value: number]: Effect.Effect<void, string> } = {
          1: Effect.fail("no"),
          2: Effect.die("no"),
          3: Effect.interrupt
        }
        const App = Topology.layer(
          Collector.layer(Value, {
            name: "collect",
            group: "g",
            ...one,
            retry: Schedule.spaced("1 second"),
            handle: ({ attempt, values: [value] }) =>
              Effect.andThen(
                Effect.sync(() => void seen.push([value, attempt])),
                attempt === 1 ? faults[value] ?? Effect.void : Effect.void
              )
          }),
          quiet
        )
        yield* Effect.gen(function*() {
          yield* produce(0, 1, 2, 3, 4)
          const { awaitDone, snapshot } = yield* Topology.Topology
          const done = yield* Effect.forkChild(awaitDone)
          yield* settle
          assert.isUndefined(done.pollUnsafe())
          assert.deepStrictEqual(seen, [[0, 1], [1, 1], [2, 1], [3, 1], [4, 1]])
          yield* adjust("1 second")
          yield* Fiber.join(done)
          assert.deepStrictEqual(seen.slice(5), [[1, 2], [2, 2], [3, 2]])
          assert.deepInclude((yield* snapshot).components[0], { handled: 5, abandoned: 3, restarts: 0 })
        }).pipe(Effect.provide(App))
      })
    ))

  it.effect(
    "holds the producer or not, as configured, beside a batch that never ends; nothing else stops",
    () =>
      Effect.gen(function*() {
        for (const [retention, produced] of [[undefined, 8], [{ unacknowledged: "expire" }, 100]] as const) {
          yield* withLog(() =>
            Effect.gen(function*() {
              const seen: Array<number> = []
              const over = Deferred.makeUnsafe<void>()
              const shut = Deferred.await(over)
              const App = Topology.layer(
                Collector.layer(Value, {
                  name: "collect",
                  group: "g",
                  ...one,
                  concurrency: 3,
                  maxReadAhead: 4,
                  handle: ({ values: [value] }) => value === 2 ? Effect.never : Effect.sync(() => void seen.push(value))
                }),
                quiet
              )
              const lines = yield* logged(
                Effect.gen(function*() {
                  const claim = yield* (yield* Value).producer("test")
                  let accepted = 0
                  for (let value = 0; value < 100; value++) {
                    if (Exit.isSuccess(yield* Effect.exit(claim.tryProduce(value)))) accepted++
                    yield* settle
                  }
                  assert.isAtMost(Math.abs(accepted - produced), 2, `accepted ${accepted}`)
                  yield* adjust("31 seconds")
                  assert.deepStrictEqual(seen, [0, 1, 3, 4, 5])
                  yield* Deferred.succeed(over, undefined)
                }).pipe(Effect.scoped, Effect.provide(App), Effect.raceFirst(Effect.andThen(shut, passing)))
              )
              assert.isTrue(lines.some((line) => line.includes("Sequence 2 holds it back")), lines.join("\n"))
            }), { capacity: 6, ...(retention !== undefined && { retention }) })
        }
      }),
    20_000
  )

  it.effect("ends as Failed with StaleEpoch, whatever its restart schedule, when another holder has the group", () =>
    withLog(() =>
      Effect.gen(function*() {
        const interrupted = Deferred.makeUnsafe<void>()
        const go = Deferred.makeUnsafe<void>()
        const App = Topology.layer(
          Collector.layer(Value, {
            name: "collect",
            group: "g",
            ...one,
            concurrency: 2,
            restart: Schedule.forever,
            handle: ({ values: [value] }) =>
              value === 0
                ? Deferred.await(go)
                : Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
          }),
          quiet
        )
        yield* Effect.gen(function*() {
          const { awaitFailure, snapshot } = yield* Topology.Topology
          yield* produce(0, 1)
          yield* settle
          const second = yield* Collector.make(Value, { group: "g" })
          const failed = yield* Effect.forkChild(Effect.flip(awaitFailure))
          yield* settle
          assert.isUndefined(failed.pollUnsafe())
          yield* Deferred.succeed(go, undefined)
          assert.instanceOf((yield* Fiber.join(failed)).cause, Log.StaleEpoch)
          assert.deepStrictEqual((yield* takeOpen(second)).batch.values, [0, 1])
          yield* Deferred.await(interrupted)
          assert.strictEqual((yield* snapshot).components[0]!.status, "Failed")
        }).pipe(Effect.provide(App), Effect.scoped)
      })
    ))

  it.effect("restarts after a log that cannot be read, and loses nothing", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        faults.reads = 2
        const seen: Array<number> = []
        const App = Topology.layer(
          Collector.layer(Value, {
            name: "collect",
            group: "g",
            handle: ({ values }) => Effect.sync(() => void seen.push(...values))
          }),
          quiet
        )
        yield* Effect.gen(function*() {
          yield* produce(0, 1)
          yield* adjust("5 seconds")
          assert.deepStrictEqual(seen, [0, 1])
          const { components } = yield* (yield* Topology.Topology).snapshot
          assert.strictEqual(components[0]!.restarts, 2)
        }).pipe(Effect.provide(App))
      })
    ))

  it.effect("drains: fetches nothing new, finishes what is in flight and commits it", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const go = Deferred.makeUnsafe<void>()
        const seen: Array<number> = []
        let report: Topology.ShutdownReport | undefined
        const App = Topology.layer(
          Collector.layer(Value, {
            name: "collect",
            group: "g",
            ...one,
            commitEvery: { acks: 1000, within: "1 hour" },
            handle: ({ values }) => Effect.andThen(Deferred.await(go), Effect.sync(() => void seen.push(...values)))
          }),
          { onShutdown: (value) => Effect.sync(() => void (report = value)) }
        )
        yield* Layer.buildWithScope(App, scope)
        yield* produce(0, 1, 2)
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settle
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(closing)
        assert.deepStrictEqual(seen, [0])
        assert.strictEqual(faults.stored.at(-1)!.through, 0n)
        assert.deepInclude(report, {
          withinDeadline: true,
          left: [{ record: "c/Value", component: "collect", values: 2 }]
        })
      })
    ))

  it.effect("drains once a dead letter is stored, also where that takes more than one try", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const go = Deferred.makeUnsafe<void>()
        let failures = 1
        const App = Topology.layer(
          Collector.layer(Value, {
            name: "collect",
            group: "g",
            maxAttempts: 1,
            deadLetter: {
              record: Parked,
              as: (letter) => {
                if (failures-- > 0) throw new Error("not now")
                return park.as(letter)
              }
            },
            handle: () => Effect.andThen(Deferred.await(go), Effect.fail("poison"))
          }),
          quiet
        )
        const reader = yield* (yield* Parked).subscribe
        yield* Layer.buildWithScope(App, scope)
        yield* produce(0)
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* settle
        yield* Deferred.succeed(go, undefined)
        yield* adjust("1 second")
        yield* Fiber.join(closing)
        assert.deepInclude(yield* reader.recv, { sequence: 0n, reason: "poison" })
        assert.strictEqual(faults.stored.at(-1)!.through, 0n)
      })
    ))

  it.effect("interrupted by the drain's deadline has used no attempt", () =>
    withLog((faults) =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const App = Topology.layer(
          Collector.layer(Value, {
            name: "collect",
            group: "g",
            maxAttempts: 3,
            deadLetter: "drop",
            handle: () => Effect.never
          }),
          quiet
        )
        yield* Layer.buildWithScope(App, scope)
        yield* produce(0)
        yield* settle
        assert.deepStrictEqual(faults.stored.at(-1)!.attempts, new Map([[0n, 1]]))
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* adjust("7 seconds")
        yield* Fiber.join(closing)
        assert.deepStrictEqual(faults.stored.at(-1), { through: -1n, attempts: new Map() })
      })
    ))

  it.effect("lets a producer in that waits for room when the drain begins", () =>
    withLog(() =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        let report: Topology.ShutdownReport | undefined
        const App = Topology.layer(
          Layer.mergeAll(
            Source.layer(Value, { name: "source", stream: Stream.range(0, 1000) }),
            Collector.layer(Value, {
              name: "collect",
              group: "g",
              ...one,
              maxReadAhead: 2,
              handle: () => Effect.sleep("100 millis")
            })
          ),
          { onShutdown: (value) => Effect.sync(() => void (report = value)), drainTimeout: "1 hour" }
        )
        yield* Layer.buildWithScope(App, scope)
        yield* adjust("1 second")
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* Effect.raceFirst(Fiber.join(closing), Effect.forever(adjust("100 millis")))
        assert.isTrue(report!.withinDeadline)
      }), { capacity: 4 }))

  it.effect("puts a dead letter into a record of the same topology, whose reader drains after it", () =>
    withLog(() =>
      Effect.gen(function*() {
        const parked: Array<bigint> = []
        const App = Topology.layer(
          Layer.mergeAll(
            Collector.layer(Value, {
              name: "collect",
              group: "g",
              ...one,
              maxAttempts: 2,
              ...now,
              deadLetter: park,
              handle: ({ values: [value] }) => value === 1 ? Effect.fail("poison") : Effect.void
            })
          ),
          quiet
        )
        yield* Effect.gen(function*() {
          const reader = yield* (yield* Parked).subscribe
          yield* produce(0, 1, 2)
          yield* (yield* Topology.Topology).awaitDone
          parked.push((yield* reader.recv).sequence)
        }).pipe(Effect.provide(App), Effect.scoped)
        assert.deepStrictEqual(parked, [1n])
      })
    ))
})

it.effect("permits balance after any mix of exits", () =>
  withLog(() =>
    Effect.gen(function*() {
      const collector = yield* Collector.make(Value, { group: "g", ...one, ...now, maxInFlight: 3, deadLetter: "drop" })
      yield* produce(...Array.from({ length: 60 }, (_, i) => i))
      for (let i = 0; i < 240; i++) {
        const { batch, end } = yield* takeOpen(collector)
        const how = (i * 7 + batch.attempt) % 6
        if (how === 0) yield* collector.release(batch, { delay: 0 })
        if (how === 1) yield* collector.reject(batch, "bad")
        if (how === 5 && batch.attempt < 3) yield* collector.release(batch, { delay: 0 })
        yield* end([Exit.void, Exit.void, Exit.fail("a"), Exit.die("b"), Exit.interrupt(1), Exit.void][how])
        if ((yield* collector.progress).watermark === 59n) break
      }
      assert.deepInclude(yield* collector.progress, { inFlight: 0 })
    })
  ))
