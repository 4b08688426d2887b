/** Laws on promotion: once, by the current attempt, and as the groups of edges say. */
import type { Completion } from "@sluice/core"
import { Effect } from "effect"
import { same, valueOf } from "../trial.ts"
import { type Law, law } from "./law.ts"
import {
  boastful,
  credulous,
  deafTo,
  forgetful,
  forgetsPast,
  mistaking,
  selective,
  shortSighted,
  strict
} from "./sabotage.ts"
import {
  add,
  allOf,
  are,
  type End,
  end,
  group,
  open,
  promote,
  promotes,
  replay,
  settleAll,
  sorted,
  stateOf,
  tells
} from "./steps.ts"

const once = law("what waited is ready once its upstream's end is promoted, and repeating it changes nothing", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    yield* add(store, "a")
    for (const name of ["b", "c"]) yield* add(store, name, allOf("a"))
    yield* end(store, "a")
    yield* are(store, { a: "succeeded/1", b: "blocked/1", c: "blocked/1" })
    yield* promotes(store, "a", ["b", "c"])
    for (let time = 0; time < 3; time++) {
      yield* are(store, { a: "succeeded/1", b: "ready/1", c: "ready/1" })
      yield* promotes(store, "a")
    }
    yield* end(store, "b")
    yield* promotes(store, "a")
    yield* are(store, { b: "succeeded/1", c: "ready/1" })
  }),
  broken: forgetful
})

const together = law("promoted by several at once, each execution is in one answer", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    for (const name of ["good", "bad"]) yield* add(store, name)
    const names = Array.from({ length: 10 }, (_, index) => `${index}`)
    for (const name of names) {
      yield* add(store, `p${name}`, allOf("good"))
      yield* add(store, `s${name}`, allOf("bad"))
    }
    yield* end(store, "good")
    yield* end(store, "bad", "failed")
    const promoting = Array.from({ length: 20 }, (_, index) => Effect.orDie(store.promote(index % 2 ? "good" : "bad")))
    const all = yield* valueOf("promote by twenty", Effect.all(promoting, { concurrency: "unbounded" }))
    yield* same(
      "all answers together",
      sorted({ promoted: all.flatMap(({ promoted }) => promoted), skipped: all.flatMap(({ skipped }) => skipped) }),
      { promoted: names.map((name) => `p${name}`), skipped: names.map((name) => `s${name}`) }
    )
    yield* tells(told, ["good/1 succeeded", "bad/1 failed", ...names.map((name) => `s${name}/1 skipped`)])
  }),
  broken: forgetful
})

const terminal = law("nothing is promoted by what has not ended, or is not there", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    yield* add(store, "b", allOf("a"))
    yield* add(store, "c", allOf("b"))
    for (const name of ["a", "b", "c", "nobody"]) yield* promotes(store, name)
    yield* are(store, { a: "ready/1", b: "blocked/1", c: "blocked/1", nobody: "not there" })
    yield* tells(told, [])
  }),
  broken: credulous
})

const current = law("an attempt that was replayed promotes nothing until the new one has ended", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    yield* add(store, "a")
    yield* add(store, "b", allOf("a"))
    yield* end(store, "a")
    yield* replay(store, "a")
    yield* promotes(store, "a")
    yield* are(store, { a: "ready/2", b: "blocked/1" })
    yield* end(store, "a", "succeeded", 2)
    yield* promotes(store, "a", ["b"])
    yield* are(store, { a: "succeeded/2", b: "ready/1" })
  }),
  broken: credulous
})

