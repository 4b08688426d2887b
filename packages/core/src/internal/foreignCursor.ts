/** The driver hook over a reader that has none: a buffer of the user's own, which knows only `Reader`. */
import { Effect, type Tracer } from "effect"
import { Lagged, type Reader } from "../Reader.ts"
import {
  type Batch,
  batchByPolling,
  type Counts,
  type Cursor,
  Empty,
  Ended,
  feedByPolling,
  Overrun,
  type Polled,
  type Taker
} from "./cursor.ts"

export class ForeignCursor<A> implements Cursor<A> {
  private readonly arrival: Effect.Effect<void>
  missed = 0
  private received = 0
  private lagged = 0
  readonly span = undefined
  /** What `recv` gave and no fiber has polled yet, in order. */
  private readonly arrived: Array<{ readonly value: A } | Lagged> = []
  private ended = false
  private readonly reader: Reader<A>

  constructor(reader: Reader<A>) {
    this.reader = reader
    this.arrival = Effect.suspend(() =>
      this.arrived.length > 0 || this.ended ? Effect.void : reader.recv.pipe(
        // `recv` hands over in one step, so an interrupt cannot come between it and the array.
        Effect.flatMap((value) => {
          this.arrived.push({ value })
          return Effect.void
        }),
        Effect.catch((error) => {
          if (error instanceof Lagged) this.arrived.push(error)
          else this.ended = true
          return Effect.void
        })
      )
    )
  }
  wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R> {
    return Effect.andThen(this.arrival, next)
  }
  poll(): Polled<A> {
    const next = this.arrived.shift()
    if (next === undefined) return this.ended ? Ended : Empty
    if (next instanceof Lagged) {
      this.missed = next.missed
      this.lagged += next.missed
      return Overrun
    }
    this.received++
    return next.value
  }
  feed(taker: Taker<A>): ReturnType<Cursor<A>["feed"]> {
    return feedByPolling(this, taker)
  }
  takeBatch(max: number, spans: Array<Tracer.AnySpan>): Batch<A> {
    return batchByPolling(this, max, spans)
  }
  counts(): Counts {
    return { received: this.received, lagged: this.lagged, conflated: 0 }
  }
  pending(): number {
    return this.arrived.length + Effect.runSync(this.reader.pending)
  }
  close(): void {
    this.ended = true
  }
}
