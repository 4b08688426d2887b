/**
 * One value at a time, there and back: the ping is answered with a pong before the next ping goes out, so nothing can be
 * batched and every hop wakes a sleeper. A message is one round trip, two hops.
 */
import { Buffer, Consumer, Record, Topology } from "@sluice/core"
import { Context, Effect, Layer, PubSub, Queue, type Scope, Stream } from "effect"
import { attend, type Case, type Contestant, lapOf } from "../contestant.ts"
import { Reading, readings, type Subscriber, Tally } from "../workload.ts"

const capacity = 16
const ring = Buffer.spmcRing({ capacity })

/** An Effect loop serves and takes what comes back; `open` builds the echo. */
const rally = <E1, E2>(
  name: string,
  open: (echo: Subscriber) => Effect.Effect<
    { readonly ping: (value: Reading) => Effect.Effect<unknown, E1>; readonly pong: () => Effect.Effect<Reading, E2> },
    never,
    Scope.Scope
  >
): Contestant => ({
  name,
  open: (messages) =>
    Effect.gen(function*() {
      const values = readings(messages)
      const tally = new Tally(values)
      const { ping, pong } = yield* open(tally)
      return lapOf(
        [tally],
        Effect.orDie(Effect.gen(function*() {
          for (const value of values) {
            yield* ping(value)
            tally.handleUnsafe(yield* pong())
          }
        }))
      )
    })
})

/** Plain callbacks on both sides: what comes back serves the next. */
const rallyUnsafe = (
  name: string,
  open: (returned: Subscriber) => Effect.Effect<(value: Reading) => unknown, never, Scope.Scope>
): Contestant => ({
  name,
  open: (messages) =>
    Effect.gen(function*() {
      const values = readings(messages)
      const tally = new Tally(values)
      const ping = yield* open({
        ...tally,
        handleUnsafe: (value) => {
          tally.handleUnsafe(value)
          const next = values[value.sequence + 1]
          if (next !== undefined) ping(next)
        }
      })
      return lapOf([tally], Effect.sync(() => ping(values[0]!)))
    })
})

/** Effects on both sides, and no loop that waits for both: what comes back serves the next. */
const rallyHandled = (
  name: string,
  open: (returned: Subscriber) => Effect.Effect<(value: Reading) => Effect.Effect<unknown>, never, Scope.Scope>
): Contestant => ({
  name,
  open: (messages) =>
    Effect.gen(function*() {
      const values = readings(messages)
      const tally = new Tally(values)
      const ping = yield* open({
        ...tally,
        handle: (value): Effect.Effect<void> =>
          Effect.suspend(() => {
            tally.handleUnsafe(value)
            const next = values[value.sequence + 1]
            return next === undefined ? Effect.void : Effect.asVoid(ping(next))
          })
      })
      return lapOf([tally], Effect.asVoid(Effect.suspend(() => ping(values[0]!))))
    })
})

class Ping extends Record.Service<Ping>()("bench/Ping", { schema: Reading }) {}
class Pong extends Record.Service<Pong>()("bench/Pong", { schema: Reading }) {}
const court = Layer.merge(Ping.layerBuffer(ring), Pong.layerBuffer(ring))
const quiet = { onShutdown: () => Effect.void }

const sluiceRecv = rally("Sluice produce → recv, both ways", (echo) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(court)
    const pings = yield* Context.get(context, Ping).subscribe
    const pongs = yield* Context.get(context, Pong).subscribe
    const ping = yield* Context.get(context, Ping).producer("ping")
    const pong = yield* Context.get(context, Pong).producer("pong")
    yield* attend(
      echo,
      Effect.gen(function*() {
        while (true) yield* pong.produce(yield* pings.recv)
      })
    )
    return { ping: ping.produce, pong: () => pongs.recv }
  }).pipe(Effect.orDie))

const sluiceHandle = rally("Sluice produce → Consumer handle, emits → recv", () =>
  Effect.gen(function*() {
    const echo = Consumer.layer(Ping, {
      name: "echo",
      emits: { pong: Pong },
      handle: (value, { pong }) => pong.produce(value)
    })
    const context = yield* Layer.build(Layer.provideMerge(Topology.layer(echo, quiet), court))
    const pongs = yield* Context.get(context, Pong).subscribe
    const ping = yield* Context.get(context, Ping).producer("ping")
    return { ping: ping.produce, pong: () => pongs.recv }
  }).pipe(Effect.orDie))

