/**
 * What a collector hands out, what it tells of itself, and what can be wrong with settling a batch. Misuse is a typed
 * error that changes nothing: the batch, the watermark and the attempts are as they were.
 */
import { type Array, type Effect, Schema } from "effect"

/** Values in order and without gaps, handed out together and settled together. */
export interface Batch<out A> {
  /** Sequences of the first and the last value. */
  readonly first: bigint
  readonly last: bigint
  /** Fencing token for the sink: a later holder's is higher. */
  readonly epoch: bigint
  /** From 1. What is delivered again after a failure or a crash has a higher one, as far as the group remembers. */
  readonly attempt: number
  readonly values: Array.NonEmptyReadonlyArray<A>
  /** Still at work: puts off the stall warning and, on engines that have one, the redelivery deadline. */
  readonly inProgress: Effect.Effect<void>
}

/** A value that is put aside: it failed `maxAttempts` times, was rejected, or does not decode. */
export interface DeadLetter {
  readonly record: string
  readonly group: string
  /** With which `Collector.redrive` puts it back, for as long as the log keeps it. */
  readonly sequence: bigint
  /** How often it was handed out; 0 for one that does not decode. */
  readonly attempts: number
  readonly reason: string
  /** As the log stores it. */
  readonly bytes: Uint8Array
}

/** Where a group stands. Sequences are of the last value that was; -1 before the first. Counts are of batches or values. */
export interface Progress {
  /** The oldest sequence that the log keeps. */
  readonly oldest: bigint
  /** Stored: after a crash delivery resumes at the next. */
  readonly committed: bigint
  /** Everything up to here is settled. */
  readonly watermark: bigint
  readonly fetched: bigint
  /** The sequence that the next value of the record will get. */
  readonly head: bigint
  /** Batches handed out and not settled. */
  readonly inFlight: number
  /** Values that are not settled although a later one is. */
  readonly holes: number
  /** Milliseconds since the oldest fetched value that is not settled was appended; 0 where there is none. */
  readonly oldestUnackedAge: number
}

const settling = { record: Schema.String, group: Schema.String, first: Schema.BigInt, last: Schema.BigInt }
const named = (
  error: { readonly record: string; readonly group: string; readonly first: bigint; readonly last: bigint }
) => `batch ${error.first}..${error.last} of group "${error.group}" of record "${error.record}"`

/** The delivery was settled before: acknowledged, rejected or given back, by hand or by the end of its scope. */
export class AlreadyAcked extends Schema.TaggedError<AlreadyAcked>()("AlreadyAcked", settling) {
  override get message(): string {
    return `${named(this)} is settled already: acknowledge, release or reject each delivery once`
  }
}
/** This collector has handed out no such batch. */
export class AckOutOfRange extends Schema.TaggedError<AckOutOfRange>()("AckOutOfRange", settling) {
  override get message(): string {
    return `${
      named(this)
    } was not handed out by this collector: settle batches as they came from \`take\` or \`stream\``
  }
}
/** With `order: "strict"`: an earlier batch is not settled yet. */
export class AckOutOfOrder extends Schema.TaggedError<AckOutOfOrder>()("AckOutOfOrder", {
  ...settling,
  expected: Schema.BigInt
}) {
  override get message(): string {
    return `${
      named(this)
    } is out of order: settle the batch that begins at ${this.expected} first, or let the collector `
      + `take acks in any order with \`order: "any"\``
  }
}
