/**
 * The write side of a record: four verbs that differ in what they do when the buffer is full, and the three errors
 * that hand a refused value back to the caller.
 *
 * | verb | waits? | full | closed | for |
 * | --- | --- | --- | --- | --- |
 * | `produce` | never | overwrites, or drops and counts | counts | telemetry: fire and forget |
 * | `tryProduce` | never | `BufferFull` | `BufferClosed` | the caller has an answer to backpressure |
 * | `produceAsync` | for space or storage | waits | `BufferClosed` | the value must not be lost |
 * | `produceUnsafe` | never, plain function | `"Full"` | `"Closed"` | callbacks of non-Effect code |
 */
import { Data, type Effect, Schema } from "effect"
import { render } from "./internal/render.ts"

/** The buffer is at capacity and does not overwrite. Transient: its consumers lag. */
export class BufferFull<out A> extends Data.TaggedError("BufferFull")<{
  readonly record: string
  readonly value: A
}> {
  override get message(): string {
    return `the buffer of record "${this.record}" is full: its readers lag behind. Try again later, wait for space with `
      + `\`produceAsync\`, or drop \`value\``
  }
}

/**
 * The record has been closed, the claim of this producer was released, or the record is full and the last component that
 * read it has ended for good. Terminal: no later attempt can succeed.
 */
export class BufferClosed<out A> extends Data.TaggedError("BufferClosed")<{
  readonly record: string
  readonly value: A
}> {
  override get message(): string {
    return `record "${this.record}" takes no more values: it was closed, this producer's claim was released, or its last `
      + `reader is over for good. The refused value is in \`value\``
  }
}

/** The backing could not store the value: I/O, network, or it does not encode. `cause` says which. */
export class BufferFailed<out A> extends Data.TaggedError("BufferFailed")<{
  readonly record: string
  readonly value: A
  readonly cause: unknown
}> {
  override get message(): string {
    return `the backing of record "${this.record}" could not store a value: ${render(this.cause)}. `
      + `It is in \`value\` and was not produced`
  }
}

/** Two components claim the same record, which has `writers: "one"` (the default). */
export class WriterConflict extends Schema.TaggedError<WriterConflict>()("WriterConflict", {
  record: Schema.String,
  holder: Schema.String,
  claimant: Schema.String
}) {
  override get message(): string {
    return `"${this.claimant}" cannot write record "${this.record}": it is claimed by "${this.holder}". `
      + `Let one of them write, or define the record with \`writers: "many"\``
  }
}

/** Why `tryProduce` refused a value. */
export type TryProduceError<A> = BufferFull<A> | BufferClosed<A>
/** Why `produceAsync` could not store a value. */
export type ProduceError<A> = BufferClosed<A> | BufferFailed<A>

/** What became of a value that was offered without waiting. */
export type Produced = "Accepted" | "Full" | "Closed"

/** The write side of one record. `<B extends A>` keeps it contravariant although the errors carry the value. */
export interface Producer<in A> {
  /** The key of the record. */
  readonly record: string
  /**
   * Fire and forget: never waits and never fails. Where the buffer overwrites, the value goes in; where it refuses, a
   * value that finds it full is dropped, counted in `dropped` and warned about at most once a second. Pick it for
   * telemetry, where the next value replaces this one.
   */
  readonly produce: (value: A) => Effect.Effect<void>
  /**
   * Never waits: a full buffer is `BufferFull` and a closed one `BufferClosed`, both with the value. It does not
   * overtake producers that wait. Pick it where the caller has an answer to backpressure: shed, spill, reply 503.
   */
  readonly tryProduce: <B extends A>(value: B) => Effect.Effect<void, TryProduceError<B>>
  /**
   * Waits for space (memory), storage (disk) or the acknowledgement (broker). First come, first served. Interrupted, it
   * has either fully happened or not at all. Pick it where the value must not be lost.
   */
  readonly produceAsync: <B extends A>(value: B) => Effect.Effect<void, ProduceError<B>>
  /** `tryProduce` as a plain function, for callbacks of code that knows no Effect. */
  readonly produceUnsafe: (value: A) => Produced
}
