/**
 * A journal read by another process than its writer: a tool that looks at it, or a program beside the writer that follows a
 * record. It takes no lock and changes nothing in the directory, which may be read-only. It works while a writer is alive,
 * and after it has ended, however it did.
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const journal = yield* JournalReader.JournalReader
 *   yield* Stream.runForEach(journal.log(Order).stream("oldest"), ({ sequence, value }) => Console.log(sequence, value))
 * })
 *
 * program.pipe(Effect.provide(JournalReader.layer({ directory: "data" })))
 * ```
 *
 * What is seen are whole frames whose CRC, generation and place are right. One that is not whole yet is not there yet. A frame
 * may be seen just before the writer's fdatasync has returned, and so before its values are acknowledged: a loss of power
 * may take it back. Where that fdatasync fails the values were not stored, and others get their sequences: the log says so
 * once the writer has gone on, as far as can be told then, but whoever has read them is not told.
 */
import { Engine, Lagged, Log } from "@sluice/core"
import type { RecordInfo } from "@sluice/core/Buffer"
import { Cause, Context, Duration, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { Following, isNotThere } from "./internal/following.ts"
import { Damaged } from "./internal/recovery.ts"
import { JournalDamaged, JournalFailed } from "./Journal.ts"
import { CurrentStorage } from "./Storage.ts"

/** There is no such directory, or nothing in it that a journal has written yet. */
export class JournalMissing extends Schema.TaggedError<JournalMissing>()("JournalMissing", {
  directory: Schema.String
}) {
  override get message(): string {
    return `there is no journal at ${this.directory}. Its writer makes it with the first record that it opens`
  }
}

export interface JournalReaderOptions {
  /** Of a `Journal`. */
  readonly directory: string
  /** How often to look for what is new, while somebody waits for it. Default 100 milliseconds. */
  readonly pollInterval?: Duration.Input
}

/** The durable values of one record. It holds nothing back from expiring. */
export interface LogReader<out A> {
  /** The oldest sequence still kept; the head where nothing is. */
  readonly oldest: Effect.Effect<bigint, Log.LogFailed>
  /** The sequence that the next value will get; 0 for a record that the journal does not have. */
  readonly head: Effect.Effect<bigint, Log.LogFailed>
  /**
   * In order, without gaps, at most `max` (a positive integer, else it dies); waits for the first, which is always that
   * of `from`. Fails with `Lagged` where `from` has expired: `from + missed` is the oldest still kept. Fails with
   * `LogFailed` where the files cannot be read, or are damaged.
   */
  readonly read: (from: bigint, max: number) => Effect.Effect<ReadonlyArray<Log.Entry<A>>, Lagged | Log.LogFailed>
  /**
   * The entries from a place on, those to come as well, unless `follow` is false: then it ends at the head as it was when
   * the stream began. Where some have expired before they were read it goes on at the oldest kept, and their sequences are
   * left out; or it fails with `Lagged` where `onLag` says so. Default: `"skip"`.
   */
  readonly stream: {
    (
      from: Log.From,
      options?: { readonly follow?: boolean; readonly onLag?: "skip" }
    ): Stream.Stream<Log.Entry<A>, Log.LogFailed>
    (
      from: Log.From,
      options: { readonly follow?: boolean; readonly onLag: "fail" }
    ): Stream.Stream<Log.Entry<A>, Lagged | Log.LogFailed>
  }
  /**
   * How far each group has committed, in no order. `idleSince` is when it was last held, in milliseconds since the epoch: now,
   * where it is, or where its holder's process ended before it could say so.
   */
  readonly groups: Effect.Effect<
    ReadonlyArray<{ readonly name: string; readonly committed: bigint; readonly idleSince: number }>,
    Log.LogFailed
  >
}

export class JournalReader extends Context.Service<JournalReader, {
  readonly directory: string
  /** The records that the journal has, in the order in which they came to it. `bytes` is what their values take. */
  readonly records: Effect.Effect<
    ReadonlyArray<{ readonly key: string; readonly oldest: bigint; readonly head: bigint; readonly bytes: number }>,
    JournalDamaged | JournalFailed
  >
  /**
   * A record by its class, whose schema, version and migrations decode what is stored; or by a key and any schema. One that
   * the journal does not have yet is empty until it does.
   */
  readonly log: <A>(record: RecordInfo<A>) => LogReader<A>
}>()("@sluice/disk/JournalReader") {}

/**
 * Reads the journal of a directory, for as long as the Layer lives. Opening it reads one segment; a look reads what has been
 * appended since, and the beginnings of a few files.
 *
 * Damage before the end of the newest segment is found when this is opened, and other damage when a value is read. A journal
 * that a later version has written, in a format of its own, is `JournalFailed`.
 */
export const layer = (
  options: JournalReaderOptions
): Layer.Layer<JournalReader, JournalMissing | JournalDamaged | JournalFailed> =>
  Layer.effect(
    JournalReader,
    Effect.gen(function*() {
      const { directory } = options
      const pollInterval = Duration.fromInputUnsafe(options.pollInterval ?? "100 millis")
      if (!(Duration.toMillis(pollInterval) > 0)) {
        throw new RangeError(
          `journal ${directory}: \`pollInterval\` must be positive, got ${Duration.format(pollInterval)}`
        )
      }
      const storage = yield* CurrentStorage
      const failed = (cause: unknown) =>
        cause instanceof Damaged
          ? new JournalDamaged({ directory, file: cause.file, position: cause.position, cause })
          : new JournalFailed({ directory, cause })
      const missing = new JournalMissing({ directory })
      const opened = yield* Effect.tryPromise({
        try: () => storage.open(directory, "read"),
        catch: (cause) => isNotThere(cause) ? missing : failed(cause)
      })
      const following = yield* Effect.acquireRelease(
        Effect.flatMap(
          Effect.tryPromise({ try: () => Following.open(opened), catch: failed }),
          (following) => following === undefined ? Effect.fail(missing) : Effect.succeed(following)
        ),
        (following) => Effect.promise(() => following.close())
      )
      const log = Effect.runForkWith(yield* Effect.context<never>())
      following.onProblem = (message) => void log(Effect.logWarning(`journal ${directory}: ${message}`))
      const looked = Effect.tryPromise({ try: () => following.look(), catch: failed })
      return {
        directory,
        records: Effect.map(looked, () =>
          Array.from(following.records(), ({ bytes, key, next, oldest }) => ({
            key,
            oldest: BigInt(oldest),
            head: BigInt(next),
            bytes
          }))),
        log: (record) => readerOf(record, following, pollInterval)
      }
    })
  )

const readMax = 256

const readerOf = <A>(record: RecordInfo<A>, following: Following, pollInterval: Duration.Duration): LogReader<A> => {
  const { key } = record
  const codec = Engine.codecOf(record)
  const asked = <B>(work: () => Promise<B>): Effect.Effect<B, Log.LogFailed> =>
    Effect.tryPromise({ try: work, catch: (cause) => new Log.LogFailed({ record: key, cause }) })
  const looked = asked(() => following.look())
  const isKnown = (sequence: number) => following.head(key) > sequence || following.oldest(key) > sequence

  const readFrom = (first: number, max: number): Effect.Effect<ReadonlyArray<Log.Entry<A>>, Lagged | Log.LogFailed> =>
    Effect.suspend(() => {
      const missed = following.oldest(key) - first
      if (missed > 0) return Effect.fail(new Lagged({ record: key, missed }))
      if (!isKnown(first)) {
        const known = Effect.repeat(looked, { schedule: Schedule.spaced(pollInterval), until: () => isKnown(first) })
        return Effect.andThen(known, readFrom(first, max))
      }
      return Effect.flatMap(asked(() => following.read(key, first, max)), (stored) =>
        // None where it has expired meanwhile.
        stored.length === 0 ? readFrom(first, max) : Effect.succeed(stored.map(({ at, bytes, sequence, version }) => ({
          sequence: BigInt(sequence),
          at,
          value: codec.decode(version, bytes),
          bytes
        }))))
    })
  const sequenceOf = (from: Log.From): Effect.Effect<number, Log.LogFailed> => {
    const isNoPlace = typeof from === "object" && ("time" in from ? Number.isNaN(from.time) : from.sequence < 0n)
    if (isNoPlace) return misuse(`stream of record "${key}": \`from\` must be a time or a sequence of at least 0`)
    return Effect.andThen(
      looked,
      Effect.suspend(() => {
        if (from === "head") return Effect.succeed(following.head(key))
        if (from === "oldest") return Effect.succeed(following.oldest(key))
        if ("time" in from) return asked(() => following.sequenceAt(key, from.time))
        return Effect.succeed(Math.min(Number(from.sequence), following.head(key)))
      })
    )
  }
  const stream = (
    from: Log.From,
    options?: { readonly follow?: boolean; readonly onLag?: "skip" | "fail" }
  ): Stream.Stream<Log.Entry<A>, Lagged | Log.LogFailed> =>
    Stream.unwrap(Effect.map(sequenceOf(from), (first) => {
      const end = options?.follow === false ? following.head(key) : Infinity
      let next = first
      type Pull = Effect.Effect<readonly [Log.Entry<A>, ...Array<Log.Entry<A>>], Lagged | Log.LogFailed | Cause.Done>
      const pull: Pull = Effect.suspend((): Pull =>
        next >= end ? Cause.done() : Effect.matchEffect(readFrom(next, Math.min(readMax, end - next)), {
          onSuccess: (entries) => {
            next += entries.length
            return Effect.succeed(entries as any)
          },
          onFailure: (error) => {
            if (error._tag === "LogFailed") return Effect.fail(error)
            next += error.missed
            return options?.onLag === "fail" ? Effect.fail(error) : pull
          }
        })
      )
      return Stream.fromPull(Effect.succeed(pull))
    }))

  return {
    oldest: Effect.map(looked, () => BigInt(following.oldest(key))),
    head: Effect.map(looked, () => BigInt(following.head(key))),
    read: (from, max) =>
      from < 0n
        ? misuse(`read of record "${key}": \`from\` must not be negative, got ${from}`)
        : !Number.isInteger(max) || max < 1
        ? misuse(`read of record "${key}": \`max\` must be a positive integer, got ${max}`)
        : readFrom(Number(from), max),
    stream: stream as LogReader<A>["stream"],
    groups: Effect.clockWith((clock) =>
      Effect.map(looked, () =>
        following.groups(key, clock.currentTimeMillisUnsafe()).map((group) => ({
          ...group,
          committed: BigInt(group.committed)
        })))
    )
  }
}
const misuse = (message: string): Effect.Effect<never> => Effect.die(new RangeError(message))
