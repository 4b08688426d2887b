/** Laws on what adds, ends, replays and reads executions. */
import { Completion } from "@sluice/core"
import { Clock, Effect, Exit, Option, type Scope } from "effect"
import { answers, Mismatch, same, valueOf } from "../trial.ts"
import { type Law, law } from "./law.ts"
import {
  anonymous,
  backwards,
  boastful,
  hasty,
  heedless,
  looking,
  misnaming,
  obliging,
  overfull,
  recounting,
  selective,
  sweeping,
  unmoved,
  wandering
} from "./sabotage.ts"
import { add, allOf, are, end, group, open, promotes, refuses, replay, settleAll, tells } from "./steps.ts"

const identity = law("an execution is as it was added", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    const given = { executionId: "a", flowId: "flow", namespace: "plant", tags: { line: "4", unit: "oven" } }
    const found = { ...given, attempt: 1, state: "ready" as const }
    const shown = (execution: Completion.Execution) => ({
      ...found,
      ...execution,
      tags: Object.entries(execution.tags).toSorted()
    })
    yield* same("what add answers", shown(yield* valueOf("add", store.add(given))), shown(found))
    yield* same("what get answers", Option.map(yield* valueOf("get", store.get("a")), shown), Option.some(shown(found)))
    const bare = { ...found, executionId: "b", flowId: null, namespace: "", tags: {} }
    yield* same("what add answers", shown(yield* valueOf("add", store.add({ executionId: "b" }))), shown(bare))
    yield* same("what get answers", Option.map(yield* valueOf("get", store.get("b")), shown), Option.some(shown(bare)))
    yield* answers("get of nobody", store.get("nobody"), Exit.succeed(Option.none()))
  }),
  broken: anonymous
})

const adding = law("add refuses what is there, upstreams that are not, and groups that make no sense", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    yield* refuses("add of what is there", store.add({ executionId: "a", groups: [group("anyOf")] }), "duplicate")
    const tryAdd = (
      what: string,
      reason: Completion.FlowError["reason"],
      ...groups: ReadonlyArray<Completion.EdgeGroup>
    ) => refuses(`add with ${what}`, store.add({ executionId: "b", groups }), reason)
    yield* tryAdd("an upstream that is not there", "unknown", allOf("a", "nobody"))
    yield* tryAdd("itself as an upstream", "unknown", allOf("b"))
    yield* tryAdd("an upstream twice", "invalid", allOf("a", "a"))
    for (const quorum of [0, -1, 1.5, NaN]) yield* tryAdd(`a quorum of ${quorum}`, "invalid", group({ quorum }, "a"))
    yield* are(store, { a: "ready/1", b: "not there" })
    yield* add(store, "b", allOf("a"), group("anyOf", "a"))
    yield* are(store, { b: "blocked/1" })
    yield* tells(told, [])
  }),
  broken: obliging("invalid")
})

const edges = law("an edge that is added is waited for, and settled at once where its upstream has ended", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    for (const name of ["good", "bad", "open", "more"]) yield* add(store, name)
    yield* end(store, "good")
    yield* end(store, "bad", "failed")
    for (const name of ["ready", "skipped", "waits"]) yield* add(store, name, group("anyOf", "open"), allOf("open"))
    yield* add(store, "any", group("anyOf", "open"))
    const addEdge = (executionId: string, upstream: string, group: number) =>
      Effect.map(valueOf("addEdge", store.addEdge({ executionId, upstream, group })), ({ state }) => state)
    yield* same("after an edge from a success", yield* addEdge("any", "good", 0), "ready")
    yield* same("after an edge from a failure", yield* addEdge("skipped", "bad", 1), "skipped")
    yield* same("after an edge to wait for", yield* addEdge("waits", "more", 1), "blocked")
    yield* same("after an edge to a group that has enough", yield* addEdge("ready", "good", 0), "blocked")
    yield* are(store, { any: "ready/1", skipped: "skipped/1", waits: "blocked/1", ready: "blocked/1" })
    yield* end(store, "open")
    yield* promotes(store, "open", ["ready"])
    yield* end(store, "more")
    yield* promotes(store, "more", ["waits"])
    yield* tells(told, [
      "good/1 succeeded",
      "bad/1 failed",
      "skipped/1 skipped",
      "open/1 succeeded",
      "more/1 succeeded"
    ])
  }),
  broken: looking("addEdge")
})

