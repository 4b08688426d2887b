/** A journal that is read beside its writer, or after it. */
import { assert, describe, it } from "@effect/vitest"
import { type Log, Record } from "@sluice/core"
import { DiskLog, JournalReader, Storage } from "@sluice/disk"
import { Faults } from "@sluice/testing"
import { Context, Effect, Exit, Fiber, Layer, Option, Schema, SchemaGetter, Stream } from "effect"
import { TestClock } from "effect/testing"
import { existsSync } from "node:fs"
import { chmod, mkdir, readdir, readFile, readlink, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { Chance } from "../../testing/src/internal/faults/chance.ts"
import { Following } from "../src/internal/following.ts"
import { format } from "../src/internal/frame.ts"
import { JournalCore } from "../src/internal/journalCore.ts"
import { JournalEngine } from "../src/internal/journalEngine.ts"
import { writeAt } from "../src/internal/slots.ts"
import { inTemporaryDirectory } from "./support/directory.ts"
import { turn, until } from "./support/files.ts"
import { journal, kept, log as numberedLog, Numbered, numbered, start } from "./support/journalWriter.ts"

const opened = (directory: string, options?: Omit<JournalReader.JournalReaderOptions, "directory">) =>
  Effect.map(
    Layer.build(Layer.fresh(JournalReader.layer({ directory, ...options }))),
    (context) => Context.get(context, JournalReader.JournalReader)
  )
const on = (storage: Storage.Storage) => Effect.provideService(Storage.CurrentStorage, storage)
/** One life of a writer. */
const written = <A, E>(directory: string, use: (log: Log.Log<typeof Numbered.schema.Type>) => Effect.Effect<A, E>) =>
  Effect.flatMap(numberedLog.make(Numbered), use).pipe(
    Effect.scoped,
    Effect.provide(Layer.fresh(journal(directory)))
  )
const producing = (log: Log.Log<typeof Numbered.schema.Type>, from: number, to: number) =>
  Effect.forEach(
    Array.from({ length: to - from }, (_, index) => numbered(from + index)),
    (value) => log.produceAsync(value),
    { concurrency: 20, discard: true }
  )
const assertOwn = (entry: Log.Entry<typeof Numbered.schema.Type>) =>
  assert.deepStrictEqual(entry.value, Option.some(numbered(Number(entry.sequence))))

/** Every file of a directory, with its bytes and when it was changed. */
const contents = (directory: string) =>
  Effect.promise(async () => {
    const names = (await readdir(directory)).toSorted()
    return Promise.all(names.map(async (name) => {
      const { mode, mtimeMs } = await stat(join(directory, name))
      return { name, mode, mtimeMs, bytes: (await readFile(join(directory, name))).toString("base64") }
    }))
  })

describe("beside a writer in another process", () => {
  it.live("every value is seen as it was stored, over segments that are used again, a writer that is killed and the next one", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      const seen: Array<number> = []
      const first = yield* start(directory, 0)
      yield* until("its first lines", () => first.said.length > 0)
      const { log } = yield* opened(directory, { pollInterval: "5 millis" })
      const reading = yield* Effect.forkChild(
        Stream.runForEach(log(Numbered).stream("oldest"), (entry) =>
          Effect.sync(() => {
            assertOwn(entry)
            seen.push(Number(entry.sequence))
          }))
      )
      // Some 800 KB in segments of 64 KiB.
      yield* until("its values", () => first.said.length > 2 * kept)
      first.child.kill("SIGKILL")
      yield* until("its end", first.hasEnded)
      yield* until("what it was told is stored", () => seen.at(-1)! >= first.said.at(-1)!)
      const second = yield* start(directory, 1)
      yield* until("the next one's values", () => seen.at(-1)! > first.said.at(-1)! + 300)
      yield* Fiber.interrupt(reading)
      assert.isAtLeast(second.said.length, 1)
      assert.deepStrictEqual(seen, [...new Set(seen)].toSorted((a, b) => a - b))
    }))

  it.live("one that keeps up misses nothing", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      const writer = yield* start(directory, 6)
      yield* until("its first lines", () => writer.said.length > 0)
      const { log } = yield* opened(directory, { pollInterval: "2 millis" })
      const entries = yield* log(Numbered).stream("oldest", { onLag: "fail" }).pipe(
        Stream.take(kept + 50),
        Stream.runCollect
      )
      entries.forEach(assertOwn)
      assert.deepStrictEqual(
        entries.map(({ sequence }) => Number(sequence)),
        Array.from({ length: kept + 50 }, (_, n) => n)
      )
    }))

  it.live("what the writer has let go of is told by Lagged, and the rest is right, however old what is known is", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      yield* Effect.gen(function*() {
        const writer = yield* numberedLog.make(Numbered)
        yield* producing(writer, 0, 50)
        const numbers = (yield* opened(directory)).log(Numbered)
        assert.strictEqual(yield* numbers.head, 50n)
        yield* producing(writer, 50, 2000)
        // It knows of 50 values, whose files hold others by now.
        const lagged = yield* Effect.flip(numbers.read(0n, 10))
        assert.strictEqual(lagged._tag, "Lagged")
        const oldest = yield* numbers.oldest
        assert.isAtLeast(Number(oldest), 1)
        const all = yield* Stream.runCollect(numbers.stream({ sequence: 0n }, { follow: false }))
        all.forEach(assertOwn)
        assert.deepStrictEqual([all[0]!.sequence, all.at(-1)!.sequence], [oldest, 1999n])
        const failing = yield* Effect.flip(Stream.runCollect(numbers.stream({ sequence: 3n }, { onLag: "fail" })))
        assert.deepStrictEqual(failing._tag === "Lagged" && failing.missed, Number(oldest) - 3)
      }).pipe(Effect.provide(journal(directory)))
    }))
})

