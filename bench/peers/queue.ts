/**
 * Effect's Queue as its users write it. A value in a queue is taken once, so several subscribers are several queues, and
 * each value is offered to every one of them. `queue` chooses capacity and strategy: `Queue.bounded(1024)`.
 */
import { Effect, Queue, Stream } from "effect"
import { attend, type EffectPush, type Peer, type PlainPush } from "../contestant.ts"
import type { Reading, Subscriber } from "../workload.ts"

type Make = Effect.Effect<Queue.Queue<Reading>>
type Read = (queue: Queue.Queue<Reading>, subscriber: Subscriber) => Effect.Effect<unknown>

export const offerToTake = (queue: Make): Peer<EffectPush> => offering("Queue.take loop", queue, takeLoop)
export const offerToStream = (queue: Make): Peer<EffectPush> => offering("Stream.fromQueue runForEach", queue, stream)

export const offerUnsafeToTake = (queue: Make): Peer<PlainPush> => offeringUnsafe("Queue.take loop", queue, takeLoop)
export const offerUnsafeToStream = (queue: Make): Peer<PlainPush> =>
  offeringUnsafe("Stream.fromQueue runForEach", queue, stream)

/** The fastest plain consumers that a Queue allows. */
export const offerUnsafeToTakeAll = (queue: Make): Peer<PlainPush> =>
  offeringUnsafe("Queue.takeAll, plain loop", queue, takeAllLoop)
export const offerUnsafeToStreamArray = (queue: Make): Peer<PlainPush> =>
  offeringUnsafe("Stream.fromQueue runForEachArray, plain loop", queue, streamArrays)

const takeLoop: Read = (queue, { handle }) =>
  Effect.gen(function*() {
    while (true) yield* handle(yield* Queue.take(queue))
  })
const takeAllLoop: Read = (queue, { handleUnsafe }) =>
  Effect.gen(function*() {
    while (true) for (const value of yield* Queue.takeAll(queue)) handleUnsafe(value)
  })
const stream: Read = (queue, { handle }) => Stream.runForEach(Stream.fromQueue(queue), handle)
const streamArrays: Read = (queue, { handleUnsafe }) =>
  Stream.runForEachArray(Stream.fromQueue(queue), (values) =>
    Effect.sync(() => {
      for (const value of values) handleUnsafe(value)
    }))

const offering = (reader: string, queue: Make, read: Read): Peer<EffectPush> => ({
  name: `Queue.offer → ${reader}`,
  open: (subscribers) =>
    Effect.map(connect(subscribers, queue, read), ([only, ...others]) =>
      others.length === 0
        ? (value) => Queue.offer(only!, value)
        : (value) => Effect.forEach([only!, ...others], (each) => Queue.offer(each, value), { discard: true }))
})
const offeringUnsafe = (reader: string, queue: Make, read: Read): Peer<PlainPush> => ({
  name: `Queue.offerUnsafe → ${reader}`,
  open: (subscribers) =>
    Effect.map(connect(subscribers, queue, read), (queues) => (value) => {
      let taken = true
      for (const each of queues) taken = Queue.offerUnsafe(each, value) && taken
      return taken
    })
})
const connect = (subscribers: ReadonlyArray<Subscriber>, queue: Make, read: Read) =>
  Effect.forEach(subscribers, (subscriber) => Effect.tap(queue, (made) => attend(subscriber, read(made, subscriber))))
