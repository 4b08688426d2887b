/** The store on SQLite, underneath: what a record keeps, in real files. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, References } from "effect"
import { TestClock } from "effect/testing"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { SqliteLog } from "@sluice/disk"
import { append, contents, directory, file, numbers, open, openRecord, own, turn, until } from "./support/files.ts"

const none: ReadonlyMap<number, number> = new Map()
/** For what is done on the clock: until the timer's transaction is through, which a call behind it waits for. */
const adjust = Effect.fnUntraced(
  function*(millis: number, engine: { readonly groups: Effect.Effect<unknown, unknown> }) {
    yield* TestClock.adjust(millis)
    yield* turn
    yield* engine.groups
  }
)

describe("values", () => {
  it.effect("are read in order from any sequence, with their times, and end at the head", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file)
      yield* TestClock.adjust(5)
      yield* append(engine, numbers(0, 3))
      yield* TestClock.adjust(5)
      yield* append(engine, numbers(3, 5))
      assert.deepStrictEqual([engine.oldest(), engine.head()], [0, 5])
      assert.deepStrictEqual(yield* contents(engine), own(0, 5))
      const read = yield* engine.read(2, 2)
      assert.deepStrictEqual(read.map(({ at, sequence, version }) => [sequence, at, version]), [[2, 5, 0], [3, 10, 0]])
      for (const [time, sequence] of [[0, 0], [5, 0], [6, 3], [10, 3], [11, 5]] as const) {
        assert.strictEqual(yield* engine.sequenceAt(time), sequence, `at ${time}`)
      }
    }))

  it.effect("have the version of the schema they were written by, and may be empty or large", () =>
    Effect.gen(function*() {
      const { engine } = yield* open(yield* file)
      const large = "x".repeat(3_000_000)
      yield* append(yield* engine({ key: "record", version: 3 }), ["", large, large])
      const again = yield* engine({ key: "record", version: 4 })
      yield* append(again, [""])
      const first = yield* again.read(0, 10)
      assert.deepStrictEqual(first.map(({ bytes, version }) => [version, bytes.length]), [[3, 0], [3, 3_000_000]])
      assert.deepStrictEqual((yield* again.read(2, 10)).map(({ bytes, version }) => [version, bytes.length]), [
        [3, 3_000_000],
        [4, 0]
      ])
    }))

  it.effect("of several records in one file do not mix", () =>
    Effect.gen(function*() {
      const { engine } = yield* open(yield* file)
      const records = yield* Effect.forEach(["a", "b", "'; --"], (key) => engine({ key }))
      yield* Effect.forEach(records, (record, index) => append(record, numbers(0, 10 + index)), {
        concurrency: "unbounded"
      })
      for (const [index, record] of records.entries()) {
        assert.deepStrictEqual(yield* contents(record), own(0, 10 + index))
      }
    }))

  it.effect("do not go back in time where the clock does", () =>
    Effect.gen(function*() {
      const path = yield* file
      yield* TestClock.adjust(100)
      yield* Effect.scoped(Effect.flatMap(openRecord(path), (engine) => append(engine, [0])))
      yield* TestClock.setTime(50)
      const engine = yield* openRecord(path)
      yield* append(engine, [1])
      assert.deepStrictEqual((yield* engine.read(0, 2)).map(({ at }) => at), [100, 100])
    }))

  it.live("that come while a transaction is under way share the next one, and are told of a thousand in a turn", () =>
    Effect.gen(function*() {
      const { engine } = yield* open(yield* file)
      const [first, second] = yield* Effect.all([engine({ key: "first" }), engine({ key: "second" })])
      let inTurn = 0
      let most = 0
      let done = 0
      for (const value of numbers(0, 5_000)) {
        const record = value % 2 === 0 ? first : second
        record.append(Buffer.from(String(value)), () => {
          if (inTurn++ === 0) setImmediate(() => (inTurn = 0))
          most = Math.max(most, inTurn)
          done++
        })
      }
      yield* until("the last", () => done === 5_000)
      assert.isAtMost(most, 1_000)
      assert.deepStrictEqual([first.head(), second.head()], [2_500, 2_500])
    }))
})

