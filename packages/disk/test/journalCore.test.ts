/** What a journal does at the edges: what else is in its directory, damage, what does not fit, and the end. */
import { assert, describe, it } from "@effect/vitest"
import { Faults } from "@sluice/testing"
import { Effect } from "effect"
import { JournalCore } from "../src/internal/journalCore.ts"
import { JournalEngine } from "../src/internal/journalEngine.ts"
import type { Limits } from "../src/internal/journalState.ts"

const segmentBytes = 4096
const unlimited: Limits = { count: Infinity, bytes: Infinity, age: Infinity, keepsUnacknowledged: true }

const open = async (disk: Faults.Disk, limitBytes = Infinity) => {
  const directory = await disk.storage.open("/journal")
  return JournalCore.open(directory, { segmentBytes, limitBytes, queueCount: 1000, queueBytes: 1e6, now: () => 0 })
}
const engineOf = (core: JournalCore, key: string, limits: Partial<Limits> = {}) =>
  new JournalEngine(core, { key, version: 0, limits: { ...unlimited, ...limits }, groupIdleTimeout: Infinity })
const append = (engine: JournalEngine, text: string) =>
  new Promise<void>((resolve, reject) =>
    engine.append(Buffer.from(text), (failure) => failure === undefined ? resolve() : reject(failure.cause))
  )
const appendAll = async (engine: JournalEngine, count: number, length = 100) => {
  for (let i = 0; i < count; i++) await append(engine, String(i).padStart(length, "."))
}
const readAll = async (engine: JournalEngine) =>
  (await Effect.runPromise(engine.read(engine.oldest(), 1000))).map(({ bytes }) => Buffer.from(bytes).toString())
const turns = async (count: number) => {
  for (let left = count; left > 0; left--) await new Promise<void>((resolve) => setImmediate(resolve))
}
const file = async (disk: Faults.Disk, name: string, bytes: Uint8Array = new Uint8Array()) => {
  const directory = await disk.storage.open("/journal")
  const file = await directory.open(name, "create")
  if (bytes.length > 0) await new Promise<void>((resolve) => file.write(bytes, 0, () => resolve()))
  await new Promise<void>((resolve) => file.datasync(() => resolve()))
  await directory.sync()
  await file.close()
}
const names = async (disk: Faults.Disk) => (await (await disk.storage.open("/journal")).list()).toSorted()

describe("a group", () => {
  it("has a higher epoch after a crash, also where it was acquired and removed in one flush", async () => {
    const disk = Faults.disk()
    const engine = engineOf(await open(disk), "a")
    await append(engine, "0")
    const [hold] = await Promise.all([
      Effect.runPromise(engine.acquire("g", "head")),
      Effect.runPromise(engine.removeGroup("g"))
    ])
    const again = engineOf(await open(disk.crash()), "a")
    assert.isAbove((await Effect.runPromise(again.acquire("g", "head"))).epoch, hold.epoch)
  })
})

describe("closed", () => {
  it("a journal touches its directory no more, whatever it was letting go of", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const disk = Faults.disk({ seed, turnsMax: 20 })
      const core = await open(disk)
      const engine = engineOf(core, "a", { count: 1 })
      await Effect.runPromise(engine.acquire("g", "oldest"))
      await Promise.all(Array.from({ length: 100 }, () => append(engine, ".".repeat(500))))
      await turns(200)
      await Promise.all([Effect.runPromise(engine.removeGroup("g")), core.close()])
      const { log } = disk
      await turns(100)
      assert.deepStrictEqual(disk.log.slice(log.length), [], `seed ${seed}`)
    }
  })
})

describe("in the directory", () => {
  it("a file of another name is left alone", async () => {
    const disk = Faults.disk()
    await file(disk, "notes.txt", Buffer.from("mine"))
    const core = await open(disk)
    await appendAll(engineOf(core, "a"), 100)
    await core.close()
    assert.strictEqual(Buffer.from(disk.contents("notes.txt")).toString(), "mine")
  })
  it("a file that is empty, short or of zeros is no segment, and is used or removed", async () => {
    const disk = Faults.disk()
    const engine = engineOf(await open(disk), "a")
    await append(engine, "kept")
    await file(disk, "segment-000007")
    await file(disk, "segment-000008", Buffer.from("SLJ1, cut"))
    await file(disk, "segment-000009", new Uint8Array(segmentBytes))
    const next = disk.crash()
    const again = engineOf(await open(next), "a")
    assert.deepStrictEqual(await readAll(again), ["kept"])
    assert.deepStrictEqual(await names(next), ["segment-000000", "segment-000009"])
    await appendAll(again, 100)
    assert.strictEqual((await readAll(again)).length, 101)
  })
  it("a segment that is missing is told, with its name", async () => {
    const disk = Faults.disk()
    const core = await open(disk)
    await appendAll(engineOf(core, "a"), 60)
    await core.close()
    await (await disk.storage.open("/journal")).remove("segment-000000")
    const error = await open(disk).then(() => undefined, (error) => error)
    assert.match(String(error), /segment-000000 is damaged at byte 0/)
  })
  it("a segment of a later format is not touched, and the message says what to do", async () => {
    const disk = Faults.disk()
    const core = await open(disk)
    await appendAll(engineOf(core, "a"), 1)
    await core.close()
    const written = Buffer.from(disk.contents("segment-000000"))
    const { crc32 } = await import("node:zlib")
    written.writeUInt16LE(2, 12)
    written.writeUInt32LE(crc32(written.subarray(8, 32 + written.readUInt32LE(8))), 4)
    const later = Faults.disk()
    await file(later, "segment-000000", written)
    const error = await open(later).then(() => undefined, (error) => error)
    assert.match(String(error), /format 2, and this version reads up to 1: update/)
    assert.deepStrictEqual(Buffer.from(later.contents("segment-000000")), written)
  })
})

