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
  /** The oldest position still held. */
  tail = 0
  private tailSlot = 0
  /** How many positions stand at the tail: it moves when the last of them goes on. */
  private atTail = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }
  held(): number {
    return this.head - this.tail
  }
  isFull(): boolean {
    return this.head - this.tail === this.capacity
  }
  /** Only where it is not full. */
  put(value: A): void {
    this.slots[this.slotOf(this.head)] = value
    this.head++
  }
  newest(): A | undefined {
    return this.head === this.tail ? undefined : this.slots[this.slotOf(this.head - 1)]
  }
  /** A new position at the oldest value held. */
  open(): BacklogPosition<A> {
    const position = new BacklogPosition<A>(this.tail)
    this.positions.add(position)
    this.atTail++
    return position
  }
  /** What `position` alone held back is freed; what the last position left is kept for the next. */
  close(position: BacklogPosition<A>): void {
    if (this.positions.delete(position) && position.next === this.tail) this.leaveTail()
  }
  take(position: BacklogPosition<A>): A | typeof Empty {
    if (position.next === this.head) return Empty
    const value = this.slots[this.slotOf(position.next)] as A
    if (position.next++ === this.tail) this.leaveTail()
    return value
  }
  private slotOf(position: number): number {
    const slot = this.tailSlot + (position - this.tail)
    return slot < this.capacity ? slot : slot - this.capacity
  }
  private leaveTail(): void {
    if (--this.atTail > 0 || this.positions.size === 0) return
    let oldest = this.head
    for (const position of this.positions) if (position.next < oldest) oldest = position.next
    while (this.tail < oldest) {
      this.slots[this.tailSlot] = undefined
      this.tail++
      if (++this.tailSlot === this.capacity) this.tailSlot = 0
    }
    this.atTail = 0
    for (const position of this.positions) if (position.next === oldest) this.atTail++
  }
}

/** One reader's position in a backlog. */
export class BacklogPosition<A> {
  /** Keeps the type parameter: a position belongs to a backlog of `A`. */
  declare readonly "~A": A
  next: number
  constructor(next: number) {
    this.next = next
  }
}