describe("a file that is closed and opened again", () => {
  it.effect("still has its values, what expired, its groups and their attempts, and goes on with the next sequence", () =>
    Effect.gen(function*() {
      const path = yield* file
      const options = { retention: { count: 4 } }
      const epoch = yield* Effect.scoped(Effect.gen(function*() {
        const engine = yield* openRecord(path, options)
        yield* append(engine, numbers(0, 10))
        const hold = yield* engine.acquire("group", "oldest")
        assert.deepStrictEqual(yield* engine.commit(hold, 7, new Map([[6, 1], [8, 2], [9, 3], [10, 1]])), {
          _tag: "Committed"
        })
        yield* engine.acquire("other", "head")
        return hold.epoch
      }))
      assert.isFalse(existsSync(`${path}-wal`), "it was not closed")
      const engine = yield* openRecord(path, options)
      assert.deepStrictEqual([engine.oldest(), engine.head()], [6, 10])
      assert.deepStrictEqual(yield* contents(engine), own(6, 10))
      const hold = yield* engine.acquire("group", "oldest")
      assert.deepInclude(hold, { committed: 7, attempts: new Map([[8, 2], [9, 3]]) })
      assert.isAbove(hold.epoch, epoch)
      assert.deepStrictEqual((yield* engine.groups).map(({ committed, name }) => [name, committed]), [["group", 7], [
        "other",
        9
      ]])
      yield* append(engine, [10])
      assert.deepStrictEqual(yield* contents(engine), own(7, 11))
    }))

  it.effect("goes on with the next sequence although everything has expired", () =>
    Effect.gen(function*() {
      const path = yield* file
      const options = { retention: { age: 100 } }
      yield* Effect.scoped(Effect.gen(function*() {
        const engine = yield* openRecord(path, options)
        yield* append(engine, numbers(0, 3))
        yield* adjust(200, engine)
        assert.deepStrictEqual([engine.oldest(), engine.head()], [3, 3])
      }))
      const engine = yield* openRecord(path, options)
      assert.deepStrictEqual([engine.oldest(), engine.head()], [3, 3])
      yield* append(engine, [3])
      assert.deepStrictEqual(yield* contents(engine), own(3, 4))
    }))

  it.effect("has what was taken right before the close", () =>
    Effect.gen(function*() {
      const path = yield* file
      yield* Effect.scoped(Effect.gen(function*() {
        const engine = yield* openRecord(path)
        for (const value of numbers(0, 5_000)) engine.append(Buffer.from(String(value)), () => {})
      }))
      assert.deepStrictEqual(yield* contents(yield* openRecord(path)), own(0, 5_000))
    }))
})

