/**
 * One pusher, one subscriber, and every value delivered. The pusher lets the event loop turn after each burst, which is
 * a quarter of the buffer, so that a subscriber that keeps up never fills it. A message is one value pushed and handled.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed, plainPushed } from "../contestant.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import type { Reading } from "../workload.ts"

const capacity = 1024
const drive = { subscribers: 1, burst: 256 }
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)

export const oneToOne: Case = {
  name: "one-to-one",
  about: `every value to one subscriber; buffers of ${capacity}, bursts of ${drive.burst}`,
  messages: 32_768,
  laps: 5,
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
        effectPushed(OfPubSub.publishToStream(pubsub), drive)
      ]
    },
    {
      title: "plain push, an Effect per value",
      ours: plainPushed(Sluice.produceUnsafeToHandle(ring), drive),
      others: [
        plainPushed(Sluice.produceUnsafeToRecv(ring), drive),
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
        plainPushed(Sluice.produceUnsafeToHandleBatch(ring), drive),
        plainPushed(OfQueue.offerUnsafeToTakeAll(queue), drive),
        plainPushed(OfQueue.offerUnsafeToStreamArray(queue), drive),
        plainPushed(OfPubSub.publishUnsafeToTakeAll(pubsub), drive),
        plainPushed(OfPubSub.publishUnsafeToStreamArray(pubsub), drive)
      ]
    }
  ]
}
