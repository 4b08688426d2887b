/** The steps that the checks of stores have in common. */
import { Completion } from "@sluice/core"
import { Effect, Exit, Option, Result, type Scope } from "effect"
import { attemptsOf, hears, listen, payloadsOf, type Subscriber } from "../completionLaws/steps.ts"
import { Mismatch, outcome, render, same, valueOf } from "../trial.ts"
import type { Subject } from "./law.ts"

type Store = Completion.FlowStore
export type End = Exclude<Completion.Outcome, "skipped">

/** A new store, and a subscriber that hears of all its completions. */
export const open = Effect.fnUntraced(function*(subject: Subject) {
  const { backend, store } = yield* subject.make
  return { store, backend, told: yield* listen(backend) }
})

export const add = (store: Store, executionId: string, ...groups: ReadonlyArray<Completion.EdgeGroup>) =>
  valueOf(`add("${executionId}")`, store.add({ executionId, groups }))
export const group = (policy: Completion.EdgePolicy, ...upstreams: ReadonlyArray<string>): Completion.EdgeGroup => ({
  policy,
  upstreams
})
export const allOf = (...upstreams: ReadonlyArray<string>) => group("allOf", ...upstreams)

/** Ends an attempt, which has to be what does it. */
export const end = (store: Store, executionId: string, outcome: End = "succeeded", attempt = 1) =>
  Effect.flatMap(
    valueOf(`complete("${executionId}")`, store.complete({ executionId, attempt, outcome })),
    (ended) => same(`whether complete("${executionId}", ${attempt}) has ended it`, ended, true)
  )
export const replay = (store: Store, executionId: string) =>
  valueOf(`replay("${executionId}")`, store.replay(executionId))

/** Each list without regard to its order. */
export const sorted = ({ promoted, skipped }: Completion.Promotion): Completion.Promotion => ({
  promoted: promoted.toSorted(),
  skipped: skipped.toSorted()
})
export const promote = (store: Store, executionId: string) =>
  Effect.map(valueOf(`promote("${executionId}")`, store.promote(executionId)), sorted)
export const promotes = (
  store: Store,
  executionId: string,
  promoted: ReadonlyArray<string> = [],
  skipped: ReadonlyArray<string> = []
) =>
  Effect.flatMap(
    promote(store, executionId),
    (seen) => same(`the answer to promote("${executionId}")`, seen, sorted({ promoted, skipped }))
  )

/** The state and the attempt, or that it is not there. */
export const stateOf = (store: Store, executionId: string) =>
  Effect.map(
    valueOf(`get("${executionId}")`, store.get(executionId)),
    Option.match({ onNone: () => "not there", onSome: ({ attempt, state }) => `${state}/${attempt}` })
  )
/** `are(store, { a: "ready/1" })` */
export const are = Effect.fnUntraced(function*(store: Store, expected: { readonly [executionId: string]: string }) {
  const seen: { [executionId: string]: string } = {}
  for (const executionId of Object.keys(expected)) seen[executionId] = yield* stateOf(store, executionId)
  yield* same("states", seen, expected)
})

/** It is refused for this reason. */
export const refuses = Effect.fnUntraced(function*<A>(
  what: string,
  verb: Effect.Effect<A, Completion.FlowError | Completion.StoreError>,
  reason: Completion.FlowError["reason"]
) {
  const exit = yield* outcome(what, Effect.result(verb))
  const seen = Exit.isSuccess(exit) && Result.isFailure(exit.value)
    ? exit.value.failure
    : exit
  const refused = seen instanceof Completion.FlowError ? seen.reason : render(seen)
  yield* same(`the answer to ${what}`, refused, reason)
})

/** All that is unsettled, page by page. */
export const walk = Effect.fnUntraced(function*(
  store: Store,
  limit: number,
  each: (executionId: string) => Effect.Effect<unknown, Mismatch, Scope.Scope> = () => Effect.void
) {
  const walked: Array<string> = []
  let after = Option.none<string>()
  do {
    const page = yield* Effect.orDie(store.unsettled({ after, limit }))
    if (page.executions.length > limit) {
      return yield* new Mismatch({ expected: `a page of ${limit} at most`, seen: `${page.executions.length}` })
    }
    if (walked.length > 100_000) {
      return yield* new Mismatch({ expected: "a last page", seen: `${walked.length} executions` })
    }
    walked.push(...page.executions)
    for (const executionId of page.executions) yield* each(executionId)
    after = page.next
  } while (Option.isSome(after))
  return walked
})

/** Promotes what is unsettled until nothing changes any more, and answers with all that was promoted and skipped. */
export const settleAll = Effect.fnUntraced(function*(store: Store, limit = 100) {
  const promoted: Array<string> = []
  const skipped: Array<string> = []
  let before = -1
  while (promoted.length + skipped.length > before) {
    before = promoted.length + skipped.length
    yield* walk(store, limit, (executionId) =>
      Effect.map(Effect.orDie(store.promote(executionId)), (settled) => {
        promoted.push(...settled.promoted)
        skipped.push(...settled.skipped)
      }))
  }
  return { promoted, skipped }
})

/** Exactly these completions were told, in any order. */
export const tells = Effect.fnUntraced(function*(told: Subscriber, expected: ReadonlyArray<string>) {
  const inOrder = expected.toSorted()
  const outcomes = () =>
    payloadsOf(told).map(({ attempt, executionId, outcome }) => `${executionId}/${attempt} ${outcome}`)
  yield* Effect.ignore(hears("the subscriber", told, attemptsOf(told).concat(expected.slice(attemptsOf(told).length))))
  yield* same("the completions", outcomes().toSorted(), inOrder)
})