describe("groups", () => {
  it.effect("are fenced by whoever acquires them, and keep what they have committed", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file)
      yield* append(engine, numbers(0, 4))
      const first = yield* engine.acquire("group", { sequence: 1 })
      assert.deepInclude(first, { group: "group", committed: 0, attempts: none })
      assert.deepStrictEqual(yield* engine.commit(first, 2, none), { _tag: "Committed" })
      assert.deepStrictEqual(yield* engine.commit(first, 1, none), { _tag: "OutOfRange", committed: 2, head: 4 })
      assert.deepStrictEqual(yield* engine.commit(first, 4, none), { _tag: "OutOfRange", committed: 2, head: 4 })
      const second = yield* engine.acquire("group", "oldest")
      assert.deepInclude(second, { committed: 2 })
      assert.deepStrictEqual(yield* engine.commit(first, 3, none), { _tag: "Stale" })
      yield* engine.release(first)
      assert.deepStrictEqual(yield* engine.commit(second, 3, none), { _tag: "Committed" })
      yield* engine.removeGroup("group")
      assert.deepStrictEqual(yield* engine.commit(second, 3, none), { _tag: "Stale" })
      const third = yield* engine.acquire("group", { sequence: 99 })
      assert.deepInclude(third, { committed: 3 })
      assert.isAbove(third.epoch, second.epoch)
    }))

  it.effect("that an interrupted acquire has taken are let go of again", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file)
      const fiber = yield* Effect.forkChild(engine.acquire("group", "oldest"), { startImmediately: true })
      fiber.interruptUnsafe()
      yield* engine.groups
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* engine.groups, [{ name: "group", committed: -1, idleSince: 0 }])
    }))

  it.effect("go after their idle time, but not while they are held; the producer that waits for them is told", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file, { retention: { count: 2, groupIdleTimeout: 100 } })
      let told = 0
      engine.listen({ advanced: () => {}, roomMade: () => told++ })
      yield* append(engine, numbers(0, 2))
      const hold = yield* engine.acquire("group", "oldest")
      yield* adjust(500, engine)
      assert.isTrue(engine.isFull())
      assert.deepStrictEqual(engine.blockers(), [`group "group"`])
      assert.deepStrictEqual(yield* engine.commit(hold, -1, none), { _tag: "Committed" })
      yield* engine.release(hold)
      yield* adjust(90, engine)
      assert.isTrue(engine.isFull())
      assert.strictEqual(told, 0)
      yield* adjust(10, engine)
      assert.isFalse(engine.isFull())
      assert.strictEqual(told, 1)
      assert.deepStrictEqual(yield* engine.groups, [])
    }))

  it.effect("whose holder has crashed go after their idle time, too", () =>
    Effect.gen(function*() {
      const path = yield* file
      yield* Effect.scoped(Effect.flatMap(openRecord(path), (engine) => engine.acquire("group", "oldest")))
      const engine = yield* openRecord(path, { retention: { groupIdleTimeout: 100 } })
      yield* adjust(90, engine)
      assert.strictEqual((yield* engine.groups).length, 1)
      yield* adjust(20, engine)
      assert.deepStrictEqual(yield* engine.groups, [])
    }))
})

