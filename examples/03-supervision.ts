/** A handler that fails costs the value that it held and nothing else: it runs again, with the same reader. */
import { NodeRuntime } from "@effect/platform-node"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Console, Effect, Layer, Logger, Schedule, Schema, Stream } from "effect"

class Parcel extends Record.Service<Parcel>()("post/Parcel", { schema: Schema.Int }) {}

class TooHeavy extends Schema.TaggedError<TooHeavy>()("TooHeavy", { kilos: Schema.Int }) {
  override get message(): string {
    return `a parcel of ${this.kilos} kg is too heavy`
  }
}

const Counter = Source.layer(Parcel, { name: "counter", stream: Stream.make(1, 2, 40, 3, 50, 4) })

const Van = Consumer.layer(Parcel, {
  name: "van",
  handle: (kilos) => kilos > 30 ? Effect.fail(new TooHeavy({ kilos })) : Console.log(`delivered ${kilos} kg`),
  // Waits 10 ms before each restart. Without this: exponential from 100 ms up to 30 s, and never giving up.
  restart: Schedule.spaced("10 millis")
})

const program = Effect.gen(function*() {
  const topology = yield* Topology.Topology
  yield* topology.awaitDone
  const { components } = yield* topology.snapshot
  for (const { abandoned, handled, name, restarts } of components) {
    yield* Console.log(`${name}: ${handled} handled, ${abandoned} abandoned, ${restarts} restarts`)
  }
})

const App = Topology.layer(Layer.mergeAll(Counter, Van)).pipe(Layer.provide(Parcel.layer))

program.pipe(
  Effect.provide(App),
  Effect.provideService(Logger.LogToStderr, true), // each restart is logged, with its cause
  NodeRuntime.runMain
)