describe("the directory", () => {
  it.live("is byte for byte the same afterwards, and may be read-only", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      const { child, hasEnded, said } = yield* start(directory, 0)
      yield* until("its lines", () => said.length > 300)
      child.kill("SIGKILL")
      yield* until("its end", hasEnded)
      yield* Effect.promise(async () => {
        for (const name of await readdir(directory)) await chmod(join(directory, name), 0o444)
        await chmod(directory, 0o555)
      })
      const before = yield* contents(directory)
      yield* Effect.gen(function*() {
        const { log, records } = yield* opened(directory)
        assert.deepStrictEqual((yield* records).map(({ key }) => key), ["test/Numbered"])
        const entries = yield* Stream.runCollect(log(Numbered).stream("oldest", { follow: false }))
        entries.forEach(assertOwn)
        assert.isAtLeast(Number(entries.at(-1)!.sequence), said.at(-1)!)
      }).pipe(Effect.scoped)
      assert.deepStrictEqual(yield* contents(directory), before)
      yield* Effect.promise(() => chmod(directory, 0o755))
    }))

  it.effect("of a disk that refuses to be changed is read, and its lock stays with the writer", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      yield* written("/journal", (log) =>
        Effect.gen(function*() {
          // So few that the writer makes no spare file meanwhile.
          yield* producing(log, 0, 6)
          disk.adjust({ readOnly: true })
          const { failures } = disk.counters
          const { log: read } = yield* opened("/journal")
          const entries = yield* read(Numbered).read(0n, 100)
          entries.forEach(assertOwn)
          assert.strictEqual(entries.length, 6)
          assert.strictEqual(disk.counters.failures, failures)
          disk.adjust({ readOnly: false })
        }).pipe(Effect.scoped)).pipe(on(disk.storage))
    }))

  it.live("has no file open once the reader's scope has closed", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      yield* written(directory, (log) => producing(log, 0, 300))
      yield* Effect.scoped(Effect.gen(function*() {
        const numbers = (yield* opened(directory, { pollInterval: "1 millis" })).log(Numbered)
        yield* Stream.runDrain(numbers.stream("oldest", { follow: false }))
        yield* Effect.forkScoped(Stream.runDrain(numbers.stream("head")))
        yield* Effect.sleep("5 millis")
      }))
      if (process.platform !== "linux") return
      const open = yield* Effect.promise(async () => {
        const names = await readdir("/proc/self/fd")
        return Promise.all(names.map((name) => readlink(join("/proc/self/fd", name)).catch(() => "")))
      })
      assert.deepStrictEqual(open.filter((path) => path.startsWith(directory)), [])
    }))
})

