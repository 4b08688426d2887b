/** The smallest whole: a record, a source that writes it, a consumer that reads it, and the topology around them. */
import { NodeRuntime } from "@effect/platform-node"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Console, Effect, Layer, Schema, Stream } from "effect"

// A record is a named stream of values of one schema. The class is the key of its service.
class Reading extends Record.Service<Reading>()("hello/Reading", {
  schema: Schema.Struct({ celsius: Schema.Finite })
}) {}

const Sensor = Source.layer(Reading, {
  name: "sensor",
  stream: Stream.make({ celsius: 18.5 }, { celsius: 21 }, { celsius: 23.5 })
})

const Printer = Consumer.layer(Reading, {
  name: "printer",
  handle: ({ celsius }) => Console.log(`${celsius} °C`)
})

// Readers are attached before any source starts, so the first value is not lost.
const App = Topology.layer(Layer.mergeAll(Sensor, Printer), {
  onShutdown: (report) => Console.log(`drained in time: ${report.withinDeadline}`)
}).pipe(Layer.provide(Reading.layer)) // .layer: the buffer of the definition, here the default, a ring of 1024

const program = Effect.gen(function*() {
  const topology = yield* Topology.Topology
  yield* topology.awaitDone
  const { components } = yield* topology.snapshot
  for (const { handled, name, status } of components) yield* Console.log(`${name}: ${status}, ${handled} handled`)
})

program.pipe(Effect.provide(App), NodeRuntime.runMain)
