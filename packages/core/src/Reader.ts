/**
 * The read side of a buffer: one position of one subscriber. Several fibers may share a reader, and each value then
 * goes to one of them. An interrupted `recv` has taken nothing.
 */
import { type Array, type Effect, type Option, Schema } from "effect"
import { render } from "./internal/render.ts"

/** The reader fell behind: `missed` values were overwritten or expired. The next `recv` goes on at the oldest held. */
export class Lagged extends Schema.TaggedError<Lagged>()("Lagged", { record: Schema.String, missed: Schema.Int }) {
  override get message(): string {
    return `a reader of record "${this.record}" fell behind and missed ${this.missed} value(s). It goes on at the oldest `
      + `value still held; a larger capacity or a faster reader avoids this`
  }
}

/**
 * The record was closed and this reader has received all that was held; or the reader's own scope was closed. `cause` is
 * there only where the application's own queue behind the record has failed: then it is with what.
 */
export class RecordClosed extends Schema.TaggedError<RecordClosed>()("RecordClosed", {
  record: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message(): string {
    return this.cause === undefined
      ? `record "${this.record}" is closed and this reader has received all that it held`
      : `record "${this.record}" has ended, since the queue behind it failed: ${render(this.cause)}`
  }
}

/** Why `recv` has no value. `Lagged` is told once and reading goes on; `RecordClosed` is final. */
export type RecvError = Lagged | RecordClosed

/** One position in a buffer. It lives as long as the scope it was subscribed in. */
export interface Reader<out A> {
  /** The next value; waits for it. */
  readonly recv: Effect.Effect<A, RecvError>
  /** The next value if there is one now. */
  readonly tryRecv: Effect.Effect<Option.Option<A>, RecvError>
  /** All that is ready, at most `max` (a positive integer, else it dies), in order; waits for the first. */
  readonly recvBatch: (max: number) => Effect.Effect<Array.NonEmptyReadonlyArray<A>, RecvError>
  /** How many values are ready for this reader now; for a ring the true lag, overwritten values included. */
  readonly pending: Effect.Effect<number>
}
