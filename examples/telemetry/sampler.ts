/**
 * Where the samples come from: `node:os` for cores, memory and load, `node:perf_hooks` for the event loop. The source
 * ticks on a fixed grid, so that a late tick does not make all later ones late; a tick that was missed is skipped.
 */
import { Source } from "@sluice/core"
import { Clock, Duration, Effect, Schedule, type Scope, Stream } from "effect"
import * as os from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { Control } from "./control.ts"
import { Sample } from "./records.ts"

/** Samples a second: fewer make no aggregate of a second, and timers have a resolution of one millisecond. */
export const rateMin = 10
export const rateMax = 500

export const layer = (options: { readonly rate: number }) =>
  Source.layer(Sample, {
    name: "sampler",
    stream: Stream.unwrap(Effect.gen(function*() {
      const { sampling, tally } = yield* Control
      const read = yield* machineReader
      const sample = Effect.gen(function*() {
        yield* sampling.await
        tally.samples++
        return { at: yield* Clock.currentTimeMillis, ...read() }
      })
      return Stream.fromEffectSchedule(sample, Schedule.fixed(Duration.millis(1000 / options.rate)))
    }))
  })

/** A sample but for its time. */
export interface Reading extends Omit<typeof Sample.schema.Type, "at"> {}

/** Reads the machine, and the event loop since the last reading. */
export const machineReader: Effect.Effect<() => Reading, never, Scope.Scope> = Effect.gen(function*() {
  const loopDelay = yield* loopDelayReader
  return () => ({ ...readMachine(), loopDelay: loopDelay() })
})

const readMachine = (): Omit<Reading, "loopDelay"> => {
  const memoryTotal = os.totalmem()
  return {
    cores: os.cpus().map(({ times }) => {
      const busy = times.user + times.nice + times.sys + times.irq
      return { busy, total: busy + times.idle }
    }),
    memoryUsed: memoryTotal - os.freemem(),
    memoryTotal,
    load: os.loadavg()[0] ?? 0
  }
}

/**
 * Reads the mean delay since the last reading, in milliseconds. The histogram adds up from its start, and the difference
 * is taken here: `reset` would lose the interval that is under way, and with it the very stall that is looked for.
 */
const loopDelayReader: Effect.Effect<() => number, never, Scope.Scope> = Effect.gen(function*() {
  const resolution = 5
  const histogram = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const histogram = monitorEventLoopDelay({ resolution })
      histogram.enable()
      return histogram
    }),
    (histogram) => Effect.sync(() => histogram.disable())
  )
  let count = 0
  let sum = 0
  return () => {
    if (histogram.count === count) return 0
    const total = histogram.mean * histogram.count
    // The histogram has the whole time between two turns of its timer, in nanoseconds.
    const delay = (total - sum) / (histogram.count - count) / 1e6 - resolution
    count = histogram.count
    sum = total
    return Math.max(0, delay)
  }
})
