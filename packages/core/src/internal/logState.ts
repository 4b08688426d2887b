/**
 * The state of a log in memory, without Effect: the last `capacity` values with their sequences and times, and the groups
 * that hold some of them. Sequences are plain numbers here, exact up to 2^53; times are milliseconds since the epoch.
 *
 * The log is full when one more value would overwrite what a group that it waits for has not committed: a single
 * comparison of the head with `limit`, which is computed anew only when a group moves.
 */
import { type Committed, GroupTable, type Hold, type Listed } from "./groupTable.ts"
import { Ring } from "./ring.ts"

/** Where to begin. What is still to come is the head. */
export type Place = "head" | "oldest" | { readonly sequence: number } | { readonly time: number }

export interface LogOptions {
  readonly capacity: number
  /** Whether to let go of values that a group has not committed. */
  readonly expiresUnacknowledged: boolean
  /** How long a group that nobody holds is kept, in milliseconds. */
  readonly groupIdleTimeout: number
}

export class LogState<A> {
  readonly ring: Ring<A>
  private readonly options: LogOptions
  /** When the value in the same slot of the ring was appended. */
  private readonly times: Array<number>
  private newestAt = -Infinity
  private readonly groups: GroupTable
  /** The head at which the log is full. */
  private limit = Infinity

  constructor(options: LogOptions) {
    this.options = options
    this.ring = new Ring(options.capacity)
    this.groups = new GroupTable(options)
    this.times = options.capacity <= 2 ** 20 ? Array.from({ length: options.capacity }, () => 0) : []
  }
  /** The sequence of the next value. */
  head(): number {
    return this.ring.head()
  }
  oldest(): number {
    return this.ring.head() - this.ring.held()
  }
  isFull(): boolean {
    return this.ring.head() >= this.limit
  }
  /** Only where it is not full. Time does not go back in a log: a clock that does is not followed. */
  append(value: A, now: number): void {
    if (now > this.newestAt) this.newestAt = now
    this.times[this.ring.slot] = this.newestAt
    this.ring.push(value)
  }
  /** The value of a sequence that is kept. */
  valueAt(sequence: number): A {
    return this.ring.slots[sequence % this.ring.capacity]!
  }
  timeAt(sequence: number): number {
    return this.times[sequence % this.ring.capacity]!
  }
  /** The sequence at which to begin, which may have expired. What is still to come is the head. */
  sequenceOf(place: Place): number {
    if (place === "head") return this.head()
    if (place === "oldest") return this.oldest()
    if ("sequence" in place) return Math.min(place.sequence, this.head())
    let low = this.oldest()
    let high = this.head()
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (this.timeAt(middle) < place.time) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Takes a group over, or makes it. */
  acquire(name: string, from: Place, now: number): Hold {
    this.expireGroups(now)
    const hold = this.groups.acquire(name, this.sequenceOf(from), now)
    this.moveLimit()
    return hold
  }
  /** Whether anybody holds a group. */
  isHeld(): boolean {
    return this.groups.isHeld()
  }
  /** Nothing where someone else has it now. */
  release(hold: Hold, now: number): void {
    this.groups.release(hold, now)
  }
  commit(hold: Hold, through: number, attempts: Iterable<readonly [number, number]>): Committed["_tag"] {
    const { _tag } = this.groups.commit(hold, through, attempts, this.head())
    this.moveLimit()
    return _tag
  }
  /** How far the group of a hold has committed, whoever holds it now. */
  committedOf(hold: Hold): number {
    return this.groups.get(hold.group)?.committed ?? -1
  }
  list(now: number): ReadonlyArray<Listed> {
    this.expireGroups(now)
    return this.groups.list(now)
  }
  removeGroup(name: string): void {
    if (this.groups.remove(name)) this.moveLimit()
  }
  /** Removes the groups that have been idle for too long, and answers whether there were any. */
  expireGroups(now: number): boolean {
    if (this.groups.expire(now).length === 0) return false
    this.moveLimit()
    return true
  }
  /** When the next of them will have been, if none of them moves; Infinity where all are held. */
  nextExpiry(): number {
    return this.groups.nextExpiry()
  }
  /** The groups that keep the oldest value. */
  blockers(): ReadonlyArray<string> {
    return this.groups.holding(this.oldest())
  }

  private moveLimit(): void {
    this.limit = this.options.expiresUnacknowledged ? Infinity : this.groups.lowest() + 1 + this.options.capacity
  }
}
