/**
 * What the pusher pays: values go into a buffer that has room for all of them, with one subscriber attached that neither
 * waits nor reads. Between the laps, not timed, the subscriber takes everything and checks it. The floors are the same
 * loops writing into an array.
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
import { Reading, readings, Tally, type WrongDelivery } from "../workload.ts"

const capacity = 16_384

/** Both ways in, and all that is held out. */
interface Room {
  readonly push: EffectPush
  readonly pushUnsafe: PlainPush
  readonly drain: Effect.Effect<ReadonlyArray<Reading>>
}
type Open = Effect.Effect<Room, never, Scope.Scope>

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

const array: Open = Effect.sync(() => {
  let held: Array<Reading> = []
  return {
    push: (value) => Effect.sync(() => held.push(value)),
    pushUnsafe: (value) => held.push(value) > 0,
    drain: Effect.sync(() => {
      const all = held
      held = []
      return all
    })
  }
})

const filling = (
  name: string,
  open: Open,
  fill: (room: Room, values: ReadonlyArray<Reading>) => Effect.Effect<void, WrongDelivery>
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
const plainFilled = (name: string, open: Open): Contestant =>
  filling(name, open, ({ pushUnsafe }, values) => pushAllUnsafe(pushUnsafe, values, 0))

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
        effectFilled("floor: Effect.sync into an array", array)
      ]
    },
    {
      title: "plain push",
      ours: plainFilled("Sluice produceUnsafe, SpmcRing", sluice(Buffer.spmcRing({ capacity }))),
      others: [
        plainFilled("Sluice produceUnsafe, Bounded", sluice(Buffer.bounded({ capacity }))),
        plainFilled("Queue.offerUnsafe", queue),
        plainFilled("PubSub.publishUnsafe", pubsub),
        plainFilled("floor: into an array", array)
      ]
    }
  ]
}
