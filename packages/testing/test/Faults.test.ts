import { assert, describe, it } from "@effect/vitest"
import { CurrentStorage, type Directory, type File, Locked } from "@sluice/disk/Storage"
import { Faults } from "@sluice/testing"
import { Effect, Schema } from "effect"

const path = "journal"
const open = (disk: Faults.Disk): Promise<Directory> => disk.storage.open(path)
const filled = (length: number, value: number) => new Uint8Array(length).fill(value)
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (of: string) => new TextEncoder().encode(of)

const write = (file: File, what: Uint8Array | string, position: number) =>
  new Promise<number>((resolve, reject) =>
    file.write(
      typeof what === "string" ? bytes(what) : what,
      position,
      (error, written) => error === null ? resolve(written) : reject(error)
    )
  )
const read = (file: File, length: number, position: number) => {
  const into = new Uint8Array(length)
  return new Promise<Uint8Array>((resolve, reject) =>
    file.read(into, position, (error, read) => error === null ? resolve(into.slice(0, read)) : reject(error))
  )
}
const datasync = (file: File) =>
  new Promise<void>((resolve, reject) => file.datasync((error) => error === null ? resolve() : reject(error)))
const failure = (promise: Promise<unknown>): Promise<Error & { readonly code?: string }> =>
  promise.then(() => assert.fail("expected a failure"), (error) => error)
const code = async (promise: Promise<unknown>) => (await failure(promise)).code

/** A disk with one file, synced with its directory, of these bytes. */
const settled = async (options: Faults.Options, content: Uint8Array | string = "") => {
  const disk = Faults.disk(options)
  const directory = await open(disk)
  const file = await directory.open("a", "create")
  await write(file, content, 0)
  await datasync(file)
  await directory.sync()
  return { disk, directory, file }
}
const seeds = Array.from({ length: 200 }, (_, seed) => seed)
/** What is found of the file after a loss of power, over all seeds. */
const outcomes = (disk: Faults.Disk, of: (found: Faults.Disk) => string = (found) => text(found.contents("a"))) =>
  [...new Set(seeds.map((seed) => of(disk.powerLoss(seed))))].toSorted()
const names = async (disk: Faults.Disk) => (await (await open(disk)).list()).toSorted().join(" ")

describe("a disk without faults", () => {
  it("does what a file system does", async () => {
    const directory = await open(Faults.disk())
    assert.strictEqual(await code(directory.open("a", "write")), "ENOENT")
    assert.strictEqual(await code(directory.remove("a")), "ENOENT")
    const file = await directory.open("a", "create")
    assert.strictEqual(await code(directory.open("a", "create")), "EEXIST")
    assert.strictEqual(await write(file, "world", 6), 5)
    assert.strictEqual(await write(file, "hello ", 0), 6)
    await datasync(file)
    assert.strictEqual(await file.size(), 11)
    assert.strictEqual(text(await read(file, 100, 6)), "world")
    assert.strictEqual((await read(file, 100, 11)).length, 0)
    const reader = await directory.open("a", "read")
    assert.strictEqual(await code(write(reader, "x", 0)), "EBADF")
    assert.deepStrictEqual(await directory.list(), ["a"])
    await directory.remove("a")
    await directory.sync()
    assert.strictEqual(text(await read(reader, 5, 0)), "hello")
    assert.deepStrictEqual(await directory.list(), [])
  })
  it("closes a file after what is in flight", async () => {
    const { file } = await settled({})
    const order: Array<string> = []
    const written = write(file, "x", 0).then(() => order.push("written"))
    await Promise.all([file.close().then(() => order.push("closed")), written])
    await file.close()
    assert.deepStrictEqual(order, ["written", "closed"])
    assert.strictEqual(await code(write(file, "x", 0)), "EBADF")
    assert.strictEqual(await code(datasync(file)), "EBADF")
    assert.strictEqual(await code(file.size()), "EBADF")
  })
  it("lets answers overtake each other, unless told not to", async () => {
    const orders = async (options: Faults.Options) => {
      const { file } = await settled(options)
      const order: Array<number> = []
      await Promise.all([0, 1, 2, 3].map((at) => write(file, "x", at).then(() => order.push(at))))
      return order.join("")
    }
    const seen = new Set(await Promise.all(seeds.map((seed) => orders({ seed }))))
    assert.isAbove(seen.size, 10)
    assert.strictEqual(await orders({ turnsMax: 1 }), "0123")
  })
  it.effect("is provided to what stands on a storage, and answers under the TestClock", () =>
    Effect.gen(function*() {
      const storage = yield* CurrentStorage
      const directory = yield* Effect.promise(() => storage.open(path))
      assert.deepStrictEqual(yield* Effect.promise(() => directory.list()), [])
    }).pipe(Effect.provideService(CurrentStorage, Faults.disk().storage)))
})

