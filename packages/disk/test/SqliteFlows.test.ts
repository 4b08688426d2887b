/** Flows in SQLite files: what is promoted, who hears of it, and what becomes of both when something fails. */
import { assert, describe, it } from "@effect/vitest"
import { Completion, Topology } from "@sluice/core"
import { SqliteFlows, SqliteLog } from "@sluice/disk"
import { Effect, Exit, Fiber, Layer, Logger, Option, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { casesOf } from "../../../test/support/cases.ts"
import { Chance } from "../../testing/src/internal/faults/chance.ts"
import { workers } from "./support/calls.ts"
import { file, numbers, turn, until } from "./support/files.ts"
import { apply, empty, nextStep, shown } from "./support/flowModel.ts"
import { start } from "./support/flowProcess.ts"
import { audit, gather, open, perform, reconcile, told } from "./support/flows.ts"

type Store = Completion.FlowStore
const first = (limit: number) => ({ after: Option.none<string>(), limit })
const succeed = (store: Store, executionId: string, attempt = 1) =>
  store.complete({ executionId, attempt, outcome: "succeeded" })
const allOf = (...upstreams: ReadonlyArray<string>) => [{ policy: "allOf" as const, upstreams }]
const stateOf = (store: Store, id: string) => Effect.map(store.get(id), (found) => Option.getOrThrow(found).state)
/** Another one with the file, as whoever breaks it. */
const saboteur = (file: string) =>
  Effect.acquireRelease(Effect.sync(() => new DatabaseSync(file)), (database) => Effect.sync(() => database.close()))
/** Collects what is logged, and keeps it from the output. */
const logged = (warnings: Array<string>) =>
  Logger.layer([Logger.make(({ message }) => void warnings.push(String([message].flat()[0])))])

describe("the verbs", () => {
  for (const { runs, seed } of casesOf("flows on SQLite, in files", { budget: 6, full: 200 })) {
    it.live(
      `do what the model does, from two connections by turns, restarts included (seed ${seed})`,
      () =>
        Effect.gen(function*() {
          const seeds = new Chance(seed)
          for (let left = runs; left > 0; left--) {
            const chance = new Chance(seeds.seed())
            const path = yield* file
            let model = empty
            for (let lives = 2; lives > 0; lives--) {
              yield* Effect.scoped(Effect.gen(function*() {
                const stores = [(yield* open(path)).store, (yield* open(path)).store]
                for (let steps = 40; steps > 0; steps--) {
                  const step = nextStep(chance, model)
                  const expected = apply(model, step)
                  const answer = yield* told(perform(chance.of(stores), step))
                  assert.deepStrictEqual(answer, expected.told, `seed ${seed}: ${JSON.stringify(step)}`)
                  model = expected.model
                }
                for (const entry of model.executions) {
                  const found = Option.getOrThrow(yield* stores[0]!.get(entry.executionId))
                  assert.deepStrictEqual(found, shown(entry))
                }
              }))
              audit(path, false)
            }
            const { backend, store } = yield* open(path)
            const cursor = `sqlite/${databaseOf(path)}/0/0` as Completion.Cursor
            const { heard } = yield* gather(backend, { from: cursor })
            yield* until("all completions", () => heard.length >= model.completions.length)
            assert.deepStrictEqual(heard, model.completions)
            yield* reconcile(store)
            audit(path, true)
          }
        }),
      300_000
    )
  }

  it.live("say what does not fit, and what to do, and change nothing", () =>
    Effect.gen(function*() {
      const { store } = yield* open(yield* file)
      yield* store.add({ executionId: "a" })
      yield* store.add({ executionId: "b", groups: allOf("a") })
      yield* store.add({ executionId: "c", groups: allOf("b") })
      const refusals = [
        [store.add({ executionId: "a" }), "duplicate", `execution "a": it is there already`],
        [
          store.add({ executionId: "x", groups: allOf("y") }),
          "unknown",
          `its upstream "y" is not there: add that first`
        ],
        [store.add({ executionId: "\ud800" }), "invalid", "its id must be well-formed Unicode without U+0000"],
        [store.add({ executionId: "x", flowId: "a\0b" }), "invalid", "its flow must be well-formed"],
        [store.add({ executionId: "x", namespace: "\udfff" }), "invalid", "its namespace must be well-formed"],
        [store.add({ executionId: "x", tags: { n: 1 as never } }), "invalid", "tags must be strings"],
        [
          store.add({ executionId: "x", groups: [{ policy: { quorum: 1.5 }, upstreams: ["a"] }] }),
          "invalid",
          "the quorum of group 0 must be a positive integer, got 1.5"
        ],
        [store.addEdge({ executionId: "b", upstream: "c", group: 0 }), "cycle", `"c" waits for it`],
        [store.addEdge({ executionId: "b", upstream: "b", group: 0 }), "cycle", `"b" waits for it`],
        [store.addEdge({ executionId: "a", upstream: "b", group: 0 }), "notBlocked", "it is ready"],
        [store.addEdge({ executionId: "b", upstream: "a", group: 1 }), "invalid", "it has no group 1"],
        [succeed(store, "a", 2), "stale", "its current attempt is 1, not 2"],
        [store.replay("a"), "notTerminal", "it is ready: only what has ended can be replayed"],
        [store.replay("x"), "unknown", "it is not there: add it first"]
      ] as const
      for (const [verb, reason, message] of refusals) {
        const error = yield* Effect.flip(verb as Effect.Effect<unknown, Completion.FlowError | Completion.StoreError>)
        assert.instanceOf(error, Completion.FlowError)
        assert.deepStrictEqual(error.reason, reason)
        assert.include(error.message, message)
      }
      assert.deepStrictEqual(
        yield* Effect.forEach(["a", "b", "c"], (id) => stateOf(store, id)),
        ["ready", "blocked", "blocked"]
      )
      assert.isTrue(Option.isNone(yield* store.get("x")))
      const wrong = yield* Effect.flip(store.complete({ executionId: "a", attempt: 1, outcome: "done" as never }))
      assert.instanceOf(wrong, Completion.StoreError)
      const unsendable = yield* Effect.exit(store.add({ executionId: "x", tags: { f: (() => 1) as never } }))
      assert.isTrue(Exit.hasDies(unsendable))
      assert.strictEqual(yield* stateOf(store, "a"), "ready")
      assert.include(String(yield* Effect.flip(store.unsettled({ after: Option.some("?"), limit: 1 }))), "`next`")
    }))

  it.live("keep any text as it is", () =>
    Effect.gen(function*() {
      const { backend, store } = yield* open(yield* file)
      const texts = [`'; DROP TABLE executions; --`, `a"b`, "é\\", "\u0001", "🌊/1", " ", "__proto__"]
      for (const text of texts) {
        const tags = { [text]: text, other: "x" }
        const { heard } = yield* gather(backend, { filter: { namespace: text, tag: [text, text] } })
        const deaf = yield* gather(backend, { filter: { tag: [text, `${text}?`] } })
        yield* store.add({ executionId: text, flowId: text, namespace: text, tags })
        assert.deepStrictEqual(Option.getOrThrow(yield* store.get(text)), {
          executionId: text,
          flowId: text,
          namespace: text,
          tags,
          attempt: 1,
          state: "ready"
        })
        yield* succeed(store, text)
        yield* until("its completion", () => heard.length > 0)
        assert.deepStrictEqual([heard, deaf.heard], [[`${text}/1 succeeded`], []])
      }
    }))

  it.live("promote once, whoever asks and however often at the same time", () =>
    Effect.gen(function*() {
      const path = yield* file
      const stores = yield* Effect.forEach(numbers(0, 3), () => Effect.map(open(path), ({ store }) => store))
      yield* stores[0]!.add({ executionId: "a" })
      const children = numbers(0, 50).map((n) => `child ${n}`)
      for (const executionId of children) yield* stores[0]!.add({ executionId, groups: allOf("a") })
      yield* succeed(stores[0]!, "a")
      const answers = yield* Effect.forEach([...stores, ...stores], (store) => store.promote("a"), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(answers.flatMap(({ promoted }) => promoted), children)
      audit(path, true)
    }))

  it.live("that are interrupted once they were sent happen nevertheless", () =>
    Effect.gen(function*() {
      const { store } = yield* open(yield* file)
      const adding = yield* Effect.forkChild(store.add({ executionId: "a" }), { startImmediately: true })
      yield* Fiber.interrupt(adding)
      assert.strictEqual(yield* stateOf(store, "a"), "ready")
    }))

  it.live("that were asked for are done before the file is closed, and fail afterwards", () =>
    Effect.gen(function*() {
      const path = yield* file
      const scope = yield* Scope.make()
      const { backend, store } = yield* Scope.provide(open(path), scope)
      const adding = yield* Effect.forkChild(
        Effect.forEach(numbers(0, 20), (n) => store.add({ executionId: String(n) }), { concurrency: "unbounded" }),
        { startImmediately: true }
      )
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(adding)))
      assert.include((yield* Effect.flip(store.get("a"))).message, "it is closed")
      const refused = yield* Effect.flip(Effect.scoped(backend.subscribe()))
      assert.strictEqual(refused.reason, "unavailable")
      const again = yield* open(path)
      assert.strictEqual((yield* again.store.list({ state: "ready", ...first(100) })).executions.length, 20)
    }))
})

