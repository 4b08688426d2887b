/**
 * The arithmetic of an overwriting ring, without Effect: one write position, any number of read positions, exact lag. A
 * position counts values since the start. It is kept as its slot and the position of slot 0 in the same lap, so that a
 * step divides nothing, writes one number, and stays in small integers however many values there were. Source: the
 * sequence arithmetic of the LMAX Disruptor, with overwriting instead of a gating sequence.
 */
import { Empty, Overrun, type Polled } from "./cursor.ts"

/** The last `capacity` values produced. */
export class Ring<A> {
  readonly capacity: number
  readonly slots: Array<A>
  lap = 0
  slot = 0

  constructor(capacity: number) {
    this.capacity = capacity
    // At its size from the start, 8 bytes a slot; a huge one grows with what it holds.
    this.slots = capacity <= 2 ** 20 ? Array.from({ length: capacity }) : []
  }
  /** The position of the next value; also how many were produced. */
  head(): number {
    return this.lap + this.slot
  }
  push(value: A): void {
    this.slots[this.slot] = value
    if (++this.slot === this.capacity) {
      this.slot = 0
      this.lap += this.capacity
    }
  }
  held(): number {
    return Math.min(this.head(), this.capacity)
  }
  /** The newest value; only where `held() > 0`. */
  newest(): A {
    return this.slots[(this.slot === 0 ? this.capacity : this.slot) - 1]!
  }
}

/** One read position in a ring. Starts at the next value produced, or at `from`, which may be overwritten already. */
export class RingPosition<A> {
  readonly ring: Ring<A>
  private readonly first: number
  lap: number
  slot: number
  /** How many values the last `Overrun` skipped. */
  missed = 0
  /** How many all of them did. */
  skipped = 0

  constructor(ring: Ring<A>, from = ring.head()) {
    this.ring = ring
    this.first = from
    this.slot = from % ring.capacity
    this.lap = from - this.slot
  }
  /** How many values were taken. */
  taken(): number {
    return this.lap + this.slot - this.first - this.skipped
  }
  /** Values produced and not yet read, overwritten ones included. */
  pending(): number {
    return this.ring.lap - this.lap + (this.ring.slot - this.slot)
  }
  /** Whether values that it has not taken were overwritten. */
  isOverrun(): boolean {
    return this.pending() > this.ring.capacity
  }
  /** Up to `max` of those pending; only where none was overwritten. */
  takeMany(max: number): Array<A> {
    const { capacity, slots } = this.ring
    const count = Math.min(this.pending(), max)
    const end = this.slot + count
    if (end < capacity) {
      const values = slots.slice(this.slot, end)
      this.slot = end
      return values
    }
    const values = slots.slice(this.slot, capacity)
    this.slot = end - capacity
    this.lap += capacity
    for (let slot = 0; slot < this.slot; slot++) values.push(slots[slot]!)
    return values
  }
  take(): Polled<A> {
    const { capacity, slots } = this.ring
    const behind = this.pending()
    if (behind === 0) return Empty
    if (behind > capacity) {
      // Full, so the oldest value held is where the next one will go.
      this.missed = behind - capacity
      this.skipped += this.missed
      this.lap = this.ring.lap - capacity
      this.slot = this.ring.slot
      return Overrun
    }
    const value = slots[this.slot]!
    if (++this.slot === capacity) {
      this.slot = 0
      this.lap += capacity
    }
    return value
  }
}
