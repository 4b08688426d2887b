/**
 * Executions, what waits for them, and their completions in a SQLite database: flows without a server, in one file, which
 * several processes may open at a time.
 *
 * ```ts
 * const App = Topology.layer(Layer.mergeAll(
 *   Completion.listener({ name: "promote" }),
 *   Completion.reconciler({ name: "reconcile" })
 * )).pipe(Layer.provideMerge(SqliteFlows.layer({ file: "flows.db" })))
 * ```
 *
 * Each verb happens whole or not at all, and is on the disk once it answers (the write-ahead log, with `synchronous =
 * FULL`): the state, what it settles and the completions that tell of it. Verbs that wait at the same time are flushed
 * together (group commit), so that many at a time cost little more than one. SQLite has one writer at a time, so that
 * completions have an order, in which every subscriber of every process gets them. They are read where they are kept: a
 * subscriber that is slow just reads later, and one that comes back goes on where it was, for as long as `history` says.
 */
import {
  type CompletionBackend,
  Completions,
  Dependencies,
  type FlowStore,
  StoreError,
  SubscribeError,
  type SubscribeOptions
} from "@sluice/core/Completion"
import { inBackground } from "@sluice/core/Engine"
import { Clock, Context, Duration, Effect, Latch, Layer, Option, type Scope, Stream } from "effect"
import { resolve } from "node:path"
import type { Standing } from "./internal/flowCalls.ts"
import { FlowConnection } from "./internal/flowConnection.ts"
import { bridge, isElsewhere, type Position, positionOf, signals } from "./internal/flowSignals.ts"
import { byRealTime, patience } from "./internal/sqliteThread.ts"
import { SqliteOpenFailed } from "./SqliteLog.ts"

export { SqliteOpenFailed }

export interface Options {
  /**
   * The database, of its own: a `SqliteLog` needs another one. What it needs beside it is named as it is, with `-wal` and
   * `-shm` at the end. It is made where there is none, with the directories above it. It belongs on a local disk: SQLite's
   * locks do not hold on a network's.
   */
  readonly file: string
  /** How long to wait for another process that is writing; what waits then fails. Default 5 seconds. */
  readonly busyTimeout?: Duration.Input
  /**
   * How often to ask whether another process has written, while a subscriber waits. It bounds by how much it hears later
   * of what completed there; of what completes in its own process it hears at once. Default 100 milliseconds.
   */
  readonly pollInterval?: Duration.Input
  /**
   * How long completions can be read again; executions and edges are kept for ever. What is past a limit goes when others
   * are made, some thousand at a time, and processes should have the same limits, since each lets go of what is past its own.
   */
  readonly history?: {
    /** A positive integer, or Infinity. Default 1,000,000. */
    readonly count?: number
    /** Default 7 days. */
    readonly age?: Duration.Input
  }
}

/** A file that is open. */
export class SqliteFlows extends Context.Service<SqliteFlows, {
  /** Its absolute path. */
  readonly file: string
  /**
   * A verb that is interrupted while it is under way happens nevertheless: it was sent to a thread of its own. So may one that
   * failed because that thread did. `add`, `addEdge`, `complete` and `promote` can be repeated: the answer then says that it
   * is done. Before a second `replay`, `get` says whether the first happened.
   */
  readonly store: FlowStore
  /**
   * It resumes and filters. A cursor is of use to every process with this file, and to no other file. It holds at most 1,024
   * completions for a subscriber, which misses nothing when the thread fails and is started anew: `reconnected` says that
   * the file was put back to an earlier state. A stream that is run again begins where it was attached.
   */
  readonly backend: CompletionBackend
}>()("@sluice/disk/SqliteFlows") {}

/**
 * Opens a file, with one worker for it, until the scope closes: what has been asked for is done first. A process that opens
 * a file twice is to itself as another process is.
 *
 * Where the worker fails, what waits fails with `StoreError` and may have been done nevertheless; the next call starts
 * another one, with a warning. A disk that is full, and a process that keeps the file locked for longer than `busyTimeout`,
 * fail what waits, and nothing of it is done; what comes later goes on once the fault has gone. A limit that is not positive
 * dies with a `RangeError`.
 */
export const make = Effect.fn("SqliteFlows.make")(
  function*(options: Options): Effect.fn.Return<SqliteFlows["Service"], SqliteOpenFailed, Scope.Scope> {
    const { busyTimeout = "5 seconds", history = {}, pollInterval = "100 millis" } = options
    const file = resolve(options.file)
    const limits = { count: history.count ?? 1_000_000, age: Duration.toMillis(history.age ?? "7 days") }
    const interval = Duration.toMillis(pollInterval)
    if (limits.count !== Infinity) assertPositive(file, "history.count", limits.count)
    assertAbove(file, "history.age", limits.age)
    assertAbove(file, "pollInterval", interval)
    const context = yield* Effect.context()
    const clock = yield* Clock.Clock
    const connection = new FlowConnection(
      { file, busyTimeout: Duration.toMillis(busyTimeout), history: limits },
      (message, cause) => void Effect.runForkWith(context)(Effect.logWarning(message, cause))
    )
    yield* Effect.acquireRelease(
      Effect.mapError(connection.open, (cause) => new SqliteOpenFailed({ file, cause })),
      () => connection.close
    )
    yield* inBackground(`SQLite, "${file}": its polling`, connection.poll(interval))
    const now = () => clock.currentTimeMillisUnsafe()
    return SqliteFlows.of({ file, store: storeOf(file, connection, now), backend: backendOf(connection, now) })
  }
)

