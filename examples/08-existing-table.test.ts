/** The backend on a table keeps the laws of backends, but for one on what its jobs do not have. */
import { assert, describe, it } from "@effect/vitest"
import { CompletionLaws } from "@sluice/testing"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { DatabaseSync } from "node:sqlite"
import { addition, application, backendOf } from "./08-existing-table.ts"

const jobs: CompletionLaws.Subject = {
  name: "a table of jobs",
  promises: { resume: false, filters: false, buffer: false, history: false },
  make: () =>
    Effect.sync(() => {
      const database = new DatabaseSync(":memory:")
      database.exec(application)
      database.exec(addition)
      const start = database.prepare(
        `INSERT INTO job (id, state, attempt) VALUES (:id, 'ready', :attempt)
         ON CONFLICT DO UPDATE SET state = 'ready', attempt = :attempt WHERE attempt < :attempt`
      )
      const end = database.prepare("UPDATE job SET state = ?, finished_at = ? WHERE id = ? AND state = 'ready'")
      return {
        backend: backendOf(database),
        end: ({ attempt = 1, executionId, outcome = "succeeded" }) =>
          Clock.clockWith((clock) =>
            Effect.sync(() => {
              start.run({ id: executionId, attempt })
              end.run(outcome === "succeeded" ? "done" : "failed", clock.currentTimeMillisUnsafe(), executionId)
            })
          )
      }
    }),
  turn: Effect.andThen(TestClock.adjust("10 millis"), Effect.yieldNow),
  elapse: (millis) => TestClock.adjust(millis)
}

describe(jobs.name, () => {
  // Jobs have no flow, no namespace and no tags, and end in two ways.
  const asksForMore = ({ name }: CompletionLaws.Law) => name.includes("the flow, the namespace and the tags")
  const laws = CompletionLaws.lawsOf(jobs)
  it("has one thing less to tell than the laws ask for", () => assert.lengthOf(laws.filter(asksForMore), 1))
  for (const law of laws.filter((law) => !asksForMore(law))) it.effect(law.name, () => law.check(jobs))
})
