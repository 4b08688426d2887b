/**
 * The laws of logs: what every engine guarantees, in memory, on disk or on a server, each as a check that any test runner
 * can run. An engine says by flags what it promises beyond the core, and is held to all of that.
 *
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { Log } from "@sluice/core"
 * import { LogLaws } from "@sluice/testing"
 *
 * const subject = LogLaws.subject("in memory", LogLaws.promises.memory, Log.memory)
 *
 * describe(subject.name, () => {
 *   for (const law of LogLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
 * })
 * ```
 *
 * A log is a buffer too: `BufferLaws` hold for one that answers from memory. The checks run on a clock of their own and
 * take no time, and a wait is counted in turns, so that a log that hangs breaks a law instead of hanging the suite. For
 * an engine that answers by I/O or goes by its own clock, the subject says what a turn is and how time passes: see
 * `Subject`. What a log still has after a crash is beyond these laws.
 */
import { Log } from "@sluice/core"
import { Effect, Schema } from "effect"
import { closing } from "./internal/logLaws/closing.ts"
import { groups } from "./internal/logLaws/groups.ts"
import { interleaved, interleaving } from "./internal/logLaws/interleaving.ts"
import type { Law, LawBroken, LogOptions, Promises, Subject } from "./internal/logLaws/law.ts"
import { reading } from "./internal/logLaws/reading.ts"
import { retention } from "./internal/logLaws/retention.ts"
import { sequences } from "./internal/logLaws/sequences.ts"
import { starting } from "./internal/logLaws/starting.ts"
import type { Timing } from "./internal/law.ts"

export type { Timing }
export { type Law, LawBroken, type LogOptions, type Promises, type Subject } from "./internal/logLaws/law.ts"

/** All laws; names are unique. */
export const laws: ReadonlyArray<Law> = [
  ...sequences,
  ...reading,
  ...starting,
  ...groups,
  ...retention,
  ...closing,
  ...interleaving
]

/** What the engines promise beyond the core of the contract. */
export const promises = {
  memory: { holds: "capacity", expiresUnacknowledged: true, expiresGroups: true }
} satisfies { readonly [engine: string]: Promises }

/** An engine as the laws take it: any backing. What it needs and how it fails is for `subject.make` to settle. */
export const subject = (
  name: string,
  promises: Promises,
  backing: (options: LogOptions) => Log.LogBacking,
  more?: Timing
): Subject => ({
  name,
  promises,
  durability: backing({ capacity: 1 }).durability,
  make: (options) => backing(options).make({ key: name, schema: Schema.Finite }),
  ...more
})

/** The engines of `@sluice/core`. */
export const ours: ReadonlyArray<Subject> = [subject("Log.memory", promises.memory, Log.memory)]

/** The laws that bind a subject, by what it promises. */
export const lawsOf = (subject: Subject): ReadonlyArray<Law> => laws.filter(({ applies }) => applies(subject.promises))

/**
 * Checks every law that binds a subject, and fails with the first one broken. Without a test runner:
 *
 * ```ts
 * Effect.runPromise(LogLaws.checkAll(subject))
 * ```
 */
export const checkAll = (subject: Subject): Effect.Effect<void, LawBroken> =>
  Effect.forEach(lawsOf(subject), (law) => law.check(subject), { discard: true })

/** The last of the laws for one seed of your own: sixty random steps, each compared with the model. */
export const checkInterleaving = (subject: Subject, seed: number): Effect.Effect<void, LawBroken> =>
  interleaved([seed], 60).check(subject)