const queueTake = rally("Queue.offer → Queue.take, both ways", (echo) =>
  Effect.gen(function*() {
    const pings = yield* Queue.bounded<Reading>(capacity)
    const pongs = yield* Queue.bounded<Reading>(capacity)
    yield* attend(
      echo,
      Effect.gen(function*() {
        while (true) yield* Queue.offer(pongs, yield* Queue.take(pings))
      })
    )
    return { ping: (value) => Queue.offer(pings, value), pong: () => Queue.take(pongs) }
  }))

const queueStream = rally(
  "Queue.offer → Stream.fromQueue runForEach, offer → Queue.take",
  (echo) =>
    Effect.gen(function*() {
      const pings = yield* Queue.bounded<Reading>(capacity)
      const pongs = yield* Queue.bounded<Reading>(capacity)
      yield* attend(echo, Stream.runForEach(Stream.fromQueue(pings), (value) => Queue.offer(pongs, value)))
      return { ping: (value) => Queue.offer(pings, value), pong: () => Queue.take(pongs) }
    })
)

const pubsubTake = rally("PubSub.publish → PubSub.take, both ways", (echo) =>
  Effect.gen(function*() {
    const pings = yield* PubSub.bounded<Reading>(capacity)
    const pongs = yield* PubSub.bounded<Reading>(capacity)
    const pinged = yield* PubSub.subscribe(pings)
    const ponged = yield* PubSub.subscribe(pongs)
    yield* attend(
      echo,
      Effect.gen(function*() {
        while (true) yield* PubSub.publish(pongs, yield* PubSub.take(pinged))
      })
    )
    return { ping: (value) => PubSub.publish(pings, value), pong: () => PubSub.take(ponged) }
  }))

const pubsubStream = rally(
  "PubSub.publish → Stream.fromPubSub runForEach, publish → PubSub.take",
  (echo) =>
    Effect.gen(function*() {
      const pings = yield* PubSub.bounded<Reading>(capacity)
      const pongs = yield* PubSub.bounded<Reading>(capacity)
      const ponged = yield* PubSub.subscribe(pongs)
      yield* attend(echo, Stream.runForEach(Stream.fromPubSub(pings), (value) => PubSub.publish(pongs, value)))
      return { ping: (value) => PubSub.publish(pings, value), pong: () => PubSub.take(ponged) }
    })
)

const sluiceHandleBoth = rallyHandled(
  "Sluice produce → Consumer handle, both ways",
  (returned) =>
    Effect.gen(function*() {
      // Claimed from outside, since a topology whose own components went round would be refused.
      const records = yield* Layer.build(court)
      const ping = yield* Context.get(records, Ping).producer("ping")
      const pong = yield* Context.get(records, Pong).producer("pong")
      const echo = Consumer.layer(Ping, { name: "echo", handle: pong.produce })
      const back = Consumer.layer(Pong, { name: "back", handle: returned.handle })
      yield* Layer.build(
        Layer.provide(Topology.layer(Layer.merge(echo, back), quiet), Layer.succeedContext(records))
      )
      return ping.produce
    }).pipe(Effect.orDie)
)

const queueBoth = (
  name: string,
  read: (queue: Queue.Queue<Reading>, handle: (value: Reading) => Effect.Effect<unknown>) => Effect.Effect<unknown>
) =>
  rallyHandled(`Queue.offer → ${name}, both ways`, (returned) =>
    Effect.gen(function*() {
      const pings = yield* Queue.bounded<Reading>(capacity)
      const pongs = yield* Queue.bounded<Reading>(capacity)
      yield* attend(returned, read(pings, (value) => Queue.offer(pongs, value)))
      yield* attend(returned, read(pongs, returned.handle))
      return (value) => Queue.offer(pings, value)
    }))
const queueTakeBoth = queueBoth("Queue.take loop", (queue, handle) =>
  Effect.gen(function*() {
    while (true) yield* handle(yield* Queue.take(queue))
  }))
const queueStreamBoth = queueBoth(
  "Stream.fromQueue runForEach",
  (queue, handle) => Stream.runForEach(Stream.fromQueue(queue), handle)
)

const pubsubBoth = (
  name: string,
  read: (pubsub: PubSub.PubSub<Reading>, handle: (value: Reading) => Effect.Effect<unknown>) => Effect.Effect<unknown>
) =>
  rallyHandled(`PubSub.publish → ${name}, both ways`, (returned) =>
    Effect.gen(function*() {
      const pings = yield* PubSub.bounded<Reading>(capacity)
      const pongs = yield* PubSub.bounded<Reading>(capacity)
      yield* attend(returned, read(pings, (value) => PubSub.publish(pongs, value)))
      yield* attend(returned, read(pongs, returned.handle))
      return (value) => PubSub.publish(pings, value)
    }))
