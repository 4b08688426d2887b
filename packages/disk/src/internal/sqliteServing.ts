/** The side of the worker: it does one call after the other, or several in one transaction, and says in words what fails. */
import { parentPort, receiveMessageOnPort, type Transferable } from "node:worker_threads"
import { explain, isBusy } from "./sqliteDatabase.ts"
import type { Reply } from "./sqliteThread.ts"

interface Asked {
  readonly _tag: string
  readonly asked: any
}
export interface Serving<Call> {
  readonly run: (call: Call) => unknown
  /** What the main thread takes over from an answer, rather than have it copied. Default: nothing. */
  readonly transferred?: (call: Call, answer: any) => Array<Transferable>
  /**
   * Does calls that wait one after the other in one transaction, and answers each: all of them happen, or none. Where that
   * fails, `run` does each by itself. Default: always each by itself.
   */
  readonly together?: {
    readonly canShare: (call: Call) => boolean
    readonly run: (calls: ReadonlyArray<Call>) => ReadonlyArray<unknown>
  }
}

/** Calls done in one transaction at most, so that what waits behind them waits for a while only. */
const sharingMax = 256

/** The first call is `Open`, with the file and the busy timeout in milliseconds; after `Close` the worker ends. */
export const serve = <Call extends Asked>({ run, together, transferred = () => [] }: Serving<Call>): void => {
  const port = parentPort!
  let file = ""
  let busyTimeout = 0
  const reply = (call: Call, answer: () => unknown): void => {
    let said: Reply
    let transfer: Array<Transferable> = []
    try {
      const value = answer()
      said = { _tag: "Answered", answer: value }
      transfer = transferred(call, value)
    } catch (cause) {
      said = { _tag: "Failed", message: explain(cause, file, busyTimeout) }
    }
    port.postMessage(said, transfer)
  }
  const shared = (calls: ReadonlyArray<Call>, runAll: (calls: ReadonlyArray<Call>) => ReadonlyArray<unknown>): void => {
    let answers: ReadonlyArray<unknown>
    try {
      answers = runAll(calls)
    } catch (cause) {
      for (const call of calls) {
        reply(call, () => {
          // Each would wait as long again.
          if (isBusy(cause)) throw cause
          return run(call)
        })
      }
      return
    }
    for (const [index, call] of calls.entries()) reply(call, () => answers[index])
  }
  /** Those that have come meanwhile. */
  const following = (first: Call): Array<Call> => {
    const calls = [first]
    while (calls.length < sharingMax) {
      const next: { readonly message: Call } | undefined = receiveMessageOnPort(port)
      if (next === undefined) break
      calls.push(next.message)
    }
    return calls
  }
  port.on("message", (first: Call) => {
    if (first._tag === "Open") ({ busyTimeout, file } = first.asked)
    const calls = together === undefined ? [first] : following(first)
    for (let at = 0; at < calls.length;) {
      let end = at
      while (end < calls.length && together?.canShare(calls[end]!)) end++
      if (together !== undefined && end - at > 1) shared(calls.slice(at, end), together.run)
      else {
        end = at + 1
        reply(calls[at]!, () => run(calls[at]!))
      }
      at = end
    }
    if (calls.at(-1)!._tag === "Close") port.close()
  })
}
