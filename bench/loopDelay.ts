/** How late the event loop is: for how long something else kept a timer waiting. */
import { Effect } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"

/** Answers how late the event loop was since, in milliseconds. */
export const loopDelay = Effect.gen(function*() {
  const resolution = 1
  const histogram = monitorEventLoopDelay({ resolution })
  yield* Effect.acquireRelease(Effect.sync(() => histogram.enable()), () => Effect.sync(() => histogram.disable()))
  // The histogram has the whole time between two turns of its timer, in nanoseconds.
  const late = (nanos: number) => Math.max(0, nanos / 1e6 - resolution)
  return () => ({ p99: late(histogram.percentile(99)), max: late(histogram.max) })
})