describe("a disk that is full", () => {
  it("is told about once for each segment, not for each flush, while no spare can be made", async () => {
    const disk = Faults.disk({ turnsMax: 1, bytesMax: 1.2 * segmentBytes })
    const core = await open(disk)
    const told: Array<string> = []
    core.onProblem = (message) => void told.push(message)
    const engine = engineOf(core, "a")
    for (let left = 19; left > 0; left--) {
      await appendAll(engine, 1)
      await turns(20)
    }
    assert.lengthOf(told, 1)
  })
})

describe("a dead group", () => {
  it("beside a busy record keeps its few values, and no segment but the last ones", async () => {
    const disk = Faults.disk()
    const core = await open(disk)
    const [dead, busy] = [engineOf(core, "dead"), engineOf(core, "busy", { count: 10 })]
    await Effect.runPromise(dead.acquire("gone", "oldest"))
    const kept: Array<string> = []
    for (let round = 0; round < 6; round++) {
      kept.push(`kept ${round}`)
      await append(dead, `kept ${round}`)
      await appendAll(busy, 60)
      await turns(50)
    }
    assert.isAtMost(core.state.segments.size, 4)
    assert.isAtMost((await names(disk)).length, 6)
    assert.deepStrictEqual(await readAll(dead), kept)
    const again = await open(disk.powerLoss())
    assert.deepStrictEqual(await readAll(engineOf(again, "dead")), kept)
    assert.lengthOf(await readAll(engineOf(again, "busy", { count: 10 })), 10)
  })
  it("that holds what the directory may have is told of by name, and removed makes room", async () => {
    const disk = Faults.disk()
    const core = await open(disk, 6 * segmentBytes)
    const told: Array<string> = []
    core.onProblem = (message) => void told.push(message)
    const engine = engineOf(core, "a", { count: 1000, bytes: 1 })
    await Effect.runPromise(engine.acquire("gone", "oldest"))
    while (!core.isFull()) await appendAll(engine, 1, 300)
    assert.isAtMost((await names(disk)).length, 6)
    assert.match(told.join(), /record "a" \(\d+ bytes, kept by group "gone"\)/)
    await Effect.runPromise(engine.removeGroup("gone"))
    await turns(50)
    assert.isFalse(core.isFull())
  })
})

describe("a value that is persisted once and never again", () => {
  it("is copied forward as often as it takes, and survives each crash", async () => {
    let disk = Faults.disk()
    await append(engineOf(await open(disk), "once"), "precious")
    for (let life = 0; life < 8; life++) {
      disk = life % 2 === 0 ? disk.crash() : disk.powerLoss()
      const core = await open(disk)
      const once = engineOf(core, "once")
      assert.deepStrictEqual(await readAll(once), ["precious"])
      await appendAll(engineOf(core, "busy", { count: 10 }), 100)
      await turns(20)
      assert.isAtMost(core.state.segments.size, 4)
      assert.deepStrictEqual(await readAll(once), ["precious"])
    }
  })
})

describe("a flush that fails where a segment begins", () => {
  /** The page cache shows what was written over it, and the medium may have what was written first. */
  const acknowledgedAndFound = async (seed: number) => {
    let disk = Faults.disk({ seed, tearsSectors: true, turnsMax: 1 })
    const values: Array<string> = []
    const appendTo = async (engine: JournalEngine, length: number) => {
      const value = String(values.length).padStart(length, ".")
      if (await append(engine, value).then(() => true, () => false)) values.push(value)
    }
    let engine = engineOf(await open(disk), "a")
    for (let count = 0; count < 10; count++) {
      await appendTo(engine, 350)
      await turns(50)
    }
    const fail = async () => {
      await append(engine, "lost").catch(() => {})
      await turns(20)
    }
    // The first ends the segment; the second begins one in the spare file, which a part of the third is written over.
    disk.adjust({ rates: { datasync: 1 } })
    await fail()
    await fail()
    disk.adjust({ rates: { write: 1 } })
    await fail()
    disk.adjust({ rates: {} })
    disk = disk.crash()
    engine = engineOf(await open(disk), "a")
    for (let count = 0; count < 3; count++) await appendTo(engine, 20)
    disk = disk.powerLoss()
    const found = await readAll(engineOf(await open(disk), "a"))
    return { acknowledged: values, found }
  }
  it("leaves nothing that is taken for the newest segment after a loss of power", async () => {
    for (let seed = 0; seed < 300; seed++) {
      const { acknowledged, found } = await acknowledgedAndFound(seed)
      assert.deepStrictEqual(found.filter((value) => acknowledged.includes(value)), acknowledged, `seed ${seed}`)
    }
  })
})
