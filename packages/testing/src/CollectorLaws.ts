/**
 * The laws of collectors: what an acknowledging group guarantees over every engine's log, whatever fails, each as a check
 * that any test runner can run. Faults are put between the collector and the log, so that any backing will do.
 *
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { Log } from "@sluice/core"
 * import { CollectorLaws } from "@sluice/testing"
 *
 * const subject = CollectorLaws.subject("in memory", () => Log.memory())
 *
 * describe(subject.name, () => {
 *   for (const law of CollectorLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
 * })
 * ```
 *
 * The log is to keep what no group has committed; see `LogLaws` for the log by itself. The checks run on a clock of their
 * own and take no time, and a wait is counted in turns, so that a collector that hangs breaks a law instead of hanging
 * the suite. For an engine that answers by I/O or goes by its own clock, the subject says what a turn is and how time
 * passes: see `Subject`. A crash is a holder that another takes over from without its knowing; that of a process is
 * beyond these laws.
 */
import { Collector, type Log } from "@sluice/core"
import { Effect } from "effect"
import { draining } from "./internal/collectorLaws/draining.ts"
import { holders } from "./internal/collectorLaws/holders.ts"
import { interleaved, interleaving } from "./internal/collectorLaws/interleaving.ts"
import { type Law, type LawBroken, type Subject, Value } from "./internal/collectorLaws/law.ts"
import { settling } from "./internal/collectorLaws/settling.ts"
import type { Timing } from "./internal/law.ts"

export type { Timing }
export {
  type CollectOptions,
  type HandleOptions,
  type Law,
  LawBroken,
  type Subject
} from "./internal/collectorLaws/law.ts"

/** All laws; names are unique. */
export const laws: ReadonlyArray<Law> = [...interleaving, ...holders, ...settling, ...draining]

/** The collectors of `@sluice/core` over an engine: `backing` makes one whose logs have nothing in them. */
export const subject = (
  name: string,
  backing: () => Log.LogBacking,
  more?: Timing
): Subject => ({
  name,
  promises: { durability: backing().durability },
  backing,
  make: (options) => Collector.make(Value, options),
  layer: (options) => Collector.layer(Value, options),
  ...more
})

/** The laws that bind a subject, by how long its log lasts. */
export const lawsOf = (subject: Subject): ReadonlyArray<Law> => laws.filter(({ applies }) => applies(subject.promises))

/**
 * Checks every law over a subject, and fails with the first one broken. Without a test runner:
 *
 * ```ts
 * Effect.runPromise(CollectorLaws.checkAll(subject))
 * ```
 */
export const checkAll = (subject: Subject): Effect.Effect<void, LawBroken> =>
  Effect.forEach(lawsOf(subject), (law) => law.check(subject), { discard: true })

/** Every invariant for one seed of your own: eighty random steps, and an end at which all has to be settled. */
export const checkInterleaving = (subject: Subject, seed: number): Effect.Effect<void, LawBroken> =>
  interleaved([seed], 80).check(subject)
