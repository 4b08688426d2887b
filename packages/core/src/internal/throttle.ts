/** Says a thing at most once a second, by the fiber's clock: the first time at once, and never silently more often. */
import { Clock, Effect } from "effect"

export class Throttle {
  private last = -Infinity

  /** Runs `say` unless it ran within the last second. */
  run(say: () => Effect.Effect<void>): Effect.Effect<void> {
    return Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      if (now - this.last < 1000) return Effect.void
      this.last = now
      return say()
    })
  }
}
