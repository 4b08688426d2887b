/** One record of a journal, as an engine of a log. */
import { type Committed, type Engine, GroupTable, type Hold, type Listed, type Place } from "@sluice/core/Engine"
import { Effect } from "effect"
import type { Failure } from "./block.ts"
import type { JournalCore } from "./journalCore.ts"
import type { Limits, RecordState } from "./journalState.ts"

export interface JournalEngineOptions {
  readonly key: string
  /** Of the schema by which new values are encoded. */
  readonly version: number
  readonly limits: Limits
  /** In milliseconds. */
  readonly groupIdleTimeout: number
}

export class JournalEngine implements Engine {
  readonly kind = "Journal"
  readonly durability = "fsynced"
  readonly capacity: number
  private readonly core: JournalCore
  private readonly record: RecordState
  private readonly version: number
  private newestAt: number

  constructor(core: JournalCore, { groupIdleTimeout, key, limits, version }: JournalEngineOptions) {
    this.core = core
    this.version = version
    this.capacity = limits.count
    this.record = core.record(key)
    this.record.limits = limits
    this.newestAt = this.record.newestAt
    const groups = new GroupTable({ groupIdleTimeout })
    groups.epoch = this.record.groups.epoch
    const now = this.now()
    for (const [name, state] of this.record.groups.entries()) {
      // Of one that was held when the process ended nobody knows since when it is idle.
      groups.restore(name, { ...state, idleSince: Number.isNaN(state.idleSince) ? now : state.idleSince })
    }
    this.record.groups = groups
    core.expire(this.record)
  }
  private now(): number {
    return this.core.options.now()
  }
  readonly head = (): number => this.record.next
  readonly oldest = (): number => this.record.oldest
  readonly isFull = (): boolean => this.core.isFull() || (this.isHeld() && (!this.expireGroups() || this.isHeld()))
  private isHeld(): boolean {
    return this.record.isHeld(this.core.options.segmentBytes)
  }
  readonly blockers = (): ReadonlyArray<string> =>
    this.record.groups.holding(this.record.oldest).map((name) => `group "${name}"`)

  readonly append = (value: Uint8Array | string, done: (failure?: Failure) => void): void => {
    const at = this.newestAt = Math.max(this.newestAt, this.now())
    this.core.append(this.record, at, this.version, value, done)
  }
  readonly appendText = this.append
  readonly listen = (listener: { readonly advanced: () => void; readonly roomMade: () => void }): void => {
    this.core.listeners.set(this.record, listener)
  }
  readonly read: Engine["read"] = (from, max) => attempt(() => this.core.reading.read(this.record, from, max))
  readonly sequenceAt: Engine["sequenceAt"] = (time) => attempt(() => this.core.reading.sequenceAt(this.record, time))

  readonly acquire = (group: string, from: Place): Effect.Effect<Hold, unknown> =>
    Effect.suspend(() => {
      this.expireGroups()
      const isTime = typeof from === "object" && "time" in from && this.record.groups.get(group) === undefined
      return Effect.flatMap(isTime ? this.sequenceAt(from.time) : Effect.succeed(this.sequenceOf(from)), (first) =>
        Effect.suspend(() => {
          const hold = this.record.groups.acquire(group, first, this.now())
          return Effect.as(this.saved(group), hold)
        }))
    })
  private sequenceOf(from: Place): number {
    const { next, oldest } = this.record
    if (from === "head") return next
    if (from === "oldest") return oldest
    return "sequence" in from ? Math.min(from.sequence, next) : next
  }
  readonly release = (hold: Hold): Effect.Effect<void> =>
    Effect.sync(() => {
      // Nobody waits for it: a group of which it is not known when it was released counts as idle since the opening.
      if (this.record.groups.release(hold, this.now())) this.core.saveGroup(this.record, hold.group, () => {})
    })
  readonly commit = (
    hold: Hold,
    through: number,
    attempts: ReadonlyMap<number, number>
  ): Effect.Effect<Committed, unknown> =>
    Effect.suspend((): Effect.Effect<Committed, unknown> => {
      const committed = this.record.groups.commit(hold, through, attempts, this.record.next)
      if (committed._tag !== "Committed") return Effect.succeed(committed)
      return Effect.map(this.saved(hold.group), () => {
        this.core.expire(this.record)
        this.core.listeners.get(this.record)?.roomMade()
        return committed
      })
    })
  private saved(group: string): Effect.Effect<void, unknown> {
    return stored((done) => this.core.saveGroup(this.record, group, done))
  }
  readonly groups: Effect.Effect<ReadonlyArray<Listed>, unknown> = Effect.sync(() => {
    this.expireGroups()
    return this.record.groups.list(this.now())
  })
  readonly removeGroup = (group: string): Effect.Effect<void, unknown> =>
    Effect.suspend(() => {
      if (!this.record.groups.remove(group)) return Effect.void
      this.groupsGone()
      return stored((done) => this.core.removeGroup(this.record, group, done))
    })
  /** Removes the groups that have been idle for too long, and answers whether there were any. */
  expireGroups(): boolean {
    const names = this.record.groups.expire(this.now())
    for (const name of names) this.core.removeGroup(this.record, name, () => {})
    if (names.length > 0) this.groupsGone()
    return names.length > 0
  }
  private groupsGone(): void {
    this.core.expire(this.record)
    queueMicrotask(() => this.core.listeners.get(this.record)?.roomMade())
  }
  /** Lets go of what has grown too old. */
  expire(): void {
    this.expireGroups()
    const before = this.record.oldest
    this.core.expire(this.record)
    if (this.record.oldest !== before) this.core.listeners.get(this.record)?.advanced()
  }
  readonly close: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.record.queued === 0) return resume(Effect.void)
    this.record.whenStored = () => resume(Effect.void)
  })
}

const attempt = <A>(work: () => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.callback((resume) =>
    void work().then((value) => resume(Effect.succeed(value)), (cause) => resume(Effect.fail(cause)))
  )
/** Returns once a change is durable. Interrupted, it may be or not. */
const stored = (change: (done: (failure?: Failure) => void) => void): Effect.Effect<void, unknown> =>
  Effect.callback((resume) =>
    change((failure) => resume(failure === undefined ? Effect.void : Effect.fail(failure.cause)))
  )
