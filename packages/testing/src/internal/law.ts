/** A law: what it says, whom it binds, how it is checked, and the subject that breaks it. */
import { Cause, Clock, Effect, type Exit, Fiber, References, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { exitOf, Mismatch, start, Turn } from "./trial.ts"

/** Something else than a law says was seen. */
export class LawBroken extends Schema.TaggedError<LawBroken>()("LawBroken", {
  law: Schema.String,
  subject: Schema.String,
  expected: Schema.String,
  seen: Schema.String
}) {
  override get message(): string {
    return `${this.subject} breaks the law "${this.law}": expected ${this.expected}, but saw ${this.seen}`
  }
}

/** What laws run over. */
interface AnySubject {
  readonly name: string
  readonly promises: unknown
}

/** One guarantee. */
export interface LawOver<in out S extends AnySubject> {
  /** The guarantee, as a sentence. */
  readonly name: string
  /** Whether subjects that promise this are bound by it. */
  readonly applies: (promises: S["promises"]) => boolean
  /**
   * Checks it over new instances of the subject; takes at most some thousands of turns, and no time, unless the subject has
   * a `turn` of its own: then ten minutes at most.
   */
  readonly check: (subject: S) => Effect.Effect<void, LawBroken>
  /** The same subject, sabotaged to break this law: proof that the law can fail. */
  readonly broken: (subject: S) => S
}
export interface LawOptions<S extends AnySubject> {
  readonly applies: (promises: S["promises"]) => boolean
  readonly check: (subject: S) => Effect.Effect<void, Mismatch, Scope.Scope>
  readonly broken: (subject: S) => S
}

/** A check whose waits are bounded one by one may still hang in a `make`, a `subscribe` or a `close`. */
type Awaiting = <A, E>(check: Fiber.Fiber<A, E>) => Effect.Effect<Exit.Exit<A, E>, Mismatch>
const forSomeTurns: Awaiting = (check) => exitOf("the check", check, 100_000)
/** By the real time, since any number of turns may pass while a disk or a network is slow. */
const forSomeTime: Awaiting = (check) =>
  Effect.timeoutOrElse(Fiber.await(check), {
    duration: "10 minutes",
    orElse: () =>
      Effect.fail(new Mismatch({ expected: "the check to answer", seen: "it still waiting after 10 minutes" }))
  }).pipe(Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()))

export const makeLaw = <S extends AnySubject>(
  name: string,
  options: LawOptions<S>,
  awaiting: Awaiting = forSomeTurns
): LawOver<S> => ({
  name,
  applies: options.applies,
  broken: options.broken,
  check: (subject) => {
    const broken = ({ expected, seen }: Pick<Mismatch, "expected" | "seen">) =>
      Effect.fail(new LawBroken({ law: name, subject: subject.name, expected, seen }))
    return start(Effect.scoped(options.check(subject))).pipe(
      Effect.flatMap(awaiting),
      Effect.matchEffect({
        onFailure: broken,
        onSuccess: (exit) => {
          if (exit._tag === "Success") return Effect.void
          const mismatch = exit.cause.reasons.find(Cause.isFailReason)?.error
          return broken(mismatch ?? { expected: "the check to run to its end", seen: Cause.pretty(exit.cause) })
        }
      }),
      Effect.scoped,
      // A law drops values on purpose; its warnings would be noise.
      Effect.provideService(References.CurrentLoggers, new Set())
    )
  }
})

/** How long what the laws run over takes to answer, and which clock it goes by. */
export interface Timing {
  /** Where it answers by I/O: what to do in between two looks at something that is waited for. */
  readonly turn?: Effect.Effect<void>
  /**
   * Where it has a clock of its own: lets so many milliseconds pass by it. Without it the checks run on a clock of their own,
   * and take no time.
   */
  readonly elapse?: (millis: number) => Effect.Effect<void>
}
interface TimedSubject extends AnySubject, Timing {}
/** A law that is checked with the subject's turns, and on a clock of its own unless the subject has one. */
export const timedLaw = <S extends TimedSubject>(name: string, options: LawOptions<S>): LawOver<S> => {
  const inMemory = makeLaw(name, options)
  const byOthers = makeLaw(name, options, forSomeTime)
  return {
    ...inMemory,
    check: (subject) => {
      const { elapse, turn } = subject
      const checked = turn === undefined
        ? inMemory.check(subject)
        : Effect.provideService(byOthers.check(subject), Turn, turn)
      return elapse === undefined ? Effect.provide(checked, TestClock.layer()) : checked
    }
  }
}
/** Lets time pass by the subject's clock. */
export const elapse = (subject: TimedSubject, millis: number): Effect.Effect<void> =>
  subject.elapse?.(millis) ?? TestClock.adjust(millis)
