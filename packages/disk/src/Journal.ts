/**
 * A journal on disk: an embedded store for the logs of all records of a process, with no server to run. The records share
 * one file of appends, so that they share each flush: what `produceAsync` returned for survives `kill -9` and power loss.
 *
 * A journal has its directory for itself: one writer at a time, held by a lock that ends with its process. Others may read
 * it meanwhile: see `JournalReader`.
 */
import { Clock, Context, Effect, Layer, Schema, type Scope } from "effect"
import { JournalCore } from "./internal/journalCore.ts"
import { JournalEngine, type JournalEngineOptions } from "./internal/journalEngine.ts"
import { Damaged } from "./internal/recovery.ts"
import { CurrentStorage, Locked } from "./Storage.ts"

/** Another process writes to the directory, or another journal of this one. */
export class JournalLocked extends Schema.TaggedError<JournalLocked>()("JournalLocked", {
  directory: Schema.String,
  holder: Schema.String
}) {
  override get message(): string {
    return `the journal at ${this.directory} is in use by ${this.holder}. A directory has one writer: give this one a `
      + `directory of its own, or stop the other`
  }
}
/** What was durable is no longer as it was written. Nothing was changed. */
export class JournalDamaged extends Schema.TaggedError<JournalDamaged>()("JournalDamaged", {
  directory: Schema.String,
  file: Schema.String,
  /** In bytes. */
  position: Schema.Int,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the journal at ${this.directory} is damaged: ${String(this.cause)}. Restore it from a copy, or move the `
      + `directory away to begin anew`
  }
}
/** The directory could not be opened, read or written. */
export class JournalFailed extends Schema.TaggedError<JournalFailed>()("JournalFailed", {
  directory: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the journal at ${this.directory} cannot be opened: ${String(this.cause)}`
  }
}
export type JournalError = JournalLocked | JournalDamaged | JournalFailed

export interface JournalOptions {
  /** Made where it is not there. */
  readonly directory: string
  /** Of one file. Default 64 MiB; at least 64 KiB. A value takes at most a quarter of it. */
  readonly segmentBytes?: number
  /**
   * How large the directory may become. Default 64 GiB; at least four segments. Near it a warning names what holds most;
   * at it `tryProduce` answers `BufferFull` and `produceAsync` waits, until something expires or is committed.
   */
  readonly limitBytes?: number
  /**
   * Values taken and not durable yet, of all records together: beyond it they are refused or wait. Default 65,536 values
   * and 64 MiB.
   */
  readonly queue?: { readonly count?: number; readonly bytes?: number }
}

/** What the journal does, since it was opened. */
export interface JournalStats {
  /** Each of them one write that is made durable. */
  readonly flushes: number
  readonly failures: number
  /** Segments begun. */
  readonly rollovers: number
  /** Segments that are live now. */
  readonly segments: number
}

export class Journal extends Context.Service<Journal, {
  readonly directory: string
  readonly stats: () => JournalStats
  /** What stands under the log of a record, for the life of the scope; a record has one at a time, else it dies. */
  readonly engine: (options: JournalEngineOptions) => Effect.Effect<JournalEngine, never, Scope.Scope>
}>()("@sluice/disk/Journal") {}

/** The journal of a directory, for as long as the Layer lives: then what was taken is stored, and the lock given back. */
export const layer = (options: JournalOptions): Layer.Layer<Journal, JournalError> =>
  Layer.effect(
    Journal,
    Effect.gen(function*() {
      const { directory: path } = options
      const settings = settingsOf(options)
      const storage = yield* CurrentStorage
      const clock = yield* Clock.Clock
      const directory = yield* opening(path, () => storage.open(path))
      yield* Effect.acquireRelease(
        opening(path, () => directory.lock()),
        (lock) => Effect.promise(() => lock.release())
      )
      const core = yield* Effect.acquireRelease(
        opening(path, () => JournalCore.open(directory, { ...settings, now: () => clock.currentTimeMillisUnsafe() })),
        (core) => Effect.ignore(Effect.tryPromise(() => core.close()))
      )
      const services = yield* Effect.context<never>()
      const log = Effect.runForkWith(services)
      core.onProblem = (message, cause) =>
        void log(Effect.logWarning(`journal ${path}: ${message}`, ...(cause === undefined ? [] : [cause])))
      const open = new Set<string>()
      return {
        directory: path,
        stats: () => ({
          flushes: core.flushes,
          failures: core.failures,
          rollovers: core.rollovers,
          segments: core.state.segments.size
        }),
        engine: (options) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              if (open.has(options.key)) {
                throw new Error(
                  `record "${options.key}" is open already in the journal at ${path}: provide its Layer once`
                )
              }
              open.add(options.key)
              return new JournalEngine(core, options)
            }),
            () => Effect.sync(() => void open.delete(options.key))
          )
      }
    })
  )

const opening = <A>(directory: string, work: () => Promise<A>): Effect.Effect<A, JournalError> =>
  Effect.tryPromise({
    try: work,
    catch: (cause) =>
      cause instanceof Locked
        ? new JournalLocked({ directory, holder: cause.holder })
        : cause instanceof Damaged
        ? new JournalDamaged({ directory, file: cause.file, position: cause.position, cause })
        : new JournalFailed({ directory, cause })
  })

const settingsOf = ({ directory, limitBytes, queue, segmentBytes }: JournalOptions) => {
  const atLeast = (field: string, value: number | undefined, otherwise: number, least: number): number => {
    if (value === undefined) return otherwise
    if (Number.isInteger(value) && value >= least) return value
    throw new RangeError(`journal ${directory}: \`${field}\` must be an integer of at least ${least}, got ${value}`)
  }
  const bytes = atLeast("segmentBytes", segmentBytes, 64 * 1024 * 1024, 64 * 1024)
  return {
    segmentBytes: bytes,
    limitBytes: atLeast("limitBytes", limitBytes, Math.max(64 * 1024 ** 3, 4 * bytes), 4 * bytes),
    queueCount: atLeast("queue.count", queue?.count, 65_536, 1),
    queueBytes: atLeast("queue.bytes", queue?.bytes, 64 * 1024 * 1024, 1)
  }
}
