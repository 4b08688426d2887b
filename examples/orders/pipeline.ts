/**
 * The whole: orders come in over HTTP, wait in their record, and are shipped in batches; what cannot be shipped waits in a
 * record of its own. The shop stands above the topology, so that it is closed first when all of it ends.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Collector, Topology } from "@sluice/core"
import { Console, Effect, Layer, Schedule } from "effect"
import { HttpRouter } from "effect/http"
import { createServer } from "node:http"
import { Carrier } from "./carrier.ts"
import * as carrier from "./carrier.ts"
import * as records from "./records.ts"
import { Orders, Refused } from "./records.ts"
import * as shop from "./shop.ts"

const retry = Schedule.min([Schedule.exponential("20 millis"), Schedule.spaced("1 second")])

const Shipping = Collector.layer(Orders, {
  name: "shipping",
  group: "shipping",
  batch: { max: 100 },
  concurrency: 4,
  // A process that is killed has used one, too.
  maxAttempts: 10,
  retry,
  deadLetter: {
    record: Refused,
    as: ({ attempts, bytes, reason, sequence }) => ({
      sequence,
      attempts,
      reason,
      order: new TextDecoder().decode(bytes)
    })
  },
  handle: (batch) =>
    Effect.gen(function*() {
      const { ship } = yield* Carrier
      // An attempt that fails counts against every order of the batch: only what they cannot help is tried again here.
      yield* Effect.retry(ship(batch), { while: ({ _tag }) => _tag === "CarrierDown", schedule: retry, times: 6 })
      yield* Console.log(`shipped ${batch.values.length} orders, ${batch.first} to ${batch.last}`)
    })
})

/** Dead letters are a record like any other: here somebody is told of each. */
const Complaints = Collector.layer(Refused, {
  name: "complaints",
  group: "complaints",
  handle: ({ values }) =>
    Effect.forEach(
      values,
      ({ attempts, order, reason }) => Console.log(`put aside after ${attempts} attempts, ${reason}: ${order}`),
      { discard: true }
    )
})

export const layer = (options: {
  readonly port: number
  readonly directory: string
  readonly failures: number
  readonly seed: number
}) => {
  const Shop = HttpRouter.serve(shop.layer, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: options.port }))
  )
  const Shipments = Layer.unwrap(Effect.map(
    Carrier,
    (carrier) => Topology.layer(Layer.merge(Shipping, Complaints), { onShutdown: report(carrier) })
  ))
  return Shop.pipe(
    Layer.provideMerge(Shipments),
    Layer.provide(records.layer(options.directory)),
    Layer.provide(carrier.layer(options))
  )
}

const report = ({ shipped }: Carrier["Service"]) =>
  Effect.fnUntraced(function*({ left, took, withinDeadline }: Topology.ShutdownReport) {
    const waiting = left.find(({ component }) => component === "shipping")?.values ?? 0
    yield* Console.log(
      `shut down ${withinDeadline ? "in time" : "at the deadline"}, took ${Math.round(took)} ms: `
        + `${yield* shipped} orders shipped in this run, ${waiting} wait for the next`
    )
  })