describe("a loss of power", () => {
  it("leaves of an unsynced write any of its sectors, and the old length or the new", async () => {
    const { disk, file } = await settled({}, filled(1024, 97))
    await write(file, filled(1024, 98), 512)
    const found = outcomes(disk, (found) => text(found.contents("a")).replaceAll(/(.)\1{511}/gs, "$1"))
    assert.deepStrictEqual(found, ["aa", "aa\0", "aab", "ab", "ab\0", "abb"])
  })
  it("takes writes to one sector in any combination", async () => {
    const { disk, file } = await settled({}, "----")
    for (const [at, what] of ["a", "b", "c"].entries()) await write(file, what, at)
    assert.strictEqual(outcomes(disk).length, 8)
  })
  it("tears a write at any byte where sectors tear, and nowhere else", async () => {
    for (const tearsSectors of [true, false]) {
      const { disk, file } = await settled({ tearsSectors }, "----")
      await write(file, "abcd", 0)
      const torn = ["----", "---d", "--cd", "-bcd", "a---", "ab--", "abc-", "abcd"]
      assert.deepStrictEqual(outcomes(disk), tearsSectors ? torn : ["----", "abcd"])
    }
  })
  it("leaves of a write in flight any part", async () => {
    const { disk, file } = await settled({}, "old")
    const answer = failure(write(file, "new", 0))
    assert.deepStrictEqual(outcomes(disk), ["new", "old"])
    assert.strictEqual((await answer).code, "EIO")
  })
  it("leaves what was answered before a sync was asked for, and may take what was answered later", async () => {
    for (const seed of seeds.slice(0, 20)) {
      const { disk, directory, file } = await settled({ seed }, "--")
      await write(file, "a", 0)
      await Promise.all([datasync(file), directory.sync(), write(file, "b", 1), directory.open("b", "create")])
      assert.deepStrictEqual(outcomes(disk), ["a-", "ab"])
      const found = await Promise.all(seeds.map((seed) => names(disk.powerLoss(seed))))
      assert.deepStrictEqual([...new Set(found)].toSorted(), ["a", "a b"])
    }
  })
  it("leaves or takes entries that the directory has not synced, created or removed", async () => {
    const { disk, directory, file } = await settled({}, "x")
    const created = await directory.open("b", "create")
    await write(created, "y", 0)
    await datasync(created)
    await directory.remove("a")
    await file.close()
    const found = await Promise.all(seeds.map((seed) => names(disk.powerLoss(seed))))
    assert.deepStrictEqual([...new Set(found)].toSorted(), ["", "a", "a b", "b"])
    await Promise.all(seeds.map(async (seed) => {
      const next = disk.powerLoss(seed)
      if ((await names(next)).includes("b")) assert.strictEqual(text(next.contents("b")), "y")
    }))
  })
  it("takes no entry that the directory has synced, and leaves none that was removed before", async () => {
    const { disk, directory } = await settled({}, "x")
    await directory.open("b", "create")
    await directory.remove("a")
    await directory.sync()
    for (const seed of seeds) assert.strictEqual(await names(disk.powerLoss(seed)), "b")
  })
  it("ends the life: open files, its storage and calls under way fail, and the next one goes on", async () => {
    const { disk, directory, file } = await settled({}, "x")
    const listing = failure(directory.list())
    const next = disk.powerLoss()
    assert.strictEqual((await listing).code, "EIO")
    assert.strictEqual(await code(write(file, "y", 0)), "EIO")
    assert.strictEqual(await code(read(file, 1, 0)), "EIO")
    assert.strictEqual(await code(datasync(file)), "EIO")
    assert.strictEqual(await code(file.size()), "EIO")
    assert.strictEqual(await code(open(disk)), "EIO")
    await file.close()
    const again = await (await open(next)).open("a", "write")
    await write(again, "y", 0)
    assert.strictEqual(text(next.contents("a")), "y")
    assert.strictEqual(text(disk.powerLoss().contents("a")), "x")
  })
})

