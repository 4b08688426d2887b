/**
 * A subscriber that handles one value a turn of the event loop, while a burst of values is pushed: most are overwritten
 * before it comes to them. A message is one value pushed, handled or not. Every contestant must hand its values over in
 * order and end at the newest; ours must also say exactly how many were missed, which the others cannot.
 */
import { Buffer } from "@sluice/core"
import { PubSub, Queue } from "effect"
import { type Case, effectPushed, plainPushed } from "../contestant.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import { type Reading, SlowTally } from "../workload.ts"

const capacity = 256
const burst = 128
const slow = { subscribers: 1, burst, tally: (values: ReadonlyArray<Reading>) => new SlowTally(values) }
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.sliding<Reading>(capacity)
const pubsub = PubSub.sliding<Reading>(capacity)
const publishToTake = effectPushed(OfPubSub.publishToTake(pubsub), slow)
const publishToStream = effectPushed(OfPubSub.publishToStream(pubsub), slow)

export const slowConsumer: Case = {
  name: "slow-consumer",
  about: `one subscriber that handles one value while ${burst} are pushed; overwriting buffers of ${capacity}`,
  messages: 65_536,
  laps: 5,
  matches: [
    {
      title: "Effect push, an Effect per value",
      ours: effectPushed(Sluice.produceToHandle(ring), slow),
      others: [
        effectPushed(Sluice.produceToHandleOnLag(ring), slow),
        publishToTake,
        publishToStream,
        effectPushed(OfQueue.offerToTake(queue), slow),
        effectPushed(OfQueue.offerToStream(queue), slow)
      ],
      targets: [
        { contestant: publishToTake.name, pass: 1.3, stretch: 1.8 },
        { contestant: publishToStream.name, pass: 1.3, stretch: 1.8 }
      ]
    },
    {
      // PubSub.publishUnsafe goes past the strategy: it refuses where it should slide.
      title: "plain push, an Effect per value",
      ours: plainPushed(Sluice.produceUnsafeToHandle(ring), slow),
      others: [
        plainPushed(OfQueue.offerUnsafeToTake(queue), slow),
        plainPushed(OfQueue.offerUnsafeToStream(queue), slow)
      ]
    }
  ]
}
