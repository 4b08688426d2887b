/** Says a thing at most once a second, by the fiber's clock: the first time at once, and never silently more often. */
import { Clock, Effect } from "effect"
import { elapsedMillis } from "./elapsed.ts"

export class Throttle {
  private last = -Infinity

  /** Runs `say` unless it ran within the last second. */
  run(say: () => Effect.Effect<void>): Effect.Effect<void> {
    return Clock.clockWith((clock) => this.isDue(clock) ? say() : Effect.void)
  }
  /** Whether to say it now, which counts as saying it. */
  isDue(clock: Clock.Clock): boolean {
    const now = elapsedMillis(clock)
    if (now - this.last < 1000) return false
    this.last = now
    return true
  }
}
