/**
 * Many values at a time: a burst is pushed as a whole where the peer has a verb for that, and handled in batches, each
 * summed in a plain loop. Ours has no such verb: its plain push is called for each value of the burst, its Effect push
 * run for each. Everyone lets the event loop turn after a burst in the same way. A message is one value pushed and
 * handled.
 */
import { Buffer } from "@sluice/core"
import { Effect, PubSub, Queue, Stream } from "effect"
import { attend, type Case, type Contestant, type EffectPush, lapOf, type Peer, type PlainPush } from "../contestant.ts"
import * as Sluice from "../peers/sluice.ts"
import { type Reading, readings, type Subscriber, Tally, WrongDelivery } from "../workload.ts"

const capacity = 1024
const burst = 256
const ring = Buffer.spmcRing({ capacity })

type BurstPush = (values: ReadonlyArray<Reading>) => Effect.Effect<unknown, unknown>

const inBursts = ({ name, open }: Peer<BurstPush>): Contestant => ({
  name,
  open: (messages) =>
    Effect.gen(function*() {
      const values = readings(messages)
      const bursts = Array.from(
        { length: messages / burst },
        (_, index) => values.slice(index * burst, (index + 1) * burst)
      )
      const tally = new Tally(values)
      const push = yield* open([tally])
      return lapOf(
        [tally],
        Effect.gen(function*() {
          for (const each of bursts) {
            yield* push(each)
            yield* Effect.yieldNow
          }
        }).pipe(Effect.mapError((error) => new WrongDelivery({ message: `a push failed: ${String(error)}` })))
      )
    })
})

const plainEach = ({ name, open }: Peer<PlainPush>): Peer<BurstPush> => ({
  name,
  open: (subscribers) =>
    Effect.map(open(subscribers), (push) => (values) =>
      Effect.suspend(() => {
        for (const value of values) if (!push(value)) return Effect.fail(`${value.sequence} was refused`)
        return Effect.void
      }))
})
const effectEach = ({ name, open }: Peer<EffectPush>): Peer<BurstPush> => ({
  name,
  open: (subscribers) => Effect.map(open(subscribers), (push) => Effect.forEach(push, { discard: true }))
})

const handleArray = ({ handleUnsafe }: Subscriber) => (values: ReadonlyArray<Reading>) =>
  Effect.sync(() => {
    for (const value of values) handleUnsafe(value)
  })

const publishAll = (
  reader: string,
  read: (pubsub: PubSub.PubSub<Reading>, subscriber: Subscriber) => Effect.Effect<unknown>
): Peer<BurstPush> => ({
  name: `PubSub.publishAll → ${reader}`,
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const pubsub = yield* PubSub.bounded<Reading>(capacity)
      yield* attend(subscriber!, read(pubsub, subscriber!))
      return (values) => PubSub.publishAll(pubsub, values)
    })
})
const offerAll = (
  reader: string,
  read: (queue: Queue.Queue<Reading>, subscriber: Subscriber) => Effect.Effect<unknown>
): Peer<BurstPush> => ({
  name: `Queue.offerAll → ${reader}`,
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<Reading>(capacity)
      yield* attend(subscriber!, read(queue, subscriber!))
      return (values) => Queue.offerAll(queue, values)
    })
})

const publishAllToStreamArray = inBursts(
  publishAll(
    "Stream.fromPubSub runForEachArray",
    (pubsub, subscriber) => Stream.runForEachArray(Stream.fromPubSub(pubsub), handleArray(subscriber))
  )
)
const others: ReadonlyArray<Contestant> = [
  publishAllToStreamArray,
  inBursts(publishAll("PubSub.takeAll", (pubsub, subscriber) =>
    Effect.scoped(Effect.gen(function*() {
      const subscription = yield* PubSub.subscribe(pubsub)
      while (true) yield* handleArray(subscriber)(yield* PubSub.takeAll(subscription))
    })))),
  inBursts(
    offerAll(
      "Stream.fromQueue runForEachArray",
      (queue, subscriber) => Stream.runForEachArray(Stream.fromQueue(queue), handleArray(subscriber))
    )
  ),
  inBursts(offerAll("Queue.takeAll", (queue, subscriber) =>
    Effect.gen(function*() {
      while (true) yield* handleArray(subscriber)(yield* Queue.takeAll(queue))
    })))
]

export const batches: Case = {
  name: "batches",
  about: `pushed in bursts of ${burst} and handled in batches; buffers of ${capacity}`,
  messages: 131_072,
  laps: 10,
  matches: [
    {
      title: "plain push of each value",
      ours: inBursts(plainEach(Sluice.produceUnsafeToHandleBatch(ring))),
      others,
      targets: [{ contestant: publishAllToStreamArray.name, pass: 0.9, stretch: 1.2 }]
    },
    {
      title: "an Effect push of each value",
      ours: inBursts(effectEach(Sluice.produceToHandleBatch(ring))),
      others
    }
  ]
}
