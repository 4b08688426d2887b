/**
 * Runs the steps of a flow file as child processes, each as soon as what it waits for has ended, and goes on where it was
 * after `kill -9`.
 *
 * ```sh
 * node examples/flows/main.ts examples/flows/sluice.json
 * ```
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Topology } from "@sluice/core"
import { Console, Effect } from "effect"
import { Argument, CliError, Command, Flag } from "effect/cli"
import { availableParallelism } from "node:os"
import * as engine from "./engine.ts"
import * as plan from "./plan.ts"

const flags = {
  file: Argument.String("file").pipe(Argument.withDescription("The flow: JSON with a name and steps")),
  directory: Flag.String("directory").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("Where progress and logs are kept; made where it is not there"),
    Flag.withDefault(".flows")
  ),
  parallel: Flag.Int("parallel").pipe(
    Flag.withMetavar("n"),
    Flag.withDescription("How many steps run at the same time; default: the processors there are"),
    Flag.filter((count) => count >= 1, () => "at least 1"),
    Flag.withDefault(availableParallelism())
  ),
  failed: Flag.Boolean("failed").pipe(Flag.withDescription("Run what did not succeed anew"), Flag.withDefault(false)),
  again: Flag.Boolean("again").pipe(Flag.withDescription("Run all of it anew"), Flag.withDefault(false))
}

const command = Command.make("flows", flags, ({ again, directory, failed, file, parallel }) =>
  Effect.gen(function*() {
    const flow = yield* plan.read(file)
    const ends = yield* Effect.gen(function*() {
      const { ended } = yield* engine.Engine
      const topology = yield* Topology.Topology
      return yield* Effect.raceFirst(ended, topology.awaitFailure)
    }).pipe(
      Effect.provide(engine.layer(flow, { directory, parallel, anew: again ? "all" : failed ? "failed" : "none" }))
    )
    const bad = [...ends].filter(([, outcome]) => outcome !== "succeeded")
    yield* Console.log(`${flow.name}: ${ends.size - bad.length} of ${ends.size} steps succeeded`)
    if (bad.length === 0) return
    return yield* new CliError.UserError({
      cause: bad,
      userMessage: `${bad.map(([step, outcome]) => `${step} ${outcome}`).join(", ")}; --failed runs them anew`
    })
  }).pipe(
    Effect.catchTag("FlowInvalid", refused),
    Effect.catchTag("JournalLocked", refused)
  )).pipe(Command.withDescription("Runs the steps of a flow file, in the order of what they need."))

const refused = (error: Error) => Effect.fail(new CliError.UserError({ cause: error, userMessage: error.message }))

command.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain
)
