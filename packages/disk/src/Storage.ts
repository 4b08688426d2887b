/**
 * The file system under a journal, as far as it needs one: positional writes and reads, fdatasync and the sync of a
 * directory, which Effect's FileSystem does not have. Another one can be put in its place: see `Faults` in
 * `@sluice/testing`, which simulates a disk that tears, fails and loses power.
 *
 * One Storage stands for one directory without subdirectories; names are those of files in it.
 */
import { Context } from "effect"
import { nodeStorage } from "./internal/nodeStorage.ts"

/** A file that is open. Positions and lengths are in bytes. What is written is durable once `datasync` has answered. */
export interface File {
  /** Answers with how much was written, which may be less than asked for. */
  readonly write: (bytes: Uint8Array, position: number, done: (error: Error | null, written: number) => void) => void
  /**
   * As `write`, and what it answers for is durable: a write and a datasync, or one call of the system that does both. After
   * it failed nothing is known of what was written.
   */
  readonly writeThrough: File["write"]
  /** Answers with how much was read: less than asked for at the end of the file. */
  readonly read: (into: Uint8Array, position: number, done: (error: Error | null, read: number) => void) => void
  /** Makes everything written so far durable, also the file's length. After it failed nothing is known of what was written. */
  readonly datasync: (done: (error: Error | null) => void) => void
  readonly size: () => Promise<number>
  /** Waits for what is in flight. What is asked of a closed file fails. */
  readonly close: () => Promise<void>
}

/** A directory. */
export interface Directory {
  readonly path: string
  /** Names of the files in it, in no order. */
  readonly list: () => Promise<ReadonlyArray<string>>
  /** `"create"` fails where there is such a file; `"write"` and `"read"` fail where there is none. */
  readonly open: (name: string, mode: "create" | "write" | "read") => Promise<File>
  readonly remove: (name: string) => Promise<void>
  /** Makes durable which files there are. */
  readonly sync: () => Promise<void>
  /**
   * Locks the directory against every other writer, in this process or another, until it is released or the process has
   * ended, however it ended. Rejects with a `Locked` where another has it.
   */
  readonly lock: () => Promise<{ readonly release: () => Promise<void> }>
}

/** Another writer has the directory. `holder` says who, as far as is known. */
export class Locked extends Error {
  readonly _tag = "Locked"
  readonly holder: string
  constructor(holder: string) {
    super(`the directory is locked by ${holder}`)
    this.holder = holder
  }
  /** Goes by the tag: a storage that does not import this module, such as `Faults`, rejects with a `Locked` all the same. */
  static override [Symbol.hasInstance](error: unknown): error is Locked {
    return error instanceof Error && "_tag" in error && error._tag === "Locked"
  }
}

export interface Storage {
  /** Makes the directory, and those above it, where they are not there; to `"read"` it, it fails there and makes nothing. */
  readonly open: (directory: string, mode?: "read") => Promise<Directory>
}

/** The storage that journals use: that of this machine, unless another is provided. */
export const CurrentStorage: Context.Reference<Storage> = Context.Reference<Storage>("@sluice/disk/Storage", {
  defaultValue: () => nodeStorage
})
