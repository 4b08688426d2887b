import { assert, describe, it } from "@effect/vitest"
import type { Completion } from "@sluice/core"
import { DependencyLaws, Flows } from "@sluice/testing"
import { Effect } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import { noticesSabotage } from "../../../test/support/sabotaged.ts"

const some = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
const remotely = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.andThen(some, Effect.tap(effect, () => some))
/** The store in memory as one that answers by I/O: some turns after it is asked, and some after it has done so. */
const remote = (): Flows.Flows => {
  const { backend, store } = Flows.memory()
  return {
    backend,
    store: {
      add: (execution) => remotely(store.add(execution)),
      addEdge: (edge) => remotely(store.addEdge(edge)),
      complete: (end) => remotely(store.complete(end)),
      replay: (executionId) => remotely(store.replay(executionId)),
      promote: (executionId) => remotely(store.promote(executionId)),
      unsettled: (page) => remotely(store.unsettled(page)),
      get: (executionId) => remotely(store.get(executionId)),
      list: (page) => remotely(store.list(page))
    } satisfies Completion.FlowStore
  }
}

const subjects: ReadonlyArray<DependencyLaws.Subject> = [
  ...DependencyLaws.ours,
  DependencyLaws.subject("a store that answers by I/O", Effect.sync(remote), {
    executions: 100,
    turn: Effect.andThen(some, Effect.andThen(some, some))
  })
]

describe.each(subjects)("$name", (subject) => {
  for (const law of DependencyLaws.laws) it.effect(law.name, () => law.check(subject))

  it("keeps every law in plain Effect, on the live clock", () => Effect.runPromise(DependencyLaws.checkAll(subject)))
})

noticesSabotage(DependencyLaws.laws, subjects)

describe.each(casesOf("flow programs", { budget: 100, full: 1000 }))("seed $seed", ({ runs, seed }) => {
  it.effect("any program ends as its model does, whatever fails on the way", () =>
    Effect.forEach(
      Array.from({ length: runs }, (_, index) => seed + index),
      (seed) => DependencyLaws.checkProgram(DependencyLaws.ours[0]!, seed),
      { discard: true }
    ), 600_000)
})

describe("the laws", () => {
  it("have names of their own", () => {
    assert.strictEqual(new Set(DependencyLaws.laws.map(({ name }) => name)).size, DependencyLaws.laws.length)
  })
})
