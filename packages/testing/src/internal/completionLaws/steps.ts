/** The steps that the checks of completions have in common: subscribers that listen, stall and close. */
import type { Completion } from "@sluice/core"
import { Effect, Exit, Scope, Stream } from "effect"
import { elapse } from "../law.ts"
import { Mismatch, pass, render, settle, start, valueOf } from "../trial.ts"
import type { BackendOptions, Ended, Subject, Worked } from "./law.ts"

/** A new backend with room for what a check does. */
export const open = (subject: Subject, options?: Partial<BackendOptions>) =>
  subject.make({ buffer: 1000, history: 1000, ...options })

export type Heard = Array<Completion.Signal>
export interface Subscriber {
  readonly heard: Heard
  /** Hears from now on what is told; a second time, nothing. */
  readonly listen: Effect.Effect<void>
  readonly close: Effect.Effect<void>
  /** How its stream has ended, if it has. */
  readonly ended: () => Exit.Exit<unknown, unknown> | undefined
}

/** Attached, and stalled until it listens. */
export const subscribe = Effect.fnUntraced(function*(
  backend: Completion.CompletionBackend,
  options?: Completion.SubscribeOptions
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const signals = yield* valueOf("subscribe", Scope.provide(backend.subscribe(options), scope))
  const heard: Heard = []
  let exit: Exit.Exit<unknown, unknown> | undefined
  const listening = signals.pipe(
    Stream.runForEach((signal) => Effect.sync(() => void heard.push(signal))),
    Effect.onExit((ended) => Effect.sync(() => void (exit = ended)))
  )
  const listen = Effect.asVoid(Scope.provide(start(listening), scope))
  return { heard, listen, close: Scope.close(scope, Exit.void), ended: () => exit } satisfies Subscriber
})

export const listen = Effect.fnUntraced(function*(
  backend: Completion.CompletionBackend,
  options?: Completion.SubscribeOptions
) {
  const subscriber = yield* subscribe(backend, options)
  yield* subscriber.listen
  return subscriber
})

/** Ends the first attempts of `names`, a millisecond each. */
export const end = (
  subject: Subject,
  { end }: Worked,
  names: ReadonlyArray<string>,
  ended: Omit<Ended, "executionId"> = {}
) =>
  Effect.forEach(
    names,
    (executionId) => Effect.andThen(elapse(subject, 1), end({ executionId, ...ended })),
    { discard: true }
  )

export const isCompletion = (signal: Completion.Signal) => signal._tag === "Completion"
export const payloadsOf = ({ heard }: Subscriber): ReadonlyArray<Completion.CompletionPayload> =>
  heard.flatMap((signal) => signal._tag === "Completion" ? [signal.payload] : [])
export const gapsOf = ({ heard }: Subscriber) => heard.flatMap((signal) => signal._tag === "Gap" ? [signal] : [])
export const attemptsOf = (subscriber: Subscriber): ReadonlyArray<string> =>
  payloadsOf(subscriber).map(({ attempt, executionId }) => `${executionId}/${attempt}`)

/** Exactly these attempts, once everything that can run has run. */
export const hears = Effect.fnUntraced(function*(who: string, subscriber: Subscriber, expected: ReadonlyArray<string>) {
  for (let turn = 0; turn < 256 && payloadsOf(subscriber).length < expected.length; turn++) yield* pass(1)
  yield* settle
  const seen = attemptsOf(subscriber)
  if (render(seen) === render(expected)) return
  return yield* new Mismatch({ expected: `${who} to hear of ${render(expected)}`, seen: render(seen) })
})
/** A gap, within the turns that an answer may take. */
export const meetsGap = Effect.fnUntraced(function*(
  who: string,
  subscriber: Subscriber,
  reason: "lagged" | "cursorExpired"
) {
  for (let turn = 0; turn < 256; turn++) {
    const gap = gapsOf(subscriber).find((gap) => gap.reason === reason)
    if (gap !== undefined) return gap
    yield* pass(1)
  }
  return yield* new Mismatch({ expected: `${who} to meet Gap("${reason}")`, seen: render(subscriber.heard) })
})

export const names = (count: number, prefix = "e"): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}${index}`)
export const firsts = (executions: ReadonlyArray<string>): ReadonlyArray<string> =>
  executions.map((execution) => `${execution}/1`)
