/**
 * What the pusher pays: values go into a buffer that has room for all of them, with one subscriber attached that neither
 * waits nor reads. Between the laps, not timed, the subscriber takes everything and checks it. The floors are the same
 * loops storing into the slots of a raw ring.
 */
import { Buffer, Record } from "@sluice/core"
import { Context, Effect, Layer, PubSub, Queue, type Scope } from "effect"
import {
  type Case,
  type Contestant,
  type EffectPush,
  type Lap,
  type PlainPush,
  pushAll,
  pushAllUnsafe
} from "../contestant.ts"
import { RawRing } from "../peers/floor.ts"
import { sourceOf, webSourceOf } from "../peers/stream.ts"
import { Reading, readings, Tally, type WrongDelivery } from "../workload.ts"

const capacity = 16_384

/** A way in, and all that is held out. */
interface PlainRoom {
  readonly pushUnsafe: PlainPush
  readonly drain: Effect.Effect<ReadonlyArray<Reading>>
}
/** Both ways in. */
interface Room extends PlainRoom {
  readonly push: EffectPush
}
type Open<R extends PlainRoom = Room> = Effect.Effect<R, never, Scope.Scope>

class Feed extends Record.Service<Feed>()("bench/PushOnly", { schema: Reading }) {}

const sluice = (backing: Buffer.Backing): Open =>
  Effect.gen(function*() {
    const record = Context.get(yield* Layer.build(Feed.layerBuffer(backing)), Feed)
    const { produce, produceUnsafe } = yield* record.producer("bench")
    const reader = yield* record.subscribe
    return {
      push: produce,
      pushUnsafe: (value: Reading) => produceUnsafe(value) === "Accepted",
      drain: Effect.orDie(reader.recvBatch(capacity))
    }
  }).pipe(Effect.orDie)

const queue: Open = Effect.map(Queue.bounded<Reading>(capacity), (made) => ({
  push: (value) => Queue.offer(made, value),
  pushUnsafe: (value) => Queue.offerUnsafe(made, value),
  drain: Queue.takeAll(made)
}))

const pubsub: Open = Effect.gen(function*() {
  const made = yield* PubSub.bounded<Reading>(capacity)
  const subscription = yield* PubSub.subscribe(made)
  return {
    push: (value) => PubSub.publish(made, value),
    pushUnsafe: (value) => PubSub.publishUnsafe(made, value),
    drain: PubSub.takeAll(subscription)
  }
})

const readable: Open<PlainRoom> = Effect.map(
  Effect.acquireRelease(Effect.sync(() => sourceOf(capacity)), (made) => Effect.sync(() => made.destroy())),
  (made) => ({
    pushUnsafe: (value) => {
      // It answers whether there is room for another.
      made.push(value)
      return true
    },
    drain: Effect.sync(() => {
      const all: Array<Reading> = []
      for (let value: Reading | null; (value = made.read() as Reading | null) !== null;) all.push(value)
      return all
    })
  })
)

const webStream: Open<PlainRoom> = Effect.sync(() => {
  const { controller, stream } = webSourceOf(capacity)
  const reader = stream.getReader()
  return {
    pushUnsafe: (value) => {
      controller.enqueue(value)
      return true
    },
    drain: Effect.promise(async () => {
      const all: Array<Reading> = []
      while (controller.desiredSize! < capacity) all.push((await reader.read()).value!)
      return all
    })
  }
})

/** Overwrites, and knows neither readers nor an end. */
const rawStore: Open = Effect.sync(() => {
  const ring = new RawRing(capacity)
  let tail = 0
  return {
    push: (value) => Effect.sync(() => ring.push(value)),
    pushUnsafe: (value) => {
      ring.push(value)
      return true
    },
    drain: Effect.sync(() => {
      const all: Array<Reading> = []
      ring.read(tail, (value) => all.push(value))
      tail = ring.head
      return all
    })
  }
})

const filling = <R extends PlainRoom>(
  name: string,
  open: Open<R>,
  fill: (room: R, values: ReadonlyArray<Reading>) => Effect.Effect<void, WrongDelivery>
): Contestant => ({
  name,
  open: (messages) =>
    Effect.map(open, (room): Lap => {
      const values = readings(messages)
      const tally = new Tally(values)
      return {
        run: fill(room, values),
        check: Effect.flatMap(room.drain, (all) => {
          tally.reset()
          all.forEach(tally.handleUnsafe)
          return tally.check
        }),
        progress: () => "filling"
      }
    })
})
const effectFilled = (name: string, open: Open): Contestant =>
  filling(name, open, ({ push }, values) => pushAll(push, values, 0))
const plainFilled = (name: string, open: Open<PlainRoom>): Contestant =>
  filling(name, open, ({ pushUnsafe }, values) => pushAllUnsafe(pushUnsafe, values, 0))

const bareSync = effectFilled("floor: Effect.sync into a raw ring", rawStore)
const raw = plainFilled("floor: into a raw ring", rawStore)

export const pushOnly: Case = {
  name: "push-only",
  about: `into a buffer of ${capacity} with room, one subscriber attached that neither waits nor reads`,
  messages: capacity,
  laps: 40,
  matches: [
    {
      title: "Effect push",
      ours: effectFilled("Sluice produce, SpmcRing", sluice(Buffer.spmcRing({ capacity }))),
      others: [
        effectFilled("Sluice produce, Bounded", sluice(Buffer.bounded({ capacity }))),
        effectFilled("Queue.offer", queue),
        effectFilled("PubSub.publish", pubsub),
        bareSync
      ],
      targets: [{ contestant: bareSync.name, pass: 1 / 1.2, stretch: 1 }]
    },
    {
      title: "plain push",
      ours: plainFilled("Sluice produceUnsafe, SpmcRing", sluice(Buffer.spmcRing({ capacity }))),
      others: [
        plainFilled("Sluice produceUnsafe, Bounded", sluice(Buffer.bounded({ capacity }))),
        plainFilled("Queue.offerUnsafe", queue),
        plainFilled("PubSub.publishUnsafe", pubsub),
        plainFilled("Readable.push", readable),
        plainFilled("ReadableStream enqueue", webStream),
        raw
      ],
      targets: [{ contestant: raw.name, pass: 1 / 1.5, stretch: 1 / 1.1 }]
    }
  ]
}