/** Of a file: what its cursors begin with. */
const databaseOf = (path: string): string => {
  const database = new DatabaseSync(path)
  const { name } = database.prepare("SELECT database AS name FROM store").get() as { readonly name: string }
  database.close()
  return name
}

describe("what is unsettled", () => {
  it.live("comes in the order in which it ended, whatever else is blocked for ever", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { store } = yield* open(path)
      yield* store.add({ executionId: "never" })
      yield* store.add({ executionId: "lonely" })
      for (const n of numbers(0, 1_000)) {
        yield* store.add({ executionId: `stuck ${n}`, groups: allOf("never") })
      }
      for (const id of ["c", "a", "b"]) {
        yield* store.add({ executionId: id })
        yield* store.add({ executionId: `after ${id}`, groups: allOf(id) })
      }
      for (const id of ["lonely", "b", "c", "a"]) yield* succeed(store, id)
      const page = yield* store.unsettled(first(2))
      assert.deepStrictEqual(page.executions, ["b", "c"])
      assert.deepStrictEqual(yield* store.unsettled({ after: page.next, limit: 2 }), {
        executions: ["a"],
        next: Option.none()
      })
      assert.deepStrictEqual((yield* store.promote("b")).promoted, ["after b"])
      // What had been there before goes on after it; what has been settled is passed by.
      assert.deepStrictEqual((yield* store.unsettled(first(5))).executions, ["c", "a"])
      const database = yield* saboteur(path)
      const plans = ["settled = 0", "state = 'ready'", "flow = 'a' AND state = 'ready'"].flatMap((where) =>
        database.prepare(
          `EXPLAIN QUERY PLAN SELECT * FROM executions WHERE ${where} AND place > 0 ORDER BY place LIMIT 1`
        ).all().map(({ detail }) => detail)
      )
      assert.deepStrictEqual(plans, [
        "SEARCH executions USING INDEX executions_unsettled (place>?)",
        "SEARCH executions USING INDEX executions_by_state (state=? AND place>?)",
        "SEARCH executions USING INDEX executions_by_flow (flow=? AND state=? AND place>?)"
      ])
    }), 120_000)

  it.live("is found after a restart, also where its children have ended meanwhile", () =>
    Effect.gen(function*() {
      const path = yield* file
      yield* Effect.scoped(Effect.gen(function*() {
        const { store } = yield* open(path)
        yield* store.add({ executionId: "a" })
        yield* store.add({ executionId: "b", groups: allOf("a") })
        yield* store.add({ executionId: "c", groups: allOf("b") })
        yield* store.add({ executionId: "d", groups: allOf("a") })
        yield* store.complete({ executionId: "a", attempt: 1, outcome: "failed" })
        yield* store.complete({ executionId: "d", attempt: 1, outcome: "cancelled" })
      }))
      const { backend, store } = yield* open(path)
      const { heard } = yield* gather(backend)
      // A skip has a completion of its own, by which what comes after it is settled next.
      assert.deepStrictEqual(yield* store.promote("a"), { promoted: [], skipped: ["b"] })
      assert.strictEqual(yield* stateOf(store, "c"), "blocked")
      assert.deepStrictEqual(yield* reconcile(store), { promoted: [], skipped: ["c"] })
      assert.strictEqual(yield* stateOf(store, "d"), "cancelled")
      yield* until("the skips", () => heard.length === 2)
      assert.deepStrictEqual(heard, ["b/1 skipped", "c/1 skipped"])
      audit(path, true)
    }))

  for (const missing of ["listener", "reconciler"] as const) {
    it.live(`is promoted along a chain and a fan without a ${missing}`, () =>
      Effect.gen(function*() {
        const path = yield* file
        const count = 30
        const App = Topology.layer(
          missing === "reconciler"
            ? Completion.listener({ name: "promote" })
            : Completion.reconciler({ name: "reconcile", every: 5 }),
          { onShutdown: () => Effect.void }
        ).pipe(Layer.provideMerge(SqliteFlows.layer({ file: path })))
        yield* Effect.gen(function*() {
          const { store } = yield* SqliteFlows.SqliteFlows
          for (const n of numbers(0, count)) {
            const upstream = String(n % 3 === 0 ? n - 1 : Math.floor(n / 3) * 3)
            yield* store.add({ executionId: String(n), groups: n === 0 ? [] : allOf(upstream) })
          }
          for (let left = count; left > 0;) {
            const { executions } = yield* store.list({ state: "ready", ...first(100) })
            for (const { executionId } of executions) yield* succeed(store, executionId)
            left -= executions.length
          }
        }).pipe(Effect.provide(App))
        audit(path, true)
      }), 60_000)
  }
})

