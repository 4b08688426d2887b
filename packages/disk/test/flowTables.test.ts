/** The tables of a store of flows against a plain model, in memory: random programs, full disks in the middle of a verb. */
import { assert, describe, it } from "@effect/vitest"
import { DatabaseSync } from "node:sqlite"
import { casesOf } from "../../../test/support/cases.ts"
import { Chance } from "../../testing/src/internal/faults/chance.ts"
import type { History } from "../src/internal/flowCalls.ts"
import { FlowTables, flowTables, Refusal } from "../src/internal/flowTables.ts"
import {
  apply,
  empty,
  hasEnded,
  type Model,
  nextStep,
  shown,
  type Step,
  type Told,
  unsettled
} from "./support/flowModel.ts"

const unlimited: History = { count: Infinity, age: Infinity }
const states = ["blocked", "ready", "succeeded", "failed", "cancelled", "expired", "skipped"] as const

class Subject {
  readonly database = new DatabaseSync(":memory:")
  readonly tables: FlowTables
  constructor(history = unlimited) {
    this.database.exec(flowTables)
    this.tables = new FlowTables(this.database, history)
  }
  verb<A>(run: (tables: FlowTables) => A, now = 0): A {
    this.database.exec("BEGIN IMMEDIATE")
    try {
      const value = run(this.tables)
      this.tables.expire(now)
      this.database.exec("COMMIT")
      return value
    } catch (cause) {
      // What is refused has changed nothing, so that others may share its transaction.
      if (this.database.isTransaction) this.database.exec(cause instanceof Refusal ? "COMMIT" : "ROLLBACK")
      throw cause
    }
  }
  step(step: Step): Told {
    try {
      return { value: this.verb((tables) => run(tables, step)) }
    } catch (cause) {
      if (cause instanceof Refusal) return { refused: cause.reason }
      throw cause
    }
  }
  /** The number of pages may not grow by more than so many. */
  limit(pages: number): void {
    const { page_count } = this.database.prepare("PRAGMA page_count").get() as { readonly page_count: number }
    this.database.exec(`PRAGMA max_page_count = ${page_count + pages}`)
  }
}
const run = (tables: FlowTables, step: Step): unknown => {
  switch (step._tag) {
    case "Add": {
      const { executionId, flowId = null, groups = [], namespace = "", tags = {} } = step.execution
      return tables.add({ executionId, flowId, groups, namespace, tags }, 0)
    }
    case "AddEdge":
      return tables.addEdge(step.edge, 0)
    case "Complete":
      return tables.complete(step.end, 0)
    case "Promote":
      return tables.promote(step.executionId, 0)
    case "Replay":
      return tables.replay(step.executionId, 0)
  }
}

const allPages = <A>(
  limit: number,
  page: (after: number) => { executions: ReadonlyArray<A>; next: number | undefined }
) => {
  const all: Array<A> = []
  for (let after: number | undefined = 0; after !== undefined;) {
    const { executions, next }: ReturnType<typeof page> = page(after)
    assert.isAtMost(executions.length, limit)
    all.push(...executions)
    after = next
  }
  return all
}
/** Each edge that is settled, by which attempt of its upstream, and how that had ended. */
const marksOf = ({ database }: Subject): ReadonlyArray<unknown> =>
  database.prepare(
    `SELECT u.id || ' ▶ ' || e.id || '/' || number AS edge, edges.attempt AS "by", succeeded FROM edges
     JOIN executions u ON u.key = upstream JOIN executions e ON e.key = execution
     WHERE edges.attempt IS NOT NULL ORDER BY edge`
  ).all().map((mark) => ({ ...mark }))
const marksIn = ({ executions }: Model) =>
  executions.flatMap(({ executionId, groups }) =>
    groups.flatMap(({ edges }, number) =>
      edges.flatMap(({ settled, upstream }) =>
        settled === undefined ? [] : [{
          edge: `${upstream} ▶ ${executionId}/${number}`,
          by: settled.by,
          succeeded: Number(settled.succeeded)
        }]
      )
    )
  ).toSorted((a, b) => a.edge < b.edge ? -1 : 1)

