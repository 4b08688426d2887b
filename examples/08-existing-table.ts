/**
 * Jobs in a table that an application has had for long, and that knows nothing of Sluice: a listener and a reconciler on it,
 * which make a job ready once all that it needs is done. A trigger writes down what has ended, in the transaction that ended
 * it, whoever did; the backend follows that, and the store settles it by the table's own states.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Completion, Topology } from "@sluice/core"
import { Clock, Console, Effect, Layer, Option, Stream } from "effect"
import { DatabaseSync } from "node:sqlite"

/** What was there before. */
export const application = `
  CREATE TABLE job (
    id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state IN ('waiting', 'ready', 'done', 'failed')),
    attempt INTEGER NOT NULL DEFAULT 1, finished_at INTEGER
  ) STRICT;
  CREATE TABLE need (job TEXT NOT NULL, upstream TEXT NOT NULL, PRIMARY KEY (job, upstream)) STRICT, WITHOUT ROWID;
  CREATE INDEX need_by_upstream ON need (upstream);`

/** What is added. The last statement is for the jobs that ended before. */
export const addition = `
  CREATE TABLE finished (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL,
    at INTEGER NOT NULL
  ) STRICT;
  CREATE TRIGGER job_finished AFTER UPDATE OF state ON job
    WHEN NEW.state IN ('done', 'failed') AND OLD.state NOT IN ('done', 'failed')
  BEGIN
    INSERT INTO finished (job, attempt, state, at) VALUES (NEW.id, NEW.attempt, NEW.state, NEW.finished_at);
  END;
  INSERT INTO finished (job, attempt, state, at)
    SELECT id, attempt, state, finished_at FROM job WHERE state IN ('done', 'failed') ORDER BY finished_at;`

/** A backend tells what was written down since it was asked to. It reads at the subscriber's pace, so that nobody lags. */
export const backendOf = (database: DatabaseSync): Completion.CompletionBackend => {
  const last = database.prepare("SELECT coalesce(max(sequence), 0) AS last FROM finished")
  const after = database.prepare("SELECT * FROM finished WHERE sequence > ? ORDER BY sequence LIMIT 100")
  const refused = (reason: "filterUnsupported" | "resumeUnsupported", why: string) =>
    Effect.fail(new Completion.SubscribeError({ reason, cause: new Error(why) }))
  return {
    capabilities: { resume: false, filters: false },
    subscribe: ({ filter = {}, from = "tail" } = {}) => {
      if (filter.namespace !== undefined || filter.tag !== undefined) {
        return refused("filterUnsupported", "jobs have no namespaces and no tags")
      }
      if (from !== "tail") return refused("resumeUnsupported", "it begins at the tail")
      return Effect.sync(() =>
        Stream.paginate(Number(last.get()!["last"]), (sequence) =>
          Effect.suspend(() => {
            const rows = after.all(sequence)
            const told = [rows.map(signalOf), Option.some(Number(rows.at(-1)?.["sequence"] ?? sequence))] as const
            return rows.length > 0 ? Effect.succeed(told) : Effect.delay(Effect.succeed(told), "50 millis")
          }))
      )
    }
  }
}
const signalOf = ({ at, attempt, job, state }: { readonly [column: string]: unknown }): Completion.Signal => ({
  _tag: "Completion",
  payload: new Completion.CompletionPayload({
    completionId: `${job}/${attempt}`,
    executionId: String(job),
    attempt: Number(attempt),
    flowId: null,
    outcome: state === "done" ? "succeeded" : "failed",
    producedAt: Number(at),
    namespace: "",
    tags: {}
  }),
  cursor: Option.none()
})

/**
 * A store settles what waits for a job. Here the state of what waits says whether that has happened: each statement looks at
 * all that a job needs as it is now, and moves it once. One that can no longer be fails, which is written down in its turn.
 */
