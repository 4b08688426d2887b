/** Laws on verbs that meet: whichever comes first, nothing is missed and nothing is done twice. */
import { Effect } from "effect"
import { pass, same, valueOf } from "../trial.ts"
import { type Law, law } from "./law.ts"
import { acting, overlooking, skewed } from "./sabotage.ts"
import { add, allOf, are, end, group, open, settleAll, stateOf } from "./steps.ts"

/** Two effects at once, the one or the other some turns ahead. */
const meeting = <E1, E2>(lead: number, one: Effect.Effect<unknown, E1>, other: Effect.Effect<unknown, E2>) =>
  valueOf(
    "both",
    Effect.all([
      Effect.andThen(pass(Math.max(0, -lead)), Effect.orDie(one)),
      Effect.andThen(pass(Math.max(0, lead)), Effect.orDie(other))
    ], { concurrency: "unbounded" })
  )
const leads = Array.from({ length: 13 }, (_, index) => index - 6)

const replayed = law("a promotion that meets a replay is of the old attempt or waits for the new one", {
  check: Effect.fnUntraced(function*(subject) {
    for (const lead of leads) {
      const { store } = yield* open(subject)
      yield* add(store, "a")
      yield* add(store, "b", allOf("a"))
      yield* end(store, "a")
      yield* meeting(lead, store.promote("a"), store.replay("a"))
      yield* are(store, { a: "ready/2" })
      const state = yield* stateOf(store, "b")
      yield* same("whether what waits is ready or waits", ["ready/1", "blocked/1"].includes(state), true)
      yield* end(store, "a", "failed", 2)
      const settled = yield* settleAll(store)
      const isWaiting = state === "blocked/1"
      yield* same("what the new attempt settles", settled, { promoted: [], skipped: isWaiting ? ["b"] : [] })
    }
  }),
  broken: acting
})

const added = law("what is added, or gets an edge, while its upstream ends is not overlooked", {
  check: Effect.fnUntraced(function*(subject) {
    for (const lead of leads) {
      const { store } = yield* open(subject)
      for (const name of ["a", "b", "never"]) yield* add(store, name)
      yield* add(store, "waits", group("anyOf", "never"))
      const ending = (executionId: string) =>
        Effect.andThen(
          store.complete({ executionId, attempt: 1, outcome: "succeeded" }),
          store.promote(executionId)
        )
      yield* meeting(lead, store.add({ executionId: "added", groups: [allOf("a")] }), ending("a"))
      yield* meeting(lead, store.addEdge({ executionId: "waits", upstream: "b", group: 0 }), ending("b"))
      yield* settleAll(store)
      yield* are(store, { added: "ready/1", waits: "ready/1" })
    }
  }),
  broken: overlooking
})

const both = law("upstreams that end and are promoted at once promote once what waits for them all", {
  check: Effect.fnUntraced(function*(subject) {
    for (const size of [2, 3, 8]) {
      const { store } = yield* open(subject)
      const upstreams = Array.from({ length: size }, (_, index) => `e${index}`)
      for (const name of upstreams) yield* add(store, name)
      yield* add(store, "all", allOf(...upstreams))
      yield* add(store, "any", group("anyOf", ...upstreams))
      const ending = (executionId: string) =>
        Effect.andThen(store.complete({ executionId, attempt: 1, outcome: "succeeded" }), store.promote(executionId))
      const answers = yield* valueOf(
        "all ends",
        Effect.all(upstreams.map((name) => Effect.orDie(ending(name))), { concurrency: "unbounded" })
      )
      const later = yield* settleAll(store)
      const promoted = [...answers.flatMap(({ promoted }) => promoted), ...later.promoted]
      yield* same("what was promoted", promoted.toSorted(), ["all", "any"])
      yield* are(store, { all: "ready/1", any: "ready/1" })
    }
  }),
  broken: skewed
})

export const racing: ReadonlyArray<Law> = [replayed, added, both]
