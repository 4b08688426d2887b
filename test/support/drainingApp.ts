/**
 * An application that is stopped by a signal while values wait in every record of a diamond. Prints "ready" once they do,
 * each value as the last handler writes it, when the source has stopped, when the handlers' service is closed, and the
 * shutdown report. Called with "stuck", its handlers never end; with "replaced", it interrupts itself once it is ready, as
 * one does that is replaced, and says "signalled" when a signal comes and "finalized" when its own finalizers run.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Consumer, Record, Source, Topology, Transform } from "@sluice/core"
import { Console, Context, Effect, Fiber, Latch, Layer, Schema, Stream } from "effect"

const modes = new Set(process.argv.slice(2))
const buffer = { kind: "Bounded", capacity: 50 } as const
class In extends Record.Service<In>()("app/In", { schema: Schema.Int, buffer }) {}
class Left extends Record.Service<Left>()("app/Left", { schema: Schema.Int, buffer }) {}
class Right extends Record.Service<Right>()("app/Right", { schema: Schema.Int, buffer }) {}

class Output
  extends Context.Service<Output, { readonly write: (line: string) => Effect.Effect<void> }>()("app/Output")
{
  static readonly layer = Layer.effect(
    Output,
    Effect.acquireRelease(
      Effect.succeed({ write: (line: string) => Console.log(line) }),
      () => Console.log("output closed")
    )
  )
}

/** Holds every handler until the signal has come, so that the values wait where they are. */
const signalled = Latch.makeUnsafe(false)
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    if (modes.has("replaced")) console.log("signalled")
    if (!modes.has("stuck")) signalled.openUnsafe()
  })
}

const end = <Self, Key extends string>(record: Record.RecordClass<Self, Key, number>, name: string) =>
  Consumer.layer(record, {
    name,
    handle: (value) =>
      signalled.await.pipe(
        Effect.andThen(Output),
        Effect.flatMap(({ write }) => write(String(value)))
      )
  })

const App = Topology.layer(
  Layer.mergeAll(
    Source.layer(In, {
      name: "source",
      stream: Stream.concat(Stream.range(1, 20), Stream.never).pipe(Stream.ensuring(Console.log("source stopped")))
    }),
    Transform.layer({ name: "left", from: In, to: Left, through: Stream.map((value) => value) }),
    Transform.layer({ name: "right", from: In, to: Right, through: Stream.map((value) => value + 100) }),
    end(Left, "left end"),
    end(Right, "right end")
  ),
  { onShutdown: (report) => Console.log(JSON.stringify(report)) }
).pipe(
  Layer.provideMerge(Layer.mergeAll(In.layer, Left.layer, Right.layer, Output.layer))
)

const isReady = Latch.makeUnsafe(false)
const ready = Effect.gen(function*() {
  const topology = yield* Topology.Topology
  const waiting = Effect.map(
    topology.snapshot,
    ({ readers }) =>
      readers.filter(({ component, pending }) => component.endsWith("end") && pending === 19).length === 2
  )
  yield* Effect.repeat(Effect.andThen(Effect.sleep("1 millis"), waiting), { until: (full) => full })
  yield* Console.log("ready")
  yield* isReady.open
  return yield* Effect.never
})

const replaced = Effect.scoped(Effect.gen(function*() {
  yield* Effect.addFinalizer(() => Console.log("finalized"))
  const old = yield* Effect.forkScoped(Effect.provide(ready, App))
  yield* isReady.await
  yield* Effect.forkChild(Fiber.interrupt(old))
  return yield* Effect.never
}))

NodeRuntime.runMain(modes.has("replaced") ? replaced : Effect.provide(ready, App))
