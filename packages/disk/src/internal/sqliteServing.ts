/** The side of the worker: it does one call after the other, and says in words what fails. */
import { parentPort, type Transferable } from "node:worker_threads"
import { explain } from "./sqliteDatabase.ts"
import type { Reply } from "./sqliteThread.ts"

/** The first call is `Open`, with the file and the busy timeout in milliseconds; after `Close` the worker ends. */
export const serve = <Call extends { readonly _tag: string; readonly asked: any }>(
  run: (call: Call) => unknown,
  transferred: (call: Call, answer: any) => Array<Transferable> = () => []
): void => {
  const port = parentPort!
  let file = ""
  let busyTimeout = 0
  port.on("message", (call: Call) => {
    let reply: Reply
    let transfer: Array<Transferable> = []
    if (call._tag === "Open") ({ busyTimeout, file } = call.asked)
    try {
      const answer = run(call)
      reply = { _tag: "Answered", answer }
      transfer = transferred(call, answer)
    } catch (cause) {
      reply = { _tag: "Failed", message: explain(cause, file, busyTimeout) }
    }
    port.postMessage(reply, transfer)
    if (call._tag === "Close") port.close()
  })
}
