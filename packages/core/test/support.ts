/** What the tests of the core share: buffers outside a record, and settling. */
import { Buffer } from "@sluice/core"
import { type Duration, Effect, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"

/** A buffer of numbers as a record called "test" would have it, closed with the scope. */
export const bufferOf = (
  config: Buffer.BufferConfig
): Effect.Effect<Buffer.Buffer<number>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Buffer.fromConfig(config).make({ key: "test", schema: Schema.Finite }),
    (buffer) => buffer.close
  )

/** Whether the suite runs with fibers that yield after every few operations: see `test/support/yieldOften.ts`. */
export const yieldsOften = Effect.runSync(
  Effect.withFiber(({ cache }) => Effect.succeed(cache.maxOpsBeforeYield < 100))
)

/** Lets everything that can run, run: microtasks and the scheduler's tasks. Time does not pass. */
export const settle: Effect.Effect<void> = Effect.forEach(
  Array.from({ length: yieldsOften ? 400 : 4 }),
  () => Effect.yieldNow,
  { discard: true }
)
/** `TestClock.adjust`, once what is to sleep does. */
export const adjust = (by: Duration.Input): Effect.Effect<void> =>
  yieldsOften ? settle.pipe(Effect.andThen(TestClock.adjust(by)), Effect.andThen(settle)) : TestClock.adjust(by)