describe("retention", () => {
  it.effect("keeps what a group has not committed: the log is full, and says for whom", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file, { retention: { count: 4 } })
      yield* append(engine, numbers(0, 6))
      const hold = yield* engine.acquire("group", { sequence: 1 })
      assert.isTrue(engine.isFull())
      assert.deepStrictEqual(engine.blockers(), [`group "group"`])
      yield* engine.commit(hold, 3, none)
      assert.isFalse(engine.isFull())
      // What has been taken counts, although it is not stored yet.
      const two = append(engine, numbers(6, 8))
      const fiber = yield* Effect.forkChild(two, { startImmediately: true })
      assert.isTrue(engine.isFull())
      yield* until("both", () => fiber.pollUnsafe() !== undefined)
      assert.isTrue(engine.isFull())
      assert.deepStrictEqual(yield* contents(engine), own(4, 8))
    }))

  it.effect("lets go of what is unacknowledged where it is told to", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file, { retention: { count: 4, unacknowledged: "expire" } })
      yield* engine.acquire("group", "oldest")
      yield* append(engine, numbers(0, 10))
      assert.isFalse(engine.isFull())
      assert.deepStrictEqual(yield* contents(engine), own(6, 10))
    }))

  it.effect("by bytes keeps the newest that fit, and the newest in any case", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file, { retention: { bytes: 10 } })
      yield* append(engine, ["aaaa", "bbb", "ccc", "ddd"])
      assert.deepStrictEqual(yield* contents(engine), ["1:bbb", "2:ccc", "3:ddd"])
      yield* append(engine, ["e".repeat(20)])
      assert.deepStrictEqual(yield* contents(engine), [`4:${"e".repeat(20)}`])
      const hold = yield* engine.acquire("group", "oldest")
      assert.isTrue(engine.isFull())
      yield* engine.commit(hold, 4, none)
      assert.isFalse(engine.isFull())
    }))

  it.effect("by age lets go when the time has come, whether or not anything is appended", () =>
    Effect.gen(function*() {
      const engine = yield* openRecord(yield* file, { retention: { age: 100 } })
      let advanced = 0
      engine.listen({ advanced: () => advanced++, roomMade: () => {} })
      yield* append(engine, numbers(0, 2))
      yield* adjust(50, engine)
      yield* append(engine, numbers(2, 4))
      yield* adjust(50, engine)
      assert.strictEqual(engine.oldest(), 2)
      assert.strictEqual(advanced, 3)
      assert.deepStrictEqual(yield* contents(engine), own(2, 4))
      const hold = yield* engine.acquire("group", "oldest")
      yield* adjust(200, engine)
      assert.strictEqual(engine.oldest(), 2)
      yield* engine.commit(hold, 2, none)
      assert.strictEqual(engine.oldest(), 3)
    }))

  it.effect("by age lets go as ever, once a clock that was an hour ahead has been put right, and says so", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function*() {
      const hour = 3_600_000
      const engine = yield* openRecord(yield* file, { retention: { age: 1000 } })
      yield* TestClock.setTime(hour)
      yield* append(engine, [0, 1])
      yield* TestClock.setTime(0)
      yield* append(engine, [2])
      const times = (yield* engine.read(0, 3)).map(({ at }) => at)
      assert.deepStrictEqual(times, [0, 0, 0])
      assert.deepStrictEqual(yield* engine.sequenceAt(1), 3)
      yield* turn
      assert.deepStrictEqual(lines.length, 1)
      assert.include(lines[0], "record \"record\": 2 value(s) were appended while the clock was ahead")
      yield* adjust(1000, engine)
      yield* append(engine, [3])
      assert.strictEqual(engine.oldest(), 3)
    }).pipe(Effect.provideService(References.CurrentLoggers, new Set([logger])))
  })

  it.live("deletes many rows some at a time, and all of them in the end", () =>
    Effect.gen(function*() {
      const path = yield* file
      const rows = Effect.sync(() => {
        const database = new DatabaseSync(path)
        const { count } = database.prepare("SELECT count(*) AS count FROM values_1").get() as { count: number }
        database.close()
        return count
      })
      yield* Effect.scoped(Effect.flatMap(openRecord(path), (engine) => append(engine, numbers(0, 20_000))))
      const engine = yield* openRecord(path, { retention: { count: 10 } })
      yield* append(engine, [20_000])
      assert.deepStrictEqual([engine.oldest(), engine.head()], [19_991, 20_001])
      assert.isAbove(yield* rows, 10_000)
      let left = Infinity
      for (let look = 0; left > 10 && look < 1_000; look++) {
        yield* engine.groups
        left = yield* rows
      }
      assert.strictEqual(left, 10)
    }))

  it.effect("with a limit that is none of these dies, and names the record", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(openRecord(yield* file, { retention: { count: 0 } }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.include(String(exit), `record "record": count must be a positive integer or Infinity, got 0`)
    }))
})

describe("a file that cannot be opened", () => {
  const failure = (options: SqliteLog.FileOptions) => Effect.flip(Effect.scoped(Layer.build(SqliteLog.layer(options))))

  it.live("fails with its path and what to do", () =>
    Effect.gen(function*() {
      const path = yield* directory
      const text = join(path, "text")
      writeFileSync(text, "no database, but rather long as a text: ".repeat(100))
      const other = join(path, "other.db")
      const database = new DatabaseSync(other)
      database.exec("CREATE TABLE theirs (id INTEGER)")
      database.close()
      for (
        const [file, words] of [
          [text, "the file is not a SQLite database: choose another file"],
          [other, "it is a database of another application: choose another file"],
          [path, "its directory must exist"],
          [join(text, "below"), "EEXIST"]
        ] as const
      ) {
        const failed = yield* failure({ file })
        assert.instanceOf(failed, SqliteLog.SqliteOpenFailed)
        assert.strictEqual(failed.file, file)
        assert.include(failed.message, words)
        assert.include(failed.message, file)
      }
    }))
})