const pubsubTakeBoth = pubsubBoth("PubSub.take loop", (pubsub, handle) =>
  Effect.scoped(Effect.gen(function*() {
    const subscription = yield* PubSub.subscribe(pubsub)
    while (true) yield* handle(yield* PubSub.take(subscription))
  })))
const pubsubStreamBoth = pubsubBoth(
  "Stream.fromPubSub runForEach",
  (pubsub, handle) => Stream.runForEach(Stream.fromPubSub(pubsub), handle)
)

const sluiceHandleUnsafe = rallyUnsafe(
  "Sluice produceUnsafe → Consumer handleUnsafe, both ways",
  (returned) =>
    Effect.gen(function*() {
      // Claimed from outside, since a topology whose own components went round would be refused.
      const records = yield* Layer.build(court)
      const ping = yield* Context.get(records, Ping).producer("ping")
      const pong = yield* Context.get(records, Pong).producer("pong")
      const echo = Consumer.layer(Ping, { name: "echo", handleUnsafe: (value) => void pong.produceUnsafe(value) })
      const back = Consumer.layer(Pong, { name: "back", handleUnsafe: returned.handleUnsafe })
      yield* Layer.build(
        Layer.provide(Topology.layer(Layer.merge(echo, back), quiet), Layer.succeedContext(records))
      )
      return ping.produceUnsafe
    }).pipe(Effect.orDie)
)

const queueTakeUnsafe = rallyUnsafe("Queue.offerUnsafe → Queue.take, both ways", (returned) =>
  Effect.gen(function*() {
    const pings = yield* Queue.bounded<Reading>(capacity)
    const pongs = yield* Queue.bounded<Reading>(capacity)
    yield* attend(
      returned,
      Effect.gen(function*() {
        while (true) Queue.offerUnsafe(pongs, yield* Queue.take(pings))
      })
    )
    yield* attend(
      returned,
      Effect.gen(function*() {
        while (true) returned.handleUnsafe(yield* Queue.take(pongs))
      })
    )
    return (value) => Queue.offerUnsafe(pings, value)
  }))

const pubsubTakeUnsafe = rallyUnsafe(
  "PubSub.publishUnsafe → PubSub.take, both ways",
  (returned) =>
    Effect.gen(function*() {
      const pings = yield* PubSub.bounded<Reading>(capacity)
      const pongs = yield* PubSub.bounded<Reading>(capacity)
      const pinged = yield* PubSub.subscribe(pings)
      const ponged = yield* PubSub.subscribe(pongs)
      yield* attend(
        returned,
        Effect.gen(function*() {
          while (true) PubSub.publishUnsafe(pongs, yield* PubSub.take(pinged))
        })
      )
      yield* attend(
        returned,
        Effect.gen(function*() {
          while (true) returned.handleUnsafe(yield* PubSub.take(ponged))
        })
      )
      return (value) => PubSub.publishUnsafe(pings, value)
    })
)

export const pingPong: Case = {
  name: "ping-pong",
  about: "one value there and back before the next; a message is a round trip of two hops",
  messages: 8_192,
  laps: 5,
  matches: [
    {
      title: "Effect push, an Effect per value",
      ours: sluiceHandle,
      others: [sluiceRecv, queueTake, queueStream, pubsubTake, pubsubStream]
    },
    {
      title: "an Effect handler on both sides",
      ours: sluiceHandleBoth,
      others: [queueTakeBoth, queueStreamBoth, pubsubTakeBoth, pubsubStreamBoth],
      targets: [
        { contestant: queueTakeBoth.name, pass: 3, stretch: 3 },
        { contestant: pubsubTakeBoth.name, pass: 1.2, stretch: 2 },
        { contestant: pubsubStreamBoth.name, pass: 2, stretch: 2 }
      ]
    },
    {
      title: "plain push, plain handling",
      ours: sluiceHandleUnsafe,
      others: [queueTakeUnsafe, pubsubTakeUnsafe],
      // Between 3.2 and 3.8 in one run after the other: a gate of 15% behind the pass would be in the midst of that.
      targets: [{ contestant: pubsubTakeUnsafe.name, pass: 4, stretch: 6, gate: 2.9 }]
    }
  ]
}
