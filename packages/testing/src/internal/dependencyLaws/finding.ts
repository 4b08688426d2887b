/** Laws on what finds, later, whatever was missed: `unsettled`, in pages that nothing starves, and verbs that leave no half. */
import { Completion, Topology } from "@sluice/core"
import { Effect, Exit, Layer } from "effect"
import { attemptsOf, payloadsOf } from "../completionLaws/steps.ts"
import { everyInterrupt, Mismatch, pass, rest, same, settle, startStepwise, Turn } from "../trial.ts"
import { type Law, law } from "./law.ts"
import { backwards, blind, counting, discreet, dropping, halving, onePaged, waitless } from "./sabotage.ts"
import { add, allOf, are, end, open, promote, replay, settleAll, stateOf, walk } from "./steps.ts"

const upstreams = (count: number) => Array.from({ length: count }, (_, index) => `e${index}`)
/** So many executions that have ended, each with one that waits for it. */
const missed = Effect.fnUntraced(function*(store: Parameters<typeof add>[0], names: ReadonlyArray<string>) {
  for (const name of names) {
    yield* add(store, name)
    yield* add(store, `after ${name}`, allOf(name))
  }
  for (const name of names) yield* end(store, name)
})

const order = law("unsettled has what ended with edges to settle, each once, in the order of the ends", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    const names = upstreams(30).toSorted((a, b) => a.at(-1)!.localeCompare(b.at(-1)!))
    yield* missed(store, names)
    for (const limit of [1, 7, 30, 100]) {
      const walked = yield* walk(store, limit)
      yield* same(`unsettled by ${limit}`, walked.filter((name) => names.includes(name)), names)
      yield* same(`how many there are by ${limit}`, new Set(walked).size, walked.length)
    }
  }),
  broken: backwards
})

const moving = law("what is promoted while it is walked makes it pass over nothing", {
  check: Effect.fnUntraced(function*(subject) {
    for (const limit of [1, 3, 10]) {
      const { store } = yield* open(subject)
      yield* missed(store, upstreams(25))
      const promoted: Array<string> = []
      yield* walk(
        store,
        limit,
        (name) => Effect.map(Effect.orDie(store.promote(name)), (settled) => promoted.push(...settled.promoted))
      )
      yield* same(`what one walk by ${limit} promotes`, promoted, upstreams(25).map((name) => `after ${name}`))
    }
  }),
  broken: counting
})

const settled = law("a walk settles what was missed, and nothing of what was promoted or replayed", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    yield* missed(store, ["promoted", "replayed", "missed"])
    yield* add(store, "alone")
    yield* end(store, "alone")
    yield* promote(store, "promoted")
    yield* replay(store, "replayed")
    yield* same("what a walk settles", yield* settleAll(store), { promoted: ["after missed"], skipped: [] })
    yield* same("what the next one settles", yield* settleAll(store), { promoted: [], skipped: [] })
    yield* end(store, "replayed", "failed", 2)
    yield* same("what one settles after the new attempt", yield* settleAll(store), {
      promoted: [],
      skipped: ["after replayed"]
    })
  }),
  broken: blind
})

const fair = law("neither what is blocked for good nor what always fails to promote starves what comes after it", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    const count = Math.min(1000, subject.promises.executions)
    yield* add(store, "never")
    yield* missed(store, upstreams(Math.ceil(count / 4)).map((name) => `failing ${name}`))
    for (const name of upstreams(count)) yield* add(store, `blocked ${name}`, allOf("never"))
    for (const name of upstreams(Math.ceil(count / 4))) {
      // Ended, and what waits for it still waits for another.
      yield* add(store, `half ${name}`)
      yield* add(store, `both ${name}`, allOf(`half ${name}`, "never"))
      yield* end(store, `half ${name}`)
    }
    yield* missed(store, ["last"])
    for (let time = 0; time < 2; time++) {
      const seen = yield* walk(store, 50, (name) => name.startsWith("failing") ? Effect.void : promote(store, name))
      yield* same("whether a walk comes to the last", seen.includes("last") || time > 0, true)
      yield* same(
        "how many that fail are still there",
        seen.filter((name) => name.startsWith("failing")).length,
        Math.ceil(count / 4)
      )
    }
    yield* are(store, { "after last": "ready/1", "blocked e0": "blocked/1", "both e0": "blocked/1" })
  }),
  broken: onePaged
})

