/**
 * The database of a SQLite log, in the worker: runs transactions over its records, and notices what other processes have
 * written.
 */
import type { Calls, RecordState, Slot, Standing } from "./sqliteCalls.ts"
import { type Layout, SqliteDatabase } from "./sqliteDatabase.ts"
import { recordTables, SqliteRecord } from "./sqliteRecord.ts"

/** "Slui" says that a database is one of these. */
const layout: Layout = {
  applicationId: 0x536c7569,
  version: 1,
  tables: recordTables
}

export class SqliteStore {
  private readonly file: SqliteDatabase
  private readonly slots = new Map<number, SqliteRecord>()

  constructor(file: string, busyTimeout: number) {
    this.file = new SqliteDatabase(file, busyTimeout, layout)
  }
  openSlot(slot: Slot): RecordState {
    const record = this.file.transaction(() => new SqliteRecord(this.file.database, slot))
    this.slots.set(slot.slot, record)
    return this.look(slot.slot)
  }
  closeSlot(slot: number): void {
    this.slots.delete(slot)
  }
  write(asked: Calls["Write"]["asked"]): Calls["Write"]["answer"] {
    return this.file.transaction(() => {
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
    return this.file.glance(() => {
      const record = this.recordOf(slot)
      record.begin()
      return record.sequenceAt(time)
    })
  }
  look(slot: number): RecordState {
    return this.file.glance(() => {
      const record = this.recordOf(slot)
      record.begin()
      return record.state()
    })
  }
  poll(): ReadonlyArray<Standing> {
    if (!this.file.changedByOthers()) return []
    return this.file.glance(() => this.standings(() => true))
  }
  close(): void {
    this.file.close()
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
}
