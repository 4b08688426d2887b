/**
 * Elapsed time. The wall clock may be set at any moment, and is for timestamps alone: delays, warnings and latencies go by
 * the clock's monotonic time.
 */
import type { Clock } from "effect"

/** Milliseconds since some moment, the same for as long as the process runs. Never goes back. */
export const elapsedMillis = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

const origins = new WeakMap<Clock.Clock, number>()
/**
 * Milliseconds since the epoch as the wall clock had it when this was first asked, moved on by the monotonic time: for
 * schedules, which may go by the time of day and must not wait for an hour more when the clock is set.
 */
export const steadyMillis = (clock: Clock.Clock): number => {
  const elapsed = elapsedMillis(clock)
  let origin = origins.get(clock)
  if (origin === undefined) origins.set(clock, origin = clock.currentTimeMillisUnsafe() - elapsed)
  return Math.round(origin + elapsed)
}
