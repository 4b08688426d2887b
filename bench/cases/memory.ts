/**
 * What is kept on the heap: by a slot of a full buffer, by a reader, and by a consumer that waits, fiber and all. What
 * was built is divided by how often it was built; nothing is subtracted. All slots hold one and the same value, so that
 * values are not counted.
 */
import { Buffer, Consumer, Record, Topology } from "@sluice/core"
import { Context, Effect, Layer, PubSub, Queue, type Scope, Stream } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { attend } from "../contestant.ts"
import type { FigureCase, Gauge } from "../figures.ts"
import { settle } from "../measure.ts"
import { Reading, readings, Tally, WrongDelivery } from "../workload.ts"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void
/** In bytes, with what is held outside of the heap. */
const kept = Effect.map(settle, () => {
  for (let times = 0; times < 3; times++) collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
})

/** Bytes for each of `count`, from before `build` to when all has come to rest; what `build` answers is kept alive. */
const per = (
  name: string,
  count: number,
  build: (count: number) => Effect.Effect<unknown, unknown, Scope.Scope>
): Gauge => ({
  name,
  read: () =>
    Effect.gen(function*() {
      const before = yield* kept
      const built = yield* build(count)
      const bytes = (yield* kept) - before
      yield* Effect.addFinalizer(() => Effect.sync(() => void built))
      return [bytes / count]
    }).pipe(Effect.mapError((error) => new WrongDelivery({ message: String(error) })))
})

class Feed extends Record.Service<Feed>()("bench/Memory", { schema: Reading }) {}
const backing = Buffer.spmcRing({ capacity: 16 })
const feed = (backing: Buffer.Backing) => Effect.map(Layer.build(Feed.layerBuffer(backing)), Context.get(Feed))

/** Several, since an array that grows by itself is as large as it must be at some of them, and larger at others. */
const capacities = [100_000, 130_000, 160_000]
const slots = capacities.reduce((total, capacity) => total + capacity)
const each = <A, E, R>(fill: (capacity: number) => Effect.Effect<A, E, R>) => () => Effect.forEach(capacities, fill)
const [value] = readings(1) as [Reading]

/** Full, and with a subscriber that has read nothing. */
const filled = (make: (options: { readonly capacity: number }) => Buffer.Backing) => (capacity: number) =>
  Effect.gen(function*() {
    const record = yield* feed(make({ capacity }))
    const reader = yield* record.subscribe
    const { produceUnsafe } = yield* record.producer("bench")
    for (let count = 0; count < capacity; count++) produceUnsafe(value)
    return { record, reader, produceUnsafe }
  })
const filledPubSub = (capacity: number) =>
  Effect.gen(function*() {
    const pubsub = yield* PubSub.bounded<Reading>(capacity)
    const subscription = yield* PubSub.subscribe(pubsub)
    for (let count = 0; count < capacity; count++) PubSub.publishUnsafe(pubsub, value)
    return { pubsub, subscription }
  })
const filledQueue = (capacity: number) =>
  Effect.tap(Queue.bounded<Reading>(capacity), (queue) => {
    for (let count = 0; count < capacity; count++) Queue.offerUnsafe(queue, value)
    return Effect.void
  })

/** In one scope, so that no scope of its own is counted. */
const readers = (count: number) =>
  Effect.gen(function*() {
    const record = yield* feed(backing)
    return [record, yield* Effect.replicateEffect(record.subscribe, count)]
  })
const subscriptions = (count: number) =>
  Effect.gen(function*() {
    const pubsub = yield* PubSub.bounded<Reading>(16)
    return [pubsub, yield* Effect.replicateEffect(PubSub.subscribe(pubsub), count)]
  })

const many = 1_000
const { handle, handleUnsafe } = new Tally([])

const topology =
  (consumer: (name: string) => ReturnType<typeof plainConsumer>, metrics: boolean) => (count: number) => {
    const [first, ...others] = Array.from({ length: count }, (_, index) => consumer(`consumer ${index}`))
    const App = Topology.layer(Layer.mergeAll(first!, ...others), { onShutdown: () => Effect.void, metrics })
    return Layer.build(Layer.provideMerge(App, Feed.layerBuffer(backing)))
  }
