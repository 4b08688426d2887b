/**
 * A log: a buffer that keeps values under consecutive sequence numbers per record, from 0 and never reused, until they
 * are acknowledged and expired. This is the contract that every engine implements, in memory, on disk or on a server:
 * `Log` and `Group` are all that a collector needs of one.
 *
 * Invariants of a group: committed never goes back within an epoch; acquiring a group raises its epoch, and the
 * previous holder's next commit fails with `StaleEpoch`; after a crash delivery resumes at committed + 1.
 */
import { Clock, Duration, Effect, Exit, Option, Schema, type Scope } from "effect"
import type { Buffer, RecordInfo } from "./Buffer.ts"
import { assertCapacity } from "./internal/capacity.ts"
import { lenientEncoder } from "./internal/encoding.ts"
import type { Hold } from "./internal/groupTable.ts"
import { MemoryLog } from "./internal/memoryLog.ts"
import { type From, misread, placeOf } from "./internal/place.ts"
import { readerOf } from "./internal/reader.ts"
import { render } from "./internal/render.ts"
import { step } from "./internal/step.ts"
import { StoreBuffer } from "./internal/storeBuffer.ts"
import { withoutStack } from "./internal/withoutStack.ts"
import { inBackground } from "./internal/worker.ts"
import { Lagged, type Reader, RecordClosed } from "./Reader.ts"

export type { From } from "./internal/place.ts"

/** In the context only where the record `Self` stands on a log: what a collector asks for. */
export interface LogOf<in out Self> {
  readonly "~@sluice/core/LogOf": Self
}
/** What an acknowledged value has survived to. */
export type Durability = "volatile" | "buffered" | "replicated" | "fsynced"
/** The engine could not read or write. `cause` says why. */
export class LogFailed extends Schema.TaggedError<LogFailed>()("LogFailed", {
  record: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the log of record "${this.record}" failed: ${render(this.cause)}`
  }
}
/** This hold is over: another holder has acquired the group since, or it was removed, or its scope closed. Terminal. */
export class StaleEpoch extends Schema.TaggedError<StaleEpoch>()("StaleEpoch", {
  record: Schema.String,
  group: Schema.String,
  epoch: Schema.BigInt
}) {
  override get message(): string {
    return `group "${this.group}" of record "${this.record}" is no longer held with epoch ${this.epoch}: it was acquired `
      + `by another holder, removed or released. This holder's progress is no longer committed, and it must stop`
  }
}
/** A commit that would go back, or beyond what has been produced. It has changed nothing. */
export class CommitOutOfRange extends Schema.TaggedError<CommitOutOfRange>()("CommitOutOfRange", {
  record: Schema.String,
  group: Schema.String,
  through: Schema.BigInt,
  committed: Schema.BigInt,
  head: Schema.BigInt
}) {
  override get message(): string {
    return `group "${this.group}" of record "${this.record}" cannot commit through ${this.through}: it has committed `
      + `through ${this.committed}, and the next value will be ${this.head}. Commit only what was read and settled`
  }
}

/** One value of a log. */
export interface Entry<out A> {
  readonly sequence: bigint
  /** When it was appended, in milliseconds since the epoch; never less than that of an earlier entry. */
  readonly at: number
  /** None where the stored bytes no longer decode, or are of a version that there is no migration for. */
  readonly value: Option.Option<A>
  /** As they are stored: the JSON of the schema's encoded form. */
  readonly bytes: Uint8Array
}
/**
 * One holder's hold on a consumer group: everything a collector needs of an engine. What it shows is as it was when it
 * was acquired.
 */
export interface Group {
  /** The fencing token: higher than that of every earlier holder, also after the group was removed and came back. */
  readonly epoch: bigint
  /** Every sequence at or below it was settled; -1 before the first. */
  readonly committed: bigint
  /** Sequences above `committed` that were tried before, with their attempts, as the last commit left them. */
  readonly attempts: ReadonlyMap<bigint, number>
  /**
   * Returns once `through` and `attempts` are as durable as the log says. `through` may be what is committed already, so
   * that a commit whose outcome is unknown can be repeated; less, or a sequence not produced yet, is `CommitOutOfRange`.
   * `attempts` takes the place of those committed before; what is not above `through` and below the head is left out.
   */
  readonly commit: (progress: {
    readonly through: bigint
    readonly attempts: ReadonlyMap<bigint, number>
  }) => Effect.Effect<void, StaleEpoch | CommitOutOfRange | LogFailed>
}
/**
 * A buffer with sequences and groups. After `close` it takes no more values and can still be read, to its end; groups
 * can still be acquired and committed.
 */
