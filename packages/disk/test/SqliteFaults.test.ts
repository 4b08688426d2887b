/** What becomes of a SQLite log whose disk, lock or worker fails, and that it goes on afterwards. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Logger } from "effect"
import { chmodSync } from "node:fs"
import { DatabaseSync } from "node:sqlite"
import { SqliteLog } from "@sluice/disk"
import { SqliteConnection } from "../src/internal/sqliteConnection.ts"
import { SqliteEngine } from "../src/internal/sqliteEngine.ts"
import { workers } from "./support/calls.ts"
import { append, contents, file, numbers, open, openRecord, own, until } from "./support/files.ts"

/** Another one with the file, as whoever breaks it. */
const saboteur = (file: string) =>
  Effect.acquireRelease(Effect.sync(() => new DatabaseSync(file)), (database) => Effect.sync(() => database.close()))
const why = (exit: Exit.Exit<unknown, unknown>) => Exit.isFailure(exit) ? String(exit.cause) : "success"

describe("a transaction that fails", () => {
  for (const how of ["ABORT", "FAIL", "ROLLBACK"]) {
    it.live(`by ${how} at a value in the middle fails all of it with the cause; what comes later is stored`, () =>
      Effect.gen(function*() {
        const path = yield* file
        const engine = yield* openRecord(path)
        yield* append(engine, numbers(0, 3))
        const hold = yield* engine.acquire("group", "oldest")
        const database = yield* saboteur(path)
        database.exec(`CREATE TRIGGER full BEFORE INSERT ON values_1 WHEN new.sequence = 5
          BEGIN SELECT RAISE(${how}, 'the disk is full'); END`)
        const exits = yield* Effect.all([
          Effect.exit(append(engine, numbers(90, 99))),
          Effect.exit(engine.commit(hold, 2, new Map()))
        ], { concurrency: "unbounded" })
        for (const exit of exits) {
          assert.include(why(exit), "the disk is full")
          assert.include(why(exit), path)
        }
        assert.strictEqual(engine.head(), 3)
        assert.isFalse(engine.isFull())
        yield* append(engine, numbers(3, 5))
        assert.deepStrictEqual((yield* engine.groups).map(({ committed }) => committed), [-1])
        database.exec("DROP TRIGGER full")
        yield* append(engine, numbers(5, 9))
        assert.deepStrictEqual(yield* contents(engine), own(0, 9))
        assert.deepStrictEqual(yield* engine.commit(hold, 8, new Map()), { _tag: "Committed" })
      }))
  }

  it.live("because another process keeps the file locked says so after the busyTimeout", () =>
    Effect.gen(function*() {
      const path = yield* file
      const { engine } = yield* open(path, { busyTimeout: 50 })
      const record = yield* engine({ key: "record" })
      const database = yield* saboteur(path)
      database.exec("BEGIN IMMEDIATE")
      const failed = yield* Effect.exit(append(record, [90]))
      assert.include(why(failed), "another process has kept it locked for longer than the busyTimeout of 50 ms")
      database.exec("ROLLBACK")
      yield* append(record, [0])
      assert.deepStrictEqual(yield* contents(record), own(0, 1))
    }))

  it.live("is waited for where the other process lets go in time", () =>
    Effect.gen(function*() {
      const path = yield* file
      const engine = yield* openRecord(path)
      const database = yield* saboteur(path)
      database.exec("BEGIN IMMEDIATE")
      const waiting = yield* Effect.forkChild(append(engine, [0]), { startImmediately: true })
      yield* Effect.forkChild(Effect.sync(() => database.exec("COMMIT")))
      yield* until("the value", () => waiting.pollUnsafe() !== undefined)
      assert.deepStrictEqual(yield* contents(engine), own(0, 1))
    }))
})

