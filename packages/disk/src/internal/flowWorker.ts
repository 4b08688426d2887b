/** The thread that has the database of a store of flows: each verb is a transaction of its own. */
import type { Call, Range, Verdict } from "./flowCalls.ts"
import { FlowTables, flowTables, Refusal } from "./flowTables.ts"
import { type Layout, SqliteDatabase } from "./sqliteDatabase.ts"
import { serve } from "./sqliteServing.ts"

/** "Sluf" says that a database is one of these. */
const layout: Layout = { applicationId: 0x536c7566, version: 1, tables: flowTables }

let database: SqliteDatabase | undefined
let tables: FlowTables

const range = (): Range => database!.glance(() => tables.range())
const verb = <A>(now: number, run: () => A): Verdict<A> => {
  try {
    return database!.transaction(() => {
      const value = run()
      tables.expire(now)
      return { _tag: "Done", value, last: tables.range().last }
    })
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    return { _tag: "Refused", reason: cause.reason, detail: cause.message }
  }
}

const run = (call: Call): unknown => {
  if (call._tag === "Open") {
    const { busyTimeout, file, history } = call.asked
    database = new SqliteDatabase(file, busyTimeout, layout)
    tables = new FlowTables(database.database, history)
    return range()
  }
  if (database === undefined) throw new Error("it is not open")
  switch (call._tag) {
    case "Add":
      return verb(call.asked.now, () => tables.add(call.asked.execution, call.asked.now))
    case "AddEdge":
      return verb(call.asked.now, () => tables.addEdge(call.asked.edge, call.asked.now))
    case "Complete":
      return verb(call.asked.now, () => tables.complete(call.asked.end, call.asked.now))
    case "Promote":
      return verb(call.asked.now, () => tables.promote(call.asked.executionId, call.asked.now))
    case "Replay":
      return verb(call.asked.now, () => tables.replay(call.asked.executionId, call.asked.now))
    case "Get":
      return tables.get(call.asked.executionId)
    case "List":
      return tables.list(call.asked)
    case "Unsettled":
      return tables.unsettled(call.asked)
    case "Stand":
      return database.glance(() => tables.stand(call.asked.sequence))
    case "Read":
      return database.glance(() => tables.read(call.asked.from, call.asked.filter))
    case "Poll":
      return database.changedByOthers() ? range() : undefined
    case "Close":
      return database.close()
  }
}

serve(run)
