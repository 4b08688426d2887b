/** Laws of buffers: whom they bind. */
import type { Buffer } from "@sluice/core"
import type { Effect, Scope } from "effect"
import { LawBroken, type LawOptions, type LawOver, makeLaw } from "../law.ts"

export { LawBroken }

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

/** One guarantee. */
export interface Law extends LawOver<Subject> {}

export const law: (name: string, options: LawOptions<Subject>) => Law = makeLaw

export const overwrites = ({ full }: Promises): boolean => full === "overwrites"
/** Full, it answers `tryProduce` with `BufferFull`. */
export const refuses = ({ full }: Promises): boolean => full === "waits" || full === "drops"
export const holdsBack = ({ full }: Promises): boolean => full === "waits"
export const always = (): boolean => true

/** How many values the check of a law can put in without losing one. */
export const roomOf = ({ holds }: Promises, capacity: number): number => holds === "one" ? 1 : capacity
