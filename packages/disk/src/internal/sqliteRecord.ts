/**
 * One record in the database, in the worker: its values, its groups, and what it lets go of. Everything that writes is
 * called inside a transaction, between `begin` and `end`.
 *
 * `oldest` moves at once to where retention puts it; the rows below it are deleted some at a time, so that no transaction
 * takes long. `ends` counts the bytes of all values up to and with one, so that the bytes between any two are a
 * subtraction; it and `at` only grow, so that both are searched by halving.
 */
import type { Committed, Listed, Place } from "@sluice/core/Engine"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Acquired, Holder, Limits, Packed, RecordState, Slot, Write } from "./sqliteCalls.ts"

/** Rows deleted in one transaction, or twice as many as it appends if that is more: deleting keeps up with appending. */
const erasedMax = 2_000
/** Bytes that a read answers with, if the first value is not larger. */
const readMax = 4 * 2 ** 20
const blockersMax = 10
/** By so many milliseconds another process may be ahead: what it dates is left as it is. */
const aheadMax = 60_000

/** `next` and `oldest` are sequences; what is below `erased` has been deleted. */
interface Row {
  epoch: number
  next: number
  oldest: number
  erased: number
  /** When the newest value was appended. */
  at: number
  /** Bytes of all values there have been, and of those below `oldest`. */
  ends: number
  start: number
}
interface Group {
  readonly name: string
  readonly epoch: number
  readonly committed: number
  readonly held: number
  readonly idle_since: number
}

export const recordTables = `
  CREATE TABLE records (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, epoch INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0,
    oldest INTEGER NOT NULL DEFAULT 0, erased INTEGER NOT NULL DEFAULT 0, at REAL NOT NULL DEFAULT 0,
    ends INTEGER NOT NULL DEFAULT 0, start INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE groups (
    record INTEGER NOT NULL, name TEXT NOT NULL, epoch INTEGER NOT NULL, committed INTEGER NOT NULL,
    attempts TEXT NOT NULL, held INTEGER NOT NULL, idle_since REAL NOT NULL, PRIMARY KEY (record, name)
  ) STRICT, WITHOUT ROWID;`

export class SqliteRecord {
  readonly id: number
  private readonly limits: Limits
  private readonly version: number
  private readonly statements: ReturnType<typeof prepare>
  private row!: Row
  private found: ReadonlyArray<Group> | undefined
  private changed = false
  private appended = 0
  /** Since `state` said it last. */
  private datedBack = 0
  private now = -Infinity

  /** Makes the record where there is none with this key; in a transaction. */
  constructor(database: DatabaseSync, { key, limits, version }: Slot) {
    const known = database.prepare("SELECT id FROM records WHERE key = ?")
    if (known.get(key) === undefined) {
      const { lastInsertRowid } = database.prepare("INSERT INTO records (key) VALUES (?)").run(key)
      // A table for each record: appending at the end of a table is what SQLite does fastest.
      database.exec(`CREATE TABLE values_${lastInsertRowid} (
        sequence INTEGER PRIMARY KEY, at REAL NOT NULL, version INTEGER NOT NULL, ends INTEGER NOT NULL, bytes BLOB NOT NULL
      ) STRICT`)
    }
    this.id = (known.get(key) as { id: number }).id
    this.limits = limits
    this.version = version
    this.statements = prepare(database, this.id)
  }
  /** Reads anew what another process may have changed. */
  begin(): void {
    this.row = this.statements.row.get(this.id) as unknown as Row
    this.found = undefined
    this.changed = false
    this.appended = 0
    this.now = -Infinity
  }
  write(write: Write): unknown {
    if (write._tag === "Append") return this.append(write.values)
    this.now = Math.max(this.now, write.now)
    switch (write._tag) {
      case "Acquire":
        this.expireGroups(write.now, write.holders)
        return this.acquire(write.group, write.from, write.now)
      case "Release":
        return this.groupsChanged(
          this.statements.release.run(write.now, this.id, write.hold.group, write.hold.epoch)
        )
      case "Commit":
        return this.commit(write.hold, write.through, write.attempts)
      case "List":
        this.expireGroups(write.now, write.holders)
        return this.list(write.now)
      case "Remove":
        return this.groupsChanged(this.statements.remove.run(this.id, write.group))
      case "Expire":
        return this.expireGroups(write.now, write.holders)
    }
  }
  /** Lets go of what is past the limits. */
  end(): void {
    this.dateBack(this.now)
    this.expireValues()
    const { epoch, next, oldest, erased, at, ends, start } = this.row
    if (this.changed) this.statements.save.run(epoch, next, oldest, erased, at, ends, start, this.id)
  }
  state(): RecordState {
    const { row } = this
    const committed = this.committed()
    const held = this.limits.keepsUnacknowledged && committed < row.oldest
    const { datedBack } = this
    this.datedBack = 0
    const aged = Number.isFinite(this.limits.age) && row.oldest < row.next && !held
    return {
      next: row.next,
      oldest: row.oldest,
      committed,
      bytesUncommitted: committed === Infinity ? 0 : row.ends - this.endsBefore(Math.max(committed + 1, row.oldest)),
      blockers: this.groups.filter((group) => group.committed < row.oldest).slice(0, blockersMax).map(({ name }) =>
        name
      ),
      idleSince: this.groups.reduce((least, { idle_since }) => Math.min(least, idle_since), Infinity),
      oldestAt: aged ? this.atOf(row.oldest) : Infinity,
      more: row.erased < row.oldest,
      datedBack
    }
  }

