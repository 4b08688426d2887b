/**
 * The driver hook: what our own readers offer besides `Reader`, so that a consumer reads straight from the buffer with
 * plain calls and touches the fiber only to wait. A buffer without it is read through `Reader` alone.
 */
import type { Effect, Tracer } from "effect"
import type { Pump } from "./gate.ts"

/** Nothing to read now. */
export const Empty = Symbol("@sluice/core/Empty")
/** The reader fell behind; `missed` says by how much, and the next `poll` goes on at the oldest value held. */
export const Overrun = Symbol("@sluice/core/Overrun")
/** The record is closed and everything held has been read, or the reader itself was closed. For ever. */
export const Ended = Symbol("@sluice/core/Ended")
export type Polled<A> = A | typeof Empty | typeof Overrun | typeof Ended

/** One reader's place in a buffer, as plain calls. */
export interface Cursor<out A> {
  /** Takes the next value. Never runs foreign code: whom it frees is resumed in a later turn. */
  poll(): Polled<A>
  /** How many values the last `Overrun` skipped. */
  readonly missed: number
  /** The span that was open where the last value polled was produced, if any. */
  readonly span: Tracer.AnySpan | undefined
  /** Goes on with `then` when `poll` may answer something else than `Empty`, or for nothing. Interruptible. */
  wait<A, E, R>(then: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  /**
   * Waits as `wait` does, then for nothing, but calls `pump` at each wake-up without the fiber, until it answers with an effect for it. Only
   * where readers do not compete: one that looks again before its fiber has had a turn would take every value.
   */
  pump?(pump: Pump): Effect.Effect<void>
  /** Values ready for this reader. */
  pending(): number
  /** Gives up the place; those that wait on it are woken and see `Ended`. */
  close(): void
  /** Statistics, as plain integers. */
  received: number
  lagged: number
  conflated: number
}

/** Where a reader keeps its cursor. */
export const CursorTypeId = "~@sluice/core/Cursor"
