/**
 * The laws of stores of executions: what adds, ends, promotes and replays them, and what finds later whatever was missed, each
 * as a check that any test runner can run. A store is tested with the backend that tells of its completions.
 *
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { DependencyLaws, Flows } from "@sluice/testing"
 * import { Effect } from "effect"
 *
 * const subject = DependencyLaws.subject("in memory", Effect.sync(() => Flows.memory()))
 *
 * describe(subject.name, () => {
 *   for (const law of DependencyLaws.laws) it.effect(law.name, () => law.check(subject))
 * })
 * ```
 *
 * See `CompletionLaws` for the backend by itself. What a store still has after a crash is beyond these laws.
 */
import { Effect, type Scope } from "effect"
import { type Flows, memory } from "./Flows.ts"
import { finding } from "./internal/dependencyLaws/finding.ts"
import type { Law, LawBroken, Promises, Subject } from "./internal/dependencyLaws/law.ts"
import { promoting } from "./internal/dependencyLaws/promoting.ts"
import { programs } from "./internal/dependencyLaws/programs.ts"
import { racing } from "./internal/dependencyLaws/racing.ts"
import { verbs } from "./internal/dependencyLaws/verbs.ts"
import type { Timing } from "./internal/law.ts"

export type { Timing }
export { type Law, LawBroken, type Promises, type Subject } from "./internal/dependencyLaws/law.ts"

/** All laws; names are unique. They bind every store. */
export const laws: ReadonlyArray<Law> = [...promoting, ...verbs, ...finding, ...racing, programs([1, 2, 3, 4])]

/** A store with its backend, as the laws take it. What it needs and how it fails is for `make` to settle. */
export const subject = (
  name: string,
  make: Effect.Effect<Flows, never, Scope.Scope>,
  more?: Timing & Partial<Promises>
): Subject => {
  const { executions = 10_000, ...rest } = more ?? {}
  return { name, promises: { executions }, make, ...rest }
}

/** The stores of this package. */
export const ours: ReadonlyArray<Subject> = [subject("Flows.memory", Effect.sync(() => memory()))]

/**
 * Checks every law over a subject, and fails with the first one broken. Without a test runner:
 *
 * ```ts
 * Effect.runPromise(DependencyLaws.checkAll(subject))
 * ```
 */
export const checkAll = (subject: Subject): Effect.Effect<void, LawBroken> =>
  Effect.forEach(laws, (law) => law.check(subject), { discard: true })

/**
 * The last of the laws for one seed of your own. A graph of up to 500 executions with all kinds of groups is worked on,
 * replayed, cancelled and added to, under `Completion.listener` and `Completion.reconciler`, while notifications are dropped,
 * repeated, reordered and forged, up to all of them, calls of the store fail before or after they took effect, and the
 * topology restarts. After each step all states, promotions and completions are those of a model that goes in turn.
 */
export const checkProgram = (subject: Subject, seed: number): Effect.Effect<void, LawBroken> =>
  programs([seed]).check(subject)
