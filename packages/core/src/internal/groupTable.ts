/**
 * The groups of a log that has one writer process, without Effect: who holds which, how far each has committed, and since
 * when it is idle. Sequences are plain numbers, exact up to 2^53; times are milliseconds since the epoch.
 *
 * It keeps nothing durable: an engine stores what `entries` shows, and `epoch`, and puts it back by `restore`. Groups go
 * only by `remove` and `expire`, so that an engine knows of each one that went.
 */

/** One acquiring of a group: what it shows is as it was then. */
export interface Hold {
  readonly group: string
  /** Higher than that of every earlier hold, also after the group was removed and came back. */
  readonly epoch: number
  /** -1 before the first. */
  readonly committed: number
  readonly attempts: ReadonlyMap<number, number>
}
/** A group as it is listed. `idleSince`: now, where it is held. */
export interface Listed {
  readonly name: string
  readonly committed: number
  readonly idleSince: number
}
/** What became of a commit. One that is out of range has changed nothing. */
export type Committed =
  | { readonly _tag: "Committed" }
  | { readonly _tag: "Stale" }
  | { readonly _tag: "OutOfRange"; readonly committed: number; readonly head: number }

/** A group as it is kept. */
export interface GroupState {
  /** Of whoever acquired it last. */
  readonly epoch: number
  readonly held: boolean
  readonly committed: number
  readonly attempts: ReadonlyMap<number, number>
  /** When it was released; says nothing while it is held. */
  readonly idleSince: number
}
type Writable<A> = { -readonly [K in keyof A]: A[K] }

const committed: Committed = { _tag: "Committed" }
const stale: Committed = { _tag: "Stale" }

export class GroupTable {
  /** Raised by each acquiring, of all groups together: a group that was removed and comes back has a higher one. */
  epoch = 0
  private readonly groups = new Map<string, Writable<GroupState>>()
  private readonly groupIdleTimeout: number

  /** `groupIdleTimeout`: how long a group that nobody holds is kept, in milliseconds; Infinity for ever. */
  constructor(options: { readonly groupIdleTimeout: number }) {
    this.groupIdleTimeout = options.groupIdleTimeout
  }
  /** Takes a group over, or makes it: a new one begins at the sequence `first`. `expire` comes before it. */
  acquire(name: string, first: number, now: number): Hold {
    let group = this.groups.get(name)
    if (group === undefined) {
      group = { epoch: 0, held: true, committed: first - 1, attempts: new Map(), idleSince: now }
      this.groups.set(name, group)
    }
    group.epoch = ++this.epoch
    group.held = true
    return { group: name, epoch: group.epoch, committed: group.committed, attempts: group.attempts }
  }
  /** False, and nothing, where someone else has it now. */
  release(hold: Hold, now: number): boolean {
    const group = this.heldBy(hold)
    if (group === undefined) return false
    group.held = false
    group.idleSince = now
    return true
  }
  /** `attempts` take the place of those before; what is not above `through` and below `head` is left out. */
  commit(hold: Hold, through: number, attempts: Iterable<readonly [number, number]>, head: number): Committed {
    const group = this.heldBy(hold)
    if (group === undefined) return stale
    if (!(through >= group.committed && through < head)) {
      return { _tag: "OutOfRange", committed: group.committed, head }
    }
    const kept = new Map<number, number>()
    for (const [sequence, count] of attempts) if (sequence > through && sequence < head) kept.set(sequence, count)
    group.committed = through
    group.attempts = kept
    return committed
  }
  /** In the order in which they were made; also those whose time is over, until `expire`. */
  list(now: number): ReadonlyArray<Listed> {
    return Array.from(this.groups, ([name, { committed, held, idleSince }]) => ({
      name,
      committed,
      idleSince: held ? now : idleSince
    }))
  }
  /** Whether there was such a group. */
  remove(name: string): boolean {
    return this.groups.delete(name)
  }
  /** Removes the groups that have been idle for too long, and answers with their names. */
  expire(now: number): ReadonlyArray<string> {
    const gone: Array<string> = []
    for (const [name, { held, idleSince }] of this.groups) {
      if (held || now - idleSince < this.groupIdleTimeout) continue
      this.groups.delete(name)
      gone.push(name)
    }
    return gone
  }
  /** When the next of them will have been, if none of them moves; Infinity where all are held. */
  nextExpiry(): number {
    let next = Infinity
    for (const { held, idleSince } of this.groups.values()) {
      if (!held) next = Math.min(next, idleSince + this.groupIdleTimeout)
    }
    return next
  }
  /** Whether anybody holds any of them. */
  isHeld(): boolean {
    for (const { held } of this.groups.values()) if (held) return true
    return false
  }
  /** The lowest committed of all groups; Infinity where there is none. */
  lowest(): number {
    let lowest = Infinity
    for (const { committed } of this.groups.values()) lowest = Math.min(lowest, committed)
    return lowest
  }
  /** Names of the groups that have not committed `sequence`. */
  holding(sequence: number): ReadonlyArray<string> {
    return Array.from(this.groups).filter(([, { committed }]) => committed < sequence).map(([name]) => name)
  }
  get(name: string): GroupState | undefined {
    return this.groups.get(name)
  }
  entries(): Iterable<readonly [string, GroupState]> {
    return this.groups
  }
  /** As it was stored, at opening; nobody holds it. `epoch` of the table is at least that of the group from then on. */
  restore(name: string, state: Omit<GroupState, "held">): void {
    const { attempts, committed, epoch, idleSince } = state
    this.groups.set(name, { epoch, held: false, committed, attempts, idleSince })
    this.epoch = Math.max(this.epoch, epoch)
  }

  private heldBy({ epoch, group: name }: Hold): Writable<GroupState> | undefined {
    const group = this.groups.get(name)
    return group !== undefined && group.held && group.epoch === epoch ? group : undefined
  }
}