describe("waiting", () => {
  it.effect("a new value is seen at the next look, a poll interval later; an interrupted read takes nothing", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      yield* written("/journal", (log) =>
        Effect.gen(function*() {
          yield* producing(log, 0, 3)
          const numbers = (yield* opened("/journal")).log(Numbered)
          const given = yield* Effect.forkChild(numbers.read(3n, 10), { startImmediately: true })
          const interrupted = yield* Effect.forkChild(numbers.read(3n, 10), { startImmediately: true })
          // Both look, and find nothing.
          yield* numbers.head
          for (let turns = 0; turns < 20; turns++) yield* turn
          yield* producing(log, 3, 4)
          for (let turns = 0; turns < 200; turns++) yield* turn
          yield* TestClock.adjust("99 millis")
          for (let turns = 0; turns < 200; turns++) yield* turn
          assert.isUndefined(given.pollUnsafe())
          yield* Fiber.interrupt(interrupted)
          yield* TestClock.adjust("1 millis")
          const entries = yield* Fiber.join(given)
          entries.forEach(assertOwn)
          assert.deepStrictEqual(entries.map(({ sequence }) => sequence), [3n])
          assert.deepStrictEqual((yield* numbers.read(3n, 10)).length, 1)
        }).pipe(Effect.scoped)).pipe(on(disk.storage))
    }))

  it.effect("a record that the journal does not have is empty until it does", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      const Late = { key: "test/Late", schema: Schema.String }
      yield* Effect.gen(function*() {
        yield* (yield* numberedLog.make(Numbered)).produceAsync(numbered(0))
        const { log, records } = yield* opened("/journal")
        const late = log(Late)
        assert.deepStrictEqual([yield* late.oldest, yield* late.head, yield* late.groups], [0n, 0n, []])
        assert.deepStrictEqual(yield* Stream.runCollect(late.stream("oldest", { follow: false })), [])
        const first = yield* Effect.forkChild(late.stream("oldest").pipe(Stream.take(1), Stream.runCollect), {
          startImmediately: true
        })
        yield* (yield* DiskLog.backing().make(Late)).produceAsync("there")
        for (let left = 1000; left > 0 && first.pollUnsafe() === undefined; left--) {
          yield* TestClock.adjust("100 millis")
          yield* turn
        }
        assert.deepStrictEqual((yield* Fiber.join(first)).map(({ value }) => value), [Option.some("there")])
        assert.deepStrictEqual((yield* records).map(({ head, key }) => [key, head]), [
          ["test/Numbered", 1n],
          ["test/Late", 1n]
        ])
      }).pipe(Effect.scoped, Effect.provide(journal("/journal")), on(disk.storage))
    }))
})

describe("what is read", () => {
  class Reading0 extends Record.Service<Reading0>()("plant/Reading", {
    schema: Schema.Struct({ fahrenheit: Schema.Finite })
  }) {}
  const Today = Schema.Struct({ celsius: Schema.Finite })
  class Reading1 extends Record.Service<Reading1>()("plant/Reading", {
    schema: Today,
    version: 1,
    migrations: {
      0: Reading0.schema.pipe(Schema.decodeTo(Today, {
        decode: SchemaGetter.transform(({ fahrenheit }) => ({ celsius: (fahrenheit - 32) / 1.8 })),
        encode: SchemaGetter.transform(({ celsius }) => ({ fahrenheit: celsius * 1.8 + 32 }))
      }))
    }
  }) {}

  it.effect("is decoded by the record's migrations; what they do not cover has its bytes, and times and groups are told", () =>
    Effect.gen(function*() {
      const { storage } = Faults.disk()
      const life = <A>(record: { key: string; schema: Schema.Codec<A, any>; version?: number }, value: A) =>
        Effect.gen(function*() {
          const log = yield* DiskLog.backing().make(record)
          yield* log.produceAsync(value)
          const group = yield* log.acquire("control", { from: "oldest" })
          yield* group.commit({ through: (yield* log.head) - 1n, attempts: new Map() })
        }).pipe(Effect.scoped, Effect.provide(Layer.fresh(journal("/journal"))), on(storage))
      yield* TestClock.adjust(1000)
      yield* life(Reading0, { fahrenheit: 212 })
      yield* TestClock.adjust(1000)
      yield* life(Reading1, { celsius: 21 })
      const { log } = yield* opened("/journal").pipe(on(storage))
      const reading = log(Reading1)
      const entries = yield* reading.read(0n, 10)
      const celsius: ReadonlyArray<number> = entries.map(({ value }) => Option.getOrThrow(value).celsius)
      assert.deepStrictEqual(celsius, [100, 21])
      assert.deepStrictEqual(entries.map(({ at }) => at), [1000, 2000])
      const later = yield* Stream.runCollect(reading.stream({ time: 1500 }, { follow: false }))
      assert.deepStrictEqual(later.map(({ sequence }) => sequence), [1n])
      const before = yield* log(Reading0).read(0n, 10)
      assert.deepStrictEqual(before.map(({ value }) => value), [Option.some({ fahrenheit: 212 }), Option.none()])
      assert.strictEqual(Buffer.from(before[1]!.bytes).toString(), "{\"celsius\":21}")
      assert.deepStrictEqual(yield* reading.groups, [{ name: "control", committed: 1n, idleSince: 2000 }])
    }))
})