  read(from: number, max: number): { readonly values: Packed; readonly versions: Uint32Array<ArrayBuffer> } {
    const rows: Array<{ readonly at: number; readonly version: number; readonly bytes: Uint8Array }> = []
    let size = 0
    for (const row of this.statements.read.iterate(from, max)) {
      const { at, bytes, sequence, version } = row as unknown as typeof rows[number] & { readonly sequence: number }
      // What is deleted is deleted from the front: a first row of another sequence means that `from` has gone.
      if (sequence !== from + rows.length || (rows.length > 0 && size + bytes.length > readMax)) break
      rows.push({ at, version, bytes })
      size += bytes.length
    }
    const bytes = new Uint8Array(size)
    let offset = 0
    for (const row of rows) {
      bytes.set(row.bytes, offset)
      offset += row.bytes.length
    }
    return {
      values: {
        bytes,
        lengths: Uint32Array.from(rows, (row) => row.bytes.length),
        times: Float64Array.from(rows, ({ at }) => at)
      },
      versions: Uint32Array.from(rows, ({ version }) => version)
    }
  }
  sequenceAt(time: number): number {
    return this.firstWhere((sequence) => this.atOf(sequence) >= time)
  }

  private append({ bytes, lengths, times }: Packed): void {
    const { row, statements: { append }, version } = this
    let offset = 0
    if (lengths.length > 0) this.dateBack(times[0]!)
    for (let index = 0; index < lengths.length; index++) {
      const length = lengths[index]!
      row.at = Math.max(row.at, times[index]!)
      row.ends += length
      append.run(row.next++, row.at, version, row.ends, bytes.subarray(offset, offset += length))
    }
    this.now = Math.max(this.now, times.at(-1) ?? -Infinity)
    this.appended += lengths.length
    this.changed = true
  }
  /**
   * A clock that was ahead has dated values in the future, where no later one can be dated before them and none would expire
   * by age until then. Once it has been put right, they are dated now.
   */
  private dateBack(now: number): void {
    const { row } = this
    if (!(Number.isFinite(now) && row.at > now + aheadMax)) return
    const first = this.firstWhere((sequence) => this.atOf(sequence) > now)
    this.statements.redate.run(now, first)
    this.datedBack += row.next - first
    row.at = now
    this.changed = true
  }
  private acquire(name: string, from: Place, now: number): Acquired {
    const epoch = ++this.row.epoch
    this.changed = true
    this.statements.make.run(this.id, name, this.sequenceOf(from) - 1)
    this.groupsChanged(this.statements.acquire.run(epoch, now, this.id, name))
    const found = this.statements.progress.get(this.id, name) as {
      readonly committed: number
      readonly attempts: string
    }
    return { epoch, committed: found.committed, attempts: JSON.parse(found.attempts) }
  }
  private commit(hold: Holder, through: number, attempts: ReadonlyArray<readonly [number, number]>): Committed {
    const group = this.groups.find(({ name }) => name === hold.group)
    if (group === undefined || group.held === 0 || group.epoch !== hold.epoch) return { _tag: "Stale" }
    const { next } = this.row
    if (!(through >= group.committed && through < next)) {
      return { _tag: "OutOfRange", committed: group.committed, head: next }
    }
    const kept = attempts.filter(([sequence]) => sequence > through && sequence < next)
    this.groupsChanged(this.statements.commit.run(through, JSON.stringify(kept), this.id, hold.group))
    return { _tag: "Committed" }
  }
  private list(now: number): ReadonlyArray<Listed> {
    return this.groups.map(({ committed, held, idle_since, name }) => ({
      name,
      committed,
      idleSince: held === 1 ? now : idle_since
    }))
  }
  /**
   * Removes the groups that have been idle for too long. Those that `holders` hold are not; those that another process
   * holds are kept by it, so that a group whose holder has crashed goes, too.
   */
  private expireGroups(now: number, holders: ReadonlyArray<Holder>): void {
    const { groupIdleTimeout } = this.limits
    if (groupIdleTimeout === Infinity) return
    const tired = this.groups.some(({ idle_since }) => now - idle_since >= groupIdleTimeout / 4)
    if (!tired) return
    for (const { epoch, group } of holders) {
      this.groupsChanged(this.statements.touch.run(now, this.id, group, epoch))
    }
    for (const { idle_since, name } of this.groups) {
      if (now - idle_since >= groupIdleTimeout) this.groupsChanged(this.statements.remove.run(this.id, name))
    }
  }
  private expireValues(): void {
    const { limits, now, row } = this
    let oldest = Math.max(row.oldest, row.next - limits.count)
    if (row.ends - row.start > limits.bytes) {
      // The newest stays, however large.
      const fitting = this.firstWhere((sequence) => row.ends - this.endsBefore(sequence) <= limits.bytes)
      oldest = Math.max(oldest, Math.min(fitting, row.next - 1))
    }
    if (limits.age !== Infinity) {
      oldest = Math.max(oldest, this.firstWhere((sequence) => now - this.atOf(sequence) < limits.age))
    }
    if (limits.keepsUnacknowledged) oldest = Math.min(oldest, this.committed() + 1)
    if (oldest > row.oldest) {
      row.start = this.endsBefore(oldest)
      row.oldest = oldest
      this.changed = true
    }
    if (row.erased === row.oldest) return
    row.erased = Math.min(row.oldest, row.erased + Math.max(erasedMax, 2 * this.appended))
    this.statements.erase.run(row.erased)
    this.changed = true
  }

