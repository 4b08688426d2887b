/**
 * What a handler costs by the way in which it is written: the same plain work in each, behind the same ring. Ours only;
 * a ratio says what another way of writing costs.
 */
import { Buffer, Consumer, type Producer, Record, Topology } from "@sluice/core"
import type { Assembly, Reads } from "@sluice/core/Component"
import { Context, Effect, Layer, type Scope } from "effect"
import { type Case, type Contestant, effectPushed, plainPushed } from "../contestant.ts"
import { Reading, type Subscriber } from "../workload.ts"

const capacity = 1024
/** Small bursts: Effect makes a fiber pause after 2,048 operations, and the dearest of these take many for each value. */
const drive = { subscribers: 1, burst: 32 }

class Feed extends Record.Service<Feed>()("bench/Handlers", { schema: Reading }) {}
type Work = Subscriber["handleUnsafe"]
type Write = (work: Work, reads: Reads) => Layer.Layer<never, never, Feed | Assembly>

const opened = (
  { handleUnsafe, lagged }: Subscriber,
  write: Write
): Effect.Effect<Producer.Producer<Reading>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const onLag: Reads["onLag"] = ({ missed }) => Effect.sync(() => lagged(missed))
    const topology = Topology.layer(write(handleUnsafe, { name: "consumer", onLag }), { onShutdown: () => Effect.void })
    const records = Feed.layerBuffer(Buffer.spmcRing({ capacity }))
    return yield* Context.get(yield* Layer.build(Layer.provideMerge(topology, records)), Feed).producer("bench")
  }).pipe(Effect.orDie)

/** Pushed plainly. */
const written = (name: string, write: Write): Contestant =>
  plainPushed({
    name,
    open: ([subscriber]) =>
      Effect.map(opened(subscriber!, write), ({ produceUnsafe }) => (value) => produceUnsafe(value) === "Accepted")
  }, drive)
const handler = (name: string, handle: (work: Work) => (value: Reading) => Effect.Effect<void>): Contestant =>
  written(`handle: ${name}`, (work, reads) => Consumer.layer(Feed, { ...reads, handle: handle(work) }))

/** Pushed by an Effect, and handled by one. */
const pushed = (
  name: string,
  push: (produce: Producer.Producer<Reading>["produce"]) => (value: Reading) => Effect.Effect<unknown>
): Contestant =>
  effectPushed({
    name,
    open: ([subscriber]) =>
      Effect.map(
        opened(subscriber!, (_, reads) => Consumer.layer(Feed, { ...reads, handle: subscriber!.handle })),
        ({ produce }) => push(produce)
      )
  }, drive)

export const handlers: Case = {
  name: "handlers",
  about: `ways to write a handler; one consumer, bursts of ${drive.burst}`,
  messages: 16_384,
  laps: 4,
  matches: [
    {
      title: "plain push",
      ours: written("handleUnsafe", (handleUnsafe, reads) => Consumer.layer(Feed, { ...reads, handleUnsafe })),
      others: [
        written("handleBatch: a loop in an Effect.sync", (work, reads) =>
          Consumer.layer(Feed, {
            ...reads,
            handleBatch: (values) =>
              Effect.sync(() => {
                for (const value of values) work(value)
              })
          })),
        handler("plain work, then Effect.void", (work) => (value) => {
          work(value)
          return Effect.void
        }),
        handler("Effect.sync", (work) => (value) => Effect.sync(() => work(value))),
        handler("Effect.gen", (work) => (value) =>
          Effect.gen(function*() {
            yield* Effect.sync(() => work(value))
          })),
        handler("Effect.fnUntraced", (work) =>
          Effect.fnUntraced(function*(value: Reading) {
            yield* Effect.sync(() => work(value))
          })),
        handler("Effect.fn(\"name\")", (work) =>
          Effect.fn("name")(function*(value: Reading) {
            yield* Effect.sync(() => work(value))
          })),
        handler("Effect.withSpan", (work) => (value) => Effect.withSpan(Effect.sync(() => work(value)), "name"))
      ]
    },
    {
      title: "Effect push, handle: Effect.sync",
      ours: pushed("produce, no span open", (produce) => produce),
      others: [
        pushed("produce in a span of its own", (produce) => (value) => Effect.withSpan(produce(value), "push"))
      ]
    }
  ]
}
