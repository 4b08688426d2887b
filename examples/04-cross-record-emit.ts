/** A handler that writes other records says which. The topology claims them for it and drains them after it. */
import { NodeRuntime } from "@effect/platform-node"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Console, Effect, Layer, Schema, Stream } from "effect"

class Reading extends Record.Service<Reading>()("plant/Reading", {
  schema: Schema.Struct({ sensor: Schema.String, celsius: Schema.Finite })
}) {}

class Alert extends Record.Service<Alert>()("plant/Alert", {
  schema: Schema.String,
  buffer: { kind: "Bounded", capacity: 16 }
}) {}

const Sensors = Source.layer(Reading, {
  name: "sensors",
  stream: Stream.make(
    { sensor: "kiln", celsius: 48 },
    { sensor: "oven", celsius: 61 },
    { sensor: "kiln", celsius: 73 }
  )
})

const Alarms = Consumer.layer(Reading, {
  name: "alarms",
  emits: { alerts: Alert },
  // `emit.alerts` is a producer of `Alert`: its four verbs, and no value of another type.
  handle: ({ celsius, sensor }, emit) =>
    celsius > 50 ? emit.alerts.produceAsync(`${sensor} is at ${celsius} °C`) : Effect.void
})

const Pager = Consumer.layer(Alert, { name: "pager", handle: (alert) => Console.log(`alert: ${alert}`) })

const App = Topology.layer(Layer.mergeAll(Sensors, Alarms, Pager), { onShutdown: () => Console.log("drained") }).pipe(
  Layer.provide(Layer.mergeAll(Reading.layer, Alert.layer))
)

const program = Effect.gen(function*() {
  const topology = yield* Topology.Topology
  const { edges } = yield* topology.graph
  for (const { from, to } of edges) yield* Console.log(`${from} → ${to}`)
  yield* topology.awaitDone
})

program.pipe(Effect.provide(App), NodeRuntime.runMain)
