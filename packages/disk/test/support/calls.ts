/** Calls of workers that wait for their answer: what there is to wait for, where a test has to know. */
import { Effect } from "effect"
import { Worker } from "node:worker_threads"
import { turn, until } from "./files.ts"

/** The workers that run in this process, and how many calls each has to answer. */
export const workers = new Map<Worker, number>()
const add = (worker: Worker, calls: number) => workers.set(worker, (workers.get(worker) ?? 0) + calls)

const post = Worker.prototype.postMessage
Worker.prototype.postMessage = function(...call) {
  if (!workers.has(this)) {
    this.on("message", () => add(this, -1))
    this.on("exit", () => workers.delete(this))
  }
  add(this, 1)
  post.apply(this, call)
}
const idle = () => Array.from(workers.values()).every((calls) => calls === 0)

/** Until no worker has anything to answer, and what waited for the answers has gone on. */
export const answered: Effect.Effect<void> = turn.pipe(
  Effect.andThen(until("the answers of all workers", idle)),
  Effect.andThen(turn)
)
