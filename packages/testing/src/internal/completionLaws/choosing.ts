/** Laws on what a subscriber asks for: filters, where to go on, and how much it may leave unread. */
import type { Completion } from "@sluice/core"
import { Effect, Option, Result, Stream } from "effect"
import { Mismatch, render, same, settle, valueOf } from "../trial.ts"
import { type Law, law } from "./law.ts"
import { hurrying, onSignals, withoutCursors, withoutFilter, withoutFrom, withoutGaps } from "./sabotage.ts"
import {
  attemptsOf,
  end,
  firsts,
  gapsOf,
  hears,
  listen,
  meetsGap,
  names,
  open,
  payloadsOf,
  subscribe,
  type Subscriber
} from "./steps.ts"

/** Why a subscription is refused. */
const refused = Effect.fnUntraced(function*(
  backend: Completion.CompletionBackend,
  options: Completion.SubscribeOptions,
  reason: Completion.SubscribeError["reason"]
) {
  const result = yield* valueOf("subscribe", Effect.result(Effect.scoped(backend.subscribe(options))))
  const seen = Result.isFailure(result) ? result.failure.reason : "a subscription"
  yield* same(`the answer to subscribe(${render(options)})`, seen, reason)
})
/** The cursor that the completion of an execution came with. */
const cursorOf = Effect.fnUntraced(function*({ heard }: Subscriber, executionId: string) {
  for (const signal of heard) {
    if (signal._tag === "Completion" && signal.payload.executionId === executionId && Option.isSome(signal.cursor)) {
      return signal.cursor.value
    }
  }
  return yield* new Mismatch({ expected: `a cursor with the completion of "${executionId}"`, seen: "none" })
})

const filters = law("a filter lets through what matches all of it, and nothing else", {
  applies: ({ filters }) => filters,
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const all: ReadonlyArray<readonly [Completion.Filter, ReadonlyArray<string>]> = [
      [{}, ["a", "b", "c", "d", "e"]],
      [{ namespace: "plant" }, ["a", "b", "c"]],
      [{ namespace: "" }, ["e"]],
      [{ tag: ["line", "4"] }, ["a", "d"]],
      [{ namespace: "plant", tag: ["line", "4"] }, ["a"]],
      [{ namespace: "plant", tag: ["unit", "4"] }, []]
    ]
    const subscribers = yield* Effect.forEach(all, ([filter]) => listen(worked.backend, { filter }))
    yield* worked.end({ executionId: "a", namespace: "plant", tags: { line: "4" } })
    yield* worked.end({ executionId: "b", namespace: "plant", tags: { line: "5" } })
    yield* worked.end({ executionId: "c", namespace: "plant" })
    yield* worked.end({ executionId: "d", namespace: "shop", tags: { line: "4" } })
    yield* worked.end({ executionId: "e" })
    for (const [index, [filter, expected]] of all.entries()) {
      yield* hears(`who filters by ${render(filter)}`, subscribers[index]!, firsts(expected))
    }
  }),
  broken: withoutFilter
})

const noFilters = law("a backend without filters refuses one as filterUnsupported", {
  applies: ({ filters }) => !filters,
  check: Effect.fnUntraced(function*(subject) {
    const { backend } = yield* open(subject)
    yield* same("what its capabilities say of filters", backend.capabilities.filters, false)
    yield* refused(backend, { filter: { namespace: "plant" } }, "filterUnsupported")
    yield* refused(backend, { filter: { tag: ["line", "4"] } }, "filterUnsupported")
  }),
  broken: withoutFilter
})

const resuming = law("a cursor resumes exactly after the completion that it came with", {
  applies: ({ resume }) => resume,
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const first = yield* listen(worked.backend)
    yield* end(subject, worked, names(10))
    yield* hears("a subscriber from the tail", first, firsts(names(10)))
    for (const index of [0, 4, 9]) {
      const from = yield* cursorOf(first, `e${index}`)
      const resumed = yield* listen(worked.backend, { from })
      const more = `after ${index}`
      yield* end(subject, worked, [more])
      const missed = attemptsOf(first).slice(index + 1)
      yield* hears(`who resumes after e${index}`, resumed, [
        ...missed.filter((name) => name !== `${more}/1`),
        `${more}/1`
      ])
      yield* cursorOf(resumed, more)
      yield* resumed.close
      yield* settle
    }
  }),
  broken: withoutFrom
})

const cursors = law("every completion comes with a cursor, also one that was resumed to", {
  applies: ({ resume }) => resume,
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    yield* same("what its capabilities say of resuming", worked.backend.capabilities.resume, true)
    let subscriber = yield* listen(worked.backend)
    for (let round = 0; round < 4; round++) {
      yield* end(subject, worked, [`round ${round}`])
      yield* hears("who goes on each round", subscriber, [`round ${round}/1`])
      const from = yield* cursorOf(subscriber, `round ${round}`)
      yield* subscriber.close
      subscriber = yield* listen(worked.backend, { from })
    }
  }),
  broken: withoutCursors
})

const resumingFiltered = law("who resumes with a filter hears of what matches it, before and after", {
  applies: ({ filters, resume }) => filters && resume,
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const first = yield* listen(worked.backend)
    yield* end(subject, worked, ["a"])
    yield* end(subject, worked, ["b", "c"], { namespace: "plant" })
    yield* hears("a subscriber", first, firsts(["a", "b", "c"]))
    const from = yield* cursorOf(first, "b")
    const resumed = yield* listen(worked.backend, { from, filter: { namespace: "plant" } })
    yield* end(subject, worked, ["d"])
    yield* end(subject, worked, ["e"], { namespace: "plant" })
    yield* hears("who resumes", resumed, firsts(["c", "e"]))
  }),
  broken: withoutFilter
})