export interface Log<in out A> extends Buffer<A> {
  readonly durability: Durability
  /** The oldest sequence still kept; the head where nothing is. */
  readonly oldest: Effect.Effect<bigint, LogFailed>
  /** The sequence that the next value will get. */
  readonly head: Effect.Effect<bigint, LogFailed>
  /**
   * In order, without gaps, at most `max` (a positive integer, else it dies); waits for the first, which is always that
   * of `from`. Fails with `Lagged` where `from` has expired: `from + missed` is the oldest still kept. Fails with
   * `RecordClosed` where the record is closed and `from` will never come. Takes nothing, so that it can be repeated.
   */
  readonly read: (
    from: bigint,
    max: number
  ) => Effect.Effect<ReadonlyArray<Entry<A>>, Lagged | RecordClosed | LogFailed>
  /** A reader of its own, which holds nothing back: where it falls behind what is kept, it is told by `Lagged`. */
  readonly subscribeFrom: (from: From) => Effect.Effect<Reader<A>, LogFailed, Scope.Scope>
  /**
   * Takes the group over from whoever holds it, for the life of the scope. `from` counts only for a group that is new:
   * it begins there. A group keeps what it has not committed from expiring, from the moment it is acquired first until
   * it is removed, unless the log's retention says otherwise; then `read` answers `Lagged`.
   */
  readonly acquire: (group: string, options: { readonly from: From }) => Effect.Effect<Group, LogFailed, Scope.Scope>
  /** In no order. `idleSince` is when a group was last held, in milliseconds since the epoch: now, where it is. */
  readonly groups: Effect.Effect<
    ReadonlyArray<{ readonly name: string; readonly committed: bigint; readonly idleSince: number }>,
    LogFailed
  >
  /** Its progress is forgotten, and whoever holds it is fenced. Nothing where there is no such group. */
  readonly removeGroup: (group: string) => Effect.Effect<void, LogFailed>
}
/** Makes the log of a record: what `Record.layerLog` takes. */
export interface LogBacking<out E = never, out R = never> {
  readonly durability: Durability
  readonly make: <A>(record: RecordInfo<A>) => Effect.Effect<Log<A>, E, R | Scope.Scope>
}

/** How a log's groups count in what it lets go of. */
export interface Retention {
  /**
   * What becomes of values at the limit that a group has not committed. `"keep"`: they stay, and a new value is refused
   * or waits, as in a `Bounded` buffer. `"expire"`: they go, and the group is told by `Lagged`. Default `"keep"`.
   */
  readonly unacknowledged?: "keep" | "expire"
  /** A group that nobody has held for so long is removed, and what it kept may go. Default: never. */
  readonly groupIdleTimeout?: Duration.Input
}

/**
 * A log in memory: the last `capacity` values, gone with the process. Without groups it overwrites the oldest as an
 * `SpmcRing` does; `subscribe` begins at the head. With groups it is full once the oldest value is one that a group has
 * not committed: `tryProduce` answers `BufferFull`, `produceAsync` waits, `produce` drops and counts. Where the collector of a
 * topology that held the last group is over for good, nobody is waited for: `tryProduce` and `produceAsync` answer
 * `BufferClosed` then, until a group is acquired again.
 *
 * `capacity` is in values and exact, by default 65,536; a collector needs more of it than its `maxReadAhead`. One that is
 * not a positive integer dies when the record is built. Values are not encoded: the `bytes` of an entry are made when
 * they are first asked for, and of a value that does not fit its schema they are what JSON makes of it as it is, or
 * none. Two holders of a group can only be in one process.
 */
export const memory = (
  options?: { readonly capacity?: number; readonly retention?: Retention }
): LogBacking => ({
  durability: "volatile",
  make: <A>(record: RecordInfo<A>) =>
    Effect.withFiber((fiber): Effect.Effect<Log<A>, never, Scope.Scope> => {
      const capacity = options?.capacity ?? 65_536
      assertCapacity(record.key, { kind: "Log", capacity })
      const { groupIdleTimeout = Duration.infinity, unacknowledged = "keep" } = options?.retention ?? {}
      const store = new MemoryLog<A>(
        {
          capacity,
          expiresUnacknowledged: unacknowledged === "expire",
          groupIdleTimeout: Duration.toMillis(groupIdleTimeout)
        },
        fiber.currentDispatcher,
        fiber.getRef(Clock.Clock)
      )
      const log = new VolatileLog(record.key, store, lenientEncoder(record.schema))
      if (!Duration.isFinite(Duration.fromInputUnsafe(groupIdleTimeout))) return Effect.succeed(log)
      return Effect.as(inBackground(`record "${record.key}": the expiry of its groups`, store.expireWhileWaiting), log)
    })
})

