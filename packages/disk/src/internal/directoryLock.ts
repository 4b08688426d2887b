/**
 * The lock of a directory: an exclusive transaction, held open, on an empty SQLite file in it. The system gives it back
 * when the process is gone, however it went, so nothing stale is ever left to clean up; and SQLite refuses a second
 * opener of the same process, which locks of files by themselves do not.
 *
 * Nothing but SQLite may open that file: on POSIX systems, a process that closes any handle of a file loses its locks on
 * it. No file is removed on release, for another opener may be about to lock it. A network file system must support locks.
 */
/// <reference types="node" />
import { readFile, writeFile } from "node:fs/promises"
import { hostname } from "node:os"
import { join } from "node:path"
import type { DatabaseSync } from "node:sqlite"
import { Locked } from "../Storage.ts"

const lockFile = ".sluice-lock"
const holderFile = `${lockFile}-holder`

/** Whether a file belongs to the lock: SQLite may put a journal of its own beside it. */
export const isLockFile = (name: string): boolean => name.startsWith(lockFile)

/** Kept here, so that a lock whose owner has forgotten it is not closed by the garbage collector. */
const held = new Set<DatabaseSync>()

export const lockDirectory = async (path: string): Promise<{ readonly release: () => Promise<void> }> => {
  const database = lockedDatabase(join(path, lockFile))
  if (database === undefined) throw new Locked(await readHolder(join(path, holderFile)))
  held.add(database)
  // That it cannot be written, on a full disk say, must not keep the holder from its directory: it only describes.
  const describe = (text: string) => writeFile(join(path, holderFile), text).catch(() => undefined)
  await describe(JSON.stringify({ pid: process.pid, host: hostname(), since: new Date().toISOString() }))
  let released: Promise<void> | undefined
  return {
    release: () =>
      released ??= describe("").then(() => {
        held.delete(database)
        database.close()
      })
  }
}

/** `undefined` where another has the lock. It does not wait. */
const lockedDatabase = (path: string): DatabaseSync | undefined => {
  const database = new (sqlite().DatabaseSync)(path)
  try {
    // Without a rollback journal in a file, of which a killed holder would leave a remnant.
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE")
    return database
  } catch (error) {
    database.close()
    if (isBusy(error)) return undefined
    throw error
  }
}

/** SQLITE_BUSY, with or without its extended part. */
const isBusy = (error: unknown): boolean =>
  error instanceof Error && "errcode" in error && (Number(error.errcode) & 0xff) === 5

/** Loaded when first wanted, without the one warning by which some versions of Node call the module experimental. */
const sqlite = (): typeof import("node:sqlite") => {
  const emitWarning = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: ReadonlyArray<any>) => {
    if (!/SQLite is an experimental feature/.test(String(warning))) emitWarning.call(process, warning, ...rest)
  }
  try {
    return process.getBuiltinModule("node:sqlite")
  } finally {
    process.emitWarning = emitWarning
  }
}

/** The holder may not have written it yet: then it is empty, or tells of one that has died. */
const readHolder = async (path: string): Promise<string> => {
  try {
    const { pid, host, since } = JSON.parse(await readFile(path, "utf8"))
    if (host === hostname() && !isAlive(pid)) return unknownHolder
    return `process ${pid} on host "${host}" since ${since}`
  } catch {
    return unknownHolder
  }
}
const unknownHolder = "another process"

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // Of another user it may not be signalled, but it is there.
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}
