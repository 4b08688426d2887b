/**
 * The database of a SQLite log, in the worker: opens it, runs transactions over its records, and notices what other
 * processes have written.
 */
import { mkdirSync } from "node:fs"
import { dirname } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { Calls, RecordState, Slot, Standing } from "./sqliteCalls.ts"
import { recordTables, SqliteRecord } from "./sqliteRecord.ts"

/** "Slui": says that a database is one of these. */
const applicationId = 0x536c7569
/** Of the tables. */
const layoutVersion = 1

export class SqliteStore {
  private readonly database: DatabaseSync
  private readonly busyTimeout: number
  private readonly slots = new Map<number, SqliteRecord>()
  private readonly dataVersion: () => number
  private seen: number

  constructor(file: string, busyTimeout: number) {
    mkdirSync(dirname(file), { recursive: true })
    this.busyTimeout = busyTimeout
    this.database = new DatabaseSync(file, { timeout: busyTimeout })
    try {
      this.useWriteAheadLog()
      this.database.exec("PRAGMA synchronous = FULL")
      this.makeTables()
      const statement = this.database.prepare("PRAGMA data_version")
      this.dataVersion = () => (statement.get() as { readonly data_version: number }).data_version
      this.seen = this.dataVersion()
    } catch (cause) {
      this.database.close()
      throw cause
    }
  }
  openSlot(slot: Slot): RecordState {
    const record = this.transaction(() => new SqliteRecord(this.database, slot))
    this.slots.set(slot.slot, record)
    return this.look(slot.slot)
  }
  closeSlot(slot: number): void {
    this.slots.delete(slot)
  }
  write(asked: Calls["Write"]["asked"]): Calls["Write"]["answer"] {
    return this.transaction(() => {
      const touched = new Set<number>()
      const written = asked.map(({ slot, writes }) => {
        const record = this.recordOf(slot)
        touched.add(record.id)
        record.begin()
        const answers = writes.map((write) => record.write(write))
        record.end()
        return answers
      })
      return { written, standings: this.standings(({ id }) => touched.has(id)) }
    })
  }
  read({ from, max, slot }: Calls["Read"]["asked"]): Calls["Read"]["answer"] {
    const read = this.recordOf(slot).read(from, max)
    return { ...read, state: read.versions.length === 0 ? this.look(slot) : undefined }
  }
  sequenceAt({ slot, time }: Calls["SequenceAt"]["asked"]): number {
    return this.glance(() => {
      const record = this.recordOf(slot)
      record.begin()
      return record.sequenceAt(time)
    })
  }
  look(slot: number): RecordState {
    return this.glance(() => {
      const record = this.recordOf(slot)
      record.begin()
      return record.state()
    })
  }
  poll(): ReadonlyArray<Standing> {
    const seen = this.dataVersion()
    if (seen === this.seen) return []
    this.seen = seen
    return this.glance(() => this.standings(() => true))
  }
  close(): void {
    this.database.close()
  }

  /** How the records of some slots stand, in a transaction; two slots may have the same record with limits of their own. */
  private standings(which: (record: SqliteRecord) => boolean): ReadonlyArray<Standing> {
    return Array.from(this.slots).filter(([, record]) => which(record)).map(([slot, record]) => {
      record.begin()
      return [slot, record.state()]
    })
  }
  private recordOf(slot: number): SqliteRecord {
    const record = this.slots.get(slot)
    if (record === undefined) throw new Error("the record has been closed")
    return record
  }
  private transaction<A>(run: () => A): A {
    return this.within("BEGIN IMMEDIATE", run)
  }
  /** Reads that have to fit together. */
  private glance<A>(run: () => A): A {
    return this.within("BEGIN", run)
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
    const until = Date.now() + this.busyTimeout
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
        if (!isBusy(cause) || Date.now() >= until) throw cause
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
      }
    }
  }
  private makeTables(): void {
    const pragma = (name: string) => Number(Object.values(this.database.prepare(`PRAGMA ${name}`).get()!)[0])
    const check = () => {
      const version = pragma("user_version")
      if (pragma("application_id") !== applicationId) {
        const { count } = this.database.prepare("SELECT count(*) AS count FROM sqlite_schema").get() as {
          count: number
        }
        if (count > 0 || version > 0) throw new Error("it is a database of another application: choose another file")
        return "new"
      }
      if (version > layoutVersion) throw new Error(`it was written by a later version of Sluice (layout ${version})`)
      return "known"
    }
    if (check() === "known") return
    this.transaction(() => {
      // Another process may have made them meanwhile.
      if (check() === "known") return
      this.database.exec(recordTables)
      this.database.exec(`PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${layoutVersion}`)
    })
  }
}

/** The primary code of SQLite's answer. */
const codeOf = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause ? Number(cause.errcode) & 0xff : undefined
const isBusy = (cause: unknown): boolean => codeOf(cause) === 5

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
