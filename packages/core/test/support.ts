/** What the tests of the core share: buffers outside a record, and settling. */
import { Buffer } from "@sluice/core"
import { Effect, Schema, type Scope } from "effect"

/** A buffer of numbers as a record called "test" would have it, closed with the scope. */
export const bufferOf = (
  config: Buffer.BufferConfig
): Effect.Effect<Buffer.Buffer<number>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Buffer.fromConfig(config).make({ key: "test", schema: Schema.Finite }),
    (buffer) => buffer.close
  )

/** Lets everything that can run, run: microtasks and the scheduler's tasks. Time does not pass. */
export const settle: Effect.Effect<void> = Effect.forEach([1, 2, 3, 4], () => Effect.yieldNow, { discard: true })
