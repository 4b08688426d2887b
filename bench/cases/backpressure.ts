/**
 * A pusher that never pauses of itself, into a small buffer that loses nothing: what paces it is the wait for room. A
 * message is one value pushed and handled by every subscriber.
 */
import { Buffer, Consumer, Record, Topology } from "@sluice/core"
import { Context, Effect, Layer, PubSub, Queue } from "effect"
import { type Case, type EffectPush, effectPushed, type Peer } from "../contestant.ts"
import { asyncPushed } from "../peers/async.ts"
import { pushToAsyncWorker } from "../peers/fastq.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import * as OfStream from "../peers/stream.ts"
import { Reading } from "../workload.ts"

const capacity = 64
const toOne = { subscribers: 1, burst: 0 }
const toFour = { subscribers: 4, burst: 0 }
const bounded = Buffer.bounded({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)
const offerToTake = effectPushed(OfQueue.offerToTake(queue), toOne)
const offerToStream = effectPushed(OfQueue.offerToStream(queue), toOne)

class Feed extends Record.Service<Feed>()("bench/Backpressure", { schema: Reading }) {}

const produceAsyncToHandleUnsafe: Peer<EffectPush> = {
  name: "Sluice produceAsync → Consumer handleUnsafe",
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const consumer = Consumer.layer(Feed, { name: "consumer", handleUnsafe: subscriber!.handleUnsafe })
      const topology = Topology.layer(consumer, { onShutdown: () => Effect.void })
      const context = yield* Layer.build(Layer.provideMerge(topology, Feed.layerBuffer(bounded)))
      return (yield* Context.get(context, Feed).producer("bench")).produceAsync
    }).pipe(Effect.orDie)
}

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
        offerToTake,
        offerToStream,
        effectPushed(OfPubSub.publishToTake(pubsub), toOne),
        effectPushed(OfPubSub.publishToStream(pubsub), toOne)
      ],
      targets: [
        { contestant: offerToTake.name, pass: 3, stretch: 4 },
        { contestant: offerToStream.name, pass: 0.9, stretch: 1.3, gate: 0.6 }
      ]
    },
    {
      title: "one subscriber, plain handling",
      ours: effectPushed(produceAsyncToHandleUnsafe, toOne),
      others: [
        asyncPushed(OfStream.writeToForAwait(capacity)),
        asyncPushed(OfStream.writeToWritable(capacity)),
        asyncPushed(OfStream.writerToReader(capacity)),
        asyncPushed(pushToAsyncWorker(capacity))
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
