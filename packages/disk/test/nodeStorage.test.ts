import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { CurrentStorage, type Directory, type File, Locked } from "@sluice/disk/Storage"
import { Context } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { hostname, tmpdir } from "node:os"
import { join } from "node:path"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { nodeStorage } from "../src/internal/nodeStorage.ts"

let root: string
let directory: Directory
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sluice-disk-"))
  directory = await nodeStorage.open(join(root, "journal"))
})
afterEach(() => rm(root, { recursive: true }))

const bytes = (text: string) => new TextEncoder().encode(text)
const write = (file: File, text: string, position: number) =>
  new Promise<number>((resolve, reject) =>
    file.write(bytes(text), position, (error, written) => error === null ? resolve(written) : reject(error))
  )
const read = (file: File, length: number, position: number) => {
  const into = new Uint8Array(length)
  return new Promise<string>((resolve, reject) =>
    file.read(
      into,
      position,
      (error, read) => error === null ? resolve(new TextDecoder().decode(into.subarray(0, read))) : reject(error)
    )
  )
}
const datasync = (file: File) =>
  new Promise<void>((resolve, reject) => file.datasync((error) => error === null ? resolve() : reject(error)))
/** What it rejects with. */
const failure = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(() => assert.fail("expected a failure"), (error) => error)
const code = async (promise: Promise<unknown>) => (await failure(promise) as NodeJS.ErrnoException).code

describe("the directory", () => {
  it("is on this machine's file system unless another storage is provided", () => {
    assert.strictEqual(Context.get(Context.empty(), CurrentStorage), nodeStorage)
  })
  it("is made with those above it, and opened again where it is there", async () => {
    const deep = join(root, "a", "b", "c")
    assert.strictEqual((await nodeStorage.open(deep)).path, deep)
    assert.deepStrictEqual(await (await nodeStorage.open(deep)).list(), [])
  })
  it("cannot be where a file is", async () => {
    await writeFile(join(root, "file"), "")
    assert.strictEqual(await code(nodeStorage.open(join(root, "file"))), "EEXIST")
    assert.strictEqual(await code(nodeStorage.open(join(root, "file", "below"))), "ENOTDIR")
  })
  it("lists files, and neither directories nor those of its lock", async () => {
    await mkdir(join(directory.path, "folder"))
    await (await directory.open("b", "create")).close()
    await (await directory.open("a", "create")).close()
    const { release } = await directory.lock()
    assert.deepStrictEqual((await directory.list()).toSorted(), ["a", "b"])
    await release()
    assert.deepStrictEqual((await directory.list()).toSorted(), ["a", "b"])
  })
  it("is synced, and its files are removed", async () => {
    await (await directory.open("a", "create")).close()
    await directory.sync()
    await directory.remove("a")
    await directory.sync()
    assert.deepStrictEqual(await directory.list(), [])
    assert.strictEqual(await code(directory.remove("a")), "ENOENT")
  })
  it("refuses a name that leads out of it or to its lock", async () => {
    for (const name of ["../out", "a/b", "..", ".", "", ".sluice-lock"]) {
      assert.match((await failure(directory.open(name, "create"))).message, /expected the name of a file/)
      assert.match((await failure(directory.remove(name))).message, /expected the name of a file/)
    }
  })
})

describe("a file", () => {
  it("is created once, and opened only where it is there", async () => {
    assert.strictEqual(await code(directory.open("a", "write")), "ENOENT")
    assert.strictEqual(await code(directory.open("a", "read")), "ENOENT")
    await (await directory.open("a", "create")).close()
    assert.strictEqual(await code(directory.open("a", "create")), "EEXIST")
  })
  it("is written and read at positions, also beyond its end", async () => {
    const file = await directory.open("a", "create")
    assert.strictEqual(await write(file, "world", 6), 5)
    assert.strictEqual(await write(file, "hello ", 0), 6)
    await datasync(file)
    assert.strictEqual(await file.size(), 11)
    assert.strictEqual(await read(file, 5, 3), "lo wo")
    assert.strictEqual(await read(file, 100, 6), "world")
    assert.strictEqual(await read(file, 100, 11), "")
    await file.close()
    assert.strictEqual(await readFile(join(directory.path, "a"), "utf8"), "hello world")
  })
  it("opened to write keeps what is there, opened to read is not written", async () => {
    const created = await directory.open("a", "create")
    await write(created, "hello", 0)
    await created.close()
    const writing = await directory.open("a", "write")
    await write(writing, "j", 0)
    const reading = await directory.open("a", "read")
    assert.strictEqual(await read(reading, 9, 0), "jello")
    assert.strictEqual(await code(write(reading, "x", 0)), "EBADF")
    await Promise.all([writing.close(), reading.close()])
  })
  it("closes after what is in flight, once, and then fails whatever is asked of it", async () => {
    const file = await directory.open("a", "create")
    const written = write(file, "x".repeat(1 << 20), 0)
    const closed = Promise.all([file.close(), file.close()])
    assert.strictEqual(await written, 1 << 20)
    await closed
    const other = await directory.open("b", "create")
    assert.strictEqual(await code(write(file, "stray", 0)), "EBADF")
    assert.strictEqual(await code(read(file, 1, 0)), "EBADF")
    assert.strictEqual(await code(datasync(file)), "EBADF")
    assert.strictEqual(await code(file.size()), "EBADF")
    assert.strictEqual(await other.size(), 0)
    await other.close()
  })
})

