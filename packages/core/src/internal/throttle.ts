/** Says a thing at most once a second, by the fiber's clock: the first time at once, and never silently more often. */
import { Clock, Effect } from "effect"

export class Throttle {
  private last = -Infinity

  /** Runs `say` unless it ran within the last second. */
  run(say: () => Effect.Effect<void>): Effect.Effect<void> {
    return Clock.clockWith((clock) => this.isDue(clock.currentTimeMillisUnsafe()) ? say() : Effect.void)
  }
  /** Whether to say it at the time `now`, which counts as saying it. */
  isDue(now: number): boolean {
    if (now - this.last < 1000) return false
    this.last = now
    return true
  }
}
