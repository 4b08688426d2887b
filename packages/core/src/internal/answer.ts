/** What untyped code may have got wrong: something else than an Effect or a Stream where one is due. */
import { Effect, Stream } from "effect"
import { describe } from "./render.ts"
import { withoutStack } from "./withoutStack.ts"

/** `what` is whose answer it is: `handle` of a component, `commit` of an engine. */
export const wrongAnswer = (what: string, answer: unknown, due = "an Effect"): TypeError => {
  disregard(answer)
  return withoutStack(() => new TypeError(`${what} must answer with ${due}, and answered with ${describe(answer)}`))
}
/** Nobody waits for a promise that is no answer: where it rejects, that is not to end the process. */
const disregard = (answer: unknown): void => {
  if (answer instanceof Promise) answer.then(undefined, () => undefined)
}

export const effectOf = <A, E, R>(what: string, answer: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.isEffect(answer) ? answer : Effect.die(wrongAnswer(what, answer))
/** As `effectOf`, of what is to be called; what it throws is a defect. */
export const effectFrom = <A, E, R>(what: string, call: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => effectOf(what, call()))
export const streamOf = <A, E, R>(what: string, answer: Stream.Stream<A, E, R>): Stream.Stream<A, E, R> =>
  Stream.isStream(answer) ? answer : Stream.die(wrongAnswer(what, answer, "a Stream"))
