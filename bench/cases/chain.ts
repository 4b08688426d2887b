/**
 * Three in a row: what is pushed into the first is changed on its way to the second, changed again on its way to the
 * third, and handled there. With ours two transforms stand between, or two consumers that emit; with PubSub and Queue two
 * fibers that read the one and write the next. A message is one value all the way. Both changes together give the value
 * back as it was, so that one left out shows.
 */
import { Buffer, Consumer, Record, Topology, Transform } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import { Context, Effect, Layer, PubSub, Queue, Stream } from "effect"
import { attend, type Case, type EffectPush, effectPushed, type Peer } from "../contestant.ts"
import { Reading } from "../workload.ts"

const capacity = 1024
const drive = { subscribers: 1, burst: 256 }

const turned = ({ celsius, sequence }: Reading): Reading => ({ sequence: -sequence, celsius: -celsius })

class First extends Record.Service<First>()("bench/First", { schema: Reading }) {}
class Second extends Record.Service<Second>()("bench/Second", { schema: Reading }) {}
class Third extends Record.Service<Third>()("bench/Third", { schema: Reading }) {}

const ring = Buffer.spmcRing({ capacity })
const records = Layer.mergeAll(First.layerBuffer(ring), Second.layerBuffer(ring), Third.layerBuffer(ring))
const sluice = (
  name: string,
  between: Layer.Layer<never, never, First | Second | Third | Assembly>
): Peer<EffectPush> => ({
  name: `Sluice produce → ${name} → Consumer handle`,
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const end = Consumer.layer(Third, { name: "end", handle: subscriber!.handle })
      const topology = Topology.layer(Layer.merge(between, end), { onShutdown: () => Effect.void })
      const context = yield* Layer.build(Layer.provideMerge(topology, records))
      return (yield* Context.get(context, First).producer("bench")).produce
    }).pipe(Effect.orDie)
})
const transforms = sluice(
  "two Transforms, Stream.map",
  Layer.merge(
    Transform.layer({ name: "one", from: First, to: Second, through: Stream.map(turned) }),
    Transform.layer({ name: "two", from: Second, to: Third, through: Stream.map(turned) })
  )
)
const consumers = sluice(
  "two Consumers that emit",
  Layer.merge(
    Consumer.layer(First, {
      name: "one",
      emits: { second: Second },
      handle: (value, { second }) => second.produce(turned(value))
    }),
    Consumer.layer(Second, {
      name: "two",
      emits: { third: Third },
      handle: (value, { third }) => third.produce(turned(value))
    })
  )
)

type Handle = (value: Reading) => Effect.Effect<unknown>

/** Three of what `make` makes; `between` reads one of them and hands what it has changed on, `last` reads the third. */
const three = <Q>(name: string, options: {
  readonly make: Effect.Effect<Q>
  readonly push: (to: Q, value: Reading) => Effect.Effect<unknown>
  readonly between: (from: Q, to: Handle) => Effect.Effect<unknown>
  readonly last: (from: Q, handle: Handle) => Effect.Effect<unknown>
}): Peer<EffectPush> => ({
  name,
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const { between, last, make, push } = options
      const first = yield* make
      const second = yield* make
      const third = yield* make
      yield* attend(subscriber!, between(first, (value) => push(second, value)))
      yield* attend(subscriber!, between(second, (value) => push(third, value)))
      yield* attend(subscriber!, last(third, subscriber!.handle))
      return (value) => push(first, value)
    })
})

const pubsub = {
  make: PubSub.bounded<Reading>(capacity),
  push: (to: PubSub.PubSub<Reading>, value: Reading) => PubSub.publish(to, value)
}
const takePubSub = (from: PubSub.PubSub<Reading>, handle: Handle) =>
  Effect.scoped(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(from)
    while (true) yield* handle(yield* PubSub.take(subscription))
  }))
const queue = {
  make: Queue.bounded<Reading>(capacity),
  push: (to: Queue.Queue<Reading>, value: Reading) => Queue.offer(to, value)
}
const takeQueue = (from: Queue.Queue<Reading>, handle: Handle) =>
  Effect.gen(function*() {
    while (true) yield* handle(yield* Queue.take(from))
  })

const others = [
  consumers,
  three("Queue.offer → two take loops, offer → Queue.take loop", {
    ...queue,
    between: (from, to) => takeQueue(from, (value) => to(turned(value))),
    last: takeQueue
  }),
  three("Queue.offer → two Stream.map, offer → Stream.fromQueue runForEach", {
    ...queue,
    between: (from, to) => Stream.fromQueue(from).pipe(Stream.map(turned), Stream.runForEach(to)),
    last: (from, handle) => Stream.runForEach(Stream.fromQueue(from), handle)
  }),
  three("PubSub.publish → two take loops, publish → PubSub.take loop", {
    ...pubsub,
    between: (from, to) => takePubSub(from, (value) => to(turned(value))),
    last: takePubSub
  }),
  three("PubSub.publish → two Stream.map, publish → Stream.fromPubSub runForEach", {
    ...pubsub,
    between: (from, to) => Stream.fromPubSub(from).pipe(Stream.map(turned), Stream.runForEach(to)),
    last: (from, handle) => Stream.runForEach(Stream.fromPubSub(from), handle)
  })
]

export const chain: Case = {
  name: "chain",
  about: `three in a row with a change between; buffers of ${capacity}, bursts of ${drive.burst}`,
  messages: 8_192,
  laps: 5,
  matches: [
    {
      title: "Effect push, an Effect per value",
      ours: effectPushed(transforms, drive),
      others: others.map((peer) => effectPushed(peer, drive))
    }
  ]
}