/** How a group stands when so many of its upstreams have succeeded, and so many have ended otherwise. */
const standing = (policy: Completion.EdgePolicy, size: number, succeeded: number, failed: number) => {
  const needed = policy === "allOf" ? size : policy === "anyOf" ? 1 : policy.quorum
  return succeeded >= needed ? "ready/1" : size - failed < needed ? "skipped/1" : "blocked/1"
}
const policies = law(
  "a group is satisfied by all of its upstreams, one of them or a quorum, and skips once it cannot be",
  {
    check: Effect.fnUntraced(function*(subject) {
      const { store } = yield* open(subject)
      let cases = 0
      for (const size of [1, 2, 3]) {
        const quorums = Array.from({ length: size }, (_, index) => ({ quorum: index + 1 }))
        for (const policy of ["allOf", "anyOf", ...quorums] as const) {
          for (let fates = 0; fates < 2 ** size; fates++) {
            const prefix = `${JSON.stringify(policy)} of ${size}, case ${cases++}`
            const upstreams = Array.from({ length: size }, (_, index) => `${prefix}, upstream ${index}`)
            for (const upstream of upstreams) yield* add(store, upstream)
            yield* add(store, prefix, group(policy, ...upstreams))
            const counts = { succeeded: 0, failed: 0 }
            let before = "blocked/1"
            for (const [index, upstream] of upstreams.entries()) {
              const outcome = fates & 1 << index ? "succeeded" : "failed"
              counts[outcome]++
              yield* end(store, upstream, outcome)
              const after = before === "blocked/1" ? standing(policy, size, counts.succeeded, counts.failed) : before
              const { promoted, skipped } = yield* promote(store, upstream)
              yield* same(`what promote says of ${prefix} after ${render(counts)}`, [promoted, skipped], [
                after !== before && after === "ready/1" ? [prefix] : [],
                after !== before && after === "skipped/1" ? [prefix] : []
              ])
              yield* same(`the state of ${prefix} after ${render(counts)}`, yield* stateOf(store, prefix), after)
              before = after
            }
          }
        }
      }
    }),
    broken: strict
  }
)
const render = ({ failed, succeeded }: { readonly succeeded: number; readonly failed: number }) =>
  `${succeeded} succeeded and ${failed} failed`

const ends = ["succeeded", "failed", "cancelled", "expired"] as const
const success = law("only an upstream that succeeded satisfies an edge", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    for (const outcome of ends) {
      yield* add(store, outcome)
      for (const policy of ["allOf", "anyOf", { quorum: 1 }] as const) {
        yield* add(store, `${outcome} ${JSON.stringify(policy)}`, group(policy, outcome))
      }
      yield* end(store, outcome, outcome)
      const { promoted, skipped } = yield* promote(store, outcome)
      yield* same(
        `how many ${outcome} promotes and skips`,
        [promoted.length, skipped.length],
        outcome === "succeeded"
          ? [3, 0]
          : [0, 3]
      )
    }
    yield* add(store, "after a skip", group("anyOf", `failed "allOf"`))
    yield* are(store, { "after a skip": "skipped/1" })
    yield* tells(told, [
      ...ends.map((outcome) => `${outcome}/1 ${outcome}`),
      ...ends.filter((outcome) => outcome !== "succeeded").flatMap((outcome) =>
        ["allOf", "anyOf", { quorum: 1 }].map((policy) => `${outcome} ${JSON.stringify(policy)}/1 skipped`)
      ),
      "after a skip/1 skipped"
    ])
  }),
  broken: mistaking("expired")
})

const groups = law("an execution is ready once all of its groups are satisfied, and skipped once one cannot be", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    for (const name of ["a", "b", "c", "d"]) yield* add(store, name)
    yield* add(store, "both", group("anyOf", "a", "b"), allOf("b", "c"))
    yield* add(store, "cannot", group("anyOf", "a", "b"), allOf("d"))
    yield* end(store, "a")
    yield* promotes(store, "a")
    yield* end(store, "c")
    yield* promotes(store, "c")
    yield* are(store, { both: "blocked/1", cannot: "blocked/1" })
    yield* end(store, "d", "cancelled")
    yield* promotes(store, "d", [], ["cannot"])
    yield* end(store, "b")
    yield* promotes(store, "b", ["both"])
    yield* are(store, { both: "ready/1", cannot: "skipped/1" })
  }),
  broken: selective((_, index) => index === 0)
})

const empty = law("without groups it is ready at once; an empty group is satisfied by allOf, and by nothing else", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* same("the state of none", (yield* add(store, "none")).state, "ready")
    yield* same("the state of allOf nothing", (yield* add(store, "all", allOf())).state, "ready")
    yield* same("the state of anyOf nothing", (yield* add(store, "any", group("anyOf"))).state, "skipped")
    yield* same("the state of a quorum of nothing", (yield* add(store, "one", group({ quorum: 1 }))).state, "skipped")
    yield* are(store, { none: "ready/1", all: "ready/1", any: "skipped/1", one: "skipped/1" })
    yield* tells(told, ["any/1 skipped", "one/1 skipped"])
  }),
  broken: selective(({ upstreams }) => upstreams.length > 0)
})

