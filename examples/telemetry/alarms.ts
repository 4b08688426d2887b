/**
 * Alerts: an aggregate whose CPU share is above the threshold, or far from what it was lately. What is judged, and
 * against what, is a plain function; the two consumers only bring it the newest threshold and the next aggregate.
 */
import { Consumer } from "@sluice/core"
import { Effect, Layer } from "effect"
import { Control } from "./control.ts"
import { Aggregate, Alert, Threshold } from "./records.ts"

export const layer = Layer.unwrap(Effect.gen(function*() {
  const { tally } = yield* Control
  let threshold = Infinity
  let baseline: ReadonlyArray<number> = []
  return Layer.mergeAll(
    Consumer.layer(Threshold, {
      name: "threshold-watch",
      handleUnsafe: (percent) => void (threshold = percent)
    }),
    Consumer.layer(Aggregate, {
      name: "alarms",
      emits: { alerts: Alert },
      handle: (aggregate, emit) => {
        const alerts = judge(aggregate, { threshold, baseline })
        baseline = [...baseline, aggregate.cpu].slice(-baselineMax)
        tally.alerts += alerts.length
        return Effect.forEach(alerts, emit.alerts.produce, { discard: true })
      }
    })
  )
}))

/** How many aggregates a deviation is measured against, and how many there must be before it is. */
const baselineMax = 60
const baselineMin = 10

export const judge = (aggregate: typeof Aggregate.schema.Type, { baseline, threshold }: {
  readonly threshold: number
  /** The CPU shares of the aggregates before. */
  readonly baseline: ReadonlyArray<number>
}): ReadonlyArray<typeof Alert.schema.Type> => {
  const { at, cpu } = aggregate
  const alerts: Array<typeof Alert.schema.Type> = []
  if (cpu > threshold) {
    alerts.push({ at, kind: "threshold", message: `cpu ${cpu.toFixed(0)} % is above ${threshold} %` })
  }
  if (baseline.length >= baselineMin) {
    const mean = baseline.reduce((sum, share) => sum + share, 0) / baseline.length
    const variance = baseline.reduce((sum, share) => sum + (share - mean) ** 2, 0) / baseline.length
    // Ten points at least: on a machine that idles, three deviations are next to nothing.
    if (Math.abs(cpu - mean) > Math.max(10, 3 * Math.sqrt(variance))) {
      alerts.push({
        at,
        kind: "deviation",
        message: `cpu ${cpu.toFixed(0)} % deviates from its mean of ${mean.toFixed(0)} %`
      })
    }
  }
  return alerts
}
