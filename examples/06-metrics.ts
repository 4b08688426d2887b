/**
 * What a topology counts are Metrics of Effect, so that whatever exports those exports these: here to Prometheus.
 *
 * ```sh
 * node examples/06-metrics.ts                      # scrapes itself once
 * PORT=9464 node examples/06-metrics.ts --serve    # until Ctrl-C
 * ```
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Config, Console, Effect, Layer, Logger, Schema, Stream } from "effect"
import { FetchHttpClient, HttpClient, HttpRouter, HttpServer } from "effect/http"
import { PrometheusMetrics } from "effect/observability"
import { createServer } from "node:http"

class Letter extends Record.Service<Letter>()("post/Letter", {
  schema: Schema.String,
  buffer: { kind: "Bounded", capacity: 2 }
}) {}

const App = Topology.layer(
  Layer.mergeAll(
    Source.layer(Letter, { name: "box", stream: Stream.make("Ada", "Grace", "Edsger", "Barbara", "Tony") }),
    Consumer.layer(Letter, { name: "sorter", handle: () => Effect.void })
  ),
  { onShutdown: () => Effect.void }
).pipe(Layer.provide(Letter.layer))

// The topology registers its series with Effect's registry; this serves all that is there at /metrics.
const Metrics = HttpRouter.serve(PrometheusMetrics.layerHttp(), { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provideMerge(NodeHttpServer.layerConfig(createServer, {
    host: Config.succeed("127.0.0.1"),
    port: Config.Port("PORT").pipe(Config.withDefault(0))
  }))
)

const url = HttpServer.addressFormattedWith((address) => Effect.succeed(`${address}/metrics`))

const serve = Effect.gen(function*() {
  yield* Console.log(`serving ${yield* url}`)
  return yield* Effect.never
})

const scrape = Effect.gen(function*() {
  const { awaitDone } = yield* Topology.Topology
  yield* awaitDone
  const response = yield* HttpClient.get(yield* url)
  const lines = (yield* response.text).split("\n").filter((line) => line.startsWith("sluice_"))
  // How long a handler took differs from run to run.
  yield* Console.log(lines.filter((line) => !line.includes("latency")).join("\n"))
})

const program = process.argv.includes("--serve") ? serve : scrape

program.pipe(
  Effect.provide(Layer.mergeAll(App, Metrics, FetchHttpClient.layer)),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain
)
