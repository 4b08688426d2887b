/**
 * A scheduler that knows when the fibers that run under it are all at rest: none of them has yielded and is to go on. What
 * one of them has taken and is still working on is then nowhere on the way between two of its steps.
 */
import { Effect, type Fiber, Latch, Scheduler } from "effect"

export class QuietScheduler implements Scheduler.Scheduler {
  readonly executionMode: "sync" | "async"
  private readonly inner: Scheduler.Scheduler
  /** Tasks that are to run. */
  private waiting = 0
  /** How many have run. */
  private ran = 0
  private readonly quiet = Latch.makeUnsafe(true)

  constructor(inner: Scheduler.Scheduler) {
    this.inner = inner
    this.executionMode = inner.executionMode
  }
  shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.inner.shouldYield(fiber)
  }
  makeDispatcher(): Scheduler.SchedulerDispatcher {
    const dispatcher = this.inner.makeDispatcher()
    return {
      scheduleTask: (task, priority) => {
        if (this.waiting++ === 0) this.quiet.closeUnsafe()
        dispatcher.scheduleTask(() => {
          this.ran++
          try {
            task()
          } finally {
            if (--this.waiting === 0) this.quiet.openUnsafe()
          }
        }, priority)
      },
      flush: () => dispatcher.flush()
    }
  }
  /**
   * Runs `act` while all are at rest and `may` holds. Fibers that never rest are at work on nothing that comes to an end:
   * after `tasksMax` of their turns they are not waited for.
   */
  whenQuiet(may: Latch.Latch, act: () => void, tasksMax: number): Effect.Effect<void> {
    const { ran } = this
    const next: Effect.Effect<void> = Effect.suspend(() => {
      if (!may.isOpen()) return Effect.andThen(may.await, next)
      // In the same step: in the next one they may be on their way again.
      if (this.waiting === 0 || this.ran - ran > tasksMax) {
        act()
        return Effect.void
      }
      // Those that never rest never open the latch.
      return Effect.andThen(Effect.raceFirst(this.quiet.await, Effect.yieldNow), next)
    })
    return next
  }
  /** Runs `effect` and what it forks under this scheduler. */
  readonly run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(effect, Scheduler.Scheduler, this)
}