const expired = law(
  "a cursor that the history has left behind is met with Gap(\"cursorExpired\"), and what follows is heard",
  {
    applies: ({ history, resume }) => history && resume,
    check: Effect.fnUntraced(function*(subject) {
      const worked = yield* open(subject, { history: 4 })
      const first = yield* listen(worked.backend)
      yield* end(subject, worked, names(20))
      yield* hears("a subscriber", first, firsts(names(20)))
      const from = yield* cursorOf(first, "e1")
      const resumed = yield* listen(worked.backend, { from })
      const gap = yield* meetsGap("who resumes too late", resumed, "cursorExpired")
      yield* same("whether the gap begins before what was missed", gap.since <= payloadsOf(first)[2]!.producedAt, true)
      yield* end(subject, worked, ["later"])
      for (let turn = 0; turn < 8 && !attemptsOf(resumed).includes("later/1"); turn++) yield* settle
      const heard = attemptsOf(resumed)
      yield* same("what is heard after the gap", heard, [...firsts(names(20)), "later/1"].slice(-heard.length))
      yield* same("whether the newest is among it", heard.at(-1), "later/1")
    }),
    broken: withoutGaps
  }
)

const oldest = law("who resumes from what has expired hears, after the gap, all that is kept from the oldest on", {
  applies: ({ history, resume }) => history && resume,
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject, { history: 4 })
    const first = yield* listen(worked.backend)
    yield* end(subject, worked, names(20))
    yield* hears("a subscriber", first, firsts(names(20)))
    const resume = Effect.fnUntraced(function*(index: number) {
      const resumed = yield* listen(worked.backend, { from: yield* cursorOf(first, `e${index}`) })
      for (let turn = 0; turn < 8 && attemptsOf(resumed).at(-1) !== "e19/1"; turn++) yield* settle
      yield* resumed.close
      return resumed
    })
    // What is kept is what follows the first cursor that has not expired.
    let whole = 19
    while (whole > 0 && gapsOf(yield* resume(whole - 1)).length === 0) whole--
    yield* same("whether any cursor has expired", whole > 0, true)
    for (const index of [0, whole - 1]) {
      const { heard } = yield* resume(index)
      yield* same(
        `what is heard after e${index}`,
        heard.map((signal) => signal._tag === "Gap" ? signal.reason : signal.payload.executionId),
        ["cursorExpired", ...names(20).slice(whole + 1)]
      )
    }
  }),
  broken: hurrying
})

const noResume = law("a cursor that it cannot resume from is refused as resumeUnsupported", {
  check: Effect.fnUntraced(function*(subject) {
    const { backend } = yield* open(subject)
    yield* same("what its capabilities say of resuming", backend.capabilities.resume, subject.promises.resume)
    yield* refused(backend, { from: "no cursor of this backend" as Completion.Cursor }, "resumeUnsupported")
  }),
  broken: withoutFrom
})

const lagging = law(
  "a subscriber whose buffer is full meets Gap(\"lagged\"), slows nobody, and hears of what follows",
  {
    applies: ({ buffer }) => buffer,
    check: Effect.fnUntraced(function*(subject) {
      const worked = yield* open(subject, { buffer: 4 })
      const slow = yield* subscribe(worked.backend)
      const quick = yield* listen(worked.backend)
      for (const executionId of names(40)) {
        yield* end(subject, worked, [executionId])
        yield* settle
      }
      yield* hears("who is quick", quick, firsts(names(40)))
      yield* slow.listen
      yield* meetsGap("who was slow", slow, "lagged")
      yield* settle
      const held = attemptsOf(slow)
      yield* same("whether it lost anything", held.length < 40, true)
      yield* same("what it has heard, in its order", held, attemptsOf(quick).filter((name) => held.includes(name)))
      yield* end(subject, worked, ["later"])
      yield* hears("who was slow", slow, [...held, "later/1"])
      yield* hears("who is quick", quick, [...firsts(names(40)), "later/1"])
    }),
    broken: withoutGaps
  }
)

const since = law("a gap begins no later than the first completion that was missed", {
  applies: ({ buffer }) => buffer,
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject, { buffer: 2 })
    const slow = yield* subscribe(worked.backend)
    const quick = yield* listen(worked.backend)
    yield* end(subject, worked, names(10))
    yield* hears("who is quick", quick, firsts(names(10)))
    yield* slow.listen
    const gap = yield* meetsGap("who was slow", slow, "lagged")
    yield* settle
    const missed = payloadsOf(quick).find(({ executionId }) => !attemptsOf(slow).includes(`${executionId}/1`))
    yield* same("whether it begins in time", missed !== undefined && gap.since <= missed.producedAt, true)
  }),
  broken: onSignals(
    Stream.map((signal) => signal._tag === "Gap" ? { ...signal, since: signal.since + 60_000 } : signal)
  )
})

export const choosing: ReadonlyArray<Law> = [
  filters,
  noFilters,
  resuming,
  cursors,
  resumingFiltered,
  expired,
  oldest,
  noResume,
  lagging,
  since
]
