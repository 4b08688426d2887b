/** An Effect PubSub behind a record, with the PubSub's own semantics: each reader sees every value from now on. */
import { Effect, MutableList, Option, PubSub, type Scheduler, type Scope } from "effect"
import { PreventSchedulerYield } from "effect/Scheduler"
import type { Produced } from "../../Producer.ts"
import { type Counts, type Cursor, Empty, Ended, type Polled } from "../cursor.ts"
import { Offering } from "../offering.ts"
import { GatedCursor, GatedStore } from "../store.ts"
import type { Waits } from "../waits.ts"

export class FromPubSub<A> extends GatedStore<A> {
  readonly kind = "PubSub"
  produced = 0
  readonly pubsub: PubSub.PubSub<A>
  private last: Option.Option<A> = Option.none()
  private readonly offering = new Offering()
  override get keepsSpans(): boolean {
    return false
  }

  constructor(pubsub: PubSub.PubSub<A>, dispatcher: Scheduler.SchedulerDispatcher) {
    super(dispatcher)
    this.pubsub = pubsub
  }
  get capacity(): number {
    return PubSub.capacity(this.pubsub)
  }
  push(value: A): Produced {
    if (this.closed || this.isOver()) return "Closed"
    if (PubSub.publishUnsafe(this.pubsub, value)) return this.accepted(value)
    if (!(this.pubsub.strategy instanceof PubSub.SlidingStrategy)) return "Full"
    // `publishUnsafe` bypasses the strategy; `publish` slides, and does not suspend where it does.
    Effect.runSync(PubSub.publish(this.pubsub, value))
    this.overwritten++
    return this.accepted(value)
  }
  override offer(value: A, waits?: Waits): Effect.Effect<Produced> {
    if (this.pubsub.strategy instanceof PubSub.DroppingStrategy) return Effect.succeed("Full")
    return this.offering.wait(
      Effect.map(
        PubSub.publish(this.pubsub, value),
        (taken) => taken ? this.accepted(value) : this.isOver() ? "Closed" : "Full"
      ),
      waits
    )
  }
  override close(): void {
    this.offering.close()
    super.close()
  }
  override readonly subscribe: Effect.Effect<Cursor<A>, never, Scope.Scope> = Effect.suspend(() =>
    Effect.map(PubSub.subscribe(this.pubsub), (subscription) => new PubSubCursor(this, subscription))
  )
  open(): Cursor<A> {
    throw new Error("a PubSub is subscribed to by an Effect: see subscribe")
  }
  latest(): Option.Option<A> {
    return this.last
  }
  held(): number {
    return PubSub.isShutdownUnsafe(this.pubsub) ? 0 : PubSub.sizeUnsafe(this.pubsub)
  }
  private isOver(): boolean {
    return PubSub.isShutdownUnsafe(this.pubsub) || Option.isSome(this.pubsub.ended.current)
  }
  private accepted(value: A): Produced {
    this.last = Option.some(value)
    this.produced++
    return "Accepted"
  }
}

class PubSubCursor<A> extends GatedCursor<A> {
  private readonly subscription: PubSub.Subscription<A>
  /**
   * What arrived while a fiber waited that has not come for it, since a PubSub cannot be waited on without taking; and
   * what was taken back.
   */
  private readonly arrived: Array<A> = []
  private endTold = false
  private readonly arrivalOrClose: Effect.Effect<void>
  /** How many fibers wait. */
  private waiting = 0
  private received = 0

  constructor(store: FromPubSub<A>, subscription: PubSub.Subscription<A>) {
    super(store)
    this.subscription = subscription
    // What is there already is not taken here: that lets publishers in, who may interrupt whoever waits.
    const arrival = Effect.suspend(() => this.isReady() ? Effect.void : this.arrive).pipe(
      // No yield between the take and the array, so that an interrupt cannot come in between.
      Effect.provideService(PreventSchedulerYield, true),
      Effect.exit
    )
    const arrivalOrClose = Effect.asVoid(Effect.raceFirst(arrival, super.wait(Effect.void)))
    this.arrivalOrClose = Effect.acquireUseRelease(
      Effect.sync(() => this.waiting++),
      () => arrivalOrClose,
      () => Effect.sync(() => this.waiting--)
    )
  }
  private get arrive(): Effect.Effect<void> {
    return Effect.map(PubSub.take(this.subscription), (value) => {
      if (this.isEnd(value)) {
        if (this.endTold) return
        this.endTold = true
      }
      this.arrived.push(value)
      // Whoever waited for it may be interrupted on the way here: the others look as well.
      if (this.waiting > 1) this.owner.gate.signalAll()
    })
  }
  override wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R> {
    return Effect.andThen(this.arrivalOrClose, next)
  }
  take(): Polled<A> {
    const taken = this.next()
    if (taken !== Empty && taken !== Ended) this.received++
    return taken
  }
  private next(): Polled<A> {
    if (this.arrived.length > 0) return this.arrived.shift()!
    const { ended, pubsub, replayWindow, shutdownFlag, strategy, subscribers } = this.subscription
    if (shutdownFlag.current) return Ended
    if (replayWindow.remaining > 0) return replayWindow.take()!
    const taken = this.subscription.subscription.poll()
    if (taken !== MutableList.Empty) {
      strategy.onPubSubEmptySpaceUnsafe(pubsub, subscribers)
      return taken
    }
    if (Option.isNone(ended.current)) return Empty
    // `PubSub.end` gives its last value to every later take; here it is told once.
    if (this.endTold) return Ended
    this.endTold = true
    return ended.current.value
  }
  override untake(value: A): void {
    this.received--
    this.arrived.unshift(value)
    this.owner.gate.signalAll()
  }
  counts(): Counts {
    return { received: this.received, lagged: 0, conflated: 0 }
  }
  available(): number {
    return this.arrived.length + Option.getOrElse(PubSub.remainingUnsafe(this.subscription), () => 0)
  }
  private isEnd(value: A): boolean {
    const { ended, subscription } = this.subscription
    return Option.isSome(ended.current) && ended.current.value === value && subscription.isEmpty()
  }
}
