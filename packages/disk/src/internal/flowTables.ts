/**
 * Executions, the edges between them and the completions that they made, in the worker. Verbs are called inside a
 * transaction, by which all of it is stored or nothing. One that refuses has changed nothing, so that others can share it.
 *
 * An edge has a marker: the attempt of its upstream by which it was settled, and whether that had succeeded. A group counts
 * its marked edges, so that the two always agree. `settled` is 0 for an execution that has ended and may have edges
 * without a marker: there is an index of these alone, so that what is blocked costs nothing to pass by.
 */
import type { Execution, Filter, FlowError, Outcome } from "@sluice/core/Completion"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { Added, Edge, End, History, Kept, Listing, Page, Range, Reading, Standing } from "./flowCalls.ts"
import { type GroupCounts, judge, quorumOf } from "./flowPolicy.ts"

/** Completions deleted in one transaction, or twice as many as it makes if that is more: deleting keeps up. */
const expiredMax = 1_000
/** Completions that a read answers with, and that it looks at for a filter. */
const readMax = 1_024
const scannedMax = 16_384

/** `place` is one more for each change of a state: the order in which executions came to theirs. */
export const flowTables = `
  CREATE TABLE store (database TEXT NOT NULL, place INTEGER NOT NULL) STRICT;
  INSERT INTO store VALUES (lower(hex(randomblob(8))), 0);
  CREATE TABLE executions (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, flow TEXT, namespace TEXT NOT NULL, tags TEXT NOT NULL,
    attempt INTEGER NOT NULL, place INTEGER NOT NULL, settled INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('blocked', 'ready', 'succeeded', 'failed', 'cancelled', 'expired', 'skipped'))
  ) STRICT;
  CREATE INDEX executions_by_state ON executions (state, place);
  CREATE INDEX executions_by_flow ON executions (flow, state, place);
  CREATE INDEX executions_unsettled ON executions (place) WHERE settled = 0;
  CREATE TABLE groups (
    execution INTEGER NOT NULL, number INTEGER NOT NULL, quorum INTEGER, total INTEGER NOT NULL,
    succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, PRIMARY KEY (execution, number)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE edges (
    upstream INTEGER NOT NULL, execution INTEGER NOT NULL, number INTEGER NOT NULL, attempt INTEGER, succeeded INTEGER,
    PRIMARY KEY (upstream, execution, number)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX edges_by_execution ON edges (execution, number);
  CREATE TABLE completions (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT, execution INTEGER NOT NULL, attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL, at INTEGER NOT NULL
  ) STRICT;`

/** A verb does not fit what is stored. It is thrown before anything is written. */
export class Refusal extends Error {
  readonly reason: FlowError["reason"]
  constructor(reason: FlowError["reason"], detail: string) {
    super(detail)
    this.reason = reason
  }
}

interface Row {
  readonly key: number
  readonly id: string
  readonly flow: string | null
  readonly namespace: string
  readonly tags: string
  readonly attempt: number
  readonly state: Execution["state"]
  readonly place: number
  readonly settled: number
}

export class FlowTables {
  private readonly statements: ReturnType<typeof prepare>
  private readonly history: History
  private readonly database: string
  private readonly filtered = new Map<string, StatementSync>()
  private readonly filteredBy: (where: string) => StatementSync
  /** Completions that this transaction has made. */
  private made = 0

  constructor(database: DatabaseSync, history: History) {
    this.history = history
    this.statements = prepare(database)
    this.database = (database.prepare("SELECT database FROM store").get() as { readonly database: string }).database
    this.filteredBy = (where) => database.prepare(readSql(where))
  }

  // ---- verbs

