/**
 * The laws of backends of completions: what every one tells of the work that has ended, each as a check that any test runner
 * can run. A backend says by flags what it promises beyond the core, and is held to all of that.
 *
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { CompletionLaws, Flows } from "@sluice/testing"
 *
 * const subject = CompletionLaws.subject("in memory", CompletionLaws.promises.memory, Flows.memory)
 *
 * describe(subject.name, () => {
 *   for (const law of CompletionLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
 * })
 * ```
 *
 * They hold while nothing fails between the store and the backend: what is lost on the way is a `Gap` at best, and nothing
 * that acts on completions may rely on them. See `DependencyLaws.checkProgram` for that.
 */
import type { Completion } from "@sluice/core"
import { Effect, Option, type Scope } from "effect"
import { type Flows, memory } from "./Flows.ts"
import { choosing } from "./internal/completionLaws/choosing.ts"
import { hearing } from "./internal/completionLaws/hearing.ts"
import type { BackendOptions, Ended, Law, LawBroken, Promises, Subject, Worked } from "./internal/completionLaws/law.ts"
import { reconnecting } from "./internal/completionLaws/reconnecting.ts"
import type { Timing } from "./internal/law.ts"

export type { Timing }
export {
  type BackendOptions,
  type Ended,
  type Law,
  LawBroken,
  type Promises,
  type Subject,
  type Worked
} from "./internal/completionLaws/law.ts"

/** All laws; names are unique. */
export const laws: ReadonlyArray<Law> = [...hearing, ...choosing, ...reconnecting]

/** What the backends promise beyond the core of the contract. */
export const promises = {
  memory: { resume: true, filters: true, buffer: true, history: true }
} satisfies { readonly [backend: string]: Promises }

type Made = Flows & Pick<Worked, "cut">

/** A backend with its store of executions as the laws take it. A backend without one has a `Subject` of its own. */
export const subject = (
  name: string,
  promises: Promises,
  make: (options: BackendOptions) => Made | Effect.Effect<Made, never, Scope.Scope>,
  more?: Timing
): Subject => ({
  name,
  promises,
  make: (options) =>
    Effect.map(
      Effect.suspend(() => {
        const made = make(options)
        return Effect.isEffect(made) ? made : Effect.succeed(made)
      }),
      ({ backend, store, ...more }) => ({ backend, end: (ended) => Effect.orDie(endIn(store, ended)), ...more })
    ),
  ...more
})

const endIn = Effect.fnUntraced(function*(store: Completion.FlowStore, ended: Ended) {
  const { attempt = 1, executionId, outcome = "succeeded", ...identity } = ended
  const found = yield* store.get(executionId)
  if (Option.isNone(found)) yield* store.add({ executionId, ...identity })
  else if (found.value.attempt < attempt) yield* store.replay(executionId)
  yield* store.complete({ executionId, attempt, outcome })
})

/** The backends of this package. */
export const ours: ReadonlyArray<Subject> = [subject("Flows.memory", promises.memory, memory)]

/** The laws that bind a subject, by what it promises. */
export const lawsOf = (subject: Subject): ReadonlyArray<Law> => laws.filter(({ applies }) => applies(subject.promises))

/**
 * Checks every law that binds a subject, and fails with the first one broken. Without a test runner:
 *
 * ```ts
 * Effect.runPromise(CompletionLaws.checkAll(subject))
 * ```
 */
export const checkAll = (subject: Subject): Effect.Effect<void, LawBroken> =>
  Effect.forEach(lawsOf(subject), (law) => law.check(subject), { discard: true })
