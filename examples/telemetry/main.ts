/**
 * Samples the machine it runs on, aggregates, alerts and keeps a journal, and shows how each buffer bears it.
 *
 * ```sh
 * node examples/telemetry/main.ts                      # until q or Ctrl-C
 * node examples/telemetry/main.ts --for 10s --buffer bounded
 * RECORDS_TELEMETRY_JOURNAL_CAPACITY=64 node examples/telemetry/main.ts
 * ```
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Topology } from "@sluice/core"
import { Cause, ConfigProvider, Console, Deferred, Duration, Effect, Exit, Layer, Option, Runtime } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { Control } from "./control.ts"
import { durationOf } from "./duration.ts"
import * as pipeline from "./pipeline.ts"
import { Sample } from "./records.ts"
import { rateMax, rateMin } from "./sampler.ts"
import * as screen from "./screen.ts"

const kinds = {
  ring: "SpmcRing",
  latest: "SingleLatest",
  mailbox: "Mailbox",
  bounded: "Bounded",
  pubsub: "PubSub",
  queue: "Queue"
} as const
type BufferName = keyof typeof kinds

const flags = {
  for: Flag.String("for").pipe(
    Flag.withMetavar("duration"),
    Flag.withDescription("How long to run, such as 10s or 2m; without it, until q, Ctrl-C or SIGTERM"),
    Flag.filterMap(durationOf, () => "a duration such as 500ms, 10s or 2m"),
    Flag.withDefault(Duration.infinity)
  ),
  buffer: Flag.Literals("buffer", Object.keys(kinds) as ReadonlyArray<BufferName>).pipe(
    Flag.withDescription("How samples wait for their readers; goes before RECORDS_TELEMETRY_SAMPLE_KIND"),
    Flag.optional
  ),
  rate: Flag.Int("rate").pipe(
    Flag.withMetavar("hertz"),
    Flag.withDescription(`Samples a second, ${rateMin} to ${rateMax}`),
    Flag.filter((rate) => rate >= rateMin && rate <= rateMax, () => `${rateMin} to ${rateMax}`),
    Flag.withDefault(200)
  ),
  threshold: Flag.Finite("threshold").pipe(
    Flag.withMetavar("percent"),
    Flag.withDescription("The CPU share above which there is an alert; + and - change it"),
    Flag.filter((share) => share >= 0 && share <= 100, () => "0 to 100"),
    Flag.withDefault(80)
  ),
  graph: Flag.Literals("graph", ["mermaid", "dot"]).pipe(
    Flag.withOptionalValue("mermaid"),
    Flag.withDescription("Print the graph of the topology and exit"),
    Flag.optional
  )
}

const command = Command.make("telemetry", flags, ({ buffer, for: duration, graph, rate, threshold }) => {
  const program = Option.match(graph, {
    onSome: (format) =>
      draw(format).pipe(Effect.provide(pipeline.layer({ rate, threshold, onShutdown: () => Effect.void }))),
    onNone: () =>
      Effect.gen(function*() {
        const { end } = yield* screen.Screen
        yield* watch(duration).pipe(Effect.provide(pipeline.layer({ rate, threshold, onShutdown: end })))
      }).pipe(Effect.provide(screen.layer))
  })
  return program.pipe(
    Effect.provide(Option.match(buffer, { onNone: () => Layer.empty, onSome: bufferOf })),
    // Its cause names the variable, and what it may be.
    Effect.catchTag(
      "ConfigError",
      (error) => Effect.fail(new CliError.UserError({ cause: error, userMessage: error.cause.message }))
    )
  )
}).pipe(
  Command.withDescription("Samples this machine into records, and shows what becomes of the samples.")
)

/** Runs until the time is over, someone quits, nobody looks or a component has failed for good; the drain comes after. */
const watch = Effect.fnUntraced(function*(duration: Duration.Duration) {
  const { gone, show } = yield* screen.Screen
  const topology = yield* Topology.Topology
  const { quit } = yield* Control
  yield* show(yield* pipeline.frame)
  yield* Effect.raceAllFirst([Effect.sleep(duration), Deferred.await(quit), gone, topology.awaitFailure])
})

const draw = (format: "mermaid" | "dot") =>
  Topology.Topology.use((topology) => topology.graph).pipe(
    Effect.flatMap((graph) => Console.log(graph[format].trimEnd()))
  )

const bufferOf = (name: BufferName) =>
  ConfigProvider.layerAdd(
    ConfigProvider.fromUnknown({ records: { [Sample.key]: { kind: kinds[name] } } }),
    { asPrimary: true }
  )

/** Ctrl-C and SIGTERM ask for a drain. When it is done that is a success, and not the 130 of a program cut short. */
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)

command.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown })
)
