/** The newest value. A reader gets the current one once, then each change it is in time for; skipped ones are counted. */
import { Option } from "effect"
import type { Produced } from "../../Producer.ts"
import { type Counts, type Cursor, Empty } from "../cursor.ts"
import { GatedStore, PumpedCursor } from "../store.ts"

export class SingleLatest<A> extends GatedStore<A> {
  readonly kind = "SingleLatest"
  produced = 0
  readonly capacity = 1
  value: A | typeof Empty = Empty
  /** Whether a reader has had the current value. */
  taken = true

  push(value: A): Produced {
    if (this.closed) return "Closed"
    if (!this.taken) this.overwritten++
    this.taken = false
    this.value = value
    this.produced++
    if (this.gate.idle) this.gate.signal()
    return "Accepted"
  }
  open(): Cursor<A> {
    return new LatestCursor(this)
  }
  latest(): Option.Option<A> {
    return this.value === Empty ? Option.none() : Option.some(this.value)
  }
  held(): number {
    return this.value === Empty ? 0 : 1
  }
}

class LatestCursor<A> extends PumpedCursor<A> {
  private readonly store: SingleLatest<A>
  private received = 0
  private conflated = 0
  /** How many values had been produced when this reader last took one. */
  private seen: number

  constructor(store: SingleLatest<A>) {
    super(store)
    this.store = store
    // The current value is still to come; what was produced before it is nothing that this reader skipped.
    this.seen = Math.max(0, store.produced - 1)
  }
  take(): A | typeof Empty {
    const store = this.store
    if (this.seen === store.produced) return Empty
    this.conflated += store.produced - this.seen - 1
    this.seen = store.produced
    this.received++
    store.taken = true
    return store.value
  }
  override close(): void {
    // Of what it left, all but the newest would have been skipped.
    if (!this.detached && this.available() > 0) this.conflated += this.store.produced - this.seen - 1
    super.close()
  }
  counts(): Counts {
    return { received: this.received, lagged: 0, conflated: this.conflated }
  }
  available(): number {
    return this.seen === this.store.produced ? 0 : 1
  }
}
