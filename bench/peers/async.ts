/** How peers that speak promises are driven: an async loop that waits where it is told to, and makes no other pause. */
import { Effect } from "effect"
import { type Contestant, lapOf, type Peer } from "../contestant.ts"
import { type Reading, readings, Tally, WrongDelivery } from "../workload.ts"

/** Answers a promise where the next push has to wait for it. */
export type AsyncPush = (value: Reading) => Promise<unknown> | undefined

/** To one subscriber. */
export const asyncPushed = (peer: Peer<AsyncPush>): Contestant => ({
  name: peer.name,
  open: (messages) =>
    Effect.gen(function*() {
      const values = readings(messages)
      const tally = new Tally(values)
      const push = yield* peer.open([tally])
      return lapOf([tally], pushAll(push, values))
    })
})

const pushAll = (push: AsyncPush, values: ReadonlyArray<Reading>): Effect.Effect<void, WrongDelivery> =>
  Effect.tryPromise({
    try: async () => {
      for (const value of values) {
        const room = push(value)
        if (room !== undefined) await room
      }
    },
    catch: (error) => new WrongDelivery({ message: `a push failed: ${String(error)}` })
  })
