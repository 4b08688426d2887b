/**
 * Ours, as our users write it: a record, its producer, and on the other side a supervised consumer in a topology, a
 * `recv` loop or a Stream. `backing` chooses kind and capacity: `Buffer.spmcRing({ capacity: 1024 })`.
 */
import { type Buffer, Consumer, type Producer, Record, Topology } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import { Context, Effect, Layer, type Scope, Stream } from "effect"
import { attend, type EffectPush, type Peer, type PlainPush } from "../contestant.ts"
import { Reading, type Subscriber } from "../workload.ts"

class Feed extends Record.Service<Feed>()("bench/Feed", { schema: Reading }) {}

type Open = (
  backing: Buffer.Backing,
  subscribers: ReadonlyArray<Subscriber>
) => Effect.Effect<Producer.Producer<Reading>, never, Scope.Scope>

export const produceToHandle = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produce → Consumer handle",
  open: (subscribers) => Effect.map(handled(backing, subscribers), ({ produce }) => produce)
})
/** Also told each time it has fallen behind. */
export const produceToHandleOnLag = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produce → Consumer handle, with onLag",
  open: (subscribers) => Effect.map(handledOnLag(backing, subscribers), ({ produce }) => produce)
})
export const produceAsyncToHandle = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produceAsync → Consumer handle",
  open: (subscribers) => Effect.map(handled(backing, subscribers), ({ produceAsync }) => produceAsync)
})
export const produceToRecv = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produce → recv loop",
  open: (subscribers) => Effect.map(received(backing, subscribers), ({ produce }) => produce)
})
export const produceAsyncToRecv = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produceAsync → recv loop",
  open: (subscribers) => Effect.map(received(backing, subscribers), ({ produceAsync }) => produceAsync)
})
export const produceToStream = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produce → Record.stream runForEach",
  open: (subscribers) => Effect.map(streamed(backing, subscribers), ({ produce }) => produce)
})
export const produceUnsafeToHandle = (backing: Buffer.Backing): Peer<PlainPush> => ({
  name: "Sluice produceUnsafe → Consumer handle",
  open: (subscribers) => Effect.map(handled(backing, subscribers), plain)
})
export const produceUnsafeToRecv = (backing: Buffer.Backing): Peer<PlainPush> => ({
  name: "Sluice produceUnsafe → recv loop",
  open: (subscribers) => Effect.map(received(backing, subscribers), plain)
})
export const produceUnsafeToHandleUnsafe = (backing: Buffer.Backing): Peer<PlainPush> => ({
  name: "Sluice produceUnsafe → Consumer handleUnsafe",
  open: (subscribers) => Effect.map(handledUnsafe(backing, subscribers), plain)
})
export const produceToHandleBatch = (backing: Buffer.Backing): Peer<EffectPush> => ({
  name: "Sluice produce → Consumer handleBatch, plain loop",
  open: (subscribers) => Effect.map(handledInBatches(backing, subscribers), ({ produce }) => produce)
})
export const produceUnsafeToHandleBatch = (backing: Buffer.Backing): Peer<PlainPush> => ({
  name: "Sluice produceUnsafe → Consumer handleBatch, plain loop",
  open: (subscribers) => Effect.map(handledInBatches(backing, subscribers), plain)
})

const plain = ({ produceUnsafe }: Producer.Producer<Reading>): PlainPush => (value) =>
  produceUnsafe(value) === "Accepted"

const handled: Open = (backing, subscribers) =>
  inTopology(backing, subscribers, ({ handle }, name) => Consumer.layer(Feed, { name, handle }))
const handledOnLag: Open = (backing, subscribers) =>
  inTopology(
    backing,
    subscribers,
    ({ handle, lagged }, name) =>
      Consumer.layer(Feed, { name, handle, onLag: ({ missed }) => Effect.sync(() => lagged(missed)) })
  )
const handledUnsafe: Open = (backing, subscribers) =>
  inTopology(backing, subscribers, ({ handleUnsafe }, name) => Consumer.layer(Feed, { name, handleUnsafe }))
const handledInBatches: Open = (backing, subscribers) =>
  inTopology(backing, subscribers, ({ handleUnsafe }, name) =>
    Consumer.layer(Feed, {
      name,
      handleBatch: (values) =>
        Effect.sync(() => {
          for (const value of values) handleUnsafe(value)
        })
    }))
const received: Open = (backing, subscribers) =>
  standalone(backing, subscribers, (record, subscriber) =>
    Effect.scoped(Effect.gen(function*() {
      const reader = yield* record.subscribe
      while (true) yield* subscriber.handle(yield* reader.recv)
    })))
const streamed: Open = (backing, subscribers) =>
  standalone(backing, subscribers, (record, subscriber) =>
    Record.stream(Feed, { onLag: "fail" }).pipe(
      Stream.runForEach(subscriber.handle),
      Effect.provideService(Feed, record)
    ))

/** A topology with a consumer for each subscriber, and the record's write side. */
const inTopology = (
  backing: Buffer.Backing,
  subscribers: ReadonlyArray<Subscriber>,
  consumer: (subscriber: Subscriber, name: string) => Layer.Layer<never, never, Feed | Assembly>
) =>
  Effect.gen(function*() {
    const names = subscribers.map((_, index) => `consumer ${index}`)
    const consumers = subscribers.map((subscriber, index) => consumer(subscriber, names[index]!))
    const topology = Topology.layer(consumers.reduce((all, each) => Layer.merge(all, each)), {
      onShutdown: () => Effect.void
    })
    const context = yield* Layer.build(Layer.provideMerge(topology, Feed.layerBuffer(backing)))
    const { snapshot } = Context.get(context, Topology.Topology)
    subscribers.forEach((subscriber, index) =>
      subscriber.askMissed?.(
        Effect.map(snapshot, ({ readers, records }) => {
          const { conflated, lagged } = readers.find(({ component }) => component === names[index])!
          const { kind, overwritten } = records[0]!
          // Readers of a mailbox compete: what was overwritten there is no one reader's.
          return kind === "Mailbox" ? overwritten : lagged + conflated
        })
      )
    )
    return yield* Context.get(context, Feed).producer("bench")
  }).pipe(Effect.orDie)

/** The record alone, and a fiber for each subscriber. */
const standalone = (
  backing: Buffer.Backing,
  subscribers: ReadonlyArray<Subscriber>,
  read: (record: Record.Record<Reading>, subscriber: Subscriber) => Effect.Effect<unknown, unknown>
) =>
  Effect.gen(function*() {
    const record = Context.get(yield* Layer.build(Feed.layerBuffer(backing)), Feed)
    for (const subscriber of subscribers) yield* attend(subscriber, read(record, subscriber))
    return yield* record.producer("bench")
  }).pipe(Effect.orDie)