const counted = law("an edge from what has failed counts once, whether that is promoted before it is added or after", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "open")
    for (const name of ["before", "after"]) {
      yield* add(store, name)
      yield* add(store, `skipped ${name}`, allOf(name))
      yield* add(store, `waits ${name}`, group("anyOf", "open"))
      yield* end(store, name, "failed")
    }
    yield* promotes(store, "before", [], ["skipped before"])
    for (const name of ["before", "after"]) {
      const edge = store.addEdge({ executionId: `waits ${name}`, upstream: name, group: 0 })
      yield* same(`what waits ${name}`, (yield* valueOf("addEdge", edge)).state, "blocked")
    }
    yield* promotes(store, "after", [], ["skipped after"])
    for (let time = 0; time < 2; time++) for (const name of ["before", "after"]) yield* promotes(store, name)
    yield* are(store, { "waits before": "blocked/1", "waits after": "blocked/1" })
    // Taken back by a replay it counts no more, and then once again.
    for (const name of ["before", "after"]) {
      yield* replay(store, name)
      yield* end(store, name, "expired", 2)
      for (let time = 0; time < 2; time++) yield* promotes(store, name)
    }
    yield* are(store, { "waits before": "blocked/1", "waits after": "blocked/1" })
    yield* end(store, "open")
    yield* promotes(store, "open", ["waits before", "waits after"])
    yield* tells(told, [
      ...["before", "after"].flatMap((name) => [`${name}/1 failed`, `skipped ${name}/1 skipped`, `${name}/2 expired`]),
      "open/1 succeeded"
    ])
  }),
  broken: recounting
})

const cycles = law("an edge that would close a cycle is refused, as is one from or to what cannot have it", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    yield* add(store, "root")
    yield* add(store, "e0", group("anyOf", "root"))
    for (let index = 1; index < 50; index++) yield* add(store, `e${index}`, allOf(`e${index - 1}`))
    const refusesEdge = (
      executionId: string,
      upstream: string,
      reason: Completion.FlowError["reason"],
      index = 0
    ) =>
      refuses(
        `addEdge(${executionId}, ${upstream}, ${index})`,
        store.addEdge({ executionId, upstream, group: index }),
        reason
      )
    for (const upstream of ["e0", "e1", "e49"]) yield* refusesEdge("e0", upstream, "cycle")
    yield* refusesEdge("e20", "e21", "cycle")
    yield* refusesEdge("e5", "e4", "invalid")
    yield* refusesEdge("e5", "root", "invalid", 1)
    yield* refusesEdge("e5", "root", "invalid", -1)
    yield* refusesEdge("root", "e5", "notBlocked")
    yield* refusesEdge("nobody", "root", "unknown")
    yield* refusesEdge("e5", "nobody", "unknown")
    yield* end(store, "root")
    yield* promotes(store, "root", ["e0"])
    yield* end(store, "e0")
    yield* promotes(store, "e0", ["e1"])
  }),
  broken: obliging("cycle")
})

