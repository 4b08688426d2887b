/**
 * Effect's PubSub as its users write it. `pubsub` chooses capacity and strategy: `PubSub.bounded(1024)`.
 */
import { Effect, PubSub, Stream } from "effect"
import { attend, type EffectPush, type Peer, type PlainPush } from "../contestant.ts"
import type { Reading, Subscriber } from "../workload.ts"

type Make = Effect.Effect<PubSub.PubSub<Reading>>
type Read = (pubsub: PubSub.PubSub<Reading>, subscriber: Subscriber) => Effect.Effect<unknown>

export const publishToTake = (pubsub: Make): Peer<EffectPush> => publishing("PubSub.take loop", pubsub, takeLoop)
export const publishToStream = (pubsub: Make): Peer<EffectPush> => publishing(streaming, pubsub, stream)

export const publishUnsafeToTake = (pubsub: Make): Peer<PlainPush> =>
  publishingUnsafe("PubSub.take loop", pubsub, takeLoop)
export const publishUnsafeToStream = (pubsub: Make): Peer<PlainPush> => publishingUnsafe(streaming, pubsub, stream)

/** The fastest plain consumers that a PubSub allows. */
export const publishUnsafeToTakeAll = (pubsub: Make): Peer<PlainPush> =>
  publishingUnsafe("PubSub.takeAll, plain loop", pubsub, takeAllLoop)
export const publishUnsafeToStreamArray = (pubsub: Make): Peer<PlainPush> =>
  publishingUnsafe("Stream.fromPubSub runForEachArray, plain loop", pubsub, streamArrays)

const streaming = "Stream.fromPubSub runForEach"

const takeLoop: Read = (pubsub, { handle }) =>
  Effect.scoped(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(pubsub)
    while (true) yield* handle(yield* PubSub.take(subscription))
  }))
const takeAllLoop: Read = (pubsub, { handleUnsafe }) =>
  Effect.scoped(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(pubsub)
    while (true) for (const value of yield* PubSub.takeAll(subscription)) handleUnsafe(value)
  }))
const stream: Read = (pubsub, { handle }) => Stream.runForEach(Stream.fromPubSub(pubsub), handle)
const streamArrays: Read = (pubsub, { handleUnsafe }) =>
  Stream.runForEachArray(Stream.fromPubSub(pubsub), (values) =>
    Effect.sync(() => {
      for (const value of values) handleUnsafe(value)
    }))

const publishing = (reader: string, pubsub: Make, read: Read): Peer<EffectPush> => ({
  name: `PubSub.publish → ${reader}`,
  open: (subscribers) =>
    Effect.map(connect(subscribers, pubsub, read), (made) => (value) => PubSub.publish(made, value))
})
const publishingUnsafe = (reader: string, pubsub: Make, read: Read): Peer<PlainPush> => ({
  name: `PubSub.publishUnsafe → ${reader}`,
  open: (subscribers) =>
    Effect.map(connect(subscribers, pubsub, read), (made) => (value) => PubSub.publishUnsafe(made, value))
})
const connect = (subscribers: ReadonlyArray<Subscriber>, pubsub: Make, read: Read) =>
  Effect.tap(
    pubsub,
    (made) => Effect.forEach(subscribers, (subscriber) => attend(subscriber, read(made, subscriber)), { discard: true })
  )
