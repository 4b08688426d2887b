/** The driver hook over a reader that has none: a buffer of the user's own, which knows only `Reader`. */
import { Effect } from "effect"
import { Lagged, type Reader } from "../Reader.ts"
import { type Counts, Empty, Ended, Overrun, type Polled, PollingCursor } from "./cursor.ts"

export class ForeignCursor<A> extends PollingCursor<A> {
  private readonly arrival: Effect.Effect<void>
  private received = 0
  private lagged = 0
  /** What `recv` gave and no fiber has polled yet, in order. */
  private readonly arrived: Array<{ readonly value: A } | Lagged> = []
  private ended = false
  private readonly reader: Reader<A>

  constructor(reader: Reader<A>) {
    super()
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
