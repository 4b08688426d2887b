/** Flows on SQLite keep the laws of completions and of dependencies. */
import { describe, it } from "@effect/vitest"
import { SqliteFlows } from "@sluice/disk"
import { CompletionLaws, DependencyLaws } from "@sluice/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { casesOf } from "../../../test/support/cases.ts"
import { answered } from "./support/calls.ts"
import { file } from "./support/files.ts"

const open = (history?: number) =>
  Effect.flatMap(
    file,
    (path) => SqliteFlows.make({ file: path, ...(history === undefined ? {} : { history: { count: history } }) })
  ).pipe(Effect.orDie)

const timing = {
  turn: answered,
  elapse: (millis: number) => Effect.andThen(TestClock.adjust(millis), answered)
}
const heard = CompletionLaws.subject(
  "SqliteFlows",
  { resume: true, filters: true, buffer: false, history: true },
  ({ history }) => open(history),
  timing
)
describe(`completions of ${heard.name}`, () => {
  for (const law of CompletionLaws.lawsOf(heard)) it.effect(law.name, () => law.check(heard))
})

const kept = DependencyLaws.subject("SqliteFlows", open(), { executions: 300, ...timing })
describe(`dependencies of ${kept.name}`, () => {
  for (const law of DependencyLaws.laws) it.effect(law.name, () => law.check(kept), 120_000)
})

describe.each(casesOf("flow programs on SQLite", { budget: 4, full: 100 }))("seed $seed", ({ runs, seed }) => {
  it.effect("any program ends as its model does, whatever fails on the way", () =>
    Effect.forEach(
      Array.from({ length: runs }, (_, index) => seed + index),
      (seed) => DependencyLaws.checkProgram(kept, seed),
      { discard: true }
    ), 1_200_000)
})
