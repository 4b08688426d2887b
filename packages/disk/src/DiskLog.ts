/** Durable logs of records, in the `Journal` of the process; and a memory for records that are no logs. */
import { Buffer, Engine, type Log } from "@sluice/core"
import { Duration, Effect, Latch, Option, type Scope } from "effect"
import { Journal } from "./Journal.ts"

/**
 * What a record keeps. Values go once any of `count`, `bytes` and `age` says so; what a group has not committed stays,
 * unless `unacknowledged` says otherwise.
 */
export interface Retention extends Log.Retention {
  /** The newest so many values. Default: any number. */
  readonly count?: number
  /** At least so many bytes of the newest values, and at most a segment more. Default 1 GiB. */
  readonly bytes?: number
  /** Values that were appended longer ago go, a segment at a time. Default: never. */
  readonly age?: Duration.Input
}

/**
 * The log of a record in the journal. `produceAsync` returns once the value is flushed to the medium with `fdatasync`,
 * which it shares with everyone who waits at the time.
 */
export const backing = (options?: { readonly retention?: Retention }): Log.LogBacking<Log.LogFailed, Journal> => ({
  durability: "fsynced",
  make: (record) =>
    Effect.gen(function*() {
      const journal = yield* Journal
      const { age, bytes, count, groupIdleTimeout, unacknowledged } = options?.retention ?? {}
      const positive = (field: string, value: number | undefined, otherwise: number): number => {
        if (value === undefined) return otherwise
        if (value > 0) return value
        throw new RangeError(`record "${record.key}": \`retention.${field}\` must be positive, got ${value}`)
      }
      const ageMillis = age === undefined ? Infinity : Duration.toMillis(Duration.fromInputUnsafe(age))
      const idleMillis = Duration.toMillis(Duration.fromInputUnsafe(groupIdleTimeout ?? Duration.infinity))
      const engine = yield* journal.engine({
        key: record.key,
        version: record.version ?? 0,
        limits: {
          count: positive("count", count, Infinity),
          bytes: positive("bytes", bytes, 1024 ** 3),
          age: positive("age", ageMillis, Infinity),
          keepsUnacknowledged: (unacknowledged ?? "keep") === "keep"
        },
        groupIdleTimeout: idleMillis
      })
      const log = yield* Engine.make(record, engine)
      const period = Math.min(ageMillis, idleMillis) / 4
      if (Number.isFinite(period)) {
        yield* Engine.inBackground(
          `record "${record.key}": its expiry`,
          Effect.forever(Effect.andThen(Effect.sleep(Math.max(1, period)), Effect.sync(() => engine.expire())))
        )
      }
      return log
    }) satisfies Effect.Effect<unknown, Log.LogFailed, Journal | Scope.Scope>
})

/**
 * A buffer in memory whose values are there again after a restart, before its first reader: the newest of a
 * `SingleLatest`, the last `capacity` of an `SpmcRing`, whose readers begin with the next value as ever.
 *
 * ```ts
 * Reading.layerBuffer(DiskLog.persist({ kind: "SpmcRing", capacity: 100 }))
 * ```
 *
 * Nobody waits for the disk: values are copied to the journal behind the producers' backs, as fast as it flushes, and what
 * was overwritten meanwhile is not copied. So a crash may lose the last moments; a clean end loses nothing. Where every
 * value matters, put the record on a log. Values that no longer decode are passed over. Those that were there already
 * count as produced. What the journal cannot store, or does not encode, is told in the log and tried no more.
 */
export const persist = (
  config: Extract<Buffer.BufferConfig, { readonly kind: "SingleLatest" | "SpmcRing" }>
): Buffer.Backing<Log.LogFailed, Journal> => ({
  make: (record) =>
    Effect.gen(function*() {
      const count = config.kind === "SpmcRing" ? config.capacity : 1
      const buffer = yield* Buffer.fromConfig(config).make(record)
      const log = yield* backing({ retention: { count, unacknowledged: "expire" } }).make(record)
      const head = yield* log.head
      for (let next = yield* log.oldest; next < head;) {
        const entries = yield* Effect.catchTags(log.read(next, 256), {
          Lagged: () => log.head.pipe(Effect.as([])),
          RecordClosed: () => Effect.succeed([])
        })
        if (entries.length === 0) break
        for (const { value } of entries) if (Option.isSome(value)) buffer.produceUnsafe(value.value)
        next += BigInt(entries.length)
      }
      const reader = yield* buffer.subscribe
      // A reader of a latest begins with the value that is there, which is stored already.
      if (config.kind === "SingleLatest") yield* Effect.ignore(reader.tryRecv)
      const copied = Latch.makeUnsafe(false)
      const copying = reader.recvBatch(256).pipe(
        Effect.flatMap((values) =>
          Effect.andThen(
            Effect.forEach(values.slice(0, -1), log.produce, { discard: true }),
            // The last one waits for the flush: meanwhile others may take its place.
            log.produceAsync(values[values.length - 1]!)
          )
        ),
        Effect.catchTags({
          Lagged: () => Effect.void,
          BufferFailed: ({ cause }) =>
            Effect.logWarning(`record "${record.key}": a value could not be persisted. ${Engine.render(cause)}`)
        }),
        Effect.forever,
        // The end of the record, or of its log.
        Effect.catchTags({ RecordClosed: () => copied.open, BufferClosed: () => copied.open }),
        Effect.asVoid
      )
      yield* Engine.inBackground(`record "${record.key}": its persisting`, copying)
      // The record is closed by then: what it still holds is copied first.
      yield* Effect.addFinalizer(() => Effect.andThen(copied.await, log.close))
      return buffer
    })
})
