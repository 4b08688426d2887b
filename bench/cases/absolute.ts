/**
 * Figures that stand by themselves, with room: not how fast it is, but that it is nowhere near slow. Rates are those of
 * a second of CPU time, which the neighbours do not take from; the rest is wall time.
 */
import { Buffer, Consumer, Record, Topology, Transform } from "@sluice/core"
import { Context, Deferred, Effect, Layer, Stream } from "effect"
import { type Contestant, effectPushed, plainPushed, pushAllUnsafe } from "../contestant.ts"
import type { FigureCase, Gauge } from "../figures.ts"
import { roundOf } from "../measure.ts"
import * as Sluice from "../peers/sluice.ts"
import { percentiles } from "../stopwatch.ts"
import { LatestTally, Reading, readings, Tally, WrongDelivery } from "../workload.ts"
import { effectTimed } from "./latency.ts"

const capacity = 1024
const ring = Buffer.spmcRing({ capacity })
const toOne = { subscribers: 1, burst: 256 }
const newest = { ...toOne, tally: (values: ReadonlyArray<Reading>) => new LatestTally(values) }
const messages = 16_384
const laps = 8

const rate = (contestant: Contestant): Gauge => ({
  name: contestant.name,
  read: (share) => Effect.map(roundOf(contestant, messages, Math.ceil(laps * share)), ([nanos]) => [1e9 / nanos!])
})
const nanos = (contestant: Contestant): Gauge => ({
  name: contestant.name,
  read: (share) => Effect.map(roundOf(contestant, messages, Math.ceil(laps * share)), ([nanos]) => [nanos!])
})

class Feed extends Record.Service<Feed>()("bench/Absolute", { schema: Reading }) {}

/** Into a ring with room, as in push only. */
const pushing: Contestant = {
  name: "Sluice produceUnsafe, SpmcRing",
  open: (messages) =>
    Effect.gen(function*() {
      const record = Context.get(yield* Layer.build(Feed.layerBuffer(Buffer.spmcRing({ capacity: messages }))), Feed)
      const { produceUnsafe } = yield* record.producer("bench")
      const reader = yield* record.subscribe
      const values = readings(messages)
      const tally = new Tally(values)
      return {
        run: pushAllUnsafe((value) => produceUnsafe(value) === "Accepted", values, 0),
        check: Effect.flatMap(Effect.orDie(reader.recvBatch(messages)), (all) => {
          tally.reset()
          all.forEach(tally.handleUnsafe)
          return tally.check
        }),
        progress: () => "filling"
      }
    }).pipe(Effect.orDie)
}

class Celsius extends Record.Service<Celsius>()("bench/Celsius", { schema: Reading }) {}
const messagesPerSecond = 1_000
const seconds = 2

/** Through a transform to a handler, from when each message was due, so that a pusher that is late is not forgiven. */
const endToEnd: Gauge = {
  name: "Sluice produceUnsafe → Transform, Stream.map → Consumer handle",
  read: (share) =>
    Effect.gen(function*() {
      const values = readings(messagesPerSecond * seconds * Math.max(share, 1 / seconds))
      const times: Array<number> = []
      const done = yield* Deferred.make<void, WrongDelivery>()
      let began = 0
      const due = ({ sequence }: Reading): number => began + sequence * 1_000 / messagesPerSecond
      const end = Consumer.layer(Celsius, {
        name: "end",
        handle: (value) =>
          Effect.sync(() => {
            const wrong = value.sequence !== times.length
            times.push(performance.now() - due(value))
            if (wrong || times.length === values.length) {
              Deferred.doneUnsafe(
                done,
                wrong ? Effect.fail(new WrongDelivery({ message: `${value.sequence} came out of order` })) : Effect.void
              )
            }
          })
      })
      const between = Transform.layer({
        name: "between",
        from: Feed,
        to: Celsius,
        through: Stream.map(({ celsius, sequence }) => ({ sequence, celsius: celsius + 1 }))
      })
      const App = Topology.layer(Layer.merge(between, end), { onShutdown: () => Effect.void })
      const context = yield* Layer.build(
        Layer.provideMerge(App, Layer.merge(Feed.layerBuffer(ring), Celsius.layerBuffer(ring)))
      )
      const { produceUnsafe } = yield* Context.get(context, Feed).producer("bench")
      began = performance.now()
      let next = 0
      const push = (): void => {
        while (next < values.length && due(values[next]!) <= performance.now()) produceUnsafe(values[next++]!)
        if (next < values.length) setTimeout(push, 1)
      }
      push()
      yield* Deferred.await(done)
      return percentiles(times, [0.5, 0.99])
    }).pipe(
      Effect.mapError((error) => error instanceof WrongDelivery ? error : new WrongDelivery({ message: String(error) }))
    )
}

const rates = [{ name: "rate", unit: "messages/s" }]

export const absolute: FigureCase = {
  name: "absolute",
  about: "figures that stand by themselves, with room",
  // Nothing is compared, and one of them takes its time.
  roundsMax: 3,
  matches: [
    {
      title: "ring: Effect push, an Effect per value",
      columns: rates,
      ours: rate(effectPushed(Sluice.produceToHandle(ring), toOne)),
      others: [],
      limits: [{ figure: "rate", bound: "at least", pass: 1e6 }]
    },
    {
      title: "latest: plain push, plain handling",
      columns: rates,
      ours: rate(plainPushed(Sluice.produceUnsafeToHandleUnsafe(Buffer.singleLatest), newest)),
      others: [],
      limits: [{ figure: "rate", bound: "at least", pass: 1e7 }]
    },
    {
      title: "mailbox: Effect push, an Effect per value, one by one",
      columns: rates,
      ours: rate(effectPushed(Sluice.produceToHandle(Buffer.mailbox), { ...newest, burst: 1 })),
      others: [],
      limits: [{ figure: "rate", bound: "at least", pass: 1e5 }]
    },
    {
      title: "a plain push",
      columns: [{ name: "CPU", unit: "ns" }],
      ours: nanos(pushing),
      others: [],
      limits: [{ figure: "CPU", bound: "at most", pass: 100 }]
    },
    {
      title: "recv, from the push of a lone message",
      columns: ["p50", "p99", "p99.9"].map((name) => ({ name, unit: "µs" })),
      ours: effectTimed(Sluice.produceToRecv(ring)),
      others: [],
      limits: [{ figure: "p99", bound: "at most", pass: 10 }]
    },
    {
      title: `end to end at ${messagesPerSecond} messages a second`,
      columns: ["p50", "p99"].map((name) => ({ name, unit: "ms" })),
      ours: endToEnd,
      others: [],
      limits: [{ figure: "p50", bound: "at most", pass: 10 }, { figure: "p99", bound: "at most", pass: 50 }]
    }
  ]
}