describe("a crash of the process", () => {
  it("loses nothing that was answered, and makes nothing durable", async () => {
    const { disk, directory, file } = await settled({}, "old")
    await write(file, "new", 0)
    await directory.open("b", "create")
    for (const seed of seeds) {
      const next = disk.crash(seed)
      assert.strictEqual(await names(next), "a b")
      assert.strictEqual(text(next.contents("a")), "new")
    }
    const next = disk.crash()
    assert.deepStrictEqual(outcomes(next), ["new", "old"])
    assert.strictEqual(await code(read(file, 1, 0)), "EIO")
  })
  it("leaves a write in flight done, done in part or not done, and so for a file that is made", async () => {
    const { disk, directory, file } = await settled({}, "---")
    const answers = [failure(write(file, "new", 0)), failure(directory.open("b", "create"))]
    const found = seeds.map((seed) => disk.crash(seed))
    await Promise.all(answers)
    assert.deepStrictEqual([...new Set(found.map((next) => text(next.contents("a"))))].toSorted(), [
      "---",
      "n--",
      "ne-",
      "new"
    ])
    assert.deepStrictEqual([...new Set(await Promise.all(found.map(names)))].toSorted(), ["a", "a b"])
  })
})

describe("the bytes of a write", () => {
  it("are the writer's again once it is answered, or the life has ended", async () => {
    const { disk, file } = await settled({}, "old")
    const buffer = bytes("new")
    await write(file, buffer, 0)
    buffer.fill(0)
    const answer = failure(write(file, buffer.fill(97), 0))
    assert.deepStrictEqual(outcomes(disk), ["aaa", "new", "old"])
    buffer.fill(0)
    assert.deepStrictEqual(outcomes(disk), ["aaa", "new", "old"])
    await answer
  })
  it("leave nothing behind when there was no room for them, nor in a crash", async () => {
    const { disk, file } = await settled({}, "old")
    disk.inject({ call: "write", as: "ENOSPC" })
    const answer = failure(write(file, "new", 0))
    for (const seed of seeds) assert.strictEqual(text(disk.crash(seed).contents("a")), "old")
    await answer
  })
})

describe("the lock", () => {
  it("is refused while it is held, and free after its release, a crash or a loss of power", async () => {
    const disk = Faults.disk()
    const { release } = await (await open(disk)).lock()
    const error = await failure((await open(disk)).lock())
    assert.instanceOf(error, Locked)
    assert.strictEqual(error.holder, "another opener of the simulated disk")
    await release()
    await release()
    const again = await (await open(disk)).lock()
    const crashed = disk.crash()
    await (await open(crashed)).lock()
    await again.release()
    assert.instanceOf(await failure((await open(crashed)).lock()), Locked)
    await (await open(crashed.powerLoss())).lock()
  })
})