  private get groups(): ReadonlyArray<Group> {
    return this.found ??= this.statements.groups.all(this.id) as unknown as ReadonlyArray<Group>
  }
  private groupsChanged({ changes }: { readonly changes: number | bigint }): void {
    if (changes !== 0) this.found = undefined
  }
  private committed(): number {
    return this.groups.reduce((least, { committed }) => Math.min(least, committed), Infinity)
  }
  private sequenceOf(place: Place): number {
    if (place === "head") return this.row.next
    if (place === "oldest") return this.row.oldest
    return "sequence" in place ? Math.min(place.sequence, this.row.next) : this.sequenceAt(place.time)
  }
  /** The first sequence kept of which it holds, as it then does of all that follow; the head where there is none. */
  private firstWhere(holds: (sequence: number) => boolean): number {
    let low = this.row.oldest
    let high = this.row.next
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      if (holds(middle)) high = middle
      else low = middle + 1
    }
    return low
  }
  private atOf(sequence: number): number {
    return (this.statements.at.get(sequence) as { readonly at: number }).at
  }
  private endsBefore(sequence: number): number {
    if (sequence <= this.row.oldest) return this.row.start
    if (sequence >= this.row.next) return this.row.ends
    return (this.statements.ends.get(sequence - 1) as { readonly ends: number }).ends
  }
}

const prepare = (database: DatabaseSync, id: number) => {
  const statement = (sql: string): StatementSync => database.prepare(sql)
  const group = "WHERE record = ? AND name = ?"
  return {
    row: statement("SELECT epoch, next, oldest, erased, at, ends, start FROM records WHERE id = ?"),
    save: statement(
      "UPDATE records SET epoch = ?, next = ?, oldest = ?, erased = ?, at = ?, ends = ?, start = ? WHERE id = ?"
    ),
    append: statement(`INSERT INTO values_${id} (sequence, at, version, ends, bytes) VALUES (?, ?, ?, ?, ?)`),
    read: statement(
      `SELECT sequence, at, version, bytes FROM values_${id} WHERE sequence >= ? ORDER BY sequence LIMIT ?`
    ),
    at: statement(`SELECT at FROM values_${id} WHERE sequence = ?`),
    ends: statement(`SELECT ends FROM values_${id} WHERE sequence = ?`),
    redate: statement(`UPDATE values_${id} SET at = ? WHERE sequence >= ?`),
    erase: statement(`DELETE FROM values_${id} WHERE sequence < ?`),
    groups: statement("SELECT name, epoch, committed, held, idle_since FROM groups WHERE record = ?"),
    progress: statement(`SELECT committed, attempts FROM groups ${group}`),
    make: statement("INSERT OR IGNORE INTO groups VALUES (?, ?, 0, ?, '[]', 0, 0)"),
    acquire: statement(`UPDATE groups SET epoch = ?, held = 1, idle_since = ? ${group}`),
    release: statement(`UPDATE groups SET held = 0, idle_since = ? ${group} AND epoch = ? AND held = 1`),
    touch: statement(`UPDATE groups SET idle_since = ? ${group} AND epoch = ? AND held = 1`),
    commit: statement(`UPDATE groups SET committed = ?, attempts = ? ${group}`),
    remove: statement(`DELETE FROM groups ${group}`)
  }
}