describe("the lock", () => {
  /** Another process that has said `locked` or `refused: who`. */
  const opener = async (): Promise<{ readonly child: ChildProcess; readonly said: string }> => {
    const module = new URL("../src/internal/nodeStorage.ts", import.meta.url).href
    const child = spawn(process.execPath, [
      "--input-type=module",
      "--eval",
      `import { nodeStorage } from ${JSON.stringify(module)}
      const directory = await nodeStorage.open(${JSON.stringify(directory.path)})
      await directory.lock().then(() => {
        console.log("locked")
        setInterval(() => {}, 1000)
      }, (error) => console.log("refused: " + error.holder))`
    ], { stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    child.stderr.on("data", (data) => output += data)
    child.stdout.on("data", (data) => output += data)
    await Promise.race([once(child.stdout, "data"), once(child, "close")])
    return { child, said: output.trim() }
  }

  it("is refused to a second opener of the process, which is told who has it, until it is released", async () => {
    const first = await directory.lock()
    const again = await nodeStorage.open(directory.path)
    const error = await failure(again.lock())
    assert.instanceOf(error, Locked)
    assert.match(
      error.message,
      new RegExp(`^the directory is locked by process ${process.pid} on host "${hostname()}" since \\d{4}-\\d\\d-.*Z$`)
    )
    await first.release()
    await first.release()
    await (await again.lock()).release()
  })
  it("is had by one of many who ask at once", async () => {
    const asked = await Promise.allSettled(Array.from({ length: 10 }, () => directory.lock()))
    assert.deepStrictEqual(asked.filter(({ status }) => status === "fulfilled").length, 1)
    assert.isTrue(asked.every((one) => one.status === "fulfilled" || one.reason instanceof Locked))
  })
  it("of one directory is not that of another", async () => {
    const { release } = await directory.lock()
    await (await (await nodeStorage.open(join(root, "other"))).lock()).release()
    await release()
  })
  it("is refused while another process has it, and to be had at once when that is killed", async () => {
    const { child, said } = await opener()
    assert.strictEqual(said, "locked")
    const error = await failure(directory.lock())
    assert.instanceOf(error, Locked)
    assert.include(error.message, `process ${child.pid} on host`)
    child.kill("SIGKILL")
    await once(child, "close")
    const { release } = await directory.lock()

    const second = await opener()
    assert.include(second.said, `refused: process ${process.pid} on host`)
    await release()
    assert.deepStrictEqual((await readdir(directory.path)).filter((name) => name.endsWith("-journal")), [])
  }, 20_000)
  it("says that it does not know its holder rather than name one that has ended", async () => {
    const { release } = await directory.lock()
    const { child } = await opener()
    if (child.exitCode === null) await once(child, "close")
    for (const text of ["", "{", JSON.stringify({ pid: child.pid, host: hostname(), since: "2026" })]) {
      await writeFile(join(directory.path, ".sluice-lock-holder"), text)
      assert.strictEqual((await failure(directory.lock()) as Locked).holder, "another process")
    }
    await release()
  }, 20_000)
  it("is kept though its owner has forgotten it, until the process ends", async () => {
    await directory.lock()
    setFlagsFromString("--expose-gc")
    runInNewContext("gc")()
    await new Promise((resolve) => setImmediate(resolve))
    runInNewContext("gc")()
    assert.instanceOf(await failure(directory.lock()), Locked)
  })
  it("fails as the file system does where the directory is gone", async () => {
    await rm(directory.path, { recursive: true })
    assert.notInstanceOf(await failure(directory.lock()), Locked)
  })
})