const check = (chance: Chance, subject: Subject, model: Model): void => {
  const { tables } = subject
  const limit = 1 + chance.below(6)
  for (const state of states) {
    const expected = model.executions.filter((entry) => entry.state === state).map(shown)
    assert.deepStrictEqual(
      allPages(limit, (after) => tables.list({ state, flowId: undefined, after, limit })),
      expected,
      `those that are ${state}`
    )
    assert.deepStrictEqual(
      allPages(limit, (after) => tables.list({ state, flowId: "a", after, limit })),
      expected.filter(({ flowId }) => flowId === "a")
    )
  }
  const due = allPages(limit, (after) => tables.unsettled({ after, limit }))
  const order = model.executions.filter(hasEnded).map(({ executionId }) => executionId)
  assert.deepStrictEqual(due, order.filter((id) => due.includes(id)), "what is unsettled has ended, in order")
  for (const id of unsettled(model)) assert.include(due, id, "what is unsettled is told")
  assert.deepStrictEqual(marksOf(subject), marksIn(model), "by what each edge is settled")
  const { completions } = tables.read(0, {})
  assert.deepStrictEqual(
    completions.map(({ attempt, executionId, outcome }) => `${executionId}/${attempt} ${outcome}`),
    model.completions
  )
  for (const [index, { sequence }] of completions.entries()) assert.strictEqual(sequence, index + 1)
}

const program = (seed: number): void => {
  const chance = new Chance(seed)
  const subject = new Subject()
  let model = empty
  const steps: Array<Step> = []
  try {
    for (let left = 10 + chance.below(80); left > 0; left--) {
      const step = nextStep(chance, model)
      steps.push(step)
      const expected = apply(model, step)
      const isFull = chance.happens(0.1)
      if (isFull) subject.limit(chance.below(2))
      try {
        assert.deepStrictEqual(subject.step(step), expected.told)
        model = expected.model
      } catch (cause) {
        // A full disk, as it says itself: nothing has happened.
        if (!(isFull && cause instanceof Error && "errcode" in cause && cause.errcode === 13)) throw cause
      }
      subject.limit(10_000)
      if (left % 5 === 0) check(chance, subject, model)
    }
    check(chance, subject, model)
    // What a reconciler does: whoever goes through it until nothing is left has promoted everything.
    for (let due = unsettled(model); due.length > 0; due = unsettled(model)) {
      for (const executionId of due) {
        const step: Step = { _tag: "Promote", executionId }
        const expected = apply(model, step)
        assert.deepStrictEqual(subject.step(step), expected.told)
        model = expected.model
        assert.deepStrictEqual(subject.step(step), { value: { promoted: [], skipped: [] } })
      }
    }
    check(chance, subject, model)
  } catch (cause) {
    throw new Error(
      `seed ${seed}: ${String(cause)}\n${steps.slice(-20).map((step) => JSON.stringify(step)).join("\n")}`,
      {
        cause
      }
    )
  } finally {
    subject.database.close()
  }
}

describe("random flows", () => {
  for (const { runs, seed } of casesOf("flows on SQLite", { budget: 200, full: 20_000 })) {
    it(`do what the model does, verb by verb, and nothing where the disk is full (seed ${seed})`, () => {
      const seeds = new Chance(seed)
      for (let left = runs; left > 0; left--) program(seeds.seed())
    }, 600_000)
  }
})

describe("an edge", () => {
  it("has the attempt of its upstream that settled it: by a promotion, when it was added, and judged anew", () => {
    const subject = new Subject()
    const step = (step: Step) => assert.notProperty(subject.step(step), "refused", JSON.stringify(step))
    const add = (executionId: string, ...upstreams: ReadonlyArray<string>) =>
      step({ _tag: "Add", execution: { executionId, groups: [{ policy: "allOf", upstreams }] } })
    const end = (executionId: string, attempt: number) =>
      step({ _tag: "Complete", end: { executionId, attempt, outcome: "succeeded" } })
    const replay = (executionId: string) => step({ _tag: "Replay", executionId })
    for (const id of ["a", "open"]) add(id)
    add("promoted", "a", "open")
    for (const attempt of [1, 2, 3]) {
      end("a", attempt)
      if (attempt < 3) replay("a")
    }
    assert.deepStrictEqual(marksOf(subject), [])
    step({ _tag: "Promote", executionId: "a" })
    add("added", "a")
    add("waits", "open")
    step({ _tag: "AddEdge", edge: { executionId: "waits", upstream: "a", group: 0 } })
    const marks = (of: { readonly [executionId: string]: number }) =>
      Object.entries(of).map(([executionId, by]) => ({ edge: `a ▶ ${executionId}/0`, by, succeeded: 1 }))
    assert.deepStrictEqual(marksOf(subject), marks({ added: 3, promoted: 3, waits: 3 }))
    end("added", 1)
    replay("a")
    // Those that are blocked wait for the new attempt; what was ready by the earlier one stays so.
    assert.deepStrictEqual(marksOf(subject), marks({ added: 3 }))
    end("a", 4)
    replay("added")
    step({ _tag: "Promote", executionId: "a" })
    assert.deepStrictEqual(marksOf(subject), marks({ added: 4, promoted: 4, waits: 4 }))
    subject.database.close()
  })
})