  add(
    { executionId, flowId, groups, namespace, tags }: Added,
    now: number
  ): Execution {
    for (const [what, text] of Object.entries({ id: executionId, flow: flowId, namespace })) {
      if (text === null || (text.isWellFormed() && !text.includes("\0"))) continue
      throw new Refusal("invalid", `its ${what} must be well-formed Unicode without U+0000`)
    }
    // One that is not would be told to subscribers, who rely on it.
    if (Object.values(tags).some((value) => typeof value !== "string")) {
      throw new Refusal("invalid", "the values of its tags must be strings")
    }
    if (this.find(executionId) !== undefined) throw new Refusal("duplicate", "it is there already")
    const made = groups.map(({ policy, upstreams }, number) => {
      const quorum = quorumOf(policy)
      if (quorum !== null && !(Number.isSafeInteger(quorum) && quorum > 0)) {
        throw new Refusal("invalid", `the quorum of group ${number} must be a positive integer, got ${quorum}`)
      }
      const rows = upstreams.map((id) => this.upstream(id))
      if (new Set(upstreams).size < upstreams.length) {
        throw new Refusal("invalid", `an upstream is twice in group ${number}: name each once`)
      }
      const succeeded = rows.filter(({ state }) => state === "succeeded").length
      return { quorum, rows, total: rows.length, succeeded, failed: rows.filter(hasEnded).length - succeeded }
    })
    const { lastInsertRowid } = this.statements.add.run(
      executionId,
      flowId,
      namespace,
      JSON.stringify(tags),
      this.nextPlace()
    )
    const key = Number(lastInsertRowid)
    for (const [number, { failed, quorum, rows, succeeded, total }] of made.entries()) {
      this.statements.addGroup.run(key, number, quorum, total, succeeded, failed)
      for (const row of rows) this.insertEdge(row, key, number)
    }
    return this.judged(key, now)
  }
  addEdge({ executionId, group, upstream }: Edge, now: number): Execution {
    const { key, state } = this.known(executionId)
    if (state !== "blocked") {
      throw new Refusal("notBlocked", `it is ${state}: an edge can be added while it is blocked`)
    }
    if (this.statements.group.get(key, group) === undefined) {
      throw new Refusal("invalid", `it has no group ${group}: they have numbers from 0 in the order of its groups`)
    }
    const above = this.upstream(upstream)
    if (this.statements.edge.get(above.key, key, group) !== undefined) {
      throw new Refusal("invalid", `"${upstream}" is in its group ${group} already`)
    }
    if (this.statements.waitsFor.get(key, above.key) !== undefined) {
      throw new Refusal("cycle", `"${upstream}" waits for it, so that neither could ever be ready`)
    }
    this.insertEdge(above, key, group)
    this.count(key, group, 1, hasEnded(above) ? above.state === "succeeded" : undefined)
    return this.judged(key, now)
  }
  complete({ attempt, executionId, outcome }: End, now: number): boolean {
    const row = this.known(executionId)
    if (row.attempt !== attempt) {
      throw new Refusal("stale", `its current attempt is ${row.attempt}, not ${attempt}: read it again`)
    }
    if (hasEnded(row)) return false
    this.end(row, outcome, now)
    return true
  }
  promote(executionId: string, now: number): { readonly promoted: Array<string>; readonly skipped: Array<string> } {
    const result = { promoted: Array<string>(), skipped: Array<string>() }
    const row = this.find(executionId)
    if (row === undefined || !hasEnded(row) || row.settled === 1) return result
    const succeeded = row.state === "succeeded"
    const edges = this.statements.unmarked.all(row.key) as unknown as ReadonlyArray<EdgeRow>
    this.statements.markAll.run(row.attempt, succeeded ? 1 : 0, row.key)
    this.statements.settled.run(row.key)
    for (const { execution, number } of edges) this.count(execution, number, 0, succeeded)
    for (const key of new Set(edges.map(({ execution }) => execution))) {
      const child = this.byKey(key)
      if (child.state !== "blocked") continue
      const state = this.judge(key)
      if (state === "blocked") continue
      this.move(child, state, now)
      ;(state === "ready" ? result.promoted : result.skipped).push(child.id)
    }
    return result
  }
  replay(executionId: string, now: number): Execution {
    const { key, state } = this.known(executionId)
    if (!hasEnded({ state })) throw new Refusal("notTerminal", `it is ${state}: only what has ended can be replayed`)
    this.statements.nextAttempt.run(this.nextPlace(), key)
    this.statements.recallEdges.run(key)
    this.statements.recount.run(key)
    for (const edge of this.statements.markedIntoBlocked.all(key) as unknown as ReadonlyArray<EdgeRow>) {
      this.statements.unmark.run(key, edge.execution, edge.number)
      this.count(edge.execution, edge.number, 0, edge.succeeded === 1, -1)
    }
    return this.judged(key, now)
  }
  /** To be called at the end of a transaction that may have made completions. */
  expire(now: number): void {
    const { made } = this
    this.made = 0
    if (made === 0) return
    const { last, oldest } = this.range()
    const limit = Math.min(last + 1, oldest + Math.max(expiredMax, 2 * made))
    let keep = Math.min(limit, Math.max(oldest, last - this.history.count + 1))
    if (this.history.age !== Infinity) {
      for (let next = keep; next < limit; next++) {
        const at = this.atOf(next)!
        // A clock that was ahead once keeps nothing: what is dated in the future is as old as what came after it.
        if (at > now) continue
        if (now - at <= this.history.age) break
        keep = next + 1
      }
    }
    if (keep > oldest) this.statements.expire.run(keep)
  }

  // ---- reads

