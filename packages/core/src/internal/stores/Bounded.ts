/**
 * Values until every reader has read them. Full, it refuses or lets the producer wait: first come, first served, never
 * overtaken, and never beside free room for longer than the turn that made the room.
 */
import { type Clock, Effect, Option, type Scheduler } from "effect"
import type { Produced } from "../../Producer.ts"
import { Backlog, type BacklogPosition } from "../backlog.ts"
import { Contention } from "../contention.ts"
import { type Counts, type Cursor, Empty, Ended, type Taker } from "../cursor.ts"
import { microtask } from "../microtask.ts"
import { Parked, parking } from "../step.ts"
import { GatedStore, PumpedCursor } from "../store.ts"
import { Traced } from "../traced.ts"

const accepted = Effect.succeed<Produced>("Accepted")
const refused = Effect.succeed<Produced>("Closed")

export class Bounded<A> extends GatedStore<A> {
  readonly kind = "Bounded"
  readonly capacity: number
  readonly backlog: Backlog<A>
  get produced(): number {
    return this.backlog.head
  }
  /** Producers that wait for room, in the order in which they came. */
  private readonly waiters = new Set<Waiter<A>>()
  private admitting = false
  readonly contention: Contention

  constructor(capacity: number, dispatcher: Scheduler.SchedulerDispatcher, clock: Clock.Clock) {
    super(dispatcher)
    this.capacity = capacity
    this.backlog = new Backlog(capacity)
    this.contention = new Contention(clock)
  }
  push(value: A): Produced {
    if (this.closed) return "Closed"
    if (this.waiters.size > 0 || this.backlog.isFull()) return "Full"
    this.backlog.put(value)
    if (this.gate.idle) this.gate.signal()
    return "Accepted"
  }
  override offer(value: A): Effect.Effect<Produced> {
    return parking<Produced>((fiber) => {
      const pushed = this.push(value)
      return pushed === "Full" ? new Waiter(this, value).suspend(fiber) : Effect.succeed(pushed)
    })
  }
  /** `waiter` comes to wait. */
  join(waiter: Waiter<A>): void {
    this.waiters.add(waiter)
    if (this.waiters.size === 1) this.contention.begin()
  }
  /** `waiter` does not wait any more, if it still did. */
  leave(waiter: Waiter<A>): void {
    if (this.waiters.delete(waiter) && this.waiters.size === 0) this.contention.end()
  }
  open(): Cursor<A> {
    return new BoundedCursor(this)
  }
  latest(): Option.Option<A> {
    return this.held() === 0 ? Option.none() : Option.some(this.backlog.newest() as A)
  }
  held(): number {
    return this.backlog.held()
  }
  override close(): void {
    super.close()
    const waiters = [...this.waiters]
    this.waiters.clear()
    this.contention.end()
    // In a later turn: whoever closes must not run the producers' fibers inside its own step.
    if (waiters.length > 0) microtask(() => waiters.forEach((waiter) => waiter.resume(refused)))
  }
  /**
   * Lets waiting producers in once the present turn ends: a reader that goes on reading makes room for many of them,
   * and wakes them once.
   */
  roomMade(): void {
    if (this.admitting || this.waiters.size === 0) return
    this.admitting = true
    microtask(this.admit)
  }
  private readonly admit = (): void => {
    this.admitting = false
    const admitted: Array<Waiter<A>> = []
    for (const waiter of this.waiters) {
      if (this.backlog.isFull()) break
      this.waiters.delete(waiter)
      this.backlog.put(waiter.value)
      admitted.push(waiter)
    }
    if (this.waiters.size === 0) this.contention.end()
    else if (admitted.length > 0) this.contention.begin()
    if (admitted.length > 0) this.gate.signal()
    // Only now: a producer that is resumed may produce again at once.
    for (const waiter of admitted) waiter.resume(accepted)
  }
}

/** A producer that waits for room. */
class Waiter<A> extends Parked {
  readonly value: A
  private readonly store: Bounded<A>
  constructor(store: Bounded<A>, value: A) {
    super()
    this.store = store
    this.value = value
    store.join(this)
  }
  protected override left(): void {
    this.store.leave(this)
  }
}

class BoundedCursor<A> extends PumpedCursor<A> {
  private readonly store: Bounded<A>
  private readonly position: BacklogPosition<A>

  constructor(store: Bounded<A>) {
    super(store)
    this.store = store
    this.position = store.backlog.open()
  }
  take(): A | typeof Empty {
    const taken = this.store.backlog.take(this.position)
    this.store.roomMade()
    return taken
  }
  counts(): Counts {
    return { received: this.position.taken(), lagged: 0, conflated: 0 }
  }
  /** As `poll` would, with all of it in one loop. */
  override feed(taker: Taker<A>): ReturnType<Cursor<A>["feed"]> {
    const { position, store } = this
    while (!this.detached) {
      const taken = store.backlog.take(position)
      if (taken === Empty) return store.gate.closed ? Ended : Empty
      store.roomMade()
      const more = taken instanceof Traced ? taker.takes(taken.value, taken.span) : taker.takes(taken, undefined)
      if (!more) return undefined
    }
    return Ended
  }
  available(): number {
    return this.store.backlog.head - this.position.next
  }
  override close(): void {
    if (this.detached) return
    super.close()
    this.store.backlog.close(this.position)
    this.store.roomMade()
  }
}
