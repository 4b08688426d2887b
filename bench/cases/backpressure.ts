/**
 * A pusher that never pauses of itself, into a small buffer that loses nothing: what paces it is the wait for room. A
 * message is one value pushed and handled by every subscriber.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed } from "../contestant.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import type { Reading } from "../workload.ts"

const capacity = 64
const toOne = { subscribers: 1, burst: 0 }
const toFour = { subscribers: 4, burst: 0 }
const bounded = Buffer.bounded({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)

export const backpressure: Case = {
  name: "backpressure",
  about: `a pusher that waits for room; bounded buffers of ${capacity}`,
  messages: 16_384,
  laps: 5,
  matches: [
    {
      title: "one subscriber, an Effect per value",
      ours: effectPushed(Sluice.produceAsyncToHandle(bounded), toOne),
      others: [
        effectPushed(Sluice.produceAsyncToRecv(bounded), toOne),
        effectPushed(OfQueue.offerToTake(queue), toOne),
        effectPushed(OfQueue.offerToStream(queue), toOne),
        effectPushed(OfPubSub.publishToTake(pubsub), toOne),
        effectPushed(OfPubSub.publishToStream(pubsub), toOne)
      ]
    },
    {
      title: "four subscribers, an Effect per value",
      ours: effectPushed(Sluice.produceAsyncToHandle(bounded), toFour),
      others: [
        effectPushed(OfQueue.offerToTake(queue), toFour),
        effectPushed(OfQueue.offerToStream(queue), toFour),
        effectPushed(OfPubSub.publishToTake(pubsub), toFour),
        effectPushed(OfPubSub.publishToStream(pubsub), toFour)
      ]
    }
  ]
}
