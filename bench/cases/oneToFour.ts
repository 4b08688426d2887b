/**
 * One pusher, four subscribers, and every value delivered to each of them; Queue needs a queue for each. Bursts and
 * buffers as in one to one. A message is one value pushed and handled four times.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed, plainPushed } from "../contestant.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import type { Reading } from "../workload.ts"

const capacity = 1024
const drive = { subscribers: 4, burst: 256 }
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)
const publishToStream = OfPubSub.publishToStream(pubsub)

export const oneToFour: Case = {
  name: "one-to-four",
  about: `every value to four subscribers; buffers of ${capacity}, bursts of ${drive.burst}`,
  messages: 16_384,
  laps: 5,
  gate: { contestant: publishToStream.name, atLeast: 1 },
  matches: [
    {
      title: "Effect push, an Effect per value",
      ours: effectPushed(Sluice.produceToHandle(ring), drive),
      others: [
        effectPushed(Sluice.produceToRecv(ring), drive),
        effectPushed(Sluice.produceToStream(ring), drive),
        effectPushed(OfQueue.offerToTake(queue), drive),
        effectPushed(OfQueue.offerToStream(queue), drive),
        effectPushed(OfPubSub.publishToTake(pubsub), drive),
        effectPushed(publishToStream, drive)
      ]
    },
    {
      title: "plain push, an Effect per value",
      ours: plainPushed(Sluice.produceUnsafeToHandle(ring), drive),
      others: [
        plainPushed(OfQueue.offerUnsafeToTake(queue), drive),
        plainPushed(OfQueue.offerUnsafeToStream(queue), drive),
        plainPushed(OfPubSub.publishUnsafeToTake(pubsub), drive),
        plainPushed(OfPubSub.publishUnsafeToStream(pubsub), drive)
      ]
    },
    {
      title: "plain push, plain handling",
      ours: plainPushed(Sluice.produceUnsafeToHandleUnsafe(ring), drive),
      others: [
        plainPushed(OfQueue.offerUnsafeToTakeAll(queue), drive),
        plainPushed(OfQueue.offerUnsafeToStreamArray(queue), drive),
        plainPushed(OfPubSub.publishUnsafeToTakeAll(pubsub), drive),
        plainPushed(OfPubSub.publishUnsafeToStreamArray(pubsub), drive)
      ]
    }
  ]
}
