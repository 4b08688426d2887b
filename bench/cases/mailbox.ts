/**
 * One place: the newest value overwrites the one before it, and whoever takes it has it alone. Most of a burst is
 * overwritten; with a turn of the event loop after each value every one is handed over. `Queue.dropping(1)` takes no
 * part, since it keeps the oldest. More than 100,000 a second are asked for: at most 10,000 ns each.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed, plainPushed } from "../contestant.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import { LatestTally, type Reading } from "../workload.ts"

const burst = 256
const inBursts = { subscribers: 1, burst, tally: (values: ReadonlyArray<Reading>) => new LatestTally(values) }
const oneByOne = { ...inBursts, burst: 1 }
const backing = Buffer.mailbox
const queue = Queue.sliding<Reading>(1)
const pubsub = PubSub.sliding<Reading>(1)

export const mailbox: Case = {
  name: "mailbox",
  about: `one place, overwritten by the newest value and taken once; bursts of ${burst}, and one by one`,
  messages: 16_384,
  laps: 5,
  matches: [
    {
      title: `Effect push, an Effect per value, bursts of ${burst}`,
      ours: effectPushed(Sluice.produceToHandle(backing), inBursts),
      others: [
        effectPushed(Sluice.produceToRecv(backing), inBursts),
        effectPushed(OfQueue.offerToTake(queue), inBursts),
        effectPushed(OfQueue.offerToStream(queue), inBursts),
        effectPushed(OfPubSub.publishToTake(pubsub), inBursts)
      ]
    },
    {
      title: "Effect push, an Effect per value, one by one",
      ours: effectPushed(Sluice.produceToHandle(backing), oneByOne),
      others: [
        effectPushed(Sluice.produceToRecv(backing), oneByOne),
        effectPushed(OfQueue.offerToTake(queue), oneByOne),
        effectPushed(OfQueue.offerToStream(queue), oneByOne),
        effectPushed(OfPubSub.publishToTake(pubsub), oneByOne)
      ]
    },
    {
      // PubSub.publishUnsafe goes past the strategy: it refuses where it should slide.
      title: `plain push, plain handling, bursts of ${burst}`,
      ours: plainPushed(Sluice.produceUnsafeToHandleUnsafe(backing), inBursts),
      others: [
        plainPushed(OfQueue.offerUnsafeToTakeAll(queue), inBursts),
        plainPushed(OfQueue.offerUnsafeToStreamArray(queue), inBursts)
      ]
    }
  ]
}
