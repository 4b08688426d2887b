/**
 * A SQLite database of Sluice's, in the worker that has it: opened with a write-ahead log that is flushed before a commit
 * returns, told from other databases by its application id, and aware of what other processes write.
 */
import { mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"

/** What is in a kind of database. */
export interface Layout {
  readonly applicationId: number
  /** Of the tables. */
  readonly version: number
  readonly tables: string
}

export class SqliteDatabase {
  readonly database: DatabaseSync
  private readonly busyTimeout: number
  private readonly dataVersion: () => number
  private seen: number

  /** Makes the file, with the directories above it, and its tables where there are none. */
  constructor(file: string, busyTimeout: number, layout: Layout) {
    mkdirSync(dirname(file), { recursive: true })
    this.busyTimeout = busyTimeout
    this.database = new DatabaseSync(file, { timeout: busyTimeout })
    try {
      this.useWriteAheadLog()
      this.database.exec("PRAGMA synchronous = FULL")
      this.makeTables(layout)
      const statement = this.database.prepare("PRAGMA data_version")
      this.dataVersion = () => (statement.get() as { readonly data_version: number }).data_version
      this.seen = this.dataVersion()
    } catch (cause) {
      this.database.close()
      throw cause
    }
  }
  /** All of it happens, or nothing. */
  transaction<A>(run: () => A): A {
    return this.within("BEGIN IMMEDIATE", run)
  }
  /** Reads that have to fit together. */
  glance<A>(run: () => A): A {
    return this.within("BEGIN", run)
  }
  /** Whether another process has written since this was asked last. */
  changedByOthers(): boolean {
    const seen = this.dataVersion()
    if (seen === this.seen) return false
    this.seen = seen
    return true
  }
  close(): void {
    this.database.close()
  }

  private within<A>(begin: string, run: () => A): A {
    this.database.exec(begin)
    try {
      const result = run()
      this.database.exec("COMMIT")
      return result
    } catch (cause) {
      // Some failures have rolled it back already.
      if (this.database.isTransaction) this.database.exec("ROLLBACK")
      throw cause
    }
  }
  /** SQLite does not wait for others while it changes to the write-ahead log, so this does. */
  private useWriteAheadLog(): void {
    const until = performance.now() + this.busyTimeout
    for (;;) {
      try {
        const { journal_mode } = this.database.prepare("PRAGMA journal_mode = WAL").get() as {
          readonly journal_mode: string
        }
        if (journal_mode === "wal") return
        throw new Error(
          `it has no write-ahead log there (its journal is "${journal_mode}"): put it into a file on a local disk`
        )
      } catch (cause) {
        if (!isBusy(cause) || performance.now() >= until) throw cause
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
      }
    }
  }
  private makeTables({ applicationId, tables, version }: Layout): void {
    const pragma = (name: string) => Number(Object.values(this.database.prepare(`PRAGMA ${name}`).get()!)[0])
    const check = () => {
      const found = pragma("user_version")
      if (pragma("application_id") !== applicationId) {
        const { count } = this.database.prepare("SELECT count(*) AS count FROM sqlite_schema").get() as {
          count: number
        }
        if (count > 0 || found > 0) throw new Error("it is a database of another application: choose another file")
        return "new"
      }
      if (found > version) throw new Error(`it was written by a later version of Sluice (layout ${found})`)
      return "known"
    }
    if (check() === "known") return
    this.transaction(() => {
      // Another process may have made them meanwhile.
      if (check() === "known") return
      this.database.exec(tables)
      this.database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}`)
    })
  }
}

/** The primary code of SQLite's answer. */
const codeOf = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause ? Number(cause.errcode) & 0xff : undefined
export const isBusy = (cause: unknown): boolean => codeOf(cause) === 5

/** A failure in words, with what can be done about it. */
export const explain = (cause: unknown, file: string, busyTimeout: number): string => {
  const said = cause instanceof Error ? cause.message : String(cause)
  const help: { readonly [code: number]: string } = {
    5: `another process has kept it locked for longer than the busyTimeout of ${busyTimeout} ms`,
    8: "this process must be able to write the file and its directory",
    10: "the disk could not read or write",
    11: "the file is damaged: restore it from a copy",
    13: "make room on the disk",
    14: "its directory must exist, or be one that this process can make, and be writable",
    26: "the file is not a SQLite database: choose another file"
  }
  const advice = help[codeOf(cause) ?? 0]
  return `SQLite, "${file}": ${said}${advice === undefined ? "" : ` (${advice})`}`
}
