/** Laws of dependencies: whom they bind, and what they run over. */
import type { Effect, Scope } from "effect"
import type { Flows } from "../../Flows.ts"
import { LawBroken, type LawOptions, type LawOver, timedLaw, type Timing } from "../law.ts"

export { LawBroken }

export interface Promises {
  /** How many executions the largest checks are made of: 10,000 where that is a matter of a second. */
  readonly executions: number
}

/** What the laws run over: stores of executions, with a backend that tells of all their completions in order. */
export interface Subject extends Timing {
  readonly name: string
  readonly promises: Promises
  /** A new store, which has nothing in it. */
  readonly make: Effect.Effect<Flows, never, Scope.Scope>
}

/** One guarantee. */
export interface Law extends LawOver<Subject> {}

export const law = (name: string, options: Omit<LawOptions<Subject>, "applies">): Law =>
  timedLaw<Subject>(name, { applies: () => true, ...options })
