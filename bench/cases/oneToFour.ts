/**
 * One pusher, four subscribers, and every value delivered to each of them; what delivers a value once needs one of it
 * for each. Bursts and buffers as in one to one. A message is one value pushed and handled four times.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed, plainPushed } from "../contestant.ts"
import { arrayToForAwait } from "../peers/asyncGenerator.ts"
import * as OfEmitter from "../peers/emitter.ts"
import { pushToWorker } from "../peers/fastq.ts"
import * as Floor from "../peers/floor.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import * as OfStream from "../peers/stream.ts"
import type { Reading } from "../workload.ts"

const capacity = 1024
const drive = { subscribers: 4, burst: 256 }
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)

const offerToStream = effectPushed(OfQueue.offerToStream(queue), drive)
const publishToTake = effectPushed(OfPubSub.publishToTake(pubsub), drive)
const publishToStream = effectPushed(OfPubSub.publishToStream(pubsub), drive)
const bareSync = effectPushed(Floor.bareSync(capacity), drive)
const publishUnsafeToStream = plainPushed(OfPubSub.publishUnsafeToStream(pubsub), drive)
const eventEmitter = plainPushed(OfEmitter.eventEmitter, drive)
const rawRing = plainPushed(Floor.rawRing(capacity), drive)

export const oneToFour: Case = {
  name: "one-to-four",
  about: `every value to four subscribers; buffers of ${capacity}, bursts of ${drive.burst}`,
  messages: 16_384,
  laps: 5,
  matches: [
    {
      title: "Effect push, an Effect per value",
      ours: effectPushed(Sluice.produceToHandle(ring), drive),
      others: [
        effectPushed(Sluice.produceToRecv(ring), drive),
        effectPushed(Sluice.produceToStream(ring), drive),
        effectPushed(OfQueue.offerToTake(queue), drive),
        offerToStream,
        publishToTake,
        publishToStream,
        bareSync
      ],
      targets: [
        { contestant: offerToStream.name, pass: 2.2, stretch: 3 },
        { contestant: publishToTake.name, pass: 4, stretch: 6 },
        { contestant: publishToStream.name, pass: 8, stretch: 12 },
        { contestant: bareSync.name, pass: 1 / 1.4, stretch: 1 / 1.1 }
      ]
    },
    {
      title: "plain push, an Effect per value",
      ours: plainPushed(Sluice.produceUnsafeToHandle(ring), drive),
      others: [
        plainPushed(OfQueue.offerUnsafeToTake(queue), drive),
        plainPushed(OfQueue.offerUnsafeToStream(queue), drive),
        plainPushed(OfPubSub.publishUnsafeToTake(pubsub), drive),
        publishUnsafeToStream
      ]
    },
    {
      // And PubSub once more as its users write it, with an Effect per value.
      title: "plain push, plain handling",
      ours: plainPushed(Sluice.produceUnsafeToHandleUnsafe(ring), drive),
      others: [
        plainPushed(OfQueue.offerUnsafeToTakeAll(queue), drive),
        plainPushed(OfQueue.offerUnsafeToStreamArray(queue), drive),
        plainPushed(OfPubSub.publishUnsafeToTakeAll(pubsub), drive),
        plainPushed(OfPubSub.publishUnsafeToStreamArray(pubsub), drive),
        publishUnsafeToStream,
        eventEmitter,
        plainPushed(OfEmitter.mitt, drive),
        plainPushed(OfEmitter.rxjsSubject, drive),
        plainPushed(OfEmitter.rxjsSubjectAsap, drive),
        plainPushed(OfStream.readableToData(capacity), drive),
        plainPushed(OfStream.enqueueToReader(capacity), drive),
        plainPushed(pushToWorker, drive),
        plainPushed(arrayToForAwait, drive),
        rawRing
      ],
      targets: [
        { contestant: publishUnsafeToStream.name, pass: 36, stretch: 55 },
        { contestant: eventEmitter.name, pass: 0.8, stretch: 1, gate: 0.5 },
        { contestant: rawRing.name, pass: 1 / 2, stretch: 1 / 1.25 }
      ]
    }
  ]
}
