/** fastq, a work queue in memory: one worker for each subscriber, so that order is kept. */
import { Cause, Effect } from "effect"
import fastq from "fastq"
import type { Peer, PlainPush } from "../contestant.ts"
import type { Reading } from "../workload.ts"
import type { AsyncPush } from "./async.ts"

/** The worker is called within the push while it is idle. */
export const pushToWorker: Peer<PlainPush> = {
  name: "fastq push → worker",
  open: (subscribers) =>
    Effect.sync(() => {
      const queues = subscribers.map(({ handleUnsafe }) =>
        fastq<unknown, Reading>((value, done) => {
          handleUnsafe(value)
          done(null)
        }, 1)
      )
      return (value) => {
        for (const queue of queues) queue.push(value)
        return true
      }
    })
}
/** To one subscriber. The queue has no bound of its own: its user lets it drain after each `capacity` values. */
export const pushToAsyncWorker = (capacity: number): Peer<AsyncPush> => ({
  name: "fastq.promise push, drained → worker",
  open: ([subscriber]) =>
    Effect.sync(() => {
      const { failed, handleUnsafe } = subscriber!
      const queue = fastq.promise<unknown, Reading>(async (value) => handleUnsafe(value), 1)
      queue.error((error) => {
        if (error !== null) failed(Cause.die(error))
      })
      let room = capacity
      return (value) => {
        void queue.push(value)
        if (--room > 0) return undefined
        room = capacity
        return queue.drained()
      }
    })
})
