/** The driver hook over a user's own `poll`: see `Buffer.makeReader`. */
import { Cause, Effect, Exit } from "effect"
import { Lagged, RecordClosed, type RecvError } from "../Reader.ts"
import { type Counts, Empty, Ended, Overrun, type Polled, PollingCursor } from "./cursor.ts"

interface Options<A> {
  readonly poll: () => Exit.Exit<A, RecvError> | undefined
  readonly wait: Effect.Effect<void>
  readonly pending: () => number
}

export class PolledCursor<A> extends PollingCursor<A> {
  private received = 0
  private lagged = 0
  private readonly untaken: Array<A> = []
  private readonly options: Options<A>

  constructor(options: Options<A>) {
    super()
    this.options = options
  }
  wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R> {
    return Effect.andThen(Effect.suspend(() => this.untaken.length > 0 ? Effect.void : this.options.wait), next)
  }
  /** The user's `poll` must not run anybody's fiber. One that does loses nothing all the same. */
  untake(value: A): void {
    this.received--
    this.untaken.unshift(value)
  }
  poll(): Polled<A> {
    if (this.untaken.length > 0) {
      this.received++
      return this.untaken.shift()!
    }
    const polled = this.options.poll()
    if (polled === undefined) return Empty
    if (Exit.isSuccess(polled)) {
      this.received++
      return polled.value
    }
    const error = Cause.squash(polled.cause)
    if (error instanceof Lagged) {
      this.missed = error.missed
      this.lagged += error.missed
      return Overrun
    }
    // A defect of the user's own is no end: whoever polls dies of it.
    if (!(error instanceof RecordClosed)) throw error
    this.failure = error.cause
    return Ended
  }
  counts(): Counts {
    return { received: this.received, lagged: this.lagged, conflated: 0 }
  }
  pending(): number {
    return this.untaken.length + this.options.pending()
  }
  close(): void {}
}
