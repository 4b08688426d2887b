/**
 * The driver hook: what our own readers offer besides `Reader`, so that a consumer reads straight from the buffer with
 * plain calls and touches the fiber only to wait. A buffer without it is read through `Reader` alone.
 */
import type { Effect, Tracer } from "effect"

/** Nothing to read now. */
export const Empty = Symbol("@sluice/core/Empty")
/** The reader fell behind; `missed` says by how much, and the next `poll` goes on at the oldest value held. */
export const Overrun = Symbol("@sluice/core/Overrun")
/** The record is closed and everything held has been read, or the reader itself was closed. For ever. */
export const Ended = Symbol("@sluice/core/Ended")
export type Polled<A> = A | typeof Empty | typeof Overrun | typeof Ended

export type Batch<A> = [A, ...Array<A>] | typeof Empty | typeof Overrun | typeof Ended

/** Takes values as they come, and answers whether it takes another one now. */
export interface Taker<in A> {
  takes(value: A, span: Tracer.AnySpan | undefined): boolean
}

/** Where a reader stands. */
export interface Position {
  /** Values ready for this reader. */
  pending(): number
  counts(): Counts
}

/** One reader's place in a buffer, as plain calls. */
export interface Cursor<in out A> extends Position {
  /** Takes the next value. Never runs foreign code: whom it frees is resumed in a later turn. */
  poll(): Polled<A>
  /** Polls for `taker`: until it takes no more (undefined), or for as long as there are values. */
  feed(taker: Taker<A>): typeof Empty | typeof Overrun | typeof Ended | undefined
  /** Takes what is ready, up to `max` values; the spans that were open where they were produced go into `spans`. */
  takeBatch(max: number, spans: Array<Tracer.AnySpan>): Batch<A>
  /** Whether `poll` answers `Empty` only until values come that have been asked for: `wait` waits for those. */
  isFetching(): boolean
  /** How many values the last `Overrun` skipped. */
  readonly missed: number
  /** Why it has ended, where that was a failure: of the application's own queue. */
  readonly failure: unknown
  /** Takes a value back that was polled last, and whose taker was interrupted in the act: the next poll has it. */
  untake(value: A): void
  /** The span that was open where the last value polled was produced, if any. */
  readonly span: Tracer.AnySpan | undefined
  /** Goes on with `next` when `poll` may answer something else than `Empty`, or for nothing. Interruptible. */
  wait<A, E, R>(next: Effect.Effect<A, E, R>): Effect.Effect<A, E, R>
  /** Gives up the place; those that wait on it are woken and see `Ended`. */
  close(): void
}

/** Of one reader, since it subscribed. */
export interface Counts {
  readonly received: number
  readonly lagged: number
  readonly conflated: number
}

/** A cursor that takes one value after the other, whoever asks. */
export abstract class PollingCursor<A> implements Cursor<A> {
  missed = 0
  failure: unknown = undefined
  span: Tracer.AnySpan | undefined
  abstract poll(): Polled<A>
  abstract wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R>
  abstract pending(): number
  abstract counts(): Counts
  abstract close(): void

  isFetching(): boolean {
    return false
  }
  abstract untake(value: A): void
  feed(taker: Taker<A>): ReturnType<Cursor<A>["feed"]> {
    while (true) {
      const polled = this.poll()
      if (polled === Empty || polled === Overrun || polled === Ended) return polled as ReturnType<Cursor<A>["feed"]>
      if (!taker.takes(polled as A, this.span)) return undefined
    }
  }
  takeBatch(max: number, spans: Array<Tracer.AnySpan>): Batch<A> {
    const values: Array<A> = []
    while (values.length < max) {
      const polled = this.poll()
      if (polled === Empty || polled === Overrun || polled === Ended) {
        // An end is said again by the next poll; a lag can only come first, since nothing is pushed in between.
        if (values.length === 0) return polled as Batch<A>
        break
      }
      values.push(polled as A)
      if (this.span !== undefined) spans.push(this.span)
    }
    return values as [A, ...Array<A>]
  }
}

/** Where a reader keeps its cursor. */
export const CursorTypeId = "~@sluice/core/Cursor"