const late = law("what is added after its upstreams have ended is judged at once", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    for (const name of ["good", "bad", "open"]) yield* add(store, name)
    yield* end(store, "good")
    yield* end(store, "bad", "expired")
    yield* add(store, "ready", allOf("good"))
    yield* add(store, "any", group("anyOf", "bad", "good", "open"))
    yield* add(store, "skipped", allOf("good", "bad", "open"))
    yield* add(store, "blocked", allOf("good", "open"))
    const states = { ready: "ready/1", any: "ready/1", skipped: "skipped/1", blocked: "blocked/1" }
    yield* are(store, states)
    yield* promotes(store, "good")
    yield* promotes(store, "bad")
    yield* are(store, states)
    yield* end(store, "open")
    yield* promotes(store, "open", ["blocked"])
    yield* tells(told, ["good/1 succeeded", "bad/1 expired", "skipped/1 skipped", "open/1 succeeded"])
  }),
  broken: forgetsPast
})

const completions = law("a skip is a completion of its own, and a promotion is none", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    yield* add(store, "b", allOf("a"))
    yield* add(store, "c", group("anyOf", "a"))
    yield* end(store, "a", "failed")
    yield* promotes(store, "a", [], ["b", "c"])
    yield* tells(told, ["a/1 failed", "b/1 skipped", "c/1 skipped"])
    yield* add(store, "d")
    yield* add(store, "e", allOf("d"))
    yield* end(store, "d")
    yield* promotes(store, "d", ["e"])
    yield* tells(told, ["a/1 failed", "b/1 skipped", "c/1 skipped", "d/1 succeeded"])
  }),
  broken: deafTo("skipped")
})

const cascade = law("a skip goes down a chain of any length, each of it once, and a promotion goes one step", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    const length = subject.promises.executions
    const names = Array.from({ length }, (_, index) => `e${index}`)
    for (const chain of ["skipped ", "promoted "]) {
      let before: string | undefined
      for (const name of names) {
        const groups = before === undefined ? [] : [allOf(before)]
        yield* Effect.orDie(store.add({ executionId: chain + name, groups }))
        before = chain + name
      }
    }
    yield* end(store, "promoted e0")
    yield* end(store, "skipped e0", "failed")
    const settled = yield* settleAll(store)
    yield* same("what was promoted", settled.promoted, length > 1 ? ["promoted e1"] : [])
    yield* same("how many were skipped", settled.skipped.length, length - 1)
    yield* same("how many different ones", new Set(settled.skipped).size, length - 1)
    yield* are(store, { [`skipped e${length - 1}`]: length > 1 ? "skipped/1" : "failed/1" })
    yield* same("how many were promoted down the chain", yield* stateOf(store, `promoted e${length - 1}`), "blocked/1")
  }),
  broken: shortSighted
})

const atomic = law("of many ends of an attempt one counts, and its completion is the only one", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    const expected: Array<string> = []
    for (let round = 0; round < 10; round++) {
      const executionId = `e${round}`
      yield* add(store, executionId)
      const endings = Array.from({ length: 8 }, (_, index): Effect.Effect<readonly [End, boolean]> => {
        const outcome = ends[(index + round) % ends.length]!
        return Effect.map(
          Effect.orDie(store.complete({ executionId, attempt: 1, outcome })),
          (ended) => [outcome, ended] as const
        )
      })
      const all = yield* valueOf("complete by eight", Effect.all(endings, { concurrency: "unbounded" }))
      const counted = all.filter(([, ended]) => ended)
      yield* same(`how many ends of ${executionId} count`, counted.length, 1)
      yield* are(store, { [executionId]: `${counted[0]![0]}/1` })
      expected.push(`${executionId}/1 ${counted[0]![0]}`)
    }
    yield* tells(told, expected)
  }),
  broken: boastful
})

export const promoting: ReadonlyArray<Law> = [
  once,
  together,
  terminal,
  current,
  policies,
  success,
  groups,
  empty,
  late,
  completions,
  cascade,
  atomic
]
