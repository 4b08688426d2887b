/**
 * The thread that has the database of a SQLite log: SQLite blocks it until the disk has flushed, and nobody else. It does
 * one call after the other.
 */
import { parentPort, type Transferable } from "node:worker_threads"
import type { Call, Reply } from "./sqliteCalls.ts"
import { explain, SqliteStore } from "./sqliteStore.ts"

const port = parentPort!
let store: SqliteStore | undefined
let file = ""
let busyTimeout = 0

const run = (call: Call): unknown => {
  if (call._tag === "Open") {
    ;({ busyTimeout, file } = call.asked)
    const opened = store = new SqliteStore(file, busyTimeout)
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

port.on("message", (call: Call) => {
  let reply: Reply
  let transferred: Array<Transferable> = []
  try {
    const answer: any = run(call)
    reply = { _tag: "Answered", answer }
    if (call._tag === "Read") transferred = [answer.values.bytes.buffer]
  } catch (cause) {
    reply = { _tag: "Failed", message: explain(cause, file, busyTimeout) }
  }
  port.postMessage(reply, transferred)
  if (call._tag === "Close") port.close()
})
