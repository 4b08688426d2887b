/**
 * The engine of the tests: keeps bytes in memory, answers a turn after it is asked, and fails or is full on demand. With
 * `others` it goes by `refresh`, as one that other processes append to; `appendBeside` is such a process.
 */
import { type Engine, Log } from "@sluice/core"
import type { RecordInfo } from "@sluice/core/Buffer"
import { GroupTable, make as makeLog } from "@sluice/core/Engine"
import { Clock, Duration, Effect, type Scope } from "effect"

export interface MemoryEngineOptions {
  readonly capacity?: number
  readonly retention?: Log.Retention
  readonly others?: boolean
  /** How many values may wait to be stored. Default 64. */
  readonly queueMax?: number
  /** Only `flush` stores what was taken. */
  readonly onDemand?: boolean
}
type Done = Parameters<Engine.Engine["append"]>[1]

/** What outlives the process: another engine may be made on it. */
export class Medium {
  readonly stored: Array<Engine.Stored> = []
  oldest = 0
}

export class MemoryEngine implements Engine.Engine {
  readonly kind = "Memory"
  readonly durability = "replicated"
  readonly capacity: number
  readonly medium: Medium
  readonly version: number
  /** How many of the next batches, reads and commits fail, or for how long everything is full. */
  readonly faults = { appends: 0, reads: 0, commits: 0, full: false }
  /** Every read that was asked for. */
  readonly asked: Array<{ readonly from: number; readonly max: number }> = []
  readonly groupTable: GroupTable
  closed = false
  readonly refresh?: Effect.Effect<void, unknown>
  private readonly options: MemoryEngineOptions
  private readonly clock: Clock.Clock
  private queue: Array<readonly [Uint8Array, Done]> = []
  private flushing = false
  private listener = { advanced: () => {}, roomMade: () => {} }
  private readonly keepsUnacknowledged: boolean

  constructor(version: number, clock: Clock.Clock, options: MemoryEngineOptions = {}, medium = new Medium()) {
    this.options = options
    this.version = version
    this.clock = clock
    this.medium = medium
    this.capacity = options.capacity ?? Infinity
    const { groupIdleTimeout = Duration.infinity, unacknowledged = "keep" } = options.retention ?? {}
    this.keepsUnacknowledged = unacknowledged === "keep"
    this.groupTable = new GroupTable({ groupIdleTimeout: Duration.toMillis(groupIdleTimeout) })
    if (options.others === true) this.refresh = turn
  }
  readonly head = (): number => this.medium.stored.length
  readonly oldest = (): number => this.medium.oldest
  readonly isFull = (): boolean => {
    if (this.faults.full || this.queue.length >= (this.options.queueMax ?? 64)) return true
    if (this.hasRoom()) return false
    this.groupTable.expire(this.now())
    return !this.hasRoom()
  }
  readonly blockers = () => this.groupTable.holding(this.oldest()).map((name) => `group "${name}"`)
  readonly append = (bytes: Uint8Array, done: Done): void => {
    this.queue.push([bytes, done])
    if (this.flushing || this.options.onDemand === true) return
    this.flushing = true
    later(this.flush)
  }
  /** Stores all that was taken, or fails to. */
  readonly flush = (): void => {
    this.flushing = false
    const batch = this.queue
    this.queue = []
    const failure = this.faults.appends > 0 ? { cause: "the disk is gone" } : undefined
    if (failure !== undefined) this.faults.appends--
    else for (const [bytes] of batch) this.keep(bytes)
    this.listener.advanced()
    for (const [, done] of batch) done(failure)
    this.listener.roomMade()
  }
  /** Another process appends. */
  appendBeside(text: string): void {
    this.keep(new TextEncoder().encode(text))
    this.listener.advanced()
  }
  setFull(full: boolean): void {
    this.faults.full = full
    this.listener.roomMade()
  }
  readonly listen = (listener: typeof this.listener): void => {
    this.listener = listener
  }
  readonly read = (from: number, max: number): Effect.Effect<ReadonlyArray<Engine.Stored>, unknown> =>
    Effect.andThen(
      turn,
      Effect.suspend(() => {
        this.asked.push({ from, max })
        if (this.faults.reads === 0) return Effect.succeed(this.medium.stored.slice(from, from + max))
        this.faults.reads--
        return Effect.fail("the disk cannot be read")
      })
    )
  readonly sequenceAt = (time: number): Effect.Effect<number> =>
    Effect.map(turn, () => {
      const found = this.medium.stored.findIndex(({ at, sequence }) => sequence >= this.oldest() && at >= time)
      return found === -1 ? this.head() : found
    })
  readonly acquire = (group: string, from: Engine.Place): Effect.Effect<Engine.Hold> =>
    Effect.flatMap(
      typeof from === "object" && "time" in from
        ? this.sequenceAt(from.time)
        : Effect.map(turn, () =>
          from === "head" ? this.head() : from === "oldest" ? this.oldest() : Math.min(from.sequence, this.head())),
      (first) =>
        Effect.sync(() => {
          this.groupTable.expire(this.now())
          return this.groupTable.acquire(group, first, this.now())
        })
    )
  readonly release = (hold: Engine.Hold): Effect.Effect<void> =>
    Effect.map(turn, () => void this.groupTable.release(hold, this.now()))
  readonly commit = (
    hold: Engine.Hold,
    through: number,
    attempts: ReadonlyMap<number, number>
  ): Effect.Effect<Engine.Committed, unknown> =>
    Effect.andThen(
      turn,
      Effect.suspend(() => {
        if (this.faults.commits > 0) {
          this.faults.commits--
          return Effect.fail("the disk is gone")
        }
        const committed = this.groupTable.commit(hold, through, attempts, this.head())
        this.listener.roomMade()
        return Effect.succeed(committed)
      })
    )
  readonly groups = Effect.suspend(() =>
    Effect.map(turn, () => {
      this.groupTable.expire(this.now())
      return this.groupTable.list(this.now())
    })
  )
  readonly removeGroup = (group: string): Effect.Effect<void> =>
    Effect.map(turn, () => {
      this.groupTable.remove(group)
      this.listener.roomMade()
    })
  readonly close = Effect.suspend(() => {
    this.closed = true
    return Effect.andThen(turn, Effect.sync(this.flush))
  })
  /** Lets producers in that wait for a group to go. */
  readonly expireGroups: Effect.Effect<never> = Effect.forever(
    Effect.andThen(
      Effect.sleep(1),
      Effect.sync(() => {
        if (this.groupTable.expire(this.now()).length > 0) this.listener.roomMade()
      })
    )
  )

