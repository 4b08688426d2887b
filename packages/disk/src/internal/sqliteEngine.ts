/**
 * The log of one record on SQLite, on the main thread: what it has taken and is not stored yet, and how the record stood
 * after the last transaction that this process knows of.
 */
import type { Committed, Engine, Hold, Listed, Place, Stored } from "@sluice/core/Engine"
import { type Clock, Effect } from "effect"
import { Packing, unpack } from "./packing.ts"
import type { Holder, Limits, RecordState, Write, Written } from "./sqliteCalls.ts"
import type { Client, SqliteConnection } from "./sqliteConnection.ts"

export interface EngineOptions {
  readonly key: string
  readonly version: number
  readonly limits: Limits
  /** What may wait to be stored. */
  readonly queue: { readonly count: number; readonly bytes: number }
}
type Done = (failure?: { readonly cause: unknown }) => void
interface Taken {
  readonly done: Done
  readonly size: number
}
/** A write that waits or is under way. */
interface Pending {
  readonly write: Exclude<Write, { readonly _tag: "Append" }> | Packing
  /** The values of an append. */
  readonly taken: Array<Taken>
  readonly answered: (answer: any) => void
  readonly failed: (cause: Error) => void
}

export class SqliteEngine implements Engine, Client {
  readonly kind = "SqliteLog"
  readonly durability = "fsynced"
  readonly slot: number
  readonly key: string
  readonly version: number
  readonly limits: Limits
  private readonly connection: SqliteConnection
  private readonly clock: Clock.Clock
  private readonly queue: EngineOptions["queue"]
  private readonly warn: (message: string, cause: Error) => void
  private state: RecordState = {
    next: 0,
    oldest: 0,
    committed: Infinity,
    bytesUncommitted: 0,
    blockers: [],
    idleSince: Infinity,
    oldestAt: Infinity,
    more: false,
    datedBack: 0
  }
  private pending: Array<Pending> = []
  private sent: Array<Pending> = []
  /** Values taken whose `done` has not been called. */
  private taken = 0
  private takenBytes = 0
  /** Those of them that `head` has not passed. */
  private coming = 0
  private comingBytes = 0
  /** Those that wait for everything to be stored. */
  private readonly settled: Array<() => void> = []
  private readonly holders = new Map<number, Holder>()
  private listener: Parameters<Engine["listen"]>[0] | undefined
  /** Someone has asked for the head since it moved last, or was told that there is no room. */
  private asked = false
  private refused = false
  private expiring = false

