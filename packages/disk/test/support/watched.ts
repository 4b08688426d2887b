/** This machine's disk, and a turn that ends once nothing is under way on it, however slow it is. */
import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { nodeStorage } from "../../src/internal/nodeStorage.ts"
import type { Directory, File, Storage } from "../../src/Storage.ts"

let underWay = 0
const answered = <A extends ReadonlyArray<unknown>>(done: (...answer: A) => void) => {
  underWay++
  return (...answer: A): void => {
    underWay--
    done(...answer)
  }
}
const settled = <A>(work: Promise<A>): Promise<A> => {
  underWay++
  return work.finally(() => underWay--)
}
const watchedFile = (file: File): File => ({
  write: (bytes, position, done) => file.write(bytes, position, answered(done)),
  read: (into, position, done) => file.read(into, position, answered(done)),
  writeThrough: (bytes, position, done) => file.writeThrough(bytes, position, answered(done)),
  datasync: (done) => file.datasync(answered(done)),
  size: () => settled(file.size()),
  close: () => settled(file.close())
})
const watchedDirectory = (directory: Directory): Directory => ({
  path: directory.path,
  list: () => settled(directory.list()),
  open: (name, mode) => settled(directory.open(name, mode)).then(watchedFile),
  remove: (name) => settled(directory.remove(name)),
  sync: () => settled(directory.sync()),
  lock: () => settled(directory.lock()).then(({ release }) => ({ release: () => settled(release()) }))
})
export const watchedStorage: Storage = {
  open: (directory, mode) => settled(nodeStorage.open(directory, mode)).then(watchedDirectory)
}
/** A new directory of this machine's, until the scope closes. */
export const watchedTemporary = Effect.acquireRelease(
  Effect.promise(() => settled(mkdtemp(join(tmpdir(), "sluice-")))),
  (directory) => Effect.promise(() => settled(rm(directory, { recursive: true, force: true })))
)
const isQuiet = (): boolean => underWay === 0
export const turn: Effect.Effect<void> = Effect.promise(async () => {
  do await new Promise<void>((resolve) => setImmediate(resolve))
  while (!isQuiet())
})