const skipping = law("a reconciler that nobody wakes goes down a chain of skips in one go", {
  check: Effect.fnUntraced(function*(subject) {
    const { store } = yield* open(subject)
    const names = upstreams(Math.min(50, subject.promises.executions))
    for (const [index, name] of names.entries()) {
      yield* add(store, name, ...index === 0 ? [] : [allOf(names[index - 1]!)])
    }
    yield* end(store, names[0]!, "failed")
    const reconciling = Completion.reconciler({ name: "reconciler", store, every: "1000 hours" })
    yield* Effect.orDie(Layer.build(Topology.layer(reconciling, { onShutdown: () => Effect.void, metrics: false })))
    const last = names.at(-1)!
    for (let look = 0; look < 4 * names.length; look++) {
      if ((yield* stateOf(store, last)) !== "blocked/1") break
      yield* pass(32)
    }
    yield* are(store, { [last]: names.length > 1 ? "skipped/1" : "failed/1" })
  }),
  broken: discreet
})

const completing = law("complete that is interrupted has ended the attempt and told of it, or has done nothing", {
  check: Effect.fnUntraced(function*(subject) {
    yield* everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const { store, told } = yield* open(subject)
      yield* add(store, "a")
      const late = yield* interruptedAfter(
        turns,
        hasty,
        store.complete({ executionId: "a", attempt: 1, outcome: "succeeded" })
      )
      const state = yield* stateOf(store, "a")
      yield* settle
      yield* same(
        `the completions where the execution is ${state}`,
        attemptsOf(told),
        state === "succeeded/1" ? ["a/1"] : []
      )
      if (state === "ready/1") yield* end(store, "a")
      yield* settle
      yield* same("the completions after the end", attemptsOf(told), ["a/1"])
      return late
    }))
  }),
  broken: halving
})

const promoting = law("promote that is interrupted has settled its edges, or leaves all of them to be found", {
  check: Effect.fnUntraced(function*(subject) {
    yield* everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const { store, told } = yield* open(subject)
      yield* add(store, "a")
      for (const name of ["b", "c"]) yield* add(store, name, allOf("a"))
      yield* end(store, "a", "failed")
      const late = yield* interruptedAfter(turns, hasty, store.promote("a"))
      const states = [yield* stateOf(store, "b"), yield* stateOf(store, "c")]
      yield* same("whether both are in one state", states[0], states[1])
      const { skipped } = yield* settleAll(store)
      yield* same("what is found later", skipped.toSorted(), states[0] === "blocked/1" ? ["b", "c"] : [])
      yield* are(store, { b: "skipped/1", c: "skipped/1" })
      yield* settle
      yield* same(
        "the completions",
        payloadsOf(told).map(({ executionId, outcome }) => `${executionId} ${outcome}`).toSorted(),
        ["a failed", "b skipped", "c skipped"]
      )
      return late
    }))
  }),
  broken: dropping
})

const others = law("add, addEdge and replay that are interrupted have done all of it or nothing", {
  check: Effect.fnUntraced(function*(subject) {
    yield* everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const { store } = yield* open(subject)
      yield* add(store, "a")
      yield* add(store, "open")
      yield* end(store, "a", "failed")
      yield* add(store, "waits", allOf("open"))
      let late = true
      for (
        const verb of [
          store.add({ executionId: "b", groups: [allOf("open")] }),
          store.addEdge({ executionId: "waits", upstream: "a", group: 0 }),
          store.replay("a")
        ]
      ) late = (yield* interruptedAfter(turns, hasty, verb)) && late
      const states = [yield* stateOf(store, "a"), yield* stateOf(store, "b"), yield* stateOf(store, "waits")]
      yield* same("whether each is as before or as after", [
        ["failed/1", "ready/2"].includes(states[0]!),
        ["not there", "blocked/1"].includes(states[1]!),
        ["blocked/1", "skipped/1"].includes(states[2]!)
      ], [true, true, true])
      // What was not done can be done now.
      if (states[1] === "not there") yield* add(store, "b", allOf("open"))
      if (states[0] === "failed/1") yield* replay(store, "a")
      yield* end(store, "open")
      yield* settleAll(store)
      yield* are(store, { a: "ready/2", b: "ready/1" })
      return late
    }))
  }),
  broken: waitless
})

/** Interrupts a verb after some turns, and answers whether it came too late. */
const interruptedAfter = Effect.fnUntraced(function*<A, E>(turns: number, hasty: boolean, verb: Effect.Effect<A, E>) {
  const { fiber, interrupt } = yield* startStepwise(verb)
  const nextTurn = yield* Turn
  // Where it asks another thread nothing more happens before that has answered.
  for (let turn = 0; turn < turns; turn++) yield* turn < 16 ? Effect.yieldNow : nextTurn
  const late = fiber.pollUnsafe() !== undefined
  interrupt(hasty)
  yield* rest
  const exit = fiber.pollUnsafe()
  if (exit === undefined) return yield* new Mismatch({ expected: "what is interrupted to end", seen: "it still runs" })
  if (late && Exit.isFailure(exit)) {
    return yield* new Mismatch({ expected: "what nobody interrupts to succeed", seen: String(exit.cause) })
  }
  return late
})

export const finding: ReadonlyArray<Law> = [order, moving, settled, fair, skipping, completing, promoting, others]
