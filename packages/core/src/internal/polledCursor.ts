/** The driver hook over a user's own `poll`: see `Buffer.makeReader`. */
import { Cause, Effect, Exit, type Tracer } from "effect"
import type { RecvError } from "../Reader.ts"
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

interface Options<A> {
  readonly poll: () => Exit.Exit<A, RecvError> | undefined
  readonly wait: Effect.Effect<void>
  readonly pending: () => number
}

export class PolledCursor<A> implements Cursor<A> {
  readonly span = undefined
  missed = 0
  private received = 0
  private lagged = 0
  private readonly options: Options<A>

  constructor(options: Options<A>) {
    this.options = options
  }
  wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R> {
    return Effect.andThen(this.options.wait, next)
  }
  poll(): Polled<A> {
    const polled = this.options.poll()
    if (polled === undefined) return Empty
    if (Exit.isSuccess(polled)) {
      this.received++
      return polled.value
    }
    const error = Cause.squash(polled.cause) as RecvError
    if (error._tag !== "Lagged") return Ended
    this.missed = error.missed
    this.lagged += error.missed
    return Overrun
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
    return this.options.pending()
  }
  close(): void {}
}
