/** Durable logs of records, in the `Journal` of the process. */
import { Engine, type Log } from "@sluice/core"
import { Duration, Effect, type Scope } from "effect"
import { JournalEngine } from "./internal/journalEngine.ts"
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
      const { core } = yield* Journal
      const { age, bytes, count, groupIdleTimeout, unacknowledged } = options?.retention ?? {}
      const positive = (field: string, value: number | undefined, otherwise: number): number => {
        if (value === undefined) return otherwise
        if (value > 0) return value
        throw new RangeError(`record "${record.key}": \`retention.${field}\` must be positive, got ${value}`)
      }
      const ageMillis = age === undefined ? Infinity : Duration.toMillis(Duration.fromInputUnsafe(age))
      const idleMillis = Duration.toMillis(Duration.fromInputUnsafe(groupIdleTimeout ?? Duration.infinity))
      const engine = new JournalEngine(core, {
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
        yield* Effect.forkScoped(
          Effect.forever(Effect.andThen(Effect.sleep(Math.max(1, period)), Effect.sync(() => engine.expire())))
        )
      }
      return log
    }) satisfies Effect.Effect<unknown, Log.LogFailed, Journal | Scope.Scope>
})
