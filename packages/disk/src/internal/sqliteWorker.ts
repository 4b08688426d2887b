/**
 * The thread that has the database of a SQLite log: SQLite blocks it until the disk has flushed, and nobody else.
 */
import type { Call } from "./sqliteCalls.ts"
import { serve } from "./sqliteServing.ts"
import { SqliteStore } from "./sqliteStore.ts"

let store: SqliteStore | undefined

const run = (call: Call): unknown => {
  if (call._tag === "Open") {
    const opened = store = new SqliteStore(call.asked.file, call.asked.busyTimeout)
    return call.asked.slots.map((slot) => [slot.slot, opened.openSlot(slot)])
  }
  if (store === undefined) throw new Error("it is not open")
  switch (call._tag) {
    case "OpenSlot":
      return store.openSlot(call.asked)
    case "CloseSlot":
      return store.closeSlot(call.asked.slot)
    case "Write":
      return store.write(call.asked)
    case "Read":
      return store.read(call.asked)
    case "SequenceAt":
      return store.sequenceAt(call.asked)
    case "Look":
      return store.look(call.asked.slot)
    case "Poll":
      return store.poll()
    case "Close":
      return store.close()
  }
}

serve({ run, transferred: (call, answer) => call._tag === "Read" ? [answer.values.bytes.buffer] : [] })