describe("an error", () => {
  it.live("says that there is no journal, and makes none", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      const absent = join(directory, "absent")
      const missing = yield* Effect.flip(opened(absent))
      assert.strictEqual(missing._tag, "JournalMissing")
      assert.include(missing.message, absent)
      assert.isFalse(existsSync(absent))
      yield* Effect.promise(() => writeFile(join(directory, "notes.txt"), "no journal"))
      assert.strictEqual((yield* Effect.flip(opened(directory)))._tag, "JournalMissing")
      // Begun, and nothing whole in it yet.
      yield* Effect.promise(() => writeFile(join(directory, "segment-000000"), Buffer.alloc(4096)))
      assert.strictEqual((yield* Effect.flip(opened(directory)))._tag, "JournalMissing")
      yield* Effect.promise(() => mkdir(join(directory, "segment-000001")))
      assert.strictEqual((yield* Effect.flip(opened(directory)))._tag, "JournalMissing")
    }))

  it.live("says that a file is none, and that the format is a later one", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      const file = join(directory, "file")
      yield* Effect.promise(() => writeFile(file, ""))
      assert.strictEqual((yield* Effect.flip(opened(file)))._tag, "JournalFailed")
      yield* written(directory, (log) => producing(log, 0, 1))
      yield* Effect.promise(async () => {
        const segment = join(directory, "segment-000000")
        const bytes = await readFile(segment)
        const { crc32 } = await import("node:zlib")
        bytes.writeUInt16LE(format + 1, 12)
        bytes.writeUInt32LE(crc32(bytes.subarray(8, 32 + bytes.readUInt32LE(8))), 4)
        await writeFile(segment, bytes)
      })
      const later = yield* Effect.flip(opened(directory))
      assert.strictEqual(later._tag, "JournalFailed")
      assert.include(later.message, "update @sluice/disk")
    }))

  it.effect("says where the newest segment is damaged, at opening, and where another is, when it is read", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      yield* written("/journal", (log) => producing(log, 0, 60)).pipe(on(disk.storage))
      const { log } = yield* opened("/journal").pipe(on(disk.storage))
      assert.isAtLeast(disk.contents("segment-000001").length, 1)
      disk.flip("segment-000000", 5000)
      const failed = yield* Effect.flip(
        Stream.runCollect(log(Numbered).stream("oldest", { follow: false }))
      )
      assert.strictEqual(failed._tag, "LogFailed")
      assert.match(failed.message, /segment-000000 is damaged at byte \d+/)
      assert.strictEqual((yield* log(Numbered).read(59n, 1)).length, 1)

      const small = Faults.disk()
      yield* written("/journal", (log) =>
        Effect.gen(function*() {
          for (let n = 0; n < 5; n++) yield* log.produceAsync(numbered(n))
        })).pipe(on(small.storage))
      small.flip("segment-000000", 700)
      const damaged = yield* Effect.flip(opened("/journal").pipe(on(small.storage)))
      assert.strictEqual(damaged._tag, "JournalDamaged")
    }))

  it.live("says that another journal has taken its place, and that the directory is gone", () =>
    Effect.gen(function*() {
      const directory = yield* inTemporaryDirectory
      yield* written(directory, (log) => producing(log, 0, 300))
      const { log } = yield* opened(directory)
      yield* Effect.promise(async () => {
        const { rm } = await import("node:fs/promises")
        for (const name of await readdir(directory)) await rm(join(directory, name))
      })
      yield* written(directory, (log) => producing(log, 0, 1))
      const failed = yield* Effect.flip(log(Numbered).read(1000n, 1))
      assert.strictEqual(failed._tag, "LogFailed")
      assert.include(failed.message, "was another journal put there?")
    }))

  it.effect("of the disk is told to whoever asks, and it is read once the disk is well", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      yield* written("/journal", (log) => producing(log, 0, 10)).pipe(on(disk.storage))
      const { log } = yield* opened("/journal").pipe(on(disk.storage))
      disk.inject({ call: "list" })
      assert.strictEqual((yield* Effect.flip(log(Numbered).head))._tag, "LogFailed")
      assert.strictEqual(yield* log(Numbered).head, 10n)
    }))

  it.effect("dies of what makes no sense", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      yield* written("/journal", (log) => producing(log, 0, 1)).pipe(on(disk.storage))
      const numbers = (yield* opened("/journal").pipe(on(disk.storage))).log(Numbered)
      for (
        const one of [
          numbers.read(-1n, 1),
          numbers.read(0n, 0),
          Stream.runDrain(numbers.stream({ sequence: -1n })),
          Stream.runDrain(numbers.stream({ time: Number.NaN })),
          opened("/journal", { pollInterval: 0 }).pipe(on(disk.storage))
        ]
      ) assert.isTrue(Exit.hasDies(yield* Effect.exit(one as Effect.Effect<unknown, unknown>)))
    }))
})

