/**
 * The arithmetic of an overwriting ring, without Effect: one write position, any number of read positions, exact lag.
 * Positions count values since the start; `slot` is the same position modulo the capacity, kept beside it so that no
 * step divides. Source: the sequence arithmetic of the LMAX Disruptor, with overwriting instead of a gating sequence.
 */
import { Empty, Overrun, type Polled } from "./cursor.ts"

/** The last `capacity` values produced. */
export class Ring<A> {
  readonly capacity: number
  readonly slots: Array<A>
  /** The position of the next value; also how many were produced. */
  head = 0
  headSlot = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.slots = []
  }
  push(value: A): void {
    this.slots[this.headSlot] = value
    this.head++
    if (++this.headSlot === this.capacity) this.headSlot = 0
  }
  held(): number {
    return this.head < this.capacity ? this.head : this.capacity
  }
  /** The newest value; only where `held() > 0`. */
  newest(): A {
    return this.slots[this.headSlot === 0 ? this.capacity - 1 : this.headSlot - 1]!
  }
}

/** One read position in a ring. Starts at the next value produced. */
export class RingPosition<A> {
  readonly ring: Ring<A>
  next: number
  nextSlot: number
  /** How many values the last `Overrun` skipped. */
  missed = 0

  constructor(ring: Ring<A>) {
    this.ring = ring
    this.next = ring.head
    this.nextSlot = ring.headSlot
  }
  /** Values produced and not yet read, overwritten ones included. */
  pending(): number {
    return this.ring.head - this.next
  }
  take(): Polled<A> {
    const ring = this.ring
    const behind = ring.head - this.next
    if (behind === 0) return Empty
    if (behind > ring.capacity) {
      // Full, so the oldest value held is where the next one will go.
      this.missed = behind - ring.capacity
      this.next = ring.head - ring.capacity
      this.nextSlot = ring.headSlot
      return Overrun
    }
    const value = ring.slots[this.nextSlot]!
    this.next++
    if (++this.nextSlot === ring.capacity) this.nextSlot = 0
    return value
  }
}
