/** Verbs of a store of flows that wait at the same time share a transaction, and nothing else: not their failures. */
import { assert, describe, it } from "@effect/vitest"
import { Completion } from "@sluice/core"
import { Effect, Exit, Option, Result } from "effect"
import { readFileSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { casesOf } from "../../../test/support/cases.ts"
import { Chance } from "../../testing/src/internal/faults/chance.ts"
import { file, numbers, until } from "./support/files.ts"
import { apply, empty, nextStep, shown, type Step } from "./support/flowModel.ts"
import { audit, gather, open, perform, told } from "./support/flows.ts"

const atOnce = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
  Effect.all(effects.map((effect) => Effect.exit(effect)), { concurrency: "unbounded" })
/** Transactions in the write-ahead log, which begins anew after a thousand pages: frames that say how large the database is. */
const commitsIn = (path: string): number => {
  const log = readFileSync(`${path}-wal`)
  const frame = 24 + log.readUInt32BE(8)
  return Array.from({ length: Math.floor((log.length - 32) / frame) }, (_, index) => 32 + index * frame)
    .filter((at) => log.readUInt32BE(at + 4) > 0 && log.subarray(at + 8, at + 16).equals(log.subarray(16, 24))).length
}

describe("verbs at the same time", () => {
  it.live("are flushed together, and heard of in the order in which they were asked for", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { backend, store } = yield* open(path)
      const { heard } = yield* gather(backend)
      const names = numbers(0, 40).map(String)
      yield* atOnce(names.map((executionId) => store.add({ executionId })))
      const before = commitsIn(path)
      const ends = names.map((executionId) => store.complete({ executionId, attempt: 1, outcome: "succeeded" }))
      assert.deepStrictEqual(yield* atOnce(ends), names.map(() => Exit.succeed(true)))
      const commits = commitsIn(path) - before
      assert.isAbove(commits, 0)
      assert.isAtMost(commits, 20)
      yield* until("all", () => heard.length === 40)
      assert.deepStrictEqual(heard, names.map((name) => `${name}/1 succeeded`))
    }))

  it.live("are refused and fail each by itself", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { store } = yield* open(path)
      const database = new DatabaseSync(path)
      database.exec(`CREATE TRIGGER full BEFORE INSERT ON executions WHEN NEW.id = 'bad'
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`)
      database.close()
      const names = ["a", "b", "bad", "c", "a", "d"]
      const exits = yield* atOnce(names.map((executionId) => Effect.result(store.add({ executionId }))))
      const answers = exits.map((exit) =>
        Exit.isSuccess(exit) && Result.isFailure(exit.value)
          ? exit.value.failure instanceof Completion.FlowError ? exit.value.failure.reason : exit.value.failure._tag
          : Exit.isSuccess(exit)
      )
      assert.deepStrictEqual(answers, [true, true, "StoreError", true, "duplicate", true])
      const { executions } = yield* store.list({ state: "ready", after: Option.none(), limit: 10 })
      assert.deepStrictEqual(executions.map(({ executionId }) => executionId), ["a", "b", "c", "d"])
    }))

  it.live("wait for a lock together: the last is not told of it many times later than the first", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { store } = yield* open(path, { busyTimeout: 200 })
      const database = new DatabaseSync(path)
      database.exec("BEGIN IMMEDIATE")
      const began = performance.now()
      const exits = yield* atOnce(numbers(0, 50).map((n) => store.add({ executionId: String(n) })))
      // Each by itself would take ten seconds.
      assert.isBelow(performance.now() - began, 5_000)
      for (const exit of exits) assert.include(Exit.isFailure(exit) ? String(exit.cause) : "", "kept it locked")
      database.exec("ROLLBACK")
      database.close()
      assert.deepStrictEqual((yield* store.list({ state: "ready", after: Option.none(), limit: 1 })).executions, [])
      assert.strictEqual((yield* store.add({ executionId: "0" })).state, "ready")
    }))

  for (const { runs, seed } of casesOf("flows on SQLite, many at once", { budget: 10, full: 400 })) {
    it.live(
      `do what they would one after the other (seed ${seed})`,
      () =>
        Effect.gen(function*() {
          const chance = new Chance(seed)
          for (let left = runs; left > 0; left--) {
            const path = yield* file
            const { backend, store } = yield* open(path)
            const { heard } = yield* gather(backend)
            let model = empty
            for (let groups = 10; groups > 0; groups--) {
              const steps: Array<Step> = []
              const expected: Array<unknown> = []
              for (let count = 1 + chance.below(30); count > 0; count--) {
                const step = nextStep(chance, model)
                const next = apply(model, step)
                steps.push(step)
                expected.push(next.told)
                model = next.model
              }
              const answers = yield* Effect.all(steps.map((step) => told(perform(store, step))), {
                concurrency: "unbounded"
              })
              assert.deepStrictEqual(answers, expected as typeof answers)
              audit(path, false)
            }
            for (const entry of model.executions) {
              assert.deepStrictEqual(yield* store.get(entry.executionId), Option.some(shown(entry)))
            }
            yield* until("all completions", () => heard.length >= model.completions.length)
            assert.deepStrictEqual(heard, model.completions)
          }
        }),
      300_000
    )
  }
})