// ---- by seed

const turns = async (count: number) => {
  for (let left = count; left > 0; left--) await new Promise<void>((resolve) => setImmediate(resolve))
}
const limits = { count: 40, bytes: Infinity, age: Infinity, keepsUnacknowledged: false }
const keys = ["one", "two"]
const segmentBytes = 8192
const core = async (disk: Faults.Disk) =>
  JournalCore.open(await disk.storage.open("/journal"), {
    segmentBytes,
    limitBytes: Infinity,
    queueCount: 1000,
    queueBytes: Infinity,
    now: () => 0
  })
/** A value says which one it is. */
const valueOf = (id: number): Buffer => {
  const bytes = Buffer.alloc(4 + (id * 37) % 700, id % 251)
  bytes.writeUInt32LE(id)
  return bytes
}
const isWhole = (bytes: Uint8Array): boolean =>
  bytes.length >= 4 && valueOf(Buffer.from(bytes).readUInt32LE()).equals(bytes)
const readAll = async (following: Following, key: string) => {
  const all: Array<readonly [number, string]> = []
  for (let next = following.oldest(key); next < following.head(key);) {
    const some = await following.read(key, next, 7)
    if (some.length === 0) {
      next = Math.max(next + 1, following.oldest(key))
      continue
    }
    for (const { bytes, sequence } of some) {
      assert.isTrue(isWhole(bytes))
      all.push([sequence, Buffer.from(bytes).toString("hex")])
    }
    next += some.length
  }
  return all
}

describe("a flush that fails", () => {
  const begun = async () => {
    const disk = Faults.disk({ turnsMax: 1 })
    // Files of their full size stay, when a flush to them fails.
    const spares = await disk.storage.open("/journal")
    for (const name of ["segment-000000", "segment-000001"]) {
      const file = await spares.open(name, "create")
      await writeAt(file, new Uint8Array(segmentBytes), 0)
      await file.close()
    }
    await spares.sync()
    const engine = new JournalEngine(await core(disk), { key: "one", version: 0, limits, groupIdleTimeout: Infinity })
    const append = (id: number) =>
      new Promise<boolean>((resolve) => engine.append(valueOf(id), (failure) => resolve(failure === undefined)))
    assert.isTrue(await append(0))
    const directory = await disk.storage.open("/journal", "read")
    const following = (await Following.open(directory))!
    const told: Array<string> = []
    following.onProblem = (message) => void told.push(message)
    const seen = async () => {
      await following.look()
      return (await readAll(following, "one")).map(([, hex]) => Buffer.from(hex, "hex").readUInt32LE())
    }
    disk.inject({ call: "datasync", times: 2 })
    assert.isFalse(await append(1))
    assert.deepStrictEqual([await seen(), told], [[0, 1], []])
    // The first flush of the next segment.
    assert.isFalse(await append(2))
    assert.deepStrictEqual([await seen(), told.length], [[0, 2], 1])
    return { append, directory, following, seen }
  }
  it("may be seen until the writer has gone on, which is told; then what was stored is", async () => {
    const { append, following, seen } = await begun()
    assert.isTrue(await append(3))
    assert.isTrue(await append(4))
    assert.deepStrictEqual(await seen(), [0, 3, 4])
    await following.close()
  })
  it("with a file that is removed before there is a newer one leaves what was there before", async () => {
    const { directory, following, seen } = await begun()
    await directory.remove("segment-000001")
    assert.deepStrictEqual(await seen(), [0, 1])
    await following.close()
  })
})

