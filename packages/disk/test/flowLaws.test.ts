/** Flows on SQLite keep the laws of completions and of dependencies. */
import { describe, it } from "@effect/vitest"
import { SqliteFlows } from "@sluice/disk"
import { CompletionLaws, DependencyLaws } from "@sluice/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { casesOf } from "../../../test/support/cases.ts"
import { answered, workers } from "./support/calls.ts"
import { file } from "./support/files.ts"

const open = (history?: number) =>
  Effect.flatMap(
    file,
    (path) => SqliteFlows.make({ file: path, ...(history === undefined ? {} : { history: { count: history } }) })
  ).pipe(Effect.orDie)

/** Some time for what goes by no test's clock. */
const realMillis = Effect.callback<void>((resume) => void setTimeout(() => resume(Effect.void), 5))
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

const cut = CompletionLaws.subject(
  "SqliteFlows whose worker is ended",
  { ...heard.promises, connection: true },
  ({ history }) =>
    Effect.map(open(history), (flows) => ({
      ...flows,
      cut: Effect.promise(() => Array.from(workers.keys()).at(-1)!.terminate())
    })),
  { turn: realMillis, elapse: (millis) => Effect.andThen(TestClock.adjust(millis), realMillis) }
)
describe(`completions of ${cut.name}`, () => {
  for (const law of CompletionLaws.laws.filter(({ applies }) => !applies(heard.promises) && applies(cut.promises))) {
    it.effect(law.name, () => law.check(cut))
    it.effect(`sabotaged, it breaks the law: ${law.name}`, () => Effect.flip(law.check(law.broken(cut))))
  }
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
