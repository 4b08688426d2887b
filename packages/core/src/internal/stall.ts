/**
 * Says which reader holds back the producers of a `Bounded` record, once none of those that wait has been let in for a
 * second, and then every second. It costs nothing while no producer waits.
 */
import { Effect } from "effect"
import type { RecordRuntime } from "./recordRuntime.ts"
import type { Run } from "./run.ts"
import { sayWarning } from "./say.ts"
import { storeOf } from "./store.ts"

/** Runs for as long as the topology does. */
export const watchStalls = (run: Run): Effect.Effect<void> =>
  Effect.forEach(run.records, (record) => watch(run, record), { concurrency: "unbounded", discard: true })

const watch = (run: Run, record: RecordRuntime<any>): Effect.Effect<void> => {
  const contention = storeOf(record.buffer)?.contention
  if (contention === undefined) return Effect.void
  return Effect.forever(Effect.gen(function*() {
    yield* contention.waiting.await
    const stalled = contention.stalledFor()
    if (stalled < 1000) return yield* Effect.sleep(1000 - stalled)
    yield* sayWarning(
      `record "${record.key}" is stalled: no producer has got room for ${(stalled / 1000).toFixed(0)} s, held back by ${
        slowest(run, record)
      }`
    )
    yield* Effect.sleep(1000)
  }))
}

/** Who stands at the oldest value held. */
const slowest = (run: Run, record: RecordRuntime<any>): string => {
  const blockers = storeOf(record.buffer)?.blockers?.()
  if (blockers !== undefined && blockers.length > 0) return blockers.join(" and ")
  const { held } = record.stats()
  const names = run.components.filter(({ inputs, outcome }) =>
    outcome === undefined && inputs.some((input) => input.record === record && input.pending() === held)
  ).map(({ slots, spec }) =>
    `"${spec.name}"${slots.every(({ state }) => state === "Restarting") ? ", which is restarting" : ""}`
  )
  return names.join(" and ") || "a reader outside the topology, or by there being none"
}
