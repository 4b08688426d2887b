/** Stores of flows in real files, who listens to them, and what must hold in a file whatever happened to it. */
import type { Completion } from "@sluice/core"
import { SqliteFlows } from "@sluice/disk"
import { Effect, Option, Stream } from "effect"
import assert from "node:assert/strict"
import { DatabaseSync } from "node:sqlite"
import type { Step, Told } from "./flowModel.ts"

export const open = (file: string, options?: Omit<SqliteFlows.Options, "file">) =>
  SqliteFlows.make({ file, pollInterval: 5, ...options })

/** Subscribes, and gathers what comes: completions as `id/attempt outcome`, gaps as `gap reason`. */
export const gather = Effect.fnUntraced(function*(
  { subscribe }: Completion.CompletionBackend,
  options?: Completion.SubscribeOptions
) {
  const stream = yield* subscribe(options)
  const heard: Array<string> = []
  const cursors: Array<Completion.Cursor> = []
  const gaps: Array<number> = []
  yield* Effect.forkScoped(Stream.runForEach(stream, (signal) =>
    Effect.sync(() => {
      if (signal._tag === "Gap") {
        gaps.push(signal.since)
        return heard.push(`gap ${signal.reason}`)
      }
      const { completionId, outcome } = signal.payload
      cursors.push(Option.getOrThrow(signal.cursor))
      return heard.push(`${completionId} ${outcome}`)
    })))
  return { heard, cursors, gaps }
})

export const perform = (store: Completion.FlowStore, step: Step): Effect.Effect<unknown, unknown> => {
  switch (step._tag) {
    case "Add":
      return store.add(step.execution)
    case "AddEdge":
      return store.addEdge(step.edge)
    case "Complete":
      return store.complete(step.end)
    case "Promote":
      return store.promote(step.executionId)
    case "Replay":
      return store.replay(step.executionId)
  }
}
/** What a verb told, as the model says it. */
export const told = (effect: Effect.Effect<unknown, unknown>): Effect.Effect<Told> =>
  Effect.match(effect, {
    onFailure: (error: any) => error._tag === "FlowError" ? { refused: error.reason } : { value: error },
    onSuccess: (value) => ({ value })
  })

/** Goes through what is unsettled until nothing is. */
export const reconcile = (store: Completion.FlowStore): Effect.Effect<Completion.Promotion, unknown> =>
  Effect.gen(function*() {
    const all = { promoted: Array<string>(), skipped: Array<string>() }
    for (;;) {
      const { executions } = yield* store.unsettled({ after: Option.none(), limit: 50 })
      if (executions.length === 0) return all
      for (const id of executions) {
        const { promoted, skipped } = yield* store.promote(id)
        all.promoted.push(...promoted)
        all.skipped.push(...skipped)
      }
    }
  })

/** Nothing is half there. After everything has been promoted, nothing waits that need not. */
export const audit = (file: string, isReconciled: boolean): void => {
  const database = new DatabaseSync(file)
  const none = (what: string, sql: string) => assert.deepStrictEqual(database.prepare(sql).all(), [], what)
  try {
    none(
      "groups that miscount",
      `SELECT * FROM groups g WHERE (total, succeeded, failed) <> (
         SELECT count(*), count(*) FILTER (WHERE succeeded = 1), count(*) FILTER (WHERE succeeded = 0)
         FROM edges e WHERE e.execution = g.execution AND e.number = g.number)`
    )
    none(
      "executions that ended without a completion, or the other way round",
      `SELECT * FROM executions e WHERE (state NOT IN ('blocked', 'ready')) <> (
         SELECT count(*) FROM completions c WHERE c.execution = e.key AND c.attempt = e.attempt)`
    )
    none(
      "executions that ended otherwise than their completion says",
      `SELECT * FROM executions e JOIN completions c ON c.execution = e.key AND c.attempt = e.attempt
       WHERE e.state <> c.outcome`
    )
    none(
      "sequences left out",
      "SELECT sequence FROM completions WHERE sequence > (SELECT count(*) FROM completions)"
    )
    none(
      "edges that nobody would settle",
      `SELECT * FROM edges JOIN executions u ON u.key = upstream
       WHERE edges.attempt IS NULL AND u.state NOT IN ('blocked', 'ready') AND u.settled = 1`
    )
    if (!isReconciled) return
    none(
      "executions that wait for nothing",
      `SELECT * FROM executions e WHERE state = 'blocked' AND (
         EXISTS (SELECT 1 FROM groups WHERE execution = key AND total - failed < coalesce(quorum, total))
         OR NOT EXISTS (SELECT 1 FROM groups WHERE execution = key AND succeeded < coalesce(quorum, total)))`
    )
  } finally {
    database.close()
  }
}
