/** The driver hook over a reader that has none: a buffer of the user's own, which knows only `Reader`. */
import { type Context, Effect, type Fiber, Latch } from "effect"
import { Lagged, type Reader, RecordClosed } from "../Reader.ts"
import { type Counts, Empty, Ended, Overrun, type Polled, PollingCursor } from "./cursor.ts"

export class ForeignCursor<A> extends PollingCursor<A> {
  private readonly arrival: Effect.Effect<void>
  private received = 0
  private lagged = 0
  /** What `recv` gave and no fiber has polled yet, in order. */
  private readonly arrived: Array<{ readonly value: A } | Lagged> = []
  private ended = false
  private readonly reader: Reader<A>
  private readonly context: Context.Context<never>
  /** What the reader has said last of how much is ready, and whether it is being asked. */
  private answer = 0
  private asking: Fiber.Fiber<number> | undefined
  /** Open while it is not. */
  private readonly isKnown = Latch.makeUnsafe(true)

  /** `context` has the clock that a `pending` goes by which takes its time. */
  constructor(reader: Reader<A>, context: Context.Context<never>) {
    super()
    this.reader = reader
    this.context = context
    this.arrival = Effect.suspend(() =>
      this.arrived.length > 0 || this.ended ? Effect.void : reader.recv.pipe(
        // `recv` hands over in one step, so an interrupt cannot come between it and the array.
        Effect.flatMap((value) => {
          this.arrived.push({ value })
          return Effect.void
        }),
        Effect.catch((error) => {
          if (error instanceof Lagged) this.arrived.push(error)
          else if (error instanceof RecordClosed) {
            this.ended = true
            this.failure = error.cause
          } // The types allow no other.
          else return Effect.die(error)
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
  untake(value: A): void {
    this.received--
    this.arrived.unshift({ value })
  }
  counts(): Counts {
    return { received: this.received, lagged: this.lagged, conflated: 0 }
  }
  /** As the reader says; one that takes a turn to say it is asked, and until it answers it is what it said last. */
  pending(): number {
    if (this.asking === undefined) {
      const asking = Effect.runForkWith(this.context)(this.reader.pending)
      this.asking = asking
      this.isKnown.closeUnsafe()
      asking.addObserver((exit) => {
        this.asking = undefined
        if (exit._tag === "Success") this.answer = exit.value
        this.isKnown.openUnsafe()
      })
    }
    return this.arrived.length + this.answer
  }
  /** Whether nothing has come that is not polled; without asking. */
  isIdle(): boolean {
    return this.arrived.length === 0
  }
  /** Returns once `pending` says what is so; at most a second later. */
  readonly known: Effect.Effect<void> = Effect.suspend(() => {
    this.pending()
    return this.asking === undefined ? Effect.void : Effect.ignore(Effect.timeoutOption(this.isKnown.await, "1 second"))
  })
  close(): void {
    this.ended = true
    this.asking?.interruptUnsafe()
  }
}
