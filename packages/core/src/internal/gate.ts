/**
 * Where readers wait and a push wakes them, one wake-up for many values. A push pays one branch (`idle`) while nobody
 * waits, and never runs a fiber itself: the wake-up is a microtask, so that a burst is pushed whole before its readers
 * run, and every 256th goes through the scheduler's dispatcher, so that the event loop turns even where two fibers do
 * nothing but wake each other.
 */
import { Effect, type Fiber, type Scheduler } from "effect"
import { microtask } from "./microtask.ts"
import { Parked, parking } from "./step.ts"

/** A reader that is called at each wake-up and needs its fiber for some of what it does only. */
export abstract class Pump extends Parked {
  /** Whether its fiber is suspended, and `pump` may be called. */
  parked = false
  /** Whether its fiber has left since this was last set to false. */
  interrupted = false
  /** Whether the next signal will call it. */
  listening = false
  /** Answers with an effect for the fiber to go on with, or with nothing and waits on. */
  abstract pump(): Effect.Effect<void, unknown, any> | undefined
  override suspend(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<never> {
    this.parked = true
    return super.suspend(fiber)
  }
  protected override left(): void {
    this.parked = false
    this.interrupted = true
  }
}

export class Gate {
  /** Someone waits and has not been told, or the gate is closed: all that a push asks before it goes on. */
  idle = false
  closed = false
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly more: () => boolean
  private readonly waiting = new Waiting(0)
  /** What the pumps that wait for the next signal have registered on. */
  private burst: PromiseWithResolvers<void> | undefined
  private signals = 0
  private releases = 0
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
    this.idle = this.closed
    if ((++this.signals & 255) === 0) return this.dispatcher.scheduleTask(this.releaseAll, 0)
    if (this.waiting.next !== this.waiting) microtask(this.release)
    this.runPumps()
  }
  /** For ever, and wakes all that wait. */
  close(): void {
    this.closed = true
    this.idle = true
    this.signalAll()
  }
  /** Wakes all that wait, whether or not there is something for them: they look, and may wait again. */
  signalAll(): void {
    this.everyone = true
    this.signal()
  }
  /** Waits for a signal, unless `ready` already holds when the fiber comes to wait, and goes on with `next`. */
  wait<A, E, R>(ready: () => boolean, next: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return parking((fiber) => {
      if (ready()) return next
      const waiting = new Waiting(this.releases, next)
      waiting.joinBefore(this.waiting)
      this.idle = true
      return waiting.suspend(fiber)
    })
  }
  /**
   * As `wait`, for a reader that need not resume its fiber: `pump` is called at each signal, until it answers with an
   * effect for the fiber. It is called in the async context that the fiber waits in, which registering on a native promise
   * keeps.
   */
  pump(ready: () => boolean, pump: Pump): Effect.Effect<void> {
    const listen = (): void => {
      pump.listening = true
      this.burst ??= Promise.withResolvers<void>()
      this.burst.promise.then(wake)
      this.idle = true
    }
    const wake = (): void => {
      pump.listening = false
      if (!pump.parked) return
      // Before the pump, so that what its handler pushes signals those that wait already.
      listen()
      const effect = pump.pump()
      if (effect !== undefined) pump.resume(effect)
    }
    return parking((fiber) => {
      if (ready()) return Effect.void
      if (!pump.listening) listen()
      return pump.suspend(fiber)
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
    const more = this.everyone ? () => true : this.more
    this.everyone = false
    const release = ++this.releases
    // Those that come to wait meanwhile are at the end, and wait for the next.
    let first = this.waiting.next
    while (first !== this.waiting && first.since < release && more()) {
      first.resume(first.effect)
      first = this.waiting.next
    }
    this.idle = this.closed || first !== this.waiting || this.burst !== undefined
  }
}

/** A fiber that waits, in a doubly linked list of them in the order in which they came; the list itself is one that does not. */
class Waiting extends Parked {
  /** How many releases had begun when it came. */
  readonly since: number
  /** What its fiber goes on with. */
  readonly effect: Effect.Effect<any, any, any>
  previous: Waiting = this
  next: Waiting = this

  constructor(since: number, effect: Effect.Effect<any, any, any> = Effect.void) {
    super()
    this.since = since
    this.effect = effect
  }
  joinBefore(next: Waiting): void {
    this.previous = next.previous
    this.next = next
    this.previous.next = this
    next.previous = this
  }
  protected override left(): void {
    this.previous.next = this.next
    this.next.previous = this.previous
  }
}
