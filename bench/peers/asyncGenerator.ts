/** What is written by hand where no library is at hand: an array, a promise to wake its reader, and `for await`. */
import { Effect } from "effect"
import { attend, type Peer, type PlainPush } from "../contestant.ts"
import type { Reading, Subscriber } from "../workload.ts"

/** A queue for each subscriber. */
export const arrayToForAwait: Peer<PlainPush> = {
  name: "async generator over an array → for await",
  open: (subscribers) =>
    Effect.gen(function*() {
      const queues = subscribers.map(() => new AsyncQueue<Reading>())
      for (const [index, subscriber] of subscribers.entries()) {
        yield* attend(subscriber, Effect.promise(() => readAll(queues[index]!, subscriber)))
      }
      return (value) => {
        for (const queue of queues) queue.push(value)
        return true
      }
    })
}

class AsyncQueue<A> {
  private held: Array<A> = []
  private wake: (() => void) | undefined

  push(value: A): void {
    this.held.push(value)
    this.wake?.()
    this.wake = undefined
  }
  async *values(): AsyncGenerator<A, never> {
    while (true) {
      if (this.held.length === 0) {
        await new Promise<void>((resolve) => {
          this.wake = resolve
        })
      }
      const values = this.held
      this.held = []
      for (const value of values) yield value
    }
  }
}
const readAll = async (queue: AsyncQueue<Reading>, { handleUnsafe }: Subscriber): Promise<void> => {
  for await (const value of queue.values()) handleUnsafe(value)
}
