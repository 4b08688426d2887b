/**
 * The state of a log in memory, without Effect: the last `capacity` values with their sequences and times, and the groups
 * that hold some of them. Sequences are plain numbers here, exact up to 2^53; times are milliseconds since the epoch.
 *
 * The log is full when one more value would overwrite what a group that it waits for has not committed: a single
 * comparison of the head with `limit`, which is computed anew only when a group moves.
 */
import { Ring } from "./ring.ts"

/** Where to begin. */
export type Place = "head" | "oldest" | { readonly sequence: number } | { readonly time: number }

/** One acquiring of a group. */
export interface Hold {
  readonly group: string
  readonly epoch: number
  /** As they were when it was acquired. */
  readonly committed: number
  readonly attempts: ReadonlyMap<number, number>
}
/** A group as it is listed. */
export interface Listed {
  readonly name: string
  readonly committed: number
  readonly idleSince: number
}
export type Committed = "Committed" | "Stale" | "OutOfRange"

interface Group {
  /** Of whoever acquired it last. */
  epoch: number
  held: boolean
  committed: number
  attempts: ReadonlyMap<number, number>
  /** When it was released; says nothing while it is held. */
  idleSince: number
}

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
  private readonly groups = new Map<string, Group>()
  /** Of all groups together, so that a group that was removed and comes back has a higher one. */
  private epoch = 0
  /** The head at which the log is full. */
  private limit = Infinity

  constructor(options: LogOptions) {
    this.options = options
    this.ring = new Ring(options.capacity)
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
    let group = this.groups.get(name)
    if (group === undefined) {
      group = { epoch: 0, held: true, committed: this.sequenceOf(from) - 1, attempts: new Map(), idleSince: now }
      this.groups.set(name, group)
      this.moveLimit()
    }
    group.epoch = ++this.epoch
    group.held = true
    return { group: name, epoch: group.epoch, committed: group.committed, attempts: group.attempts }
  }
  /** Nothing where someone else has it now. */
  release(hold: Hold, now: number): void {
    const group = this.heldBy(hold)
    if (group === undefined) return
    group.held = false
    group.idleSince = now
  }
  commit(hold: Hold, through: number, attempts: Iterable<readonly [number, number]>): Committed {
    const group = this.heldBy(hold)
    if (group === undefined) return "Stale"
    const head = this.head()
    if (!(through >= group.committed && through < head)) return "OutOfRange"
    const kept = new Map<number, number>()
    for (const [sequence, count] of attempts) if (sequence > through && sequence < head) kept.set(sequence, count)
    group.committed = through
    group.attempts = kept
    this.moveLimit()
    return "Committed"
  }
  /** How far the group of a hold has committed, whoever holds it now. */
  committedOf(hold: Hold): number {
    return this.groups.get(hold.group)?.committed ?? -1
  }
  list(now: number): ReadonlyArray<Listed> {
    this.expireGroups(now)
    return Array.from(this.groups, ([name, group]) => ({
      name,
      committed: group.committed,
      idleSince: group.held ? now : group.idleSince
    }))
  }
  removeGroup(name: string): void {
    if (this.groups.delete(name)) this.moveLimit()
  }
  /** Removes the groups that have been idle for too long, and answers whether there were any. */
  expireGroups(now: number): boolean {
    const { size } = this.groups
    for (const [name, { held, idleSince }] of this.groups) {
      if (!held && now - idleSince >= this.options.groupIdleTimeout) this.groups.delete(name)
    }
    if (this.groups.size === size) return false
    this.moveLimit()
    return true
  }
  /** When the next of them will have been, if none of them moves; Infinity where all are held. */
  nextExpiry(): number {
    let next = Infinity
    for (const { held, idleSince } of this.groups.values()) {
      if (!held) next = Math.min(next, idleSince + this.options.groupIdleTimeout)
    }
    return next
  }
  /** The groups that keep the oldest value. */
  blockers(): ReadonlyArray<string> {
    const oldest = this.oldest()
    return Array.from(this.groups).filter(([, { committed }]) => committed < oldest).map(([name]) => name)
  }

  private heldBy({ epoch, group: name }: Hold): Group | undefined {
    const group = this.groups.get(name)
    return group !== undefined && group.held && group.epoch === epoch ? group : undefined
  }
  private moveLimit(): void {
    this.limit = Infinity
    if (this.options.expiresUnacknowledged) return
    for (const { committed } of this.groups.values()) {
      this.limit = Math.min(this.limit, committed + 1 + this.options.capacity)
    }
  }
}