/** Milliseconds: far more than an edge takes, and far less than 2^40 ways do. */
const edgeWithin = 1000
const layers = 40
const lattice = law("an edge is judged in time, however many ways lead up and down from it", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    // Not the check's clock, by which nothing takes time.
    const clock = Clock.Clock.defaultValue()
    /** One of two, since a busy machine may be late with the first. */
    const inTime = Effect.fnUntraced(function*(
      what: string,
      ...edges: ReadonlyArray<Effect.Effect<void, Mismatch, Scope.Scope>>
    ) {
      const times: Array<number> = []
      for (const edge of edges) {
        const began = clock.currentTimeMillisUnsafe()
        yield* edge
        times.push(clock.currentTimeMillisUnsafe() - began)
        if (times.at(-1)! <= edgeWithin) return
      }
      return yield* new Mismatch({ expected: `${what} within ${edgeWithin} ms`, seen: `${times.join(" and ")} ms` })
    })
    const adds = (executionId: string, upstream: string, index = 0) =>
      Effect.flatMap(
        valueOf("addEdge", store.addEdge({ executionId, upstream, group: index })),
        ({ state }) => same(`${executionId} with an edge from ${upstream}`, state, "blocked")
      )
    const closes = (executionId: string, upstream: string) =>
      refuses(`addEdge(${executionId}, ${upstream})`, store.addEdge({ executionId, upstream, group: 0 }), "cycle")
    for (const name of ["never", "other"]) yield* add(store, name)
    const groups = Array.from({ length: layers }, () => allOf("never"))
    for (const name of ["left 0", "right 0", "apart"]) yield* add(store, name, ...groups)
    // Twice as many ways with each layer: what follows all of them is late long before it would take for ever.
    for (let layer = 1; layer < layers; layer++) {
      const [left, right] = [`left ${layer}`, `right ${layer}`]
      for (const name of [left, right]) yield* add(store, name, allOf(`left ${layer - 1}`, `right ${layer - 1}`))
      yield* inTime(`an edge below ${layer} layers`, adds("apart", left), adds("apart", right))
      yield* inTime(
        `an edge above ${layer} layers`,
        adds("left 0", "other", layer),
        adds("right 0", "other", layer)
      )
      yield* inTime(`a cycle of ${layer} layers`, closes("left 0", right), closes("right 0", left))
    }
  }),
  broken: wandering
})

const naming = law("a refusal names the execution that its verb was called for", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    yield* add(store, "a")
    yield* add(store, "b", allOf("a"))
    const verbs: ReadonlyArray<Effect.Effect<unknown, Completion.FlowError | Completion.StoreError>> = [
      store.add({ executionId: "mine", groups: [allOf("nobody")] }),
      store.addEdge({ executionId: "b", upstream: "nobody", group: 0 }),
      store.complete({ executionId: "a", attempt: 2, outcome: "failed" }),
      store.replay("b")
    ]
    const seen = yield* Effect.forEach(verbs, (verb) =>
      Effect.match(verb, {
        onFailure: (error) => error instanceof Completion.FlowError ? error.executionId : error._tag,
        onSuccess: () => "nobody"
      }))
    yield* same("who is named", seen, ["mine", "b", "a", "b"])
  }),
  broken: misnaming
})

const attempts = law("complete ends the current attempt once; a stale one is refused and changes nothing", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    const complete = (attempt: number) => store.complete({ executionId: "a", attempt, outcome: "failed" })
    yield* refuses("complete of nobody", store.complete({ executionId: "x", attempt: 1, outcome: "failed" }), "unknown")
    for (const attempt of [0, 2]) yield* refuses(`complete of attempt ${attempt}`, complete(attempt), "stale")
    yield* are(store, { a: "ready/1" })
    yield* end(store, "a")
    yield* replay(store, "a")
    for (const attempt of [1, 3]) yield* refuses(`complete of attempt ${attempt}`, complete(attempt), "stale")
    yield* are(store, { a: "ready/2" })
    yield* tells(told, ["a/1 succeeded"])
  }),
  broken: hasty
})

const again = law("complete of what has ended answers false, and leaves its outcome", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    yield* end(store, "a", "cancelled")
    for (const outcome of ["cancelled", "succeeded", "failed"] as const) {
      yield* answers(
        `complete as ${outcome}`,
        store.complete({ executionId: "a", attempt: 1, outcome }),
        Exit.succeed(false)
      )
    }
    yield* add(store, "b", allOf("a"))
    yield* answers(
      "complete of a skip",
      store.complete({ executionId: "b", attempt: 1, outcome: "failed" }),
      Exit.succeed(false)
    )
    yield* are(store, { a: "cancelled/1", b: "skipped/1" })
    yield* tells(told, ["a/1 cancelled", "b/1 skipped"])
  }),
  broken: boastful
})

