/**
 * One way of a lone message: from just before the push to the first statement of its handler, in wall time. One message
 * at a time, and the event loop turns between any two, so that whoever waits for it has come to rest.
 */
import { Buffer } from "@sluice/core"
import { Effect, PubSub, Queue } from "effect"
import type { EffectPush, Peer, PlainPush } from "../contestant.ts"
import type { FigureCase, Gauge } from "../figures.ts"
import { eventEmitter } from "../peers/emitter.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import { percentiles, Stopwatch } from "../stopwatch.ts"
import { type Reading, readings, WrongDelivery } from "../workload.ts"

const capacity = 16
const messages = 10_000
/** The first ones, whose code and caches are cold, are not counted. */
const runIn = 1_000
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)

/** `push` is within the time. */
const timed = <Push>(
  { name, open }: Peer<Push>,
  pushOne: (push: Push, value: Reading) => Effect.Effect<unknown, unknown>
): Gauge => ({
  name,
  read: (share) =>
    Effect.gen(function*() {
      const stopwatch = new Stopwatch()
      const push = yield* open([stopwatch])
      yield* stopwatch.rest
      for (const value of readings(runIn + Math.ceil(share * messages))) {
        yield* Effect.suspend(() => {
          stopwatch.start(value)
          return pushOne(push, value)
        })
        yield* stopwatch.rest
      }
      return percentiles(stopwatch.times.slice(runIn), [0.5, 0.99, 0.999])
    }).pipe(Effect.mapError((error) =>
      error instanceof WrongDelivery ? error : new WrongDelivery({ message: `a push failed: ${String(error)}` })
    ))
})
export const effectTimed = (peer: Peer<EffectPush>): Gauge => timed(peer, (push, value) => push(value))
const plainTimed = (peer: Peer<PlainPush>): Gauge =>
  timed(peer, (push, value) => push(value) ? Effect.void : Effect.fail("refused"))

const columns = ["p50", "p99", "p99.9"].map((name) => ({ name, unit: "µs" }))
const publishToTake = effectTimed(OfPubSub.publishToTake(pubsub))

export const latency: FigureCase = {
  name: "latency",
  about: `from the push of a lone message to its handler; the event loop turns in between`,
  matches: [
    {
      title: "Effect push, an Effect per value",
      columns,
      ours: effectTimed(Sluice.produceToHandle(ring)),
      others: [
        effectTimed(Sluice.produceToRecv(ring)),
        effectTimed(Sluice.produceToStream(ring)),
        effectTimed(OfQueue.offerToTake(queue)),
        effectTimed(OfQueue.offerToStream(queue)),
        publishToTake,
        effectTimed(OfPubSub.publishToStream(pubsub))
      ],
      targets: [{ contestant: publishToTake.name, pass: 1 / 3, stretch: 1 }]
    },
    {
      title: "plain push",
      columns,
      ours: plainTimed(Sluice.produceUnsafeToHandleUnsafe(ring)),
      others: [
        plainTimed(Sluice.produceUnsafeToHandle(ring)),
        plainTimed(Sluice.produceUnsafeToRecv(ring)),
        plainTimed(OfQueue.offerUnsafeToTake(queue)),
        plainTimed(OfPubSub.publishUnsafeToTake(pubsub)),
        plainTimed(eventEmitter)
      ]
    }
  ]
}