const effectConsumer = (name: string) => Consumer.layer(Feed, { name, handle })
const plainConsumer = (name: string) => Consumer.layer(Feed, { name, handleUnsafe })

/** `count` fibers that read what `open` made: one for all, or one each. */
const parked = (loop: Effect.Effect<unknown, unknown>, count: number) =>
  Effect.replicateEffect(attend(new Tally([]), loop), count)
const received = (count: number) =>
  Effect.gen(function*() {
    const record = yield* feed(backing)
    const loop = Effect.scoped(Effect.gen(function*() {
      const reader = yield* record.subscribe
      while (true) yield* handle(yield* reader.recv)
    }))
    return [record, yield* parked(loop, count)]
  })
const taken = (count: number) =>
  Effect.gen(function*() {
    const pubsub = yield* PubSub.bounded<Reading>(16)
    const loop = Effect.scoped(Effect.gen(function*() {
      const subscription = yield* PubSub.subscribe(pubsub)
      while (true) yield* handle(yield* PubSub.take(subscription))
    }))
    return [pubsub, yield* parked(loop, count)]
  })
const streamed = (count: number) =>
  Effect.gen(function*() {
    const pubsub = yield* PubSub.bounded<Reading>(16)
    return [pubsub, yield* parked(Stream.runForEach(Stream.fromPubSub(pubsub), handle), count)]
  })
const takenFromQueues = (count: number) =>
  parked(
    Effect.gen(function*() {
      const queue = yield* Queue.bounded<Reading>(16)
      while (true) yield* handle(yield* Queue.take(queue))
    }),
    count
  )
const streamedFromQueues = (count: number) =>
  parked(
    Effect.flatMap(
      Queue.bounded<Reading>(16),
      (queue) => Stream.runForEach(Stream.fromQueue(queue), handle)
    ),
    count
  )

/** The least that a component can cost that is a layer and has a fiber. */
const emptyLayers = (count: number) => {
  const [first, ...others] = Array.from({ length: count }, () => Layer.effectDiscard(Effect.forkScoped(Effect.never)))
  return Layer.build(Layer.mergeAll(first!, ...others))
}

const columns = [{ name: "kept", unit: "bytes" }]

export const memory: FigureCase = {
  name: "memory",
  about: `bytes on the heap after garbage collection; ${slots} slots, ${many} readers or consumers`,
  roundsMax: 5,
  matches: [
    {
      title: "a slot of a full buffer, its value not counted",
      columns,
      ours: per("Sluice SpmcRing", slots, each(filled(Buffer.spmcRing))),
      others: [
        per("Sluice Bounded", slots, each(filled(Buffer.bounded))),
        per("PubSub.bounded", slots, each(filledPubSub)),
        per("Queue.bounded", slots, each(filledQueue))
      ],
      limits: [{ figure: "kept", bound: "at most", pass: 9, stretch: 8 }]
    },
    {
      title: "a reader that nobody reads from",
      columns,
      ours: per("Sluice record.subscribe", many, readers),
      others: [per("PubSub.subscribe", many, subscriptions)]
    },
    {
      title: "a consumer that waits",
      columns,
      ours: per("Sluice Consumer handle, metrics: false", many, topology(effectConsumer, false)),
      others: [
        per("Sluice Consumer handle", many, topology(effectConsumer, true)),
        per("Sluice Consumer handleUnsafe, metrics: false", many, topology(plainConsumer, false)),
        per("Sluice recv loop", many, received),
        per("PubSub.take loop", many, taken),
        per("Stream.fromPubSub runForEach", many, streamed),
        per("a Queue each, Queue.take loop", many, takenFromQueues),
        per("a Queue each, Stream.fromQueue runForEach", many, streamedFromQueues),
        per("floor: a layer with a fiber that waits", many, emptyLayers)
      ],
      // The floor itself is beyond the pass: Effect keeps 1,400 bytes of each layer that was built. The gate holds what is.
      limits: [{ figure: "kept", bound: "at most", pass: 2_000, stretch: 1_300, gate: 12_000 }]
    }
  ]
}
