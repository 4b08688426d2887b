/** Whether producers wait for room, and since when none of them has been let in: what a stall is told from. */
import { type Clock, Latch } from "effect"
import { elapsedMillis } from "./elapsed.ts"

export class Contention {
  /** Open while any producer waits. */
  readonly waiting = Latch.makeUnsafe(false)
  private since = 0
  private readonly clock: Clock.Clock

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }
  /** Some wait, and one of them has just come or been let in. */
  begin(): void {
    this.since = elapsedMillis(this.clock)
    this.waiting.openUnsafe()
  }
  /** None waits any more. */
  end(): void {
    this.waiting.closeUnsafe()
  }
  /** Milliseconds since the first began to wait, or the last was let in; only while any waits. */
  stalledFor(): number {
    return elapsedMillis(this.clock) - this.since
  }
}