  get(executionId: string): Execution | undefined {
    const row = this.find(executionId)
    return row === undefined ? undefined : executionOf(row)
  }
  list(
    { after, flowId, limit, state }: Page & { readonly state: string; readonly flowId: string | undefined }
  ): Listing<Execution> {
    const rows = flowId === undefined
      ? this.statements.list.all(state, after, limit + 1)
      : this.statements.listFlow.all(flowId, state, after, limit + 1)
    return pageOf(rows as unknown as ReadonlyArray<Row>, limit, executionOf)
  }
  unsettled({ after, limit }: Page): Listing<string> {
    const rows = this.statements.listUnsettled.all(after, limit + 1) as unknown as ReadonlyArray<Row>
    return pageOf(rows, limit, ({ id }) => id)
  }
  range(): Range {
    const { last, oldest } = this.statements.range.get() as { readonly last: number; readonly oldest: number | null }
    return { database: this.database, last, lastAt: this.atOf(last), oldest: oldest ?? last + 1 }
  }
  stand(sequence: number): Standing {
    return { range: this.range(), at: this.atOf(sequence) }
  }
  read(from: number, { namespace, tag }: Filter): Reading {
    const { at, range } = this.stand(from)
    if (from + 1 < range.oldest || from >= range.last) return { range, at, completions: [], through: undefined }
    const end = Math.min(range.last, from + scannedMax)
    const where = `${namespace === undefined ? "" : whereNamespace}${tag === undefined ? "" : whereTag}`
    let statement = this.filtered.get(where)
    if (statement === undefined) this.filtered.set(where, statement = this.filteredBy(where))
    const completions = statement.all(from, end, ...namespace === undefined ? [] : [namespace], ...tag ?? [], readMax)
    const found = completions as unknown as ReadonlyArray<Kept>
    const sequence = found.length === readMax ? found.at(-1)!.sequence : end
    return { range, at, completions: found, through: { sequence, at: this.atOf(sequence)! } }
  }

  // ---- parts of verbs

  private find(id: string): Row | undefined {
    return this.statements.find.get(id) as Row | undefined
  }
  private byKey(key: number): Row {
    return this.statements.byKey.get(key) as unknown as Row
  }
  private known(id: string): Row {
    const row = this.find(id)
    if (row === undefined) throw new Refusal("unknown", "it is not there: add it first")
    return row
  }
  private upstream(id: string): Row {
    const row = this.find(id)
    if (row === undefined) throw new Refusal("unknown", `its upstream "${id}" is not there: add that first`)
    return row
  }
  private insertEdge(upstream: Row, execution: number, number: number): void {
    const [attempt, succeeded] = hasEnded(upstream)
      ? [upstream.attempt, upstream.state === "succeeded" ? 1 : 0]
      : [null, null]
    this.statements.addEdge.run(upstream.key, execution, number, attempt, succeeded)
  }
  /** Adds edges to a group, and `by` to those that have been settled in a way; undefined: not settled. */
  private count(execution: number, number: number, edges: number, succeeded: boolean | undefined, by = 1): void {
    this.statements.count.run(edges, succeeded === true ? by : 0, succeeded === false ? by : 0, execution, number)
  }
  private judge(key: number): "blocked" | "ready" | "skipped" {
    return judge(this.statements.groups.all(key) as unknown as ReadonlyArray<GroupCounts>)
  }
  /** Moves one that is blocked on to where its groups put it. */
  private judged(key: number, now: number): Execution {
    const state = this.judge(key)
    if (state !== "blocked") this.move(this.byKey(key), state, now)
    return executionOf(this.byKey(key))
  }
  private move(row: Row, state: "ready" | "skipped", now: number): void {
    if (state === "skipped") this.end(row, state, now)
    else this.statements.ready.run(this.nextPlace(), row.key)
  }
  private end({ attempt, key }: Row, outcome: Outcome, now: number): void {
    this.statements.end.run(outcome, this.nextPlace(), key, key)
    this.statements.complete.run(key, attempt, outcome, Math.trunc(now))
    this.made++
  }
  private nextPlace(): number {
    return (this.statements.nextPlace.get() as { readonly place: number }).place
  }
  private atOf(sequence: number): number | undefined {
    return (this.statements.at.get(sequence) as { readonly at: number } | undefined)?.at
  }
}

interface EdgeRow {
  readonly execution: number
  readonly number: number
  readonly succeeded: number | null
}

const hasEnded = ({ state }: { readonly state: Execution["state"] }): boolean =>
  state !== "blocked" && state !== "ready"
const executionOf = ({ attempt, flow, id, namespace, state, tags }: Row): Execution => ({
  executionId: id,
  flowId: flow,
  namespace,
  tags: JSON.parse(tags),
  attempt,
  state
})
/** Of one row more than fits on the page. */
const pageOf = <A>(rows: ReadonlyArray<Row>, limit: number, show: (row: Row) => A): Listing<A> => ({
  executions: rows.slice(0, limit).map(show),
  next: rows.length > limit ? rows[limit - 1]!.place : undefined
})