class VolatileLog<in out A> extends StoreBuffer<A> implements Log<A> {
  readonly durability = "volatile"
  private readonly log: MemoryLog<A>
  private readonly encode: (value: A) => Uint8Array
  readonly oldest: Effect.Effect<bigint>
  readonly head: Effect.Effect<bigint>
  readonly groups: Log<A>["groups"]

  constructor(record: string, log: MemoryLog<A>, encode: (value: A) => Uint8Array) {
    super(record, log)
    this.log = log
    this.encode = encode
    this.oldest = Effect.sync(() => BigInt(log.state.oldest()))
    this.head = Effect.sync(() => BigInt(log.state.head()))
    this.groups = Effect.sync(() =>
      log.state.list(log.now()).map((group) => ({ ...group, committed: BigInt(group.committed) }))
    )
  }
  readonly read = (from: bigint, max: number): Effect.Effect<ReadonlyArray<Entry<A>>, Lagged | RecordClosed> => {
    const { log, record } = this
    const misused = misread(this.record, from, max)
    if (misused !== undefined) return misused
    const first = Number(from)
    const entries: Effect.Effect<ReadonlyArray<Entry<A>>, Lagged | RecordClosed> = step(() => {
      const oldest = log.state.oldest()
      if (first < oldest) return Exit.fail(withoutStack(() => new Lagged({ record, missed: oldest - first })))
      const ready = log.state.head() - first
      if (ready > 0) {
        return Exit.succeed(Array.from({ length: Math.min(ready, max) }, (_, i) => this.entryAt(first + i)))
      }
      return log.closed ? Exit.fail(new RecordClosed({ record })) : log.waitFor(first, entries)
    })
    return entries
  }
  readonly subscribeFrom = (from: From): Effect.Effect<Reader<A>, never, Scope.Scope> =>
    Effect.flatMap(placeOf(this.record, "subscribeFrom", from), (place) =>
      Effect.acquireRelease(
        Effect.sync(() => this.log.openAt(place)),
        (cursor) => Effect.sync(() => cursor.close())
      )).pipe(Effect.map((cursor) => readerOf(this.record, cursor)))
  readonly acquire = (group: string, options: { readonly from: From }): Effect.Effect<Group, never, Scope.Scope> =>
    Effect.flatMap(placeOf(this.record, "acquire", options.from), (place) =>
      Effect.acquireRelease(
        Effect.sync(() => this.log.acquire(group, place)),
        (hold) => Effect.sync(() => this.log.release(hold))
      )).pipe(Effect.map((hold) => this.groupOf(hold)))
  readonly removeGroup = (group: string): Effect.Effect<void> => Effect.sync(() => this.log.removeGroup(group))

  private groupOf(hold: Hold): Group {
    const epoch = BigInt(hold.epoch)
    return {
      epoch,
      committed: BigInt(hold.committed),
      attempts: new Map(Array.from(hold.attempts, ([sequence, count]) => [BigInt(sequence), count])),
      commit: ({ attempts, through }) =>
        step((): Effect.Effect<void, StaleEpoch | CommitOutOfRange> => {
          const { group } = hold
          const numbered = Array.from(attempts, ([sequence, count]) => [Number(sequence), count] as const)
          switch (this.log.commit(hold, Number(through), numbered)) {
            case "Committed":
              return Exit.void
            case "Stale":
              return Exit.fail(withoutStack(() => new StaleEpoch({ record: this.record, group, epoch })))
            case "OutOfRange": {
              const committed = BigInt(this.log.state.committedOf(hold))
              const head = BigInt(this.log.state.head())
              return Exit.fail(new CommitOutOfRange({ record: this.record, group, through, committed, head }))
            }
          }
        })
    }
  }
  private entryAt(sequence: number): Entry<A> {
    return new VolatileEntry(sequence, this.log.state.timeAt(sequence), this.log.valueAt(sequence), this.encode)
  }
}

/** Encodes its value when that is first asked for. */
class VolatileEntry<out A> implements Entry<A> {
  readonly sequence: bigint
  readonly at: number
  readonly value: Option.Option<A>
  private encoded: Uint8Array | undefined
  private readonly encode: () => Uint8Array

  constructor(sequence: number, at: number, value: A, encode: (value: A) => Uint8Array) {
    this.sequence = BigInt(sequence)
    this.at = at
    this.value = Option.some(value)
    this.encode = () => encode(value)
  }
  get bytes(): Uint8Array {
    return this.encoded ??= this.encode()
  }
}