/** A file that is open for as long as the Layer is: its executions, as what waits for completions, and its completions. */
export const layer = (
  options: Options
): Layer.Layer<SqliteFlows | Completions | Dependencies, SqliteOpenFailed> =>
  Layer.effectContext(
    Effect.map(make(options), (flows) =>
      Context.make(SqliteFlows, flows).pipe(
        Context.add(Completions, flows.backend),
        Context.add(Dependencies, flows.store)
      ))
  )

const storeOf = (file: string, connection: FlowConnection, now: () => number): FlowStore => {
  const asStoreError = (cause: unknown) => new StoreError({ cause })
  const pageOf = ({ after, limit }: { readonly after: Option.Option<string>; readonly limit: number }) => {
    assertPositive(file, "limit", limit)
    const place = Number(Option.getOrElse(after, () => "0"))
    return Number.isSafeInteger(place)
      ? Effect.succeed({ after: place, limit })
      : Effect.fail(new StoreError({ cause: new Error("`after` must be the `next` of another page of this store") }))
  }
  const nextOf = (next: number | undefined) => Option.map(Option.fromUndefinedOr(next), String)
  return {
    add: ({ executionId, flowId = null, groups = [], namespace = "", tags = {} }) =>
      Effect.suspend(() => {
        const execution = { executionId, flowId, groups, namespace, tags }
        return connection.verb("Add", executionId, { execution, now: now() })
      }),
    addEdge: ({ executionId, group, upstream }) =>
      Effect.suspend(() =>
        connection.verb("AddEdge", executionId, { edge: { executionId, group, upstream }, now: now() })
      ),
    complete: ({ attempt, executionId, outcome }) =>
      Effect.suspend(() =>
        connection.verb("Complete", executionId, { end: { executionId, attempt, outcome }, now: now() })
      ),
    promote: (executionId) =>
      Effect.suspend(() => connection.verb("Promote", executionId, { executionId, now: now() })).pipe(
        // There is nothing that it would refuse.
        Effect.catchTag("FlowError", Effect.die)
      ),
    replay: (executionId) => Effect.suspend(() => connection.verb("Replay", executionId, { executionId, now: now() })),
    get: (executionId) =>
      connection.ask("Get", { executionId }).pipe(Effect.mapBoth({
        onFailure: asStoreError,
        onSuccess: Option.fromUndefinedOr
      })),
    list: ({ flowId, state, ...page }) =>
      Effect.suspend(() => pageOf(page)).pipe(
        Effect.flatMap((page) => Effect.mapError(connection.ask("List", { ...page, state, flowId }), asStoreError)),
        Effect.map(({ executions, next }) => ({ executions, next: nextOf(next) }))
      ),
    unsettled: (page) =>
      Effect.suspend(() => pageOf(page)).pipe(
        Effect.flatMap((page) => Effect.mapError(connection.ask("Unsettled", page), asStoreError)),
        Effect.map(({ executions, next }) => ({ executions, next: nextOf(next) }))
      )
  }
}

const backendOf = (connection: FlowConnection, now: () => number): CompletionBackend => ({
  capabilities: { resume: true, filters: true },
  subscribe: Effect.fn("SqliteFlows.subscribe")(function*(options: SubscribeOptions = {}) {
    const { connectTimeout = "10 seconds", filter = {}, from = "tail" } = options
    const cursor = from === "tail" ? undefined : positionOf(from)
    if (from !== "tail" && cursor === undefined) return yield* notResumed("it is no cursor of a SQLite store of flows")
    const standing = yield* attached(connection, cursor?.sequence ?? 0, connectTimeout)
    const { database, last, lastAt } = standing.range
    if (cursor !== undefined && isElsewhere(cursor, standing)) {
      return yield* notResumed("it is of another file, or of a state that this one has lost since it was put back")
    }
    const tail: Position = { database, sequence: last, at: lastAt ?? now() }
    const { gap, position } = cursor === undefined
      ? { gap: undefined, position: tail }
      : bridge(cursor, standing, "cursorExpired")
    const over = Latch.makeUnsafe(false)
    yield* Effect.addFinalizer(() => over.open)
    const found = signals(connection, position, filter)
    const all = gap === undefined ? found : Stream.concat(Stream.succeed(gap), found)
    return Stream.interruptWhen(all, over.await)
  })
})
const notResumed = (why: string) =>
  Effect.fail(new SubscribeError({ reason: "resumeUnsupported", cause: new Error(why) }))

/** Asks again until it is answered, for `connectTimeout` at most. */
const attached = (
  connection: FlowConnection,
  sequence: number,
  connectTimeout: Duration.Input
): Effect.Effect<Standing, SubscribeError> =>
  Effect.suspend(() => {
    let last = new Error("it has not answered in time")
    const unavailable = () => Effect.fail(new SubscribeError({ reason: "unavailable", cause: last }))
    const ask = connection.ask("Stand", { sequence }).pipe(
      Effect.tapError((cause) => Effect.sync(() => void (last = cause))),
      Effect.retry({ schedule: patience, while: () => !connection.isClosed }),
      byRealTime,
      Effect.catch(unavailable)
    )
    return Effect.timeoutOrElse(ask, { duration: connectTimeout, orElse: unavailable })
  })

const assertPositive = (file: string, option: string, value: number): void => {
  if (Number.isSafeInteger(value) && value > 0) return
  throw new RangeError(`flows in "${file}": \`${option}\` must be a positive integer, got ${value}`)
}
const assertAbove = (file: string, option: string, millis: number): void => {
  if (millis > 0) return
  throw new RangeError(`flows in "${file}": \`${option}\` must be positive, got ${millis} ms`)
}
