/** Waiting for somebody else's work, but not for longer than may be, whatever it does. */
import { Effect, Exit, Fiber, Option, Scope } from "effect"

/**
 * The exit of `effect`, which runs in a fiber of its own; none where it has not come to one within `millis`. Then it is
 * interrupted, and not waited for: what cannot be interrupted is left behind.
 */
export const atMost = <A, E, R>(
  millis: number,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Option.Option<Exit.Exit<A, E>>, never, R> =>
  Effect.flatMap(Effect.forkDetach(effect, { startImmediately: true }), (fiber) => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return Effect.succeedSome(exit)
    return Effect.ensuring(
      Effect.timeoutOption(Fiber.await(fiber), Math.max(0, millis)),
      Effect.sync(() => fiber.interruptUnsafe())
    )
  })

/**
 * As `Effect.acquireRelease`, but an interrupt does not wait for `acquire`, which may hang: what it then comes to is released
 * at once.
 */
export const acquireInterruptibly = <A, E>(
  acquire: Effect.Effect<A, E>,
  release: (acquired: A) => Effect.Effect<void>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      const context = yield* Effect.context<never>()
      // It is never interrupted itself: what it had taken by then would be lost on the way out.
      const acquiring = yield* Effect.forkDetach(acquire, { startImmediately: true })
      const waited = yield* Effect.exit(restore(Fiber.await(acquiring)))
      if (Exit.isFailure(waited)) {
        acquiring.addObserver((exit) => {
          if (Exit.isSuccess(exit)) Effect.runForkWith(context)(release(exit.value))
        })
        return yield* Effect.failCause(waited.cause)
      }
      const exit = waited.value
      if (Exit.isSuccess(exit)) yield* Scope.addFinalizer(scope, release(exit.value))
      return yield* exit
    })
  )
