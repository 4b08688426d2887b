/** What a running topology tells of itself: the snapshot, and the same numbers as Metrics that are read on demand. */
import { Effect, type Scope } from "effect"
import type { Snapshot, Status } from "../Snapshot.ts"
import type { Running } from "./component.ts"
import { registering } from "./metrics.ts"
import type { Run } from "./run.ts"

export const snapshotOf = (run: Run): Snapshot => {
  const draining = run.stop.isOpen()
  return {
    records: run.records.map((record) => ({
      key: record.key,
      kind: record.buffer.kind,
      writers: Array.from(record.claims, (claim) => claim.name),
      ...record.stats()
    })),
    readers: run.components.flatMap((running) =>
      running.inputs.map((input) => ({
        record: input.record.key,
        component: running.spec.name,
        input: input.name,
        pending: running.outcome === undefined ? input.pending() : input.left,
        ...input.cursor.counts()
      }))
    ),
    components: run.components.map((running) => ({
      name: running.spec.name,
      status: statusOf(running, draining),
      restarts: running.restarts,
      lastCause: running.lastCause,
      handled: running.total("handled"),
      abandoned: running.total("abandoned"),
      inFlight: running.total("inFlight"),
      latency: running.latency.summary()
    }))
  }
}

const statusOf = (running: Running, draining: boolean): Status => {
  if (running.outcome !== undefined) return running.outcome === "Failed" ? "Failed" : "Done"
  if (draining) return "Draining"
  const states = running.slots.map(({ state }) => state)
  return states.includes("Running") ? "Running" : states.includes("Restarting") ? "Restarting" : "Starting"
}

/**
 * Registers the `sluice_*` series of a topology for the life of the scope. Nothing is updated while values flow: an
 * exporter that reads the registry reads the statistics themselves.
 */
export const registerMetrics = (run: Run): Effect.Effect<void, never, Scope.Scope> =>
  Effect.andThen(
    registering((register) => {
      const topology = run.name
      for (const record of run.records) {
        const at = { record: record.key, topology }
        register("gauge", "sluice_record_held", "Values that the buffer holds", at, () => record.stats().held)
        for (const [field, help] of recordCounters) {
          register("counter", `sluice_record_${field}_total`, help, at, () => record.stats()[field])
        }
      }
      for (const running of run.components) {
        const component = running.spec.name
        for (const input of running.inputs) {
          const at = {
            record: input.record.key,
            component,
            ...(input.name !== null && { input: input.name }),
            topology
          }
          const pending = () => running.outcome === undefined ? input.pending() : input.left
          register(
            "gauge",
            "sluice_reader_pending",
            "How far the reader is behind: values ready for it, and of a ring those overwritten since",
            at,
            pending
          )
          for (const [field, help] of readerCounters) {
            register("counter", `sluice_reader_${field}_total`, help, at, () => input.cursor.counts()[field])
          }
        }
        const at = { component, topology }
        register(
          "gauge",
          "sluice_component_in_flight",
          "Values that the handler holds",
          at,
          () => running.total("inFlight")
        )
        for (const [field, help] of componentCounters) {
          register(
            "counter",
            `sluice_component_${field}_total`,
            help,
            at,
            () => field === "restarts" ? running.restarts : running.total(field)
          )
        }
        for (const [field, quantile] of quantiles) {
          register(
            "gauge",
            "sluice_component_latency_milliseconds",
            "How long the handler takes, from a sample",
            { ...at, quantile },
            () => running.latency.summary()[field]
          )
        }
      }
    }),
    Effect.forEach(run.components, ({ own }) => own?.metrics({ topology: run.name }) ?? Effect.void, { discard: true })
  )

const recordCounters = [
  ["produced", "Values accepted"],
  ["dropped", "Values refused to a fire-and-forget produce, or produced after the close"],
  ["failed", "Values that the backing could not store"],
  ["overwritten", "Values overwritten before anyone had them"]
] as const
const readerCounters = [
  ["received", "Values that the reader took"],
  ["lagged", "Values that the reader missed"],
  ["conflated", "Values that the reader of a latest value skipped"]
] as const
const componentCounters = [
  ["handled", "Values handled"],
  ["abandoned", "Values that a handler held when it failed or was interrupted"],
  ["restarts", "Restarts after a failure"]
] as const
const quantiles = [["p50", "0.5"], ["p99", "0.99"], ["max", "1"]] as const
