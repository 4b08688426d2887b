/** Several processes on one SQLite log: killed ones, fenced ones, and those that hear of each other. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { append, contents, file, numbers, open, openRecord, own, until } from "./support/files.ts"
import { start } from "./support/process.ts"

describe("a process that is killed while it appends", () => {
  it.live(
    "leaves everything that it was told is stored, once and in order, and nothing half",
    () =>
      Effect.gen(function*() {
        const path = yield* file
        for (const lines of [1, 300, 2_000]) {
          const before = yield* Effect.scoped(Effect.map(openRecord(path), (engine) => engine.head()))
          const { child, hasEnded, lines: said } = yield* start("append", path)
          yield* until("its lines", () => said.length >= lines)
          child.kill("SIGKILL")
          yield* until("its end", hasEnded)
          assert.deepStrictEqual(said, numbers(0, said.length).map(String))
          const left = yield* Effect.scoped(Effect.flatMap(openRecord(path), contents))
          const stored = left.slice(before)
          assert.isAtLeast(stored.length, said.length)
          assert.deepStrictEqual(stored, numbers(0, stored.length).map((value) => `${before + value}:${value}`))
        }
      }),
    60_000
  )
})

describe("two processes with one group", () => {
  it.live(
    "the first is fenced by its next commit, and together they have handled everything",
    () =>
      Effect.gen(function*() {
        const path = yield* file
        const engine = yield* openRecord(path)
        yield* append(engine, numbers(0, 200))
        const sinks = [`${path}.first`, `${path}.second`] as const
        const first = yield* start("handle", path, sinks[0], 199, 50)
        yield* until("the first to pause", () => first.lines.includes("paused"))
        const second = yield* start("handle", path, sinks[1], 199, -1)
        yield* until("the second to acquire", () => second.lines.includes("acquired"))
        first.child.stdin.write("go on\n")
        yield* until("both to end", () => first.hasEnded() && second.hasEnded())
        assert.deepStrictEqual([first.lines.at(-1), second.lines.at(-1)], ["stale", "done"])
        const handled = sinks.map((sink) => readFileSync(sink, "utf8").trimEnd().split("\n").map(Number))
        assert.deepStrictEqual(handled, [numbers(0, 51), numbers(50, 200)])
        assert.deepStrictEqual((yield* engine.groups).map(({ committed }) => committed), [199])
      }),
    60_000
  )

  it.live(
    "whoever is killed with a group in hand, the next goes on after its last commit",
    () =>
      Effect.gen(function*() {
        const path = yield* file
        yield* Effect.scoped(Effect.flatMap(openRecord(path), (engine) => append(engine, numbers(0, 20))))
        const first = yield* start("handle", path, `${path}.first`, 19, 10)
        yield* until("the first to pause", () => first.lines.includes("paused"))
        first.child.kill("SIGKILL")
        const second = yield* start("handle", path, `${path}.second`, 19, -1)
        yield* until("the second to end", second.hasEnded)
        assert.deepStrictEqual(second.lines, ["acquired", "done"])
        assert.strictEqual(readFileSync(`${path}.second`, "utf8"), `${numbers(10, 20).join("\n")}\n`)
      }),
    60_000
  )
})

describe("two connections to one file", () => {
  it.live("append at the same time, each in its own order, with no sequence twice", () =>
    Effect.gen(function*() {
      const path = yield* file
      const engines = [yield* openRecord(path), yield* openRecord(path)]
      yield* Effect.forEach(engines, (engine, index) =>
        Effect.forEach(numbers(0, 20), (batch) =>
          append(
            engine,
            numbers(batch * 50, batch * 50 + 50).map((value) => `${index}/${value}`)
          )), {
        concurrency: "unbounded"
      })
      yield* engines[0]!.refresh!
      assert.strictEqual(engines[0]!.head(), 2_000)
      const all = yield* contents(engines[0]!)
      assert.deepStrictEqual(all.map((entry) => Number(entry.split(":")[0])), numbers(0, 2_000))
      for (const index of [0, 1]) {
        const its = all.map((entry) => entry.split(":")[1]!).filter((value) => value.startsWith(`${index}/`))
        assert.deepStrictEqual(its, numbers(0, 1_000).map((value) => `${index}/${value}`))
      }
    }))

  it.live("hear of each other: a reader of what the other appends, a producer of the room that it makes", () =>
    Effect.gen(function*() {
      const path = yield* file
      const options = { retention: { count: 4 } }
      const [ours, theirs] = [
        yield* openRecord(path, options),
        yield* Effect.flatMap(open(path, { pollInterval: 1 }), ({ engine }) => engine({ key: "record" }, options))
      ]
      let [advanced, room] = [0, 0]
      theirs.listen({ advanced: () => advanced++, roomMade: () => room++ })
      assert.strictEqual(theirs.head(), 0)
      yield* append(ours, numbers(0, 4))
      yield* until("the news", () => advanced > 0)
      assert.strictEqual(theirs.head(), 4)
      assert.deepStrictEqual(yield* contents(theirs), own(0, 4))
      const hold = yield* ours.acquire("group", "oldest")
      yield* until("the log to be full", () => theirs.isFull())
      assert.deepStrictEqual(theirs.blockers(), [`group "group"`])
      yield* ours.commit(hold, 1, new Map())
      yield* until("room", () => room > 0)
      assert.isFalse(theirs.isFull())
    }))
})
