/** Stores that do in two transactions what has to be done in one, each with a place between them. */
import { Completion } from "@sluice/core"
import { Effect } from "effect"
import { DatabaseSync } from "node:sqlite"
import type { Break, Place } from "./task.ts"

export const brokenStore = (
  broken: Break,
  store: Completion.FlowStore,
  file: string,
  pass: (place: Place) => void
): Completion.FlowStore => {
  const database = new DatabaseSync(file, { timeout: 5000 })
  switch (broken) {
    case "forgetsWhatItMissed":
      return store
    case "marksBeforeItCounts": {
      const mark = database.prepare("UPDATE executions SET settled = 1 WHERE id = ? AND settled = 0")
      const unmark = database.prepare("UPDATE executions SET settled = 0 WHERE id = ?")
      return {
        ...store,
        promote: (executionId) =>
          Effect.suspend(() => {
            if (mark.run(executionId).changes === 1) {
              pass("within promote")
              unmark.run(executionId)
            }
            return store.promote(executionId)
          })
      }
    }
    case "endsBeforeItTells": {
      const advance = database.prepare("UPDATE store SET place = place + 1")
      const end = database.prepare(
        `UPDATE executions SET state = :outcome, place = (SELECT place FROM store),
           settled = NOT EXISTS (SELECT 1 FROM edges WHERE upstream = executions.key)
         WHERE id = :id AND attempt = :attempt AND state = 'ready'`
      )
      const tell = database.prepare(
        `INSERT INTO completions (execution, attempt, outcome, at)
         SELECT key, attempt, state, 0 FROM executions WHERE id = ?`
      )
      return {
        ...store,
        complete: ({ attempt, executionId, outcome }) =>
          Effect.sync(() => {
            advance.run()
            const isEnded = end.run({ outcome, id: executionId, attempt }).changes === 1
            if (isEnded) {
              pass("within complete")
              tell.run(executionId)
            }
            return isEnded
          })
      }
    }
  }
}
