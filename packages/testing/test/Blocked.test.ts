import { assert, describe, it } from "@effect/vitest"
import { Buffer, BufferClosed } from "@sluice/core"
import { Blocked } from "@sluice/testing"
import { Deferred, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"

const bufferOf = (backing: Buffer.Backing) => backing.make({ key: "test", schema: Schema.Int })

/** The same on both clocks: nothing here takes time. */
const onBothClocks = (name: string, test: Effect.Effect<unknown, unknown>) => {
  it.effect(name, () => test)
  it(`${name}, on the live clock`, () => Effect.runPromise(test))
}

describe("Blocked", () => {
  onBothClocks(
    "a producer blocks on a full Bounded until a value is read",
    Effect.scoped(Effect.gen(function*() {
      const buffer = yield* bufferOf(Buffer.bounded({ capacity: 1 }))
      const { recv } = yield* buffer.subscribe
      yield* buffer.produceAsync(1)
      const producing = yield* Blocked.fork(buffer.produceAsync(2))
      yield* Blocked.check(producing)
      assert.strictEqual(yield* recv, 1)
      const error = yield* Effect.flip(Blocked.check(producing))
      assert.strictEqual(error.exit, producing.pollUnsafe())
      assert.deepStrictEqual(error.exit, Exit.void)
    }))
  )

  onBothClocks(
    "a reader blocks on an empty record until a value is produced",
    Effect.scoped(Effect.gen(function*() {
      const buffer = yield* bufferOf(Buffer.spmcRing({ capacity: 4 }))
      const { recv } = yield* buffer.subscribe
      const receiving = yield* Blocked.fork(recv)
      yield* buffer.produce(7)
      const error = yield* Effect.flip(Blocked.check(receiving))
      assert.deepStrictEqual(error.exit, Exit.succeed(7))
      assert.include(error.message, "it has ended with success with 7")
    }))
  )

  it.effect("what does not block is told, however it ended", () =>
    Effect.gen(function*() {
      const buffer = yield* bufferOf(Buffer.bounded({ capacity: 1 }))
      yield* Blocked.fork(buffer.produceAsync(1)).pipe(
        Effect.flip,
        Effect.map(({ exit }) => assert.deepStrictEqual(exit, Exit.void))
      )
      const producing = yield* Blocked.fork(buffer.produceAsync(2))
      yield* buffer.close
      const closed = yield* Effect.flip(Blocked.check(producing))
      assert.instanceOf(yield* Effect.flip(closed.exit), BufferClosed)
      assert.include(closed.message, "failure with BufferClosed { record: \"test\", value: 2 }")
      const interrupted = yield* Blocked.fork(Effect.never)
      yield* Fiber.interrupt(interrupted)
      assert.include((yield* Effect.flip(Blocked.check(interrupted))).message, "interruption")
    }).pipe(Effect.scoped))

  it.effect("what sleeps blocks until its time has come, and checking takes none", () =>
    Effect.gen(function*() {
      const sleeping = yield* Blocked.fork(Effect.sleep("1 second"))
      yield* TestClock.adjust("999 millis")
      yield* Blocked.check(sleeping)
      yield* Blocked.check(sleeping)
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Exit.isSuccess((yield* Effect.flip(Blocked.check(sleeping))).exit))
    }))

  it.effect("settling follows a chain of wake-ups from fiber to fiber to its end, past one that never rests", () =>
    Effect.gen(function*() {
      const busy = yield* Effect.forkChild(Effect.forever(Effect.yieldNow))
      const first = yield* Deferred.make<void>()
      let last = yield* Effect.forkChild(Deferred.await(first))
      for (let link = 0; link < 20; link++) {
        const before = last
        last = yield* Effect.forkChild(Effect.andThen(Fiber.join(before), Effect.yieldNow))
      }
      yield* Blocked.check(last)
      yield* Deferred.succeed(first, undefined)
      yield* Blocked.settle
      assert.deepStrictEqual(last.pollUnsafe(), Exit.void)
      yield* Fiber.interrupt(busy)
    }))

  it.effect("a check that is interrupted, and a check that fails, leave the fiber alone", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<number>()
      const waiting = yield* Blocked.fork(Deferred.await(gate))
      const checking = yield* Effect.forkChild(Blocked.check(waiting), { startImmediately: true })
      yield* Fiber.interrupt(checking)
      yield* Blocked.check(waiting)
      yield* Deferred.succeed(gate, 1)
      assert.strictEqual(yield* Fiber.join(waiting), 1)
    }))
})