const cancelling = law("what is blocked can be ended, and no promotion changes it then", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    yield* add(store, "b", allOf("a"))
    yield* add(store, "c", allOf("b"))
    yield* end(store, "b", "cancelled")
    yield* promotes(store, "b", [], ["c"])
    yield* end(store, "a")
    yield* promotes(store, "a")
    yield* are(store, { b: "cancelled/1", c: "skipped/1" })
    yield* tells(told, ["b/1 cancelled", "c/1 skipped", "a/1 succeeded"])
  }),
  broken: selective(() => false)
})

const replaying = law("a replay is judged by how its upstreams are now, under the next attempt", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    yield* add(store, "a")
    yield* add(store, "b", allOf("a"))
    for (const name of ["a", "b"]) yield* refuses("replay of what has not ended", store.replay(name), "notTerminal")
    yield* refuses("replay of nobody", store.replay("nobody"), "unknown")
    yield* end(store, "a", "failed")
    yield* promotes(store, "a", [], ["b"])
    const replays = (name: string) => Effect.map(replay(store, name), ({ attempt, state }) => `${state}/${attempt}`)
    yield* same("b, whose upstream has failed", yield* replays("b"), "skipped/2")
    yield* same("a, which waits for nothing", yield* replays("a"), "ready/2")
    yield* same("b, whose upstream is at work", yield* replays("b"), "blocked/3")
    yield* end(store, "a", "succeeded", 2)
    yield* promotes(store, "a", ["b"])
    yield* end(store, "b", "failed", 3)
    yield* same("b, whose upstream has succeeded", yield* replays("b"), "ready/4")
    yield* are(store, { a: "succeeded/2", b: "ready/4" })
    yield* tells(told, ["a/1 failed", "b/1 skipped", "b/2 skipped", "a/2 succeeded", "b/3 failed"])
  }),
  broken: looking("replay")
})

const replayedBelow = law("a replay waits for all of its upstreams, also for one that is blocked itself", {
  check: Effect.fnUntraced(function*(subject) {
    const { store, told } = yield* open(subject)
    for (const name of ["root", "other"]) yield* add(store, name)
    yield* add(store, "above", allOf("root"))
    yield* add(store, "both", allOf("above", "other"))
    yield* add(store, "either", group("anyOf", "above"), allOf())
    for (const name of ["both", "either"]) {
      yield* end(store, name, "cancelled")
      yield* replay(store, name)
    }
    yield* are(store, { above: "blocked/1", both: "blocked/2", either: "blocked/2" })
    yield* end(store, "other")
    yield* promotes(store, "other")
    yield* end(store, "root")
    yield* promotes(store, "root", ["above"])
    yield* are(store, { above: "ready/1", both: "blocked/2", either: "blocked/2" })
    yield* end(store, "above")
    yield* promotes(store, "above", ["both", "either"])
    yield* are(store, { both: "ready/2", either: "ready/2" })
    // Blocked anew, since it is replayed as well: what its first attempt has settled is settled no more.
    yield* end(store, "both", "succeeded", 2)
    for (const name of ["root", "above", "both"]) yield* replay(store, name)
    yield* are(store, { root: "ready/2", above: "blocked/2", both: "blocked/3", either: "ready/2" })
    yield* end(store, "root", "failed", 2)
    yield* same("what a walk settles", yield* settleAll(store), { promoted: [], skipped: ["above", "both"] })
    yield* are(store, { above: "skipped/2", both: "skipped/3", either: "ready/2" })
    yield* tells(told, [
      "both/1 cancelled",
      "either/1 cancelled",
      "other/1 succeeded",
      "root/1 succeeded",
      "above/1 succeeded",
      "both/2 succeeded",
      "root/2 failed",
      "above/2 skipped",
      "both/3 skipped"
    ])
  }),
  broken: heedless
})

