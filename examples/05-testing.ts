/**
 * A topology as an application would export it, and how it is tested: with a service of the test's own behind it and on a
 * virtual clock. `05-testing.test.ts` does so with `@effect/vitest`; run by itself, this file does it in plain Effect.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Console, Context, Effect, Layer, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"

export class Thermometer extends Context.Service<Thermometer, { readonly celsius: Effect.Effect<number> }>()(
  "greenhouse/Thermometer"
) {}

class Temperature extends Record.Service<Temperature>()("greenhouse/Temperature", { schema: Schema.Finite }) {}

export class Alert extends Record.Service<Alert>()("greenhouse/Alert", {
  schema: Schema.String,
  // With no reader it keeps its values for the next, so a test may subscribe late.
  buffer: { kind: "Bounded", capacity: 16 }
}) {}

const Poll = Source.layer(Temperature, {
  name: "poll",
  stream: Stream.fromEffectSchedule(Thermometer.use(({ celsius }) => celsius), Schedule.spaced("1 minute"))
})

const Frost = Consumer.layer(Temperature, {
  name: "frost",
  emits: { alerts: Alert },
  handle: (celsius, emit) => celsius < 4 ? emit.alerts.produceAsync(`frost: ${celsius} °C`) : Effect.void
})

/** Needs a Thermometer, and nothing else. */
export const Greenhouse = Topology.layer(Layer.mergeAll(Poll, Frost), { onShutdown: () => Effect.void }).pipe(
  Layer.provideMerge(Layer.mergeAll(Temperature.layer, Alert.layer))
)

/** A thermometer that reads these values, one after the other, and then the last for ever. */
export const scripted = (...values: ReadonlyArray<number>): Layer.Layer<Thermometer> =>
  Layer.sync(Thermometer, () => {
    let next = 0
    return { celsius: Effect.sync(() => values[Math.min(next++, values.length - 1)] ?? 0) }
  })

/** Lets virtual minutes pass until `effect` has what it waits for: a test waits for an event, and never for a time. */
export const asTimePasses = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.raceFirst(effect, Effect.forever(TestClock.adjust("1 minute")))

const test = Effect.gen(function*() {
  const { recv } = yield* Effect.flatMap(Alert, (alert) => alert.subscribe)
  yield* Console.log(yield* asTimePasses(recv))
  yield* Console.log(yield* asTimePasses(recv))
})

// `import.meta.main`, where Node 22 should do as well
if (process.argv[1] === import.meta.filename) {
  const Test = Greenhouse.pipe(Layer.provide(scripted(12, 7, 3.5, 5, 1)), Layer.provideMerge(TestClock.layer()))
  test.pipe(Effect.scoped, Effect.provide(Test), NodeRuntime.runMain)
}
