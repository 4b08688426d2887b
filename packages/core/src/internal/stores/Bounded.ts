/** Values until every reader has read them. Full, it refuses or lets the producer wait. */
import { type Clock, Option, type Scheduler } from "effect"
import type { Produced } from "../../Producer.ts"
import { Backlog, type BacklogPosition } from "../backlog.ts"
import { type Counts, type Cursor, Empty, Ended, type Taker } from "../cursor.ts"
import { RefusingStore } from "../refusingStore.ts"
import { PumpedCursor } from "../store.ts"
import { Traced } from "../traced.ts"

export class Bounded<A> extends RefusingStore<A> {
  readonly kind = "Bounded"
  readonly capacity: number
  readonly backlog: Backlog<A>
  get produced(): number {
    return this.backlog.head
  }
  constructor(capacity: number, dispatcher: Scheduler.SchedulerDispatcher, clock: Clock.Clock) {
    super(dispatcher, clock)
    this.capacity = capacity
    this.backlog = new Backlog(capacity)
  }
  push(value: A): Produced {
    if (this.closed) return "Closed"
    if (this.waiters.size > 0 || this.backlog.isFull()) return this.refusal
    this.backlog.put(value)
    if (this.gate.idle) this.gate.signal()
    return "Accepted"
  }
  isFull(): boolean {
    return this.backlog.isFull()
  }
  put(value: A): void {
    this.backlog.put(value)
  }
  open(): Cursor<A> {
    this.orphaned = false
    return new BoundedCursor(this)
  }
  latest(): Option.Option<A> {
    return this.held() === 0 ? Option.none() : Option.some(this.backlog.newest() as A)
  }
  held(): number {
    return this.backlog.held()
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