const waiting = law("what is still blocked waits for the new attempt of what is replayed", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    for (const name of ["a", "b"]) yield* add(store, name)
    yield* add(store, "both", allOf("a", "b"))
    yield* end(store, "a")
    yield* promotes(store, "a")
    yield* replay(store, "a")
    yield* end(store, "b")
    yield* promotes(store, "b")
    yield* are(store, { a: "ready/2", both: "blocked/1" })
    yield* end(store, "a", "failed", 2)
    yield* promotes(store, "a", [], ["both"])
  }),
  broken: unmoved
})

const staying = law("what was promoted or has ended stays as it is when its upstream is replayed", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    yield* add(store, "a")
    for (const name of ["ready", "ended"]) yield* add(store, name, allOf("a"))
    yield* end(store, "a")
    yield* promotes(store, "a", ["ready", "ended"])
    yield* end(store, "ended", "expired")
    yield* replay(store, "a")
    yield* are(store, { ready: "ready/1", ended: "expired/1" })
    yield* end(store, "a", "failed", 2)
    yield* promotes(store, "a")
    yield* are(store, { a: "failed/2", ready: "ready/1", ended: "expired/1" })
  }),
  broken: sweeping
})

/** All of a state, page by page. */
const listed = Effect.fnUntraced(function*(
  store: Completion.FlowStore,
  state: Completion.Execution["state"],
  limit: number,
  flowId?: string
) {
  const found: Array<string> = []
  let after = Option.none<string>()
  do {
    const of = flowId === undefined ? {} : { flowId }
    const page = yield* valueOf("list", store.list({ state, after, limit, ...of }))
    yield* same("whether the page is within its limit", page.executions.length <= limit, true)
    found.push(...page.executions.map(({ executionId }) => executionId))
    after = page.next
  } while (Option.isSome(after) && found.length < 1000)
  return found
})
const listing = law("a list has what is in a state, in the order in which it came to it, page by page", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    const names = Array.from({ length: 12 }, (_, index) => `e${index}`)
    for (const [index, executionId] of names.entries()) {
      yield* valueOf("add", store.add({ executionId, flowId: `flow ${index % 2}` }))
    }
    for (const limit of [1, 5, 12, 100]) yield* same(`ready by ${limit}`, yield* listed(store, "ready", limit), names)
    const ended = ["e7", "e2", "e9", "e4"]
    for (const name of ended) yield* end(store, name, "failed")
    for (const limit of [1, 3, 4]) yield* same(`failed by ${limit}`, yield* listed(store, "failed", limit), ended)
    const rest = names.filter((name) => !ended.includes(name))
    yield* same("ready", yield* listed(store, "ready", 3), rest)
    yield* replay(store, "e2")
    yield* same("ready after a replay", yield* listed(store, "ready", 3), [...rest, "e2"])
    yield* same("of a flow", yield* listed(store, "failed", 1, "flow 1"), ["e7", "e9"])
    yield* same("of no flow", yield* listed(store, "failed", 1, "flow 2"), [])
    yield* same("of no state", yield* listed(store, "blocked", 1), [])
  }),
  broken: backwards
})
const limits = law("no page has more than its limit", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    for (let index = 0; index < 5; index++) {
      yield* add(store, `a${index}`)
      yield* add(store, `b${index}`, allOf(`a${index}`))
    }
    for (let index = 0; index < 5; index++) yield* end(store, `a${index}`)
    for (const limit of [1, 2, 4]) {
      const page = { after: Option.none(), limit }
      const { executions } = yield* valueOf("list", store.list({ ...page, state: "blocked" }))
      yield* same(`how many a list of ${limit} has`, executions.length, limit)
      const unsettled = yield* valueOf("unsettled", store.unsettled(page))
      yield* same(`whether unsettled by ${limit} has no more`, unsettled.executions.length <= limit, true)
    }
  }),
  broken: overfull
})

export const verbs: ReadonlyArray<Law> = [
  identity,
  adding,
  edges,
  counted,
  cycles,
  lattice,
  naming,
  attempts,
  again,
  cancelling,
  replaying,
  replayedBelow,
  waiting,
  staying,
  listing,
  limits
]