  constructor(
    connection: SqliteConnection,
    clock: Clock.Clock,
    options: EngineOptions,
    warn: (message: string, cause: Error) => void
  ) {
    this.connection = connection
    this.clock = clock
    this.slot = connection.nextSlot()
    this.key = options.key
    this.version = options.version
    this.limits = options.limits
    this.queue = options.queue
    this.warn = warn
  }
  get capacity(): number {
    return this.limits.count
  }
  head(): number {
    if (!this.asked) {
      this.asked = true
      this.connection.watch()
    }
    return this.state.next
  }
  oldest(): number {
    return this.state.oldest
  }
  readonly refresh: Effect.Effect<void, Error> = Effect.suspend(() =>
    Effect.map(this.connection.call("Look", { slot: this.slot }), (state) => this.stands(state))
  )
  isFull(): boolean {
    if (!this.noRoom()) return false
    this.refused = true
    this.connection.watch()
    return true
  }
  blockers(): ReadonlyArray<string> {
    return this.state.blockers.map((name) => `group "${name}"`)
  }
  append(bytes: Uint8Array, done: Done): void {
    let last = this.pending.at(-1)
    if (!(last?.write instanceof Packing)) {
      const taken: Array<Taken> = []
      last = {
        write: new Packing(),
        taken,
        answered: () => this.settle(taken),
        failed: (cause) => this.settle(taken, { cause })
      }
      this.enqueue(last)
    }
    ;(last.write as Packing).add(bytes, this.now())
    last.taken.push({ done, size: bytes.length })
    this.taken++
    this.takenBytes += bytes.length
    this.coming++
    this.comingBytes += bytes.length
  }
  listen(listener: Parameters<Engine["listen"]>[0]): void {
    this.listener = listener
  }
  read(from: number, max: number): Effect.Effect<ReadonlyArray<Stored>, Error> {
    return Effect.map(this.connection.call("Read", { slot: this.slot, from, max }), ({ state, values, versions }) => {
      if (state !== undefined) this.stands(state)
      return Array.from(unpack(values), ({ at, bytes }, index) => ({
        sequence: from + index,
        at,
        version: versions[index]!,
        bytes
      }))
    })
  }
  sequenceAt(time: number): Effect.Effect<number, Error> {
    return this.connection.call("SequenceAt", { slot: this.slot, time })
  }
  acquire(group: string, from: Place): Effect.Effect<Hold, Error> {
    return Effect.callback((resume) => {
      let abandoned = false
      const write = { _tag: "Acquire", group, from, now: this.now(), holders: this.heldHere() } as const
      this.ask(write, ({ attempts, committed, epoch }) => {
        const hold = { group, epoch, committed, attempts: new Map(attempts) }
        // Whoever asked for it has been interrupted, and nobody else will release it.
        if (abandoned) return this.ask({ _tag: "Release", hold: { group, epoch }, now: this.now() }, () => {}, () => {})
        this.holders.set(epoch, { group, epoch })
        resume(Effect.succeed(hold))
      }, (cause) => resume(Effect.fail(cause)))
      return Effect.sync(() => (abandoned = true))
    })
  }
  release({ epoch, group }: Hold): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.holders.delete(epoch)
      return Effect.catch(
        this.write({ _tag: "Release", hold: { group, epoch }, now: this.now() }),
        (cause) => Effect.sync(() => this.warn(`group "${group}" of record "${this.key}" could not be released`, cause))
      )
    })
  }
  commit(hold: Hold, through: number, attempts: ReadonlyMap<number, number>): Effect.Effect<Committed, Error> {
    const { epoch, group } = hold
    return Effect.suspend(() =>
      this.write({ _tag: "Commit", hold: { group, epoch }, through, attempts: Array.from(attempts), now: this.now() })
    )
  }
  readonly groups: Effect.Effect<ReadonlyArray<Listed>, Error> = Effect.suspend(() =>
    this.write({ _tag: "List", now: this.now(), holders: this.heldHere() })
  )
  removeGroup(group: string): Effect.Effect<void, Error> {
    return Effect.suspend(() => this.write({ _tag: "Remove", group, now: this.now() }))
  }
  readonly close: Effect.Effect<void> = Effect.callback((resume) => {
    const look = () => {
      if (this.taken === 0 && this.pending.length === 0 && this.sent.length === 0) return resume(Effect.void)
      this.settled.push(look)
    }
    look()
  })

  /** Lets go of what is past its time, up to a twentieth of that time late, or a second if that is less. */
  get expiry(): Effect.Effect<never> | undefined {
    const { age, groupIdleTimeout } = this.limits
    const shortest = Math.min(age, groupIdleTimeout)
    if (shortest === Infinity) return undefined
    const least = Math.max(1, Math.min(1_000, shortest / 20))
    // What comes to be due meanwhile is due later than this.
    const most = Math.max(least, Math.min(age, groupIdleTimeout / 4, 60_000))
    let last = this.now()
    return Effect.forever(Effect.suspend(() => {
      const now = this.now()
      // A holder shows four times within the timeout that it lives.
      const alive = this.holders.size > 0 ? last + groupIdleTimeout / 4 : Infinity
      const due = Math.min(alive, this.state.idleSince + groupIdleTimeout, this.state.oldestAt + age)
      if (due > now) return Effect.sleep(Math.min(most, Math.max(least, due - now)))
      this.expire()
      last = now
      return Effect.sleep(least)
    }))
  }

  takeWrites(): ReadonlyArray<Write> {
    const taken = this.pending
    this.pending = []
    this.sent.push(...taken)
    return taken.map(({ write }) => write instanceof Packing ? { _tag: "Append", values: write.done() } : write)
  }
  written(answers: ReadonlyArray<unknown>, state: RecordState): void {
    const written = this.sent.splice(0, answers.length)
    written.forEach((pending) => this.arrived(pending))
    this.stands(state)
    written.forEach(({ answered }, index) => answered(answers[index]))
    this.rest()
  }
  notWritten(cause: Error): void {
    const failed = this.sent
    this.sent = []
    failed.forEach((pending) => this.arrived(pending))
    failed.forEach((pending) => pending.failed(cause))
    this.rest()
  }
  stands(state: RecordState): void {
    const { next, oldest } = this.state
    this.state = { ...state, next: Math.max(next, state.next), oldest: Math.max(oldest, state.oldest) }
    if (this.state.next > next || this.state.oldest > oldest) {
      this.asked = false
      this.listener?.advanced()
    }
    if (state.datedBack > 0) {
      this.warn(
        `record "${this.key}": ${state.datedBack} value(s) were appended while the clock was ahead, and are dated now that it `
          + `has been put right`,
        new Error("the clock was ahead")
      )
    }
    this.roomMade()
    if (state.more) this.expire()
  }
  watches(): boolean {
    return this.asked || this.refused
  }

  /** On the clock of whoever made the log, so that a test can move it. */
  private now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }
  private heldHere(): ReadonlyArray<Holder> {
    return Array.from(this.holders.values())
  }
  private noRoom(): boolean {
    const { limits, state } = this
    if (this.taken >= this.queue.count || this.takenBytes >= this.queue.bytes) return true
    if (!limits.keepsUnacknowledged) return false
    return state.next + this.coming > state.committed + limits.count
      || (state.committed !== Infinity && state.bytesUncommitted + this.comingBytes >= limits.bytes)
  }
  private roomMade(): void {
    if (!this.refused || this.noRoom()) return
    this.refused = false
    this.listener?.roomMade()
  }
  /** Its values are part of the head now, or never will be. */
  private arrived({ taken }: Pending): void {
    this.coming -= taken.length
    for (const { size } of taken) this.comingBytes -= size
  }
  private settle(taken: ReadonlyArray<Taken>, failure?: { readonly cause: Error }): void {
    this.connection.settling.add(taken.map(({ done, size }) => () => {
      this.taken--
      this.takenBytes -= size
      done(failure)
      this.roomMade()
      if (this.taken === 0) this.rest()
    }))
  }
  /** Tells those that wait for everything to be stored to look again. */
  private rest(): void {
    for (const look of this.settled.splice(0)) look()
  }
  private enqueue(pending: Pending): void {
    this.pending.push(pending)
    this.connection.schedule(this)
  }
  private write<W extends Exclude<Write, { readonly _tag: "Append" }>>(
    write: W
  ): Effect.Effect<Written[W["_tag"]], Error> {
    return Effect.callback((resume) => {
      this.ask(write, (answer) => resume(Effect.succeed(answer)), (cause) => resume(Effect.fail(cause)))
    })
  }
  private ask<W extends Exclude<Write, { readonly _tag: "Append" }>>(
    write: W,
    answered: (answer: Written[W["_tag"]]) => void,
    failed: (cause: Error) => void
  ): void {
    this.enqueue({ write, taken: [], answered, failed })
  }
  /** One at a time. */
  private expire(): void {
    if (this.expiring) return
    this.expiring = true
    const done = () => void (this.expiring = false)
    this.ask({ _tag: "Expire", now: this.now(), holders: this.heldHere() }, done, done)
  }
}