describe("a file that must not be written", () => {
  it.live("fails to open, with its path and what to do", () =>
    Effect.gen(function*() {
      const path = yield* file
      yield* Effect.scoped(openRecord(path))
      chmodSync(path, 0o444)
      const root = process.getuid?.() === 0
      // Whoever may do anything is somebody else for a moment.
      if (root) chmodSync(path.slice(0, path.lastIndexOf("/")), 0o555)
      const failed = yield* Effect.acquireUseRelease(
        Effect.sync(() => root && process.seteuid!(65_534)),
        () => Effect.flip(Effect.scoped(Layer.build(SqliteLog.layer({ file: path })))),
        () => Effect.sync(() => root && process.seteuid!(0))
      )
      assert.instanceOf(failed, SqliteLog.SqliteOpenFailed)
      assert.include(failed.message, path)
      assert.include(failed.message, "must be able to write")
    }))
})

describe("the write queue", () => {
  for (const [name, queue] of [["values", { count: 10 }], ["bytes", { bytes: 10 }]] as const) {
    it.live(`takes so many ${name}, is full then, and tells when there is room`, () =>
      Effect.gen(function*() {
        const engine = yield* openRecord(yield* file, { queue })
        let room = 0
        engine.listen({ advanced: () => {}, roomMade: () => room++ })
        let done = 0
        while (!engine.isFull()) engine.append(Buffer.from("x"), () => done++)
        assert.strictEqual(room, 0)
        yield* until("all of them", () => done === 10)
        assert.strictEqual(room, 1)
        assert.isFalse(engine.isFull())
      }))
  }
})

describe("a worker that ends", () => {
  it.live("fails what waits; the next call starts another one, with a warning, and goes on with what is stored", () =>
    Effect.gen(function*() {
      const path = yield* file
      const warnings: Array<string> = []
      const logger = Logger.make(({ message }) => void warnings.push(String(message)))
      const context = yield* Layer.build(
        Layer.provide(Layer.fresh(SqliteLog.layer({ file: path })), Logger.layer([logger]))
      )
      const worker = Array.from(workers.keys()).at(-1)!
      const engine = yield* Context.get(context, SqliteLog.SqliteFile).engine({ key: "record" })
      yield* append(engine, numbers(0, 3))
      const hold = yield* engine.acquire("group", "oldest")
      const waiting = yield* Effect.forkChild(Effect.exit(append(engine, numbers(3, 6))), { startImmediately: true })
      yield* Effect.promise(() => worker.terminate())
      yield* until("the failure", () => waiting.pollUnsafe() !== undefined)
      assert.include(why(yield* Effect.flatten(Effect.sync(() => waiting.pollUnsafe()!))), "its worker ended")
      // It may have been too late for what was under way.
      const { head } = yield* Effect.map(engine.refresh!, () => ({ head: engine.head() }))
      assert.include([3, 6], head)
      assert.strictEqual(warnings.length, 1)
      assert.include(warnings[0], "lost its worker")
      yield* append(engine, numbers(head, head + 3))
      assert.deepStrictEqual(yield* contents(engine), own(0, head + 3))
      assert.deepStrictEqual(yield* engine.commit(hold, 2, new Map()), { _tag: "Committed" })
    }))
})

describe("group commit", () => {
  it.live("stores what comes at the same time in very few transactions, for all records", () =>
    Effect.gen(function*() {
      const connection = new SqliteConnection(yield* file, 1_000, () => {})
      yield* Effect.acquireRelease(connection.open, () => connection.close)
      const clock = yield* Clock.Clock
      const limits = { count: 10, bytes: 100, age: Infinity, keepsUnacknowledged: true, groupIdleTimeout: Infinity }
      const queue = { count: 10_000, bytes: 100_000 }
      const engines = ["first", "second"].map((key) =>
        new SqliteEngine(connection, clock, { key, version: 0, limits, queue }, () => {})
      )
      yield* Effect.forEach(engines, (engine) => connection.add(engine))
      yield* Effect.forEach(engines, (engine) => append(engine, numbers(0, 1_000)), { concurrency: "unbounded" })
      assert.strictEqual(connection.transactions, 1)
      // Of these the first goes alone, and the others while it is under way; then what is too old is deleted.
      yield* Effect.forEach(numbers(0, 1_000), (value) => append(engines[value % 2]!, [value]), {
        concurrency: "unbounded"
      })
      assert.isAtMost(connection.transactions, 10)
      assert.deepStrictEqual(engines.map((engine) => engine.head()), [1_500, 1_500])
    }))
})