const whereNamespace = " AND e.namespace = ?"
const whereTag = " AND EXISTS (SELECT 1 FROM json_each(e.tags) WHERE key = ? AND value = ?)"
const readSql = (where: string): string => `
  SELECT c.sequence, e.id AS executionId, c.attempt, e.flow AS flowId, c.outcome, c.at, e.namespace, e.tags
  FROM completions c JOIN executions e ON e.key = c.execution
  WHERE c.sequence > ? AND c.sequence <= ?${where} ORDER BY c.sequence LIMIT ?`

const prepare = (database: DatabaseSync) => {
  const statement = (sql: string): StatementSync => database.prepare(sql)
  return {
    find: statement("SELECT * FROM executions WHERE id = ?"),
    byKey: statement("SELECT * FROM executions WHERE key = ?"),
    nextPlace: statement("UPDATE store SET place = place + 1 RETURNING place"),
    add: statement(
      `INSERT INTO executions (id, flow, namespace, tags, attempt, state, place, settled)
       VALUES (?, ?, ?, ?, 1, 'blocked', ?, 1)`
    ),
    addGroup: statement("INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?)"),
    addEdge: statement("INSERT INTO edges VALUES (?, ?, ?, ?, ?)"),
    group: statement("SELECT 1 FROM groups WHERE execution = ? AND number = ?"),
    groups: statement("SELECT quorum, total, succeeded, failed FROM groups WHERE execution = ?"),
    edge: statement("SELECT 1 FROM edges WHERE upstream = ? AND execution = ? AND number = ?"),
    // Downwards, since what is blocked has little below it, and a long history above.
    waitsFor: statement(
      `WITH RECURSIVE below (key) AS (
         VALUES (?) UNION SELECT edges.execution FROM edges JOIN below ON edges.upstream = below.key
       ) SELECT 1 FROM below WHERE key = ? LIMIT 1`
    ),
    count: statement(
      `UPDATE groups SET total = total + ?, succeeded = succeeded + ?, failed = failed + ?
       WHERE execution = ? AND number = ?`
    ),
    ready: statement("UPDATE executions SET state = 'ready', place = ? WHERE key = ?"),
    end: statement(
      `UPDATE executions SET state = ?, place = ?, settled = NOT EXISTS (SELECT 1 FROM edges WHERE upstream = ?)
       WHERE key = ?`
    ),
    complete: statement("INSERT INTO completions (execution, attempt, outcome, at) VALUES (?, ?, ?, ?)"),
    unmarked: statement(
      "SELECT execution, number FROM edges WHERE upstream = ? AND attempt IS NULL ORDER BY execution, number"
    ),
    markAll: statement("UPDATE edges SET attempt = ?, succeeded = ? WHERE upstream = ? AND attempt IS NULL"),
    settled: statement("UPDATE executions SET settled = 1 WHERE key = ?"),
    nextAttempt: statement(
      "UPDATE executions SET attempt = attempt + 1, state = 'blocked', place = ?, settled = 1 WHERE key = ?"
    ),
    // By how the upstreams are now.
    recallEdges: statement(
      `UPDATE edges SET (attempt, succeeded) = (
         SELECT iif(state IN ('blocked', 'ready'), NULL, attempt),
           iif(state IN ('blocked', 'ready'), NULL, state = 'succeeded')
         FROM executions WHERE key = edges.upstream
       ) WHERE execution = ?`
    ),
    recount: statement(
      `UPDATE groups SET (succeeded, failed) = (
         SELECT count(*) FILTER (WHERE edges.succeeded = 1), count(*) FILTER (WHERE edges.succeeded = 0)
         FROM edges WHERE edges.execution = groups.execution AND edges.number = groups.number
       ) WHERE execution = ?`
    ),
    markedIntoBlocked: statement(
      `SELECT edges.execution, edges.number, edges.succeeded FROM edges JOIN executions ON key = edges.execution
       WHERE edges.upstream = ? AND edges.attempt IS NOT NULL AND state = 'blocked'`
    ),
    unmark: statement(
      "UPDATE edges SET attempt = NULL, succeeded = NULL WHERE upstream = ? AND execution = ? AND number = ?"
    ),
    list: statement("SELECT * FROM executions WHERE state = ? AND place > ? ORDER BY place LIMIT ?"),
    listFlow: statement("SELECT * FROM executions WHERE flow = ? AND state = ? AND place > ? ORDER BY place LIMIT ?"),
    listUnsettled: statement("SELECT * FROM executions WHERE settled = 0 AND place > ? ORDER BY place LIMIT ?"),
    range: statement(
      `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'completions'), 0) AS last,
         (SELECT min(sequence) FROM completions) AS oldest`
    ),
    at: statement("SELECT at FROM completions WHERE sequence = ?"),
    expire: statement("DELETE FROM completions WHERE sequence < ?")
  }
}
