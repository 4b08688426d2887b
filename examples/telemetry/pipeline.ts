/** The whole: which components run, which records they meet in, and what is read of them to be shown. */
import { Topology } from "@sluice/core"
import { Clock, Effect, Layer } from "effect"
import * as aggregates from "./aggregates.ts"
import * as alarms from "./alarms.ts"
import { Control } from "./control.ts"
import * as journal from "./journal.ts"
import * as operator from "./operator.ts"
import * as records from "./records.ts"
import * as sampler from "./sampler.ts"
import type { Frame } from "./table.ts"

/**
 * Who writes is drained before who reads, whatever the order here. `onShutdown` is told how that went, while the
 * services below still run.
 */
export const layer = (options: {
  readonly rate: number
  readonly threshold: number
  readonly onShutdown: (report: Topology.ShutdownReport) => Effect.Effect<void>
}) =>
  Topology.layer(
    Layer.mergeAll(
      sampler.layer(options),
      operator.Keyboard,
      operator.layer(options),
      aggregates.layer(options),
      alarms.layer,
      journal.Slow,
      journal.layer
    ),
    { drainTimeout: "5 seconds", onShutdown: options.onShutdown }
  ).pipe(Layer.provideMerge(Layer.mergeAll(records.layer, Control.layer)))

/** What reads a frame. It goes on to answer after the shutdown, with the last numbers there were. */
export const frame = Effect.map(
  Effect.all({
    topology: Topology.Topology,
    control: Control,
    aggregate: records.Aggregate,
    alert: records.Alert,
    threshold: records.Threshold
  }),
  ({ aggregate, alert, control, threshold, topology }): Effect.Effect<Frame> =>
    Effect.all({
      now: Clock.currentTimeMillis,
      snapshot: topology.snapshot,
      aggregate: aggregate.latest,
      alert: alert.latest,
      threshold: threshold.latest,
      sampling: Effect.sync(() => control.sampling.isOpen()),
      tally: Effect.succeed(control.tally)
    })
)
