/** Those that wait under a claim: they are counted, and refused once the claim is released. */
import { Deferred, Effect } from "effect"

/** A producer that waits. */
export interface Refusable {
  /** It is answered as closed, in a later turn, unless its value is in or on its way. */
  refuse(): void
}
/** Who counts those that wait, and may refuse them. */
export interface Waits {
  enter(waiting: Refusable): void
  leave(waiting: Refusable): void
}

/** `effect`, counted while it runs; interrupted, with `refused` as its answer, where it is refused meanwhile. */
export const whileWaiting = <A, E>(
  effect: Effect.Effect<A, E>,
  waits: Waits | undefined,
  refused: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  if (waits === undefined) return effect
  return Effect.suspend(() => {
    const over = Deferred.makeUnsafe<void>()
    const waiting: Refusable = { refuse: () => Deferred.doneUnsafe(over, Effect.void) }
    return Effect.acquireUseRelease(
      Effect.sync(() => waits.enter(waiting)),
      () => Effect.raceFirst(effect, Effect.andThen(Deferred.await(over), refused)),
      () => Effect.sync(() => waits.leave(waiting))
    )
  })
}