describe("a subscriber", () => {
  it.live("hears what completes once it is attached, with what the execution was added with, in order", () =>
    Effect.gen(function*() {
      const { backend, store } = yield* open(yield* file)
      assert.deepStrictEqual(backend.capabilities, { resume: true, filters: true })
      yield* store.add({ executionId: "before" })
      yield* succeed(store, "before")
      yield* store.add({ executionId: "a", flowId: "flow", namespace: "space", tags: { k: "v" } })
      const stream = yield* backend.subscribe()
      // Nobody has asked the stream for anything yet.
      yield* store.complete({ executionId: "a", attempt: 1, outcome: "expired" })
      const [signal] = yield* Stream.runCollect(Stream.take(stream, 1))
      assert.strictEqual(signal!._tag, "Completion")
      if (signal!._tag !== "Completion") return
      const { producedAt, ...payload } = signal!.payload
      assert.isAtMost(Math.abs(Date.now() - producedAt), 60_000)
      assert.deepStrictEqual(payload, {
        completionId: "a/1",
        executionId: "a",
        attempt: 1,
        flowId: "flow",
        outcome: "expired",
        namespace: "space",
        tags: { k: "v" }
      })
      yield* store.replay("a")
      const { heard } = yield* gather(backend)
      yield* succeed(store, "a", 2)
      yield* until("the second attempt", () => heard.length > 0)
      assert.deepStrictEqual(heard, ["a/2 succeeded"])
    }))

  it.live("hears at once of what completes in its own process, however seldom it asks for others", () =>
    Effect.gen(function*() {
      const { backend, store } = yield* open(yield* file, { pollInterval: "1 hour" })
      const { heard } = yield* gather(backend)
      for (const n of numbers(0, 5)) {
        yield* store.add({ executionId: String(n) })
        yield* succeed(store, String(n))
        yield* until("it", () => heard.length === n + 1)
      }
    }))

  it.live("hears only what its filter lets through, however much else there is", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { backend, store } = yield* open(path)
      const filters = [{}, { namespace: "x" }, { tag: ["k", "v"] }, { namespace: "x", tag: ["k", "v"] }] as const
      const gathered = yield* Effect.forEach(filters, (filter) => gather(backend, { filter }))
      yield* store.add({ executionId: "other" })
      yield* store.add({ executionId: "x", namespace: "x" })
      yield* store.add({ executionId: "k", tags: { k: "v" } })
      yield* store.add({ executionId: "k2", tags: { k: "w", v: "k" }, namespace: "y" })
      yield* store.add({ executionId: "xk", namespace: "x", tags: { k: "v" } })
      const ids = ["other", "x", "k", "k2", "xk"]
      for (const id of ids) yield* succeed(store, id)
      yield* until("the last one for all", () => gathered.every(({ heard }) => heard.at(-1) === "xk/1 succeeded"))
      assert.deepStrictEqual(
        gathered.map(({ heard }) => heard.map((one) => one.split("/")[0])),
        [ids, ["x", "xk"], ["k", "xk"], ["xk"]]
      )
      // More than a read looks at in one go.
      const database = yield* saboteur(path)
      database.exec(`WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 40000)
        INSERT INTO completions (execution, attempt, outcome, at) SELECT 1, 1, 'succeeded', n FROM n`)
      yield* store.add({ executionId: "late", namespace: "x" })
      yield* succeed(store, "late")
      yield* until("it", () => gathered[1]!.heard.includes("late/1 succeeded"))
      assert.deepStrictEqual(gathered[1]!.heard.length, 3)
      yield* until("all", () => gathered[0]!.heard.length === 40_006)
    }), 60_000)

  it.live("goes on exactly after its cursor, in another process's connection and after a restart", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { cursors, heard } = yield* Effect.scoped(Effect.gen(function*() {
        const { backend, store } = yield* open(path)
        const gathered = yield* gather(backend)
        for (const n of numbers(0, 10)) {
          yield* store.add({ executionId: String(n) })
          yield* succeed(store, String(n))
        }
        yield* until("all", () => gathered.heard.length === 10)
        return gathered
      }))
      const { backend } = yield* open(path)
      for (const [index, from] of cursors.entries()) {
        const rest = yield* gather(backend, { from })
        yield* until("the rest", () => rest.heard.length === 9 - index)
        assert.deepStrictEqual(rest.heard, heard.slice(index + 1))
      }
      const refused = yield* Effect.forEach(
        ["", "7", "nats/1/2/3", cursors[0]!.replace(/\/[0-9a-f]{16}\//, "/0123456789abcdef/"), `${cursors[0]!}0/x`],
        (from) => Effect.flip(backend.subscribe({ from: from as Completion.Cursor }))
      )
      for (const { message, reason } of refused) {
        assert.strictEqual(reason, "resumeUnsupported")
        assert.include(message, "subscribe from the tail")
      }
    }))

  it.live("whose cursor has expired is told so and goes on with the oldest that is kept; so is one that lags", () =>
    Effect.gen(function*() {
      const { backend, store } = yield* open(yield* file, { history: { count: 5 } })
      const quick = yield* gather(backend)
      const slow = yield* backend.subscribe()
      const complete = (from: number, to: number) =>
        Effect.forEach(
          numbers(from, to),
          (n) => Effect.andThen(store.add({ executionId: String(n) }), succeed(store, String(n)))
        )
      yield* complete(0, 5)
      yield* until("five", () => quick.heard.length === 5)
      yield* complete(5, 10)
      yield* until("ten", () => quick.heard.length === 10)
      assert.isTrue(quick.heard.every((one) => !one.startsWith("gap")), "nobody else is slowed down")
      const late = yield* Stream.runCollect(Stream.take(slow, 6))
      assert.deepStrictEqual(
        late.map((signal) => signal._tag === "Gap" ? signal.reason : signal.payload.executionId),
        ["lagged", "5", "6", "7", "8", "9"]
      )
      const resumed = yield* gather(backend, { from: quick.cursors[1]! })
      yield* until("the oldest", () => resumed.heard.length === 6)
      assert.deepStrictEqual(resumed.heard, ["gap cursorExpired", ...numbers(5, 10).map((n) => `${n}/1 succeeded`)])
      assert.strictEqual(resumed.gaps[0], Number(quick.cursors[1]!.split("/").at(-1)))
      const exact = yield* gather(backend, { from: quick.cursors[4]! })
      yield* until("all that is kept", () => exact.heard.length === 5)
      assert.deepStrictEqual(exact.heard, resumed.heard.slice(1))
    }))

  it.effect("finds nothing older than the history's age", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { store } = yield* open(path, { history: { age: "1 hour" } })
      for (const n of numbers(0, 6)) {
        yield* store.add({ executionId: String(n) })
        yield* succeed(store, String(n))
        yield* TestClock.adjust("20 minutes")
      }
      const kept = (yield* saboteur(path)).prepare("SELECT sequence, at FROM completions ORDER BY sequence").all()
      assert.deepStrictEqual(kept.map(({ at, sequence }) => [sequence, Number(at) / 60_000]), [
        [3, 40],
        [4, 60],
        [5, 80],
        [6, 100]
      ])
    }))

  it.effect("is kept for no longer by one that was dated ahead, by a clock that has been put right since", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { store } = yield* open(path, { history: { age: "1 hour" } })
      const minutes = (n: number) => TestClock.setTime(n * 60_000)
      for (const [n, at] of [0, 10_000_000, 20, 40, 60, 80, 100].entries()) {
        yield* minutes(at)
        yield* store.add({ executionId: String(n) })
        yield* succeed(store, String(n))
      }
      const kept = (yield* saboteur(path)).prepare("SELECT at FROM completions ORDER BY sequence").all()
      assert.deepStrictEqual(kept.map(({ at }) => Number(at) / 60_000), [40, 60, 80, 100])
    }))

  it.live("gets completions that expire a thousand at a time", () =>
    Effect.gen(function*() {
      const path = yield* file
      yield* Effect.scoped(open(path))
      const database = yield* saboteur(path)
      database.exec(`INSERT INTO executions VALUES (1, 'x', NULL, '', '{}', 1, 1, 1, 'succeeded');
        WITH RECURSIVE n (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 3000)
        INSERT INTO completions (execution, attempt, outcome, at) SELECT 1, 1, 'succeeded', n FROM n`)
      const { store } = yield* open(path, { history: { count: 10, age: "1000000 days" } })
      const oldest = []
      for (const n of numbers(0, 4)) {
        yield* store.add({ executionId: String(n) })
        yield* succeed(store, String(n))
        oldest.push(database.prepare("SELECT min(sequence) AS oldest FROM completions").get()!["oldest"])
      }
      assert.deepStrictEqual(oldest, [1001, 2001, 2994, 2995])
    }))

  it.live("has a stream that ends with its scope, and not before", () =>
    Effect.gen(function*() {
      const { backend, store } = yield* open(yield* file)
      const scope = yield* Scope.make()
      const stream = yield* Scope.provide(backend.subscribe(), scope)
      const running = yield* Effect.forkChild(Stream.runCollect(stream))
      yield* store.add({ executionId: "a" })
      yield* succeed(store, "a")
      assert.isUndefined(running.pollUnsafe())
      yield* Scope.close(scope, Exit.void)
      assert.isAtMost((yield* Fiber.join(running)).length, 1)
    }))
})

