/** Laws of completions: whom they bind, and what they run over. */
import type { Completion } from "@sluice/core"
import type { Effect, Scope } from "effect"
import { LawBroken, type LawOptions, type LawOver, timedLaw, type Timing } from "../law.ts"

export { LawBroken }

/** What a backend promises beyond the contract's core. A flag that promises less makes other laws of it, none weaker. */
export interface Promises {
  readonly resume: boolean
  readonly filters: boolean
  /** It can be made with a small buffer for each subscriber. */
  readonly buffer: boolean
  /** It can be made to keep few completions for cursors to go back to. */
  readonly history: boolean
  /** It has a connection that can be cut: by `cut` of what the subject makes. Default: it has none. */
  readonly connection?: boolean
}
/** What a check asks of a backend. What does not promise the bound ignores it. */
export interface BackendOptions {
  readonly buffer: number
  readonly history: number
}
/** An attempt that has ended. */
export interface Ended {
  readonly executionId: string
  /** Default 1. */
  readonly attempt?: number
  /** Default `succeeded`. */
  readonly outcome?: Exclude<Completion.Outcome, "skipped">
  readonly flowId?: string
  readonly namespace?: string
  readonly tags?: { readonly [key: string]: string }
}
/** A backend, and the work that it tells of. */
export interface Worked {
  readonly backend: Completion.CompletionBackend
  /** Ends an attempt of an execution, which it adds or replays where it has to. One that has ended stays as it is. */
  readonly end: (ended: Ended) => Effect.Effect<void>
  /** Cuts the connection by which the backend hears; it has to make another one by itself. */
  readonly cut?: Effect.Effect<void>
}

/** What the laws run over: a backend, however its executions come to their end. */
export interface Subject extends Timing {
  readonly name: string
  readonly promises: Promises
  /** A new backend, which has told of nothing. */
  readonly make: (options: BackendOptions) => Effect.Effect<Worked, never, Scope.Scope>
}

/** One guarantee. */
export interface Law extends LawOver<Subject> {}

export const law = (
  name: string,
  options: Omit<LawOptions<Subject>, "applies"> & Partial<Pick<LawOptions<Subject>, "applies">>
): Law => timedLaw<Subject>(name, { applies: () => true, ...options })