describe("a fault that is asked for", () => {
  it("fails a datasync once: readers see the write, a later sync succeeds, and the disk has it or not", async () => {
    const found = new Set<string>()
    for (const seed of seeds) {
      const { disk, file } = await settled({ seed }, "old")
      await write(file, "new", 0)
      disk.inject({ call: "datasync" })
      assert.strictEqual(await code(datasync(file)), "EIO")
      assert.strictEqual(text(await read(file, 3, 0)), "new")
      await datasync(file)
      assert.strictEqual(outcomes(disk).length, 1)
      found.add(text(disk.powerLoss().contents("a")))
    }
    assert.deepStrictEqual([...found].toSorted(), ["new", "old"])
  })
  it("fails a datasync and may lose the growth, which readers see, for good", async () => {
    const lengths = new Set<number>()
    for (const seed of seeds) {
      const { disk, file } = await settled({ seed }, "x")
      await write(file, filled(2000, 1), 0)
      disk.inject({ call: "datasync" })
      await failure(datasync(file))
      await datasync(file)
      assert.strictEqual(await file.size(), 2000)
      lengths.add(disk.powerLoss().contents("a").length)
    }
    assert.deepStrictEqual([...lengths].toSorted(), [1, 2000])
  })
  it("fails a directory's sync, and the entry is there or not for good", async () => {
    const found = new Set<string>()
    for (const seed of seeds) {
      const { disk, directory } = await settled({ seed })
      await directory.open("b", "create")
      disk.inject({ call: "directorySync" })
      assert.strictEqual(await code(directory.sync()), "EIO")
      await directory.sync()
      assert.strictEqual(await names(disk.powerLoss(1)), await names(disk.powerLoss(2)))
      found.add(await names(disk.powerLoss()))
    }
    assert.deepStrictEqual([...found].toSorted(), ["a", "a b"])
  })
  it("makes a write short, so that it goes on behind what was written", async () => {
    const { disk, file } = await settled({})
    disk.inject({ call: "write", as: "short", times: 2 })
    const what = bytes("hello")
    let at = 0
    for (let left = 2; at < what.length; left--) {
      const written = await write(file, what.subarray(at), at)
      if (left > 0 && what.length - at > 1) assert.isBelow(written, what.length - at)
      assert.isAbove(written, 0)
      at += written
    }
    assert.strictEqual(text(disk.contents("a")), "hello")
  })
  it("makes a read short, or fails it", async () => {
    const { disk, file } = await settled({}, "hello")
    disk.inject({ call: "read", as: "short" })
    disk.inject({ call: "read" })
    const short = await read(file, 5, 0)
    assert.isTrue(short.length > 0 && short.length < 5 && "hello".startsWith(text(short)))
    assert.strictEqual(await code(read(file, 5, 0)), "EIO")
    assert.strictEqual(text(await read(file, 5, 0)), "hello")
  })
  it("fails a write, of which a part may have been written", async () => {
    const found = new Set<string>()
    for (const seed of seeds) {
      const { disk, file } = await settled({ seed }, "--")
      disk.inject({ call: "write" })
      assert.strictEqual(await code(write(file, "ab", 0)), "EIO")
      found.add(text(disk.contents("a")))
    }
    assert.deepStrictEqual([...found].toSorted(), ["--", "a-", "ab"])
  })
  it("hits the file that it names, after so many calls, so many times, with the error it names", async () => {
    const { disk, directory, file } = await settled({})
    const other = await directory.open("b", "create")
    disk.inject({ call: "write", as: "ENOSPC", file: "a", after: 1, times: 2 })
    await write(other, "x", 0)
    await write(file, "x", 0)
    await write(other, "x", 0)
    assert.strictEqual(await code(write(file, "y", 0)), "ENOSPC")
    assert.strictEqual(await code(write(file, "y", 0)), "ENOSPC")
    await write(file, "z", 0)
    assert.strictEqual(text(disk.contents("a")), "z")
    disk.inject({ call: "size", times: Infinity })
    assert.strictEqual(await code(file.size()), "EIO")
    assert.strictEqual(await code(other.size()), "EIO")
  })
  it("hits opening, listing and removing", async () => {
    const { disk, directory } = await settled({})
    disk.inject({ call: "open", as: "EMFILE" })
    disk.inject({ call: "list" })
    disk.inject({ call: "remove" })
    assert.strictEqual(await code(directory.open("b", "create")), "EMFILE")
    assert.strictEqual(await code(directory.list()), "EIO")
    assert.strictEqual(await code(directory.remove("a")), "EIO")
    assert.deepStrictEqual(await directory.list(), ["a"])
  })
})

