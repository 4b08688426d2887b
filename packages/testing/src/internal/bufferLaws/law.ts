/** A law of buffers: what it says, whom it binds, how it is checked, and the buffer that breaks it. */
import type { Buffer } from "@sluice/core"
import { Cause, Effect, References, Schema, type Scope } from "effect"
import { exitOf, type Mismatch, start } from "../trial.ts"

/**
 * What a kind of buffer promises, one flag for each column of the design's table. A flag that promises less takes laws
 * away; none makes a law weaker.
 */
export interface Promises {
  /** How many values: the capacity it was made with, one, or all. */
  readonly holds: "capacity" | "one" | "all"
  /** How long: until every reader who is to have it has it, or until it is overwritten. */
  readonly keeps: "untilRead" | "untilOverwritten"
  /** Full, it overwrites the oldest value, lets a producer wait for room, or drops the new value. */
  readonly full: "overwrites" | "waits" | "drops" | "never"
  /** Where a new reader starts: at the next value produced, at the newest, or at the oldest value held. */
  readonly starts: "next" | "current" | "oldest"
  /** A reader that falls behind is told by one `Lagged`, skips in silence, or there is no falling behind. */
  readonly behind: "lagged" | "skips" | "cannot"
  /** Several readers: each sees every value, or they compete and a value is taken once. */
  readonly readers: "each" | "compete"
  /** `latest` answers with the newest value that is held, or with the newest produced, or always with none. */
  readonly latest: "held" | "produced" | "none"
  /** Which of the statistics that not every kind can keep it does keep; `produced` and `dropped` are for all. */
  readonly reports: {
    readonly capacity: boolean
    readonly held: boolean
    /** Values overwritten before anyone had them. */
    readonly overwritten: boolean
  }
}

/** What the laws run over: a kind of buffer. */
export interface Subject {
  readonly name: string
  readonly promises: Promises
  /** A new buffer of numbers, with nothing in it; a kind that takes no capacity ignores it. */
  readonly make: (capacity: number) => Effect.Effect<Buffer.Buffer<number>, never, Scope.Scope>
}

/** A buffer does not do what its kind promises. */
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

/** One guarantee. */
export interface Law {
  /** The guarantee, as a sentence. */
  readonly name: string
  /** Whether buffers that promise this are bound by it. */
  readonly applies: (promises: Promises) => boolean
  /** Checks it over new buffers of the subject; takes at most some thousands of turns, and no time. */
  readonly check: (subject: Subject) => Effect.Effect<void, LawBroken>
  /** The same kind, sabotaged to break this law: proof that the law can fail. */
  readonly broken: (subject: Subject) => Subject
}

/** A check whose waits are bounded one by one may still hang in a `make`, a `subscribe` or a `close`. */
const turnsMax = 100_000

export const law = (name: string, options: {
  readonly applies: (promises: Promises) => boolean
  readonly check: (subject: Subject) => Effect.Effect<void, Mismatch, Scope.Scope>
  readonly broken: (subject: Subject) => Subject
}): Law => ({
  name,
  applies: options.applies,
  broken: options.broken,
  check: (subject) => {
    const broken = ({ expected, seen }: Pick<Mismatch, "expected" | "seen">) =>
      Effect.fail(new LawBroken({ law: name, subject: subject.name, expected, seen }))
    return start(Effect.scoped(options.check(subject))).pipe(
      Effect.flatMap((fiber) => exitOf("the check", fiber, turnsMax)),
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

export const overwrites = ({ full }: Promises): boolean => full === "overwrites"
/** Full, it answers `tryProduce` with `BufferFull`. */
export const refuses = ({ full }: Promises): boolean => full === "waits" || full === "drops"
export const holdsBack = ({ full }: Promises): boolean => full === "waits"
export const always = (): boolean => true

/** How many values the check of a law can put in without losing one. */
export const roomOf = ({ holds }: Promises, capacity: number): number => holds === "one" ? 1 : capacity
