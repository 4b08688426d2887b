/**
 * A shop that loses no order: what it has answered 202 for is shipped, however often its process is killed.
 *
 * ```sh
 * node examples/orders/main.ts --directory /tmp/shop
 * curl -d '{"id":"a-1","item":"tea","quantity":2,"to":"Oslo"}' http://127.0.0.1:8080/orders
 * ```
 *
 * An order to Atlantis is put aside. Ctrl-C ends it in order, `kill -9` does not, and the next start goes on.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Topology } from "@sluice/core"
import type { Journal } from "@sluice/disk"
import { Cause, Console, Effect, Exit, type PlatformError, Runtime } from "effect"
import { CliError, Command, Flag } from "effect/cli"
import { HttpServer } from "effect/http"
import type { HttpServerError } from "effect/http"
import * as pipeline from "./pipeline.ts"

const flags = {
  port: Flag.Int("port").pipe(
    Flag.withDescription("Where to listen on 127.0.0.1; 0 is any that is free"),
    Flag.filter((port) => port >= 0 && port <= 65_535, () => "0 to 65535"),
    Flag.withDefault(8080)
  ),
  directory: Flag.String("directory").pipe(
    Flag.withMetavar("path"),
    Flag.withDescription("Where orders are kept; made where it is not there"),
    Flag.withDefault("orders")
  ),
  failures: Flag.Finite("failures").pipe(
    Flag.withMetavar("percent"),
    Flag.withDescription("How often the carrier is down"),
    Flag.filter((share) => share >= 0 && share <= 100, () => "0 to 100"),
    Flag.withDefault(10)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withDescription("Decides when the carrier is down"),
    Flag.withDefault(1)
  )
}

const command = Command.make("orders", flags, ({ directory, failures, port, seed }) =>
  Effect.gen(function*() {
    const address = yield* HttpServer.HttpServer.useSync(({ address }) => HttpServer.formatAddress(address))
    const topology = yield* Topology.Topology
    yield* Console.log(`takes orders at ${address}/orders, keeps them in ${directory}`)
    return yield* topology.awaitFailure
  }).pipe(
    Effect.provide(pipeline.layer({ directory, failures: failures / 100, port, seed })),
    Effect.catchTags({
      JournalLocked: refused,
      JournalDamaged: refused,
      JournalFailed: refused,
      PlatformError: refused,
      ServeError: (error) => refused(error, `cannot listen on port ${port}: ${String(error.cause)}`)
    })
  )).pipe(
    Command.withDescription("Takes orders over HTTP, keeps them on disk, and ships each of them at least once.")
  )

const refused = (
  error: Journal.JournalError | PlatformError.PlatformError | HttpServerError.ServeError,
  userMessage: string = error.message
) => Effect.fail(new CliError.UserError({ cause: error, userMessage }))

/** Ctrl-C and SIGTERM ask for a drain. When it is done that is a success, and not the 130 of a program cut short. */
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)

command.pipe(
  Command.run({ version: "0.1.0" }),
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({ teardown })
)