describe("a full disk", () => {
  it("takes what fits, refuses more, lets what is there be written over, and has room again after a removal", async () => {
    const { disk, directory, file } = await settled({ bytesMax: 10 }, "12345678")
    assert.strictEqual(await write(file, "9abc", 8), 2)
    assert.strictEqual(await code(write(file, "b", 10)), "ENOSPC")
    const other = await directory.open("b", "create")
    assert.strictEqual(await code(write(other, "x", 0)), "ENOSPC")
    assert.strictEqual(await write(file, "ABC", 0), 3)
    assert.strictEqual(text(disk.contents("a")), "ABC456789a")
    await directory.remove("a")
    assert.strictEqual(await write(other, "x", 0), 1)
    disk.adjust({ bytesMax: Infinity })
    assert.strictEqual(await write(other, filled(100, 1), 0), 100)
  })
})

describe("a disk that becomes read-only", () => {
  it("is read, refuses changes, and syncs nothing that was written before", async () => {
    const { disk, directory, file } = await settled({}, "old")
    await datasync(file)
    disk.adjust({ readOnly: true })
    await datasync(file)
    disk.adjust({ readOnly: false })
    await write(file, "new", 0)
    disk.adjust({ readOnly: true })
    assert.strictEqual(await code(write(file, "x", 0)), "EROFS")
    assert.strictEqual(await code(datasync(file)), "EROFS")
    assert.strictEqual(await code(directory.remove("a")), "EROFS")
    assert.strictEqual(await code(directory.open("b", "create")), "EROFS")
    assert.strictEqual(await code(directory.open("a", "write")), "EROFS")
    assert.strictEqual(text(await read(await directory.open("a", "read"), 3, 0)), "new")
    assert.deepStrictEqual(outcomes(disk), ["new", "old"])
  })
})

describe("a bit that flips", () => {
  it("is one bit of the byte, for readers and in later lives", async () => {
    const { disk, file } = await settled({}, filled(600, 0))
    disk.flip("a", 555)
    const set = (of: Uint8Array) => [...of].flatMap((byte, at) => byte === 0 ? [] : [[at, byte]])
    const seen = set(await read(file, 600, 0))
    assert.strictEqual(seen.length, 1)
    assert.strictEqual(seen[0]![0], 555)
    assert.include([1, 2, 4, 8, 16, 32, 64, 128], seen[0]![1])
    assert.deepStrictEqual(set(disk.contents(`${path}/a`)), seen)
    await write(file, filled(600, 0), 0)
    disk.flip("a", 7)
    await datasync(file)
    assert.deepStrictEqual(set(disk.powerLoss().contents("a")).map(([at]) => at), [7])
    assert.throws(() => disk.flip("a", 600), /expected an offset in "a" of 600 bytes, got 600/)
    assert.throws(() => disk.flip("b", 0), /expected one file that is named "b", found 0/)
  })
  it("in what is durable survives a loss of power", async () => {
    const { disk } = await settled({}, "aa")
    disk.flip("a", 1)
    assert.strictEqual(outcomes(disk).length, 1)
    assert.match(outcomes(disk)[0]!, /^a[^a]$/s)
  })
  it("by chance is found by a read, and stays", async () => {
    const { disk, file } = await settled({ rates: { flip: 1 } }, filled(8, 0))
    const seen = await read(file, 8, 0)
    assert.isAbove(Math.max(...seen), 0)
    disk.adjust({ rates: {} })
    assert.deepStrictEqual(await read(file, 8, 0), seen)
  })
})

describe("a weak disk", () => {
  it("loses what its datasync acknowledged", async () => {
    const { disk } = await settled({ ignoresDatasync: true }, "synced")
    assert.deepStrictEqual(outcomes(disk), ["", "\0\0\0\0\0\0", "synced"])
    assert.strictEqual(disk.counters.datasyncs, 1)
  })
  it("loses a file whose directory acknowledged its sync", async () => {
    const { disk } = await settled({ ignoresDirectorySync: true }, "synced")
    const found = await Promise.all(seeds.map((seed) => names(disk.powerLoss(seed))))
    assert.deepStrictEqual([...new Set(found)].toSorted(), ["", "a"])
    assert.strictEqual(disk.counters.directorySyncs, 1)
  })
})