describe("a fault", () => {
  it.live("of another process that keeps the file locked fails after the busyTimeout, and is over with the lock", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { backend, store } = yield* open(path, { busyTimeout: 50 })
      const { heard } = yield* gather(backend)
      yield* store.add({ executionId: "a" })
      const database = yield* saboteur(path)
      database.exec("BEGIN IMMEDIATE")
      const error = yield* Effect.flip(succeed(store, "a"))
      assert.instanceOf(error, Completion.StoreError)
      assert.include(error.message, "another process has kept it locked for longer than the busyTimeout of 50 ms")
      // Who reads does not wait.
      assert.strictEqual(yield* stateOf(store, "a"), "ready")
      yield* Effect.scoped(Effect.asVoid(backend.subscribe()))
      database.exec("ROLLBACK")
      assert.isTrue(yield* succeed(store, "a"))
      yield* until("the completion", () => heard.length === 1)
    }))

  for (const [table, when] of [["completions", "INSERT"], ["edges", "UPDATE"], ["executions", "UPDATE"]] as const) {
    it.live(`of the disk at the ${table} leaves nothing of a promotion; it is done once the fault has gone`, () =>
      Effect.gen(function*() {
        const path = yield* file
        const { backend, store } = yield* open(path)
        const { heard } = yield* gather(backend)
        yield* store.add({ executionId: "a" })
        yield* store.add({ executionId: "ready", groups: [{ policy: "anyOf", upstreams: ["a"] }] })
        yield* store.add({ executionId: "skipped", groups: allOf("a", "ready") })
        yield* store.complete({ executionId: "a", attempt: 1, outcome: "failed" })
        const database = yield* saboteur(path)
        database.exec(
          `CREATE TRIGGER full BEFORE ${when} ON ${table} BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`
        )
        const error = yield* Effect.flip(store.promote("a"))
        assert.include(error.message, "the disk is full")
        assert.include(error.message, path)
        assert.deepStrictEqual(yield* stateOf(store, "ready"), "blocked")
        audit(path, false)
        database.exec("DROP TRIGGER full")
        assert.deepStrictEqual((yield* store.promote("a")).skipped, ["ready", "skipped"])
        yield* until("all", () => heard.length === 3)
        assert.deepStrictEqual(heard, ["a/1 failed", "ready/1 skipped", "skipped/1 skipped"])
        audit(path, false)
      }))
  }

  it.live("of the worker fails what waits; who listens misses nothing, and is told of no gap", () => {
    const warnings: Array<string> = []
    return Effect.gen(function*() {
      const path = yield* file
      const [ours, theirs] = [yield* open(path), yield* open(path)]
      const worker = Array.from(workers.keys()).at(-2)!
      const { heard } = yield* gather(ours.backend)
      for (const n of numbers(0, 20)) yield* ours.store.add({ executionId: String(n) })
      yield* succeed(ours.store, "0")
      const waiting = yield* Effect.forkChild(Effect.exit(succeed(ours.store, "1")), { startImmediately: true })
      yield* Effect.promise(() => worker.terminate())
      const exit = yield* Fiber.join(waiting)
      if (Exit.isFailure(exit)) {
        assert.include(String(exit.cause), "its worker ended")
        // It may have happened nevertheless: asking again says so.
        yield* succeed(ours.store, "1")
      }
      for (const n of numbers(2, 10)) yield* succeed(theirs.store, String(n))
      yield* until("what others completed meanwhile", () => heard.length >= 10)
      for (const n of numbers(10, 20)) yield* succeed(ours.store, String(n))
      yield* until("the rest", () => heard.length >= 20)
      assert.deepStrictEqual(heard, numbers(0, 20).map((n) => `${n}/1 succeeded`))
      assert.deepStrictEqual(warnings, ["a store of flows has lost its worker; the next call starts another one"])
    }).pipe(Effect.provide(logged(warnings)))
  })

  for (const ahead of [false, true]) {
    const where = ahead ? "and is further on by then" : "to an earlier state"
    it.live(`after which the file was put back ${where} is told as a gap, and cursors from before are refused`, () => {
      const warnings: Array<string> = []
      return Effect.gen(function*() {
        const path = yield* file
        const copy = `${path}.copy`
        yield* Effect.scoped(Effect.gen(function*() {
          const { store } = yield* open(path)
          for (const n of numbers(0, 9)) yield* store.add({ executionId: String(n) })
        }))
        copyFileSync(path, copy)
        // So that it does not open the file while that is being replaced.
        const { backend, store } = yield* open(path, { pollInterval: "1 hour" })
        const worker = Array.from(workers.keys()).at(-1)!
        const { cursors, heard } = yield* gather(backend)
        yield* succeed(store, "0")
        yield* succeed(store, "1")
        yield* until("both", () => heard.length === 2)
        const before = Date.now()
        yield* until("another millisecond", () => Date.now() > before)
        yield* Effect.promise(() => worker.terminate())
        for (const end of ["", "-wal", "-shm"]) rmSync(`${path}${end}`, { force: true })
        copyFileSync(copy, path)
        if (ahead) {
          yield* Effect.scoped(
            Effect.flatMap(open(path), ({ store }) => Effect.forEach(["5", "6", "7"], (id) => succeed(store, id)))
          )
        }
        assert.isTrue(yield* succeed(store, "2"))
        yield* until("the gap", () => heard.length >= 3)
        assert.strictEqual(heard[2], "gap reconnected")
        assert.isTrue(yield* succeed(store, "1"))
        yield* until("what comes then", () => heard.length > 3 && heard.at(-1) === "1/1 succeeded")
        const error = yield* Effect.flip(backend.subscribe({ from: cursors[1]! }))
        assert.strictEqual(error.reason, "resumeUnsupported")
        assert.include(error.message, "since it was put back")
      }).pipe(Effect.provide(logged(warnings)))
    })
  }

  it.effect("while it opens says which file, and what to do; while it subscribes, after the connectTimeout", () =>
    Effect.gen(function*() {
      const path = yield* file
      const garbage = join(dirname(path), "garbage.db")
      writeFileSync(garbage, "x".repeat(10_000))
      const log = join(dirname(path), "other.db")
      yield* Effect.scoped(Layer.build(SqliteLog.layer({ file: log })))
      for (const [file, why] of [[garbage, "not a SQLite database"], [log, "another application"]] as const) {
        const error = yield* Effect.flip(open(file))
        assert.instanceOf(error, SqliteFlows.SqliteOpenFailed)
        assert.include(error.message, file)
        assert.include(error.message, why)
        assert.include(error.message, "choose another file")
      }
      const warnings: Array<string> = []
      const error = yield* Effect.gen(function*() {
        const { backend } = yield* open(path)
        const worker = Array.from(workers.keys()).at(-1)!
        yield* Effect.promise(() => worker.terminate())
        for (const end of ["-wal", "-shm"]) rmSync(`${path}${end}`, { force: true })
        writeFileSync(path, readFileSync(garbage))
        const subscribing = yield* Effect.forkChild(Effect.flip(backend.subscribe()), { startImmediately: true })
        // Of the worker that was ended, and of another one that could not open what is there now.
        yield* until("an answer", () => warnings.length >= 2)
        yield* turn
        yield* TestClock.adjust("10 seconds")
        return yield* Fiber.join(subscribing)
      }).pipe(Effect.scoped, Effect.provide(logged(warnings)))
      assert.strictEqual(error.reason, "unavailable")
      assert.include(error.message, "not a SQLite database")
    }))

  it.live("in the options dies, and says which", () =>
    Effect.gen(function*() {
      const path = yield* file
      for (const options of [{ history: { count: 0 } }, { history: { age: 0 } }, { pollInterval: 0 }]) {
        const exit = yield* Effect.exit(open(path, options))
        assert.include(Exit.isFailure(exit) ? String(exit.cause) : "", "must be")
      }
    }))
})

