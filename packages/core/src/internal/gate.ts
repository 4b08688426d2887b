/**
 * Where readers wait and a push wakes them, one wake-up for many values. A push pays one branch (`idle`) while nobody
 * waits, and never runs a fiber itself: the wake-up is a microtask, so that a burst is pushed whole before its readers
 * run, and every 256th goes through the scheduler's dispatcher, so that the event loop turns even where two fibers do
 * nothing but wake each other.
 */
import { Effect, type Scheduler } from "effect"
import { microtask } from "./microtask.ts"

export class Gate {
  /** Someone waits and has not been told. */
  idle = false
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly more: () => boolean
  private readonly waiting = new Set<() => void>()
  /** What the pumps that wait for the next signal have registered on. */
  private burst: PromiseWithResolvers<void> | undefined
  private signals = 0
  private everyone = false

  /**
   * `more` says whether there is still something to wake anyone for. Where readers compete, those for whom nothing is
   * left so keep their place, and each gets its turn.
   */
  constructor(dispatcher: Scheduler.SchedulerDispatcher, more: () => boolean) {
    this.dispatcher = dispatcher
    this.more = more
  }
  /** Wakes those that wait, in the order in which they came, in a later turn. */
  signal(): void {
    if (!this.idle) return
    this.idle = false
    if ((++this.signals & 255) === 0) return this.dispatcher.scheduleTask(this.releaseAll, 0)
    if (this.waiting.size > 0) microtask(this.release)
    this.runPumps()
  }
  /** Wakes all that wait, whether or not there is something for them: they look, and may wait again. */
  signalAll(): void {
    this.everyone = true
    this.signal()
  }
  /** Waits for a signal, unless `ready` already holds when the fiber comes to wait. */
  wait(ready: () => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (ready()) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.waiting.add(wake)
      this.idle = true
      return Effect.sync(() => this.waiting.delete(wake))
    })
  }
  /**
   * As `wait`, for a reader that does not need its fiber: `pump` is called at each signal, until it answers with an effect
   * for the fiber to go on with. It is called in the async context that the fiber waits in, which registering on a native
   * promise keeps.
   */
  pump<E, R>(ready: () => boolean, pump: () => Effect.Effect<void, E, R> | undefined): Effect.Effect<void, E, R> {
    return Effect.callback<void, E, R>((resume) => {
      if (ready()) return resume(Effect.void)
      let live = true
      const park = (): void => {
        this.burst ??= Promise.withResolvers<void>()
        this.burst.promise.then(wake)
        this.idle = true
      }
      const wake = (): void => {
        if (!live) return
        // Before the pump, so that what its handler pushes signals those that wait already.
        park()
        const effect = pump()
        if (effect === undefined) return
        live = false
        resume(effect)
      }
      park()
      return Effect.sync(() => {
        live = false
      })
    })
  }
  private runPumps(): void {
    const { burst } = this
    this.burst = undefined
    burst?.resolve()
  }
  private readonly releaseAll = (): void => {
    this.runPumps()
    this.release()
  }
  private readonly release = (): void => {
    const everyone = this.everyone
    this.everyone = false
    for (const wake of Array.from(this.waiting)) {
      if (!everyone && !this.more()) break
      this.waiting.delete(wake)
      wake()
    }
    this.idle = this.waiting.size > 0 || this.burst !== undefined
  }
}
