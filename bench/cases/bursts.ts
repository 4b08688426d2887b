/**
 * One to one, as one to one is, with bursts of several sizes: what a message costs when its wake-up is shared by few or
 * by many. The turn of the event loop after each burst is part of the cost, and is nearly all of it for bursts of 1.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed, type Match, plainPushed } from "../contestant.ts"
import { eventEmitter } from "../peers/emitter.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import type { Reading } from "../workload.ts"

const capacity = 1024
const sizes = [1, 8, 64, 512]
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)

const matchesOf = (burst: number): ReadonlyArray<Match> => {
  const drive = { subscribers: 1, burst }
  return [
    {
      title: `bursts of ${burst}: Effect push, an Effect per value`,
      ours: effectPushed(Sluice.produceToHandle(ring), drive),
      others: [
        effectPushed(OfQueue.offerToStream(queue), drive),
        effectPushed(OfPubSub.publishToTake(pubsub), drive),
        effectPushed(OfPubSub.publishToStream(pubsub), drive)
      ]
    },
    {
      title: `bursts of ${burst}: plain push, plain handling`,
      ours: plainPushed(Sluice.produceUnsafeToHandleUnsafe(ring), drive),
      others: [
        plainPushed(eventEmitter, drive),
        plainPushed(OfPubSub.publishUnsafeToTakeAll(pubsub), drive),
        plainPushed(OfPubSub.publishUnsafeToStream(pubsub), drive)
      ]
    }
  ]
}

export const bursts: Case = {
  name: "bursts",
  about: `every value to one subscriber in bursts of ${sizes.join(", ")}; buffers of ${capacity}`,
  messages: 16_384,
  laps: 4,
  matches: sizes.flatMap(matchesOf)
}