describe("two processes with one file", () => {
  it.live("hear of each other's completions, and promote once", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { backend, store } = yield* open(path)
      const names = numbers(0, 20).map((n) => `upstream${n}`)
      for (const name of names) {
        yield* store.add({ executionId: name })
        yield* store.add({ executionId: `after ${name}`, groups: allOf(name) })
      }
      const { heard } = yield* gather(backend)
      const { child, lines } = yield* start("obey", path)
      yield* until("the other", () => lines.includes("open"))
      let both = 0
      for (const [index, name] of names.entries()) {
        child.stdin.write(`complete ${name}\n`)
        yield* until("its completion, by polling alone", () => heard.length === index + 1)
        assert.strictEqual(heard[index], `${name}/1 succeeded`)
        yield* until("its answer", () => lines.length === 2 + 2 * index)
        assert.strictEqual(lines.at(-1), "true")
        child.stdin.write(`promote ${name}\n`)
        const ours = yield* store.promote(name)
        yield* until("their answer", () => lines.length === 3 + 2 * index)
        const theirs: Completion.Promotion = JSON.parse(lines.at(-1)!)
        assert.deepStrictEqual([...ours.promoted, ...theirs.promoted], [`after ${name}`])
        both += ours.promoted.length
      }
      console.log(`of 20 promotions ${both} were of this process`)
      audit(path, true)
    }), 60_000)

  for (const { runs, seed } of casesOf("flows on SQLite, killed", { budget: 4, full: 60 })) {
    it.live(
      `that are killed at any time leave nothing half done and nothing lost (seed ${seed})`,
      () =>
        Effect.gen(function*() {
          const chance = new Chance(seed)
          const path = yield* file
          const said = new Set<string>()
          const heard: Array<string> = []
          let from: Completion.Cursor | "tail" = "tail"
          for (const life of numbers(0, runs)) {
            const children = yield* Effect.forEach(
              ["x", "y"],
              (name) => start("work", path, chance.seed(), `${name}${life}`)
            )
            const wanted = 1 + chance.below(40)
            yield* until("their work", () => children.every(({ lines }) => lines.length >= wanted))
            for (const { child } of children) child.kill("SIGKILL")
            yield* until("their end", () => children.every(({ hasEnded }) => hasEnded()))
            for (const { lines } of children) lines.forEach((line) => said.add(line))
            audit(path, false)
            yield* Effect.scoped(Effect.gen(function*() {
              const { backend, store } = yield* open(path)
              if (from === "tail") from = `sqlite/${databaseOf(path)}/0/0` as Completion.Cursor
              yield* reconcile(store)
              const database = yield* saboteur(path)
              const { count } = database.prepare("SELECT count(*) AS count FROM completions").get()!
              const gathered = yield* gather(backend, { from })
              yield* until("all of them", () => heard.length + gathered.heard.length === count)
              heard.push(...gathered.heard)
              from = gathered.cursors.at(-1)!
            }))
            audit(path, true)
          }
          assert.strictEqual(new Set(heard).size, heard.length, "each is told once to whoever resumes")
          for (const line of said) assert.include(heard, line)
        }),
      600_000
    )
  }
})
