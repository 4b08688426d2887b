/** The last `capacity` values. Never refuses; a reader that falls behind is told exactly how many it missed. */
import { Option, type Scheduler } from "effect"
import type { Produced } from "../../Producer.ts"
import { type Cursor, Overrun, type Polled } from "../cursor.ts"
import { Ring, RingPosition } from "../ring.ts"
import { GatedStore, PumpedCursor } from "../store.ts"

export class SpmcRing<A> extends GatedStore<A> {
  readonly kind = "SpmcRing"
  readonly capacity: number
  readonly ring: Ring<A>

  constructor(capacity: number, dispatcher: Scheduler.SchedulerDispatcher) {
    super(dispatcher)
    this.capacity = capacity
    this.ring = new Ring(capacity)
  }
  push(value: A): Produced {
    if (this.closed) return "Closed"
    this.ring.push(value)
    this.produced++
    if (this.gate.idle) this.gate.signal()
    return "Accepted"
  }
  open(): Cursor<A> {
    return new RingCursor(this)
  }
  latest(): Option.Option<A> {
    return this.ring.head === 0 ? Option.none() : Option.some(this.ring.newest())
  }
  held(): number {
    return this.ring.held()
  }
}

class RingCursor<A> extends PumpedCursor<A> {
  private readonly position: RingPosition<A>

  constructor(store: SpmcRing<A>) {
    super(store)
    this.position = new RingPosition(store.ring)
  }
  take(): Polled<A> {
    const taken = this.position.take()
    if (taken === Overrun) this.missed = this.position.missed
    return taken
  }
  available(): number {
    return this.position.pending()
  }
}
