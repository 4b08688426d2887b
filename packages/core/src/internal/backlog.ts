/**
 * The arithmetic of a bounded buffer, without Effect: values stay until every position has passed them, and with no
 * position at all until the next one comes. Positions count values since the start.
 */
import { Empty } from "./cursor.ts"

/** At most `capacity` values, kept for the slowest position. */
export class Backlog<A> {
  readonly capacity: number
  private readonly slots: Array<A | undefined> = []
  private readonly positions = new Set<BacklogPosition<A>>()
  /** The position of the next value; also how many were put. */
  head = 0
  private headSlot = 0
  /** The oldest position still held, as far as `release` has found. */
  private tail = 0
  private tailSlot = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }
  held(): number {
    this.release()
    return this.head - this.tail
  }
  isFull(): boolean {
    return this.head - this.tail === this.capacity && this.held() === this.capacity
  }
  /** Only where it is not full. */
  put(value: A): void {
    this.slots[this.headSlot] = value
    this.head++
    if (++this.headSlot === this.capacity) this.headSlot = 0
  }
  newest(): A | undefined {
    return this.held() === 0 ? undefined : this.slots[(this.headSlot === 0 ? this.capacity : this.headSlot) - 1]
  }
  /** A new position at the oldest value held. */
  open(): BacklogPosition<A> {
    this.release()
    const position = new BacklogPosition<A>(this.tail, this.tailSlot)
    this.positions.add(position)
    return position
  }
  /** What `position` alone held back is freed; what the last position left is kept for the next. */
  close(position: BacklogPosition<A>): void {
    this.release()
    this.positions.delete(position)
  }
  take(position: BacklogPosition<A>): A | typeof Empty {
    if (position.next === this.head) {
      // Nobody asks how much is held while values flow: what was read is let go of once a reader has caught up.
      if (this.tail !== this.head) this.release()
      return Empty
    }
    const value = this.slots[position.slot] as A
    position.next++
    if (++position.slot === this.capacity) position.slot = 0
    return value
  }
  /** Lets go of what every position has passed. */
  private release(): void {
    if (this.positions.size === 0) return
    let oldest = this.head
    for (const { next } of this.positions) if (next < oldest) oldest = next
    for (; this.tail < oldest; this.tail++) {
      this.slots[this.tailSlot] = undefined
      if (++this.tailSlot === this.capacity) this.tailSlot = 0
    }
  }
}

/** One reader's position in a backlog. */
export class BacklogPosition<A> {
  /** Keeps the type parameter: a position belongs to a backlog of `A`. */
  declare readonly "~A": A
  next: number
  slot: number
  private readonly first: number
  constructor(next: number, slot: number) {
    this.first = this.next = next
    this.slot = slot
  }
  /** How many values were taken. */
  taken(): number {
    return this.next - this.first
  }
}