const seeds = Number(process.env["SLUICE_SEEDS"] ?? 30)
describe("on a disk that fails, by seed", () => {
  it.live.each(Array.from({ length: seeds }, (_, seed) => seed))(
    "seed %i: what is seen beside a writer is what it stored, and after its end what its next opening finds",
    (seed) =>
      Effect.promise(async () => {
        const chance = new Chance(seed)
        let disk = Faults.disk({ seed, tearsSectors: chance.happens(0.5), turnsMax: chance.of([1, 4]) })
        let id = 0
        for (let life = 0; life < 3; life++) {
          const hasFaults = chance.happens(0.3)
          const writer = await core(disk)
          const engines = keys.map((key) =>
            new JournalEngine(writer, { key, version: 0, limits, groupIdleTimeout: Infinity })
          )
          const stored = keys.map((key, index) => ({ key, first: engines[index]!.head(), ids: [] as Array<number> }))
          let isOver = false
          const now = { pending: 0, isReading: true }
          const settled = async () => {
            while (now.pending > 0) await turns(1)
          }
          const write = (index: number) => {
            const own = id++
            now.pending++
            engines[index]!.append(valueOf(own), (failure) => {
              now.pending--
              if (!isOver && failure === undefined) stored[index]!.ids.push(own)
            })
          }
          write(0)
          await settled()
          const own = disk
          const opening = async () => Following.open(await own.storage.open("/journal", "read"))
          const following = (await opening())!
          if (hasFaults) disk.adjust({ rates: { write: 0.03, datasync: 0.03 } })
          let wrong: unknown
          const reading = (async () => {
            while (now.isReading) {
              if (chance.happens(0.7)) await following.look()
              if (chance.happens(0.1)) await (await opening())!.close()
              for (const { first, ids, key } of stored) {
                const next = following.oldest(key) +
                  chance.below(Math.max(1, following.head(key) - following.oldest(key)))
                for (const { bytes, sequence } of await following.read(key, next, 1 + chance.below(20))) {
                  assert.isTrue(isWhole(bytes), `${key} ${sequence}`)
                  const acknowledged = ids[sequence - first]
                  // What a failing flush left may be seen before others take its place.
                  if (acknowledged === undefined || hasFaults) continue
                  assert.strictEqual(Buffer.from(bytes).readUInt32LE(), acknowledged, `${key} ${sequence}`)
                }
              }
            }
          })().catch((error) => {
            if (!isOver) wrong = error
          })
          for (let left = 20 + chance.below(60); left > 0; left--) {
            for (let some = chance.of([1, 1, 5, 20]); some > 0; some--) write(chance.below(2))
            await turns(chance.of([1, 10, 40]))
          }
          disk.adjust({ rates: {} })
          // Everything is stored, and so everything is seen.
          if (chance.happens(0.5)) {
            now.isReading = false
            await reading
            await settled()
            // A fault from before may still come.
            const before = stored.map(({ ids }) => ids.length)
            for (let left = 20; stored.some(({ ids }, index) => ids.length === before[index]); left--) {
              assert.isAbove(left, 0, "nothing is stored any more")
              for (const index of keys.keys()) write(index)
              await settled()
            }
            await following.look()
            for (const [index, { first, ids, key }] of stored.entries()) {
              assert.strictEqual(following.head(key), engines[index]!.head())
              const all = await readAll(following, key)
              assert.strictEqual(all.length, following.head(key) - following.oldest(key))
              for (const [sequence, hex] of all) {
                const own = ids[sequence - first]
                if (own !== undefined) assert.strictEqual(hex, valueOf(own).toString("hex"), `${key} ${sequence}`)
              }
            }
          }
          isOver = true
          now.isReading = false
          const end = chance.happens(0.5) ? disk.crash() : disk.powerLoss()
          await reading
          if (wrong !== undefined) throw wrong
          await following.close()
          disk = end
          const left = (await Following.open(await disk.storage.open("/journal", "read")))!
          const found = await Promise.all(keys.map((key) => readAll(left, key)))
          const next = await core(disk)
          for (const [index, key] of keys.entries()) {
            const record = next.record(key)
            assert.deepStrictEqual([left.oldest(key), left.head(key)], [record.oldest, record.next], key)
            const values = await next.reading.read(record, record.oldest, Infinity)
            assert.deepStrictEqual(
              found[index],
              values.map(({ bytes, sequence }) => [sequence, Buffer.from(bytes).toString("hex")])
            )
          }
          await left.close()
          disk = disk.crash()
        }
      }),
    60_000
  )
})
