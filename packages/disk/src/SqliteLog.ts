/**
 * Logs in a SQLite database: durable without a server, in one file, which several processes may open at a time. Each of
 * them may append to the same records, and groups are fenced across them.
 *
 * ```ts
 * const backing = SqliteLog.backing({ retention: { age: "7 days" } })
 *
 * Orders.layerLog(backing).pipe(Layer.provide(SqliteLog.layer({ file: "orders.db" })))
 * ```
 *
 * A value is acknowledged once the transaction that stores it has been flushed to the disk (the write-ahead log, with
 * `synchronous = FULL`). What comes while a flush is under way goes into the next one together, for all records of the
 * file. SQLite runs in a thread of its own.
 */
import { Engine, Log } from "@sluice/core"
import { Clock, Context, Duration, Effect, Layer, Schema, type Scope } from "effect"
import { resolve } from "node:path"
import { SqliteConnection } from "./internal/sqliteConnection.ts"
import { SqliteEngine } from "./internal/sqliteEngine.ts"

/** The file could not be opened. `cause` says why, and what can be done. */
export class SqliteOpenFailed extends Schema.TaggedError<SqliteOpenFailed>()("SqliteOpenFailed", {
  file: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the SQLite file "${this.file}" could not be opened: ${String(this.cause)}`
  }
}

export interface FileOptions {
  /**
   * The database; what it needs beside it is named as it is, with `-wal` and `-shm` at the end. It is made where there is
   * none, with the directories above it. It belongs on a local disk: SQLite's locks do not hold on a network's.
   */
  readonly file: string
  /** How long to wait for another process that is writing; what waits then fails. Default 5 seconds. */
  readonly busyTimeout?: Duration.Input
  /**
   * How often to ask whether another process has written, while a reader waits for the next value or a producer for room.
   * It bounds by how much a reader in one process is behind a producer in another. Default 100 milliseconds.
   */
  readonly pollInterval?: Duration.Input
}

/** What a record's log lets go of. A limit that is left out is none, but for `count`. */
export interface Retention {
  /** How many values are kept; a positive integer, or Infinity. Default 1,000,000. */
  readonly count?: number
  /** How many bytes of values; the newest value is kept however large it is. */
  readonly bytes?: number
  /** How long a value is kept, by the time at which it was appended. */
  readonly age?: Duration.Input
  /**
   * What becomes of values past a limit that a group has not committed. `"keep"`: they stay, and past `count` or `bytes`
   * a new value is refused or waits. `"expire"`: they go, and the group is told by `Lagged`. Default `"keep"`.
   */
  readonly unacknowledged?: "keep" | "expire"
  /**
   * A group that nobody has held for so long is removed, and what it kept may go. One whose holder has crashed is, too;
   * without this limit it is listed as held until it is acquired again. Default: never.
   */
  readonly groupIdleTimeout?: Duration.Input
}

export interface Options {
  readonly retention?: Retention
  /**
   * How much of a record may wait to be stored before a new value is refused or waits. Defaults: 65,536 values and 64 MiB.
   */
  readonly queue?: { readonly count?: number; readonly bytes?: number }
}

/** A file that is open, for as long as the Layer is. */
export class SqliteFile extends Context.Service<SqliteFile, {
  /** Its absolute path. */
  readonly file: string
  /**
   * What stands under the log of one record. `version` is that of the schema by which values are encoded, a whole number
   * from 0 on. It fails where the database cannot be read or written.
   */
  readonly engine: (
    record: { readonly key: string; readonly version?: number },
    options?: Options
  ) => Effect.Effect<Engine.Engine, Error, Scope.Scope>
}>()("@sluice/disk/SqliteFile") {}

/**
 * Opens a file, with one worker for it, until the Layer's scope closes: what has been taken is stored first. Use one such
 * Layer for a file and process: each call opens the file anew.
 *
 * Where the worker fails, what waits fails with the cause and may have been stored nevertheless; the next call starts
 * another one, with a warning. A disk that is full, and a process that keeps the file locked for longer than
 * `busyTimeout`, fail what waits, and nothing of it is stored; what comes later goes on once the fault has gone.
 */
export const layer = (options: FileOptions): Layer.Layer<SqliteFile, SqliteOpenFailed> =>
  Layer.effect(
    SqliteFile,
    Effect.gen(function*() {
      const file = resolve(options.file)
      const context = yield* Effect.context()
      const clock = yield* Clock.Clock
      const warn = (message: string, cause: Error) =>
        void Effect.runForkWith(context)(Effect.logWarning(message, cause))
      const connection = new SqliteConnection(file, Duration.toMillis(options.busyTimeout ?? "5 seconds"), warn)
      yield* Effect.acquireRelease(
        Effect.mapError(connection.open, (cause) => new SqliteOpenFailed({ file, cause })),
        () => connection.close
      )
      yield* Engine.inBackground(
        `SQLite, "${file}": its polling`,
        connection.poll(Duration.toMillis(options.pollInterval ?? "100 millis"))
      )
      return {
        file,
        engine: Effect.fn("SqliteFile.engine")(function*({ key, version = 0 }, options = {}) {
          const engine = new SqliteEngine(connection, clock, { key, version, ...limitsOf(key, options) }, warn)
          yield* Effect.acquireRelease(
            connection.add(engine),
            () => Effect.andThen(engine.close, connection.remove(engine))
          )
          if (engine.expiry !== undefined) {
            yield* Engine.inBackground(`record "${key}": its expiry`, engine.expiry)
          }
          return engine
        })
      }
    })
  )

/**
 * The logs of records in a file that `layer` has opened: what `Record.layerLog` takes. Values are acknowledged once they
 * are on the disk. By default nothing is let go of but what is more than 1,000,000 values back, and of that only what
 * every group has committed: see `Retention`. A limit that is no positive integer dies when the record is built.
 *
 * Processes that open the same record should have the same retention, since each lets go of what is past its own. They
 * may go past `count` and `bytes` by what the others have in their queues. Space that was used stays with the file, and
 * is used again.
 */
export const backing = (options?: Options): Log.LogBacking<Log.LogFailed, SqliteFile> => ({
  durability: "fsynced",
  make: Effect.fnUntraced(function*(record) {
    const { engine } = yield* SqliteFile
    const made = yield* Effect.mapError(
      engine(record, options),
      (cause) => new Log.LogFailed({ record: record.key, cause })
    )
    return yield* Engine.make(record, made)
  })
})

const limitsOf = (record: string, { queue = {}, retention = {} }: Options) => {
  const { count = 1_000_000, bytes = Infinity, unacknowledged = "keep" } = retention
  for (const [name, limit] of Object.entries({ count, bytes, ...queue })) {
    if (!(limit === Infinity || (Number.isInteger(limit) && limit > 0))) {
      throw new RangeError(`record "${record}": ${name} must be a positive integer or Infinity, got ${limit}`)
    }
  }
  return {
    limits: {
      count,
      bytes,
      age: Duration.toMillis(retention.age ?? Duration.infinity),
      keepsUnacknowledged: unacknowledged === "keep",
      groupIdleTimeout: Duration.toMillis(retention.groupIdleTimeout ?? Duration.infinity)
    },
    queue: { count: queue.count ?? 65_536, bytes: queue.bytes ?? 64 * 2 ** 20 }
  }
}