export const storeOf = (database: DatabaseSync): Completion.DependencyStore => {
  const promote = database.prepare(
    `UPDATE job SET state = 'ready' WHERE state = 'waiting' AND id IN (SELECT job FROM need WHERE upstream = ?)
       AND NOT EXISTS (
         SELECT 1 FROM need LEFT JOIN job AS other ON other.id = upstream
         WHERE need.job = job.id AND other.state IS NOT 'done'
       )
     RETURNING id`
  )
  const skip = database.prepare(
    `UPDATE job SET state = 'failed', finished_at = ? WHERE state = 'waiting' AND id IN (
       SELECT job FROM need JOIN job AS other ON other.id = upstream WHERE upstream = ? AND other.state = 'failed'
     ) RETURNING id`
  )
  const unsettled = database.prepare(
    `SELECT sequence, job FROM finished WHERE sequence > ? AND EXISTS (
       SELECT 1 FROM need JOIN job AS waiting ON waiting.id = need.job
       WHERE need.upstream = finished.job AND waiting.state = 'waiting'
     ) ORDER BY sequence LIMIT ?`
  )
  const attempt = <A>(run: () => A) => Effect.try({ try: run, catch: (cause) => new Completion.StoreError({ cause }) })
  const ids = (rows: ReadonlyArray<{ readonly [column: string]: unknown }>) => rows.map(({ id }) => String(id))
  return {
    promote: (id) =>
      Clock.clockWith((clock) =>
        attempt(() => ({
          promoted: ids(promote.all(id)),
          skipped: ids(skip.all(clock.currentTimeMillisUnsafe(), id))
        }))
      ),
    unsettled: ({ after, limit }) =>
      attempt(() => {
        const rows = unsettled.all(Number(Option.getOrElse(after, () => "0")), limit)
        return {
          executions: rows.map(({ job }) => String(job)),
          next: rows.length < limit ? Option.none() : Option.some(String(rows.at(-1)!["sequence"]))
        }
      })
  }
}

const program = Effect.gen(function*() {
  const database = new DatabaseSync(":memory:")
  database.exec(application)
  database.exec(`
    INSERT INTO job (id, state) VALUES ('fetch', 'ready'), ('compile', 'waiting'), ('lint', 'waiting'), ('ship', 'waiting');
    INSERT INTO need VALUES ('compile', 'fetch'), ('lint', 'compile'), ('ship', 'compile'), ('ship', 'lint');
    UPDATE job SET state = 'done', finished_at = 0 WHERE id = 'fetch';`)
  database.exec(addition)

  const store = storeOf(database)
  const told: Completion.DependencyStore = {
    ...store,
    promote: (id) =>
      Effect.tap(store.promote(id), ({ promoted, skipped }) =>
        Effect.gen(function*() {
          for (const one of promoted) yield* Console.log(`${one} is ready`)
          for (const one of skipped) yield* Console.log(`${one} fails with ${id}`)
        }))
  }
  yield* Layer.build(Topology.layer(
    Layer.mergeAll(
      Completion.listener({ name: "listening", backend: backendOf(database), store: told }),
      Completion.reconciler({ name: "reconciling", store: told })
    ),
    { onShutdown: () => Effect.void }
  ))

  // The application works as it always did.
  const next = database.prepare("SELECT id FROM job WHERE state = 'ready'")
  const end = database.prepare("UPDATE job SET state = ?, finished_at = ? WHERE id = ?")
  const open = database.prepare("SELECT 1 FROM job WHERE state IN ('waiting', 'ready')")
  while (open.get() !== undefined) {
    for (const { id } of next.all()) {
      const state = id === "lint" ? "failed" : "done"
      yield* Console.log(`${id} is ${state}`)
      end.run(state, yield* Clock.currentTimeMillis, String(id))
    }
    yield* Effect.sleep("10 millis")
  }
}).pipe(Effect.scoped)

// `import.meta.main`, where Node 22 should do as well
if (process.argv[1] === import.meta.filename) NodeRuntime.runMain(program)
