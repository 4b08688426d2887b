/** The thread that has the database of a store of flows. Verbs that wait one after the other share a transaction. */
import type { Call, Range, Told, Verb, Verdict } from "./flowCalls.ts"
import { FlowTables, flowTables, Refusal } from "./flowTables.ts"
import { type Layout, SqliteDatabase } from "./sqliteDatabase.ts"
import { serve } from "./sqliteServing.ts"

/** "Sluf" says that a database is one of these. */
const layout: Layout = { applicationId: 0x536c7566, version: 1, tables: flowTables }

let opened: { readonly database: SqliteDatabase; readonly tables: FlowTables } | undefined
const open = () => {
  if (opened === undefined) throw new Error("it is not open")
  return opened
}

const perform = (tables: FlowTables, call: Verb): unknown => {
  const { asked } = call
  switch (call._tag) {
    case "Add":
      return tables.add(call.asked.execution, asked.now)
    case "AddEdge":
      return tables.addEdge(call.asked.edge, asked.now)
    case "Complete":
      return tables.complete(call.asked.end, asked.now)
    case "Promote":
      return tables.promote(call.asked.executionId, asked.now)
    case "Replay":
      return tables.replay(call.asked.executionId, asked.now)
  }
}
const verdictOf = (tables: FlowTables, call: Verb): Verdict<unknown> => {
  try {
    const value = perform(tables, call)
    tables.expire(call.asked.now)
    return { _tag: "Done", value }
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    return { _tag: "Refused", reason: cause.reason, detail: cause.message }
  }
}
/** All in one transaction. Those that are refused have changed nothing, so that the others need not mind. */
const verbs = (calls: ReadonlyArray<Verb>): ReadonlyArray<Told<unknown>> => {
  const { database, tables } = open()
  return database.transaction(() => {
    const verdicts = calls.map((call) => verdictOf(tables, call))
    const { last } = tables.range()
    return verdicts.map((verdict) => ({ verdict, last }))
  })
}

const run = (call: Call): unknown => {
  if (isVerb(call)) return verbs([call])[0]
  if (call._tag === "Open") {
    const { busyTimeout, file, history } = call.asked
    const database = new SqliteDatabase(file, busyTimeout, layout)
    opened = { database, tables: new FlowTables(database.database, history) }
    return range(opened)
  }
  const { database, tables } = open()
  switch (call._tag) {
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
      return database.changedByOthers() ? range({ database, tables }) : undefined
    case "Close":
      return database.close()
  }
}
const range = ({ database, tables }: ReturnType<typeof open>): Range => database.glance(() => tables.range())
const isVerb = (call: Call): call is Verb => call.asked !== undefined && "now" in call.asked

serve({ run, together: { canShare: isVerb, run: (calls) => verbs(calls.filter(isVerb)) } })
