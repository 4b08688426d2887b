/**
 * Whether a fiber still waits, told without sleeping: everything that can run is let run first, and time does not pass.
 * Alike under the TestClock and the live one.
 *
 * ```ts
 * const producing = yield* Blocked.fork(producer.produceAsync(3)) // full: it waits
 * yield* reader.recv
 * yield* Fiber.join(producing)
 * ```
 */
import { Data, Effect, type Exit, type Fiber } from "effect"
import { pass, render } from "./internal/trial.ts"

/** A fiber that was to wait has ended; `exit` says how. */
export class NotBlocked<out A, out E> extends Data.TaggedError("NotBlocked")<{
  readonly exit: Exit.Exit<A, E>
}> {
  override get message(): string {
    return `the fiber is not blocked: it has ended with ${render(this.exit)}. Check it before what it waits for happens`
  }
}

/** In turns of the scheduler: the longest chain of wake-ups in memory that is followed to its end. */
const turns = 64

/**
 * Lets everything that can run, run: 64 turns of the scheduler, each with its microtasks, which take a fraction of a
 * millisecond. What waits for a clock, for I/O or for this very fiber waits on. It is no barrier for work that takes more
 * turns than that, or never rests: wait for its outcome instead.
 */
export const settle: Effect.Effect<void> = Effect.suspend(() => pass(turns))

/**
 * Succeeds if the fiber still has not ended once everything has settled, and leaves it as it is. Fails with its Exit if
 * it has. A fiber that is at work without end, or on real I/O, is not told from one that waits.
 */
export const check = <A, E>(fiber: Fiber.Fiber<A, E>): Effect.Effect<void, NotBlocked<A, E>> =>
  Effect.flatMap(settle, () => {
    const exit = fiber.pollUnsafe()
    return exit === undefined ? Effect.void : Effect.fail(new NotBlocked({ exit }))
  })

/** Starts an effect as a child fiber and checks that it blocks. */
export const fork = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, NotBlocked<A, E>, R> =>
  Effect.tap(Effect.forkChild(effect, { startImmediately: true }), check)