describe("what is told", () => {
  it("counts this life, and logs this one and those before it", async () => {
    const { disk, file } = await settled({ seed: 5 }, "hello")
    await read(file, 3, 0)
    disk.inject({ call: "datasync" })
    await failure(datasync(file))
    assert.deepStrictEqual(disk.counters, {
      writes: 1,
      reads: 1,
      datasyncs: 1,
      directorySyncs: 1,
      bytesWritten: 5,
      bytesRead: 3,
      failures: 1
    })
    const next = disk.powerLoss(9)
    assert.strictEqual(next.counters.writes, 0)
    assert.deepStrictEqual(next.log.map((line) => line.replace(/^\d+ /, "")), [
      "--- a disk, seed 5",
      "open journal",
      "open a to create",
      "write a 0..5: 5",
      "datasync a",
      "sync directory journal",
      "read a 0..3: 3",
      "datasync a: EIO: the simulated disk did not datasync a, sectors lost: none, length on the disk: 5 of 5",
      "--- power loss, seed 9; found journal: a (5)"
    ])
  })
  it("keeps the last 2000 lines", async () => {
    const { disk, file } = await settled({ turnsMax: 1 })
    for (let n = 0; n < 5; n++) await Promise.all(Array.from({ length: 1000 }, () => file.size()))
    assert.strictEqual(disk.log.length, 2000)
  })
})

describe("one seed", () => {
  /** Some of everything, by chance, through three lives. */
  const lived = async (seed: number) => {
    let disk = Faults.disk({
      seed,
      tearsSectors: true,
      rates: { write: 0.1, shortWrite: 0.1, read: 0.1, shortRead: 0.1, datasync: 0.2, directorySync: 0.2, flip: 0.1 }
    })
    const log: Array<string> = []
    for (let life = 0; life < 3; life++) {
      const directory = await open(disk)
      const name = (await directory.list())[0]
      const file = await directory.open(name ?? "a", name === undefined ? "create" : "write")
      const calls = Array.from({ length: 20 }, (_, n) => [
        write(file, filled(700, n), n * 300),
        datasync(file),
        read(file, 500, n * 200),
        directory.sync()
      ])
      await Promise.allSettled(calls.flat())
      log.push(...disk.log)
      disk = life === 1 ? disk.crash() : disk.powerLoss()
    }
    return [...log, ...disk.log].join("\n")
  }
  it("does the same again, another one something else", async () => {
    assert.strictEqual(await lived(1), await lived(1))
    assert.notStrictEqual(await lived(1), await lived(2))
    assert.match(await lived(1), /EIO/)
  })
})

const Step = Schema.Struct({
  act: Schema.Literals(["write", "write", "datasync", "crash", "powerLoss"]),
  sector: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 5 })),
  seed: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
})

describe("whatever is done", () => {
  it.effect.prop(
    "what was synced survives, and a sector has one of the values written since, never another",
    { steps: Schema.Array(Step) },
    ({ steps }) =>
      Effect.promise(async () => {
        let { disk, file } = await settled({}, filled(6 * 512, 0))
        /** The values that each sector may have, the last of which readers see. */
        const may = Array.from({ length: 6 }, () => [0])
        const check = () => {
          const found = disk.contents("a")
          assert.strictEqual(found.length, 6 * 512)
          for (let sector = 0; sector < 6; sector++) {
            const [value, ...others] = new Set(found.subarray(sector * 512, (sector + 1) * 512))
            assert.deepStrictEqual(others, [], disk.log.join("\n"))
            assert.include(may[sector]!, value, disk.log.join("\n"))
            // What was found is in the cache and on the disk.
            may[sector] = [value!]
          }
        }
        for (const [at, { act, sector, seed }] of steps.entries()) {
          const value = at % 255 + 1
          if (act === "write") {
            await write(file, filled(512, value), sector * 512)
            may[sector]!.push(value)
          } else if (act === "datasync") {
            await datasync(file)
            for (const values of may) values.splice(0, values.length - 1)
          } else if (act === "crash") {
            disk = disk.crash(seed)
            may.forEach((values, at) => assert.strictEqual(disk.contents("a")[at * 512], values.at(-1)))
            file = await (await open(disk)).open("a", "write")
          } else {
            disk = disk.powerLoss(seed)
            check()
            file = await (await open(disk)).open("a", "write")
          }
        }
      }),
    { arbitrary: { runs: 200 } }
  )
})
