/** Laws on who hears of what, and in which order. */
import type { Completion } from "@sluice/core"
import { Effect, Stream } from "effect"
import { same, settle } from "../trial.ts"
import { type Law, law } from "./law.ts"
import { lazy, muting, onPayload, onSignals, swapping, waitingForAll } from "./sabotage.ts"
import { end, firsts, hears, listen, names, open, payloadsOf, subscribe } from "./steps.ts"

const everyone = law("every subscriber hears of every completion, once", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const one = yield* listen(worked.backend)
    const other = yield* listen(worked.backend)
    yield* end(subject, worked, names(20))
    yield* hears("one", one, firsts(names(20)))
    yield* hears("the other", other, firsts(names(20)))
  }),
  broken: onSignals(Stream.flatMap((signal) => Stream.make(signal, signal)))
})

const order = law("completions are heard in the order in which they were made", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const subscriber = yield* listen(worked.backend)
    const shuffled = names(20).toSorted((a, b) => a.at(-1)!.localeCompare(b.at(-1)!))
    yield* end(subject, worked, shuffled)
    yield* hears("a subscriber", subscriber, firsts(shuffled))
  }),
  broken: swapping
})

const atOnce = law("what completes right after subscribe has returned is heard", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const subscriber = yield* subscribe(worked.backend)
    yield* worked.end({ executionId: "first" })
    yield* settle
    yield* subscriber.listen
    yield* worked.end({ executionId: "second" })
    yield* hears("the subscriber", subscriber, ["first/1", "second/1"])
  }),
  broken: lazy
})

const tail = law("from the tail, what completed before the subscription is not heard", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    yield* end(subject, worked, ["before"])
    yield* settle
    for (const options of [undefined, {}, { from: "tail" }] as const) {
      const subscriber = yield* listen(worked.backend, options)
      const name = `after ${JSON.stringify(options)}`
      yield* end(subject, worked, [name])
      yield* hears("a subscriber", subscriber, firsts([name]))
      yield* subscriber.close
    }
  }),
  broken: onSignals((signals) =>
    Stream.flatMap(signals, (signal) =>
      Stream.fromIterable<Completion.Signal>(
        signal._tag === "Gap"
          ? [signal]
          : [{ ...signal, payload: { ...signal.payload, executionId: "before" } }, signal]
      ))
  )
})

const closing = law("a subscriber that closes leaves the others alone", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const [listening, stalled] = [yield* listen(worked.backend), yield* subscribe(worked.backend)]
    const stays = yield* listen(worked.backend)
    yield* end(subject, worked, names(5))
    yield* listening.close
    yield* stalled.close
    yield* end(subject, worked, names(5, "later"))
    yield* hears("who stays", stays, firsts([...names(5), ...names(5, "later")]))
    const late = yield* listen(worked.backend)
    yield* end(subject, worked, ["last"])
    yield* hears("who comes later", late, ["last/1"])
  }),
  broken: muting
})

const stalling = law("a subscriber that stalls leaves the others alone, and hears of all that its buffer holds", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const stalled = yield* subscribe(worked.backend)
    const other = yield* listen(worked.backend)
    yield* end(subject, worked, names(50))
    yield* hears("the other", other, firsts(names(50)))
    yield* stalled.listen
    yield* hears("who had stalled", stalled, firsts(names(50)))
  }),
  broken: waitingForAll
})

const forever = law("the stream neither ends nor fails while its scope is open", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const subscriber = yield* listen(worked.backend)
    for (let round = 0; round < 3; round++) {
      yield* end(subject, worked, names(4, `round ${round}, `))
      yield* settle
      yield* same("how the stream has ended", subscriber.ended(), undefined)
    }
    yield* hears("the subscriber", subscriber, [0, 1, 2].flatMap((round) => firsts(names(4, `round ${round}, `))))
    yield* same("how the stream has ended", subscriber.ended(), undefined)
  }),
  broken: onSignals(Stream.take(5))
})

const truth = law("a completion has the outcome, the attempt, the flow, the namespace and the tags of what has ended", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const subscriber = yield* listen(worked.backend)
    const outcomes = ["succeeded", "failed", "cancelled", "expired"] as const
    for (const outcome of outcomes) {
      const of = { flowId: "flow", namespace: "plant", tags: { line: "4", unit: outcome } }
      yield* worked.end({ executionId: outcome, outcome, ...of })
      yield* worked.end({ executionId: outcome, attempt: 2, outcome: "failed", ...of })
    }
    yield* worked.end({ executionId: "bare" })
    yield* hears("a subscriber", subscriber, [
      ...outcomes.flatMap((outcome) => [`${outcome}/1`, `${outcome}/2`]),
      "bare/1"
    ])
    const seen = payloadsOf(subscriber).map(({ executionId, attempt, flowId, namespace, outcome, tags }) => ({
      executionId,
      attempt,
      flowId,
      namespace,
      outcome,
      tags: Object.entries(tags).toSorted()
    }))
    yield* same("what is told", seen, [
      ...outcomes.flatMap((executionId) =>
        [executionId, "failed"].map((outcome, index) => ({
          executionId,
          attempt: index + 1,
          flowId: "flow",
          namespace: "plant",
          outcome,
          tags: [["line", "4"], ["unit", executionId]]
        }))
      ),
      { executionId: "bare", attempt: 1, flowId: null, namespace: "", outcome: "succeeded", tags: [] }
    ])
  }),
  broken: onPayload(() => ({ outcome: "succeeded" }))
})

const once = law("each attempt has one completion with an id of its own, however often it is ended", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const subscriber = yield* listen(worked.backend)
    for (const attempt of [1, 1, 2, 2, 3]) {
      yield* worked.end({ executionId: "e", attempt })
      yield* worked.end({ executionId: "e", attempt, outcome: "failed" })
    }
    yield* hears("a subscriber", subscriber, ["e/1", "e/2", "e/3"])
    yield* same(
      "how many ids there are",
      new Set(payloadsOf(subscriber).map(({ completionId }) => completionId)).size,
      3
    )
    yield* same("outcomes", payloadsOf(subscriber).map(({ outcome }) => outcome), [
      "succeeded",
      "succeeded",
      "succeeded"
    ])
  }),
  broken: onPayload(({ executionId }) => ({ completionId: executionId }))
})

const time = law("a completion says when it was made", {
  check: Effect.fnUntraced(function*(subject) {
    const worked = yield* open(subject)
    const subscriber = yield* listen(worked.backend)
    yield* end(subject, worked, names(10))
    yield* hears("a subscriber", subscriber, firsts(names(10)))
    const times = payloadsOf(subscriber).map(({ producedAt }) => producedAt)
    yield* same(
      "whether the times are whole and in order",
      times.every((time, index) => Number.isSafeInteger(time) && time >= (times[index - 1] ?? 0)),
      true
    )
    yield* same("whether time has passed", times.at(-1)! > times[0]!, true)
  }),
  broken: onPayload(() => ({ producedAt: 0 }))
})

export const hearing: ReadonlyArray<Law> = [
  everyone,
  order,
  atOnce,
  tail,
  closing,
  stalling,
  forever,
  truth,
  once,
  time
]