  /** Whether what a group waits for would not have to go for what is queued and one value more. */
  private hasRoom(): boolean {
    return !this.keepsUnacknowledged
      || this.head() + this.queue.length < this.groupTable.lowest() + 1 + this.capacity
  }
  private keep(bytes: Uint8Array): void {
    const { stored } = this.medium
    const at = Math.max(this.now(), stored.at(-1)?.at ?? 0)
    stored.push({ sequence: stored.length, at, version: this.version, bytes })
    this.medium.oldest = Math.max(this.medium.oldest, stored.length - this.capacity)
  }
  private now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }
}

const later = (task: () => void): void => void Promise.resolve().then(() => Promise.resolve()).then(task)
const turn = Effect.yieldNow

/** An engine with the log of a record over it. */
export const openLog = Effect.fnUntraced(function*<A>(
  record: RecordInfo<A>,
  options?: MemoryEngineOptions & { readonly tailMax?: number; readonly readMax?: number },
  medium?: Medium
) {
  const engine = new MemoryEngine(record.version ?? 0, yield* Clock.Clock, options, medium)
  if (options?.retention?.groupIdleTimeout !== undefined) yield* Effect.forkScoped(engine.expireGroups)
  const { readMax = 256, tailMax = 1024 } = options ?? {}
  const log: Log.Log<A> = yield* makeLog(record, engine, { readMax, tailMax })
  return { engine, log }
}) as <A>(
  record: RecordInfo<A>,
  options?: MemoryEngineOptions & { readonly tailMax?: number; readonly readMax?: number },
  medium?: Medium
) => Effect.Effect<{ readonly engine: MemoryEngine; readonly log: Log.Log<A> }, Log.LogFailed, Scope.Scope>

export const backing = (options?: Parameters<typeof openLog>[1]): Log.LogBacking => ({
  durability: "replicated",
  make: (record) => Effect.orDie(Effect.map(openLog(record, options), ({ log }) => log))
})
