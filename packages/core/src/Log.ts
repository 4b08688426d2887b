/**
 * A log: a buffer that keeps values under consecutive sequence numbers per record, from 0 and never reused, until they
 * are acknowledged and expired. This is the contract that every engine implements, in memory, on disk or on a server:
 * `Log` and `Group` are all that a collector needs of one.
 *
 * Invariants of a group: committed never goes back within an epoch; acquiring a group raises its epoch, and the
 * previous holder's next commit fails with `StaleEpoch`; after a crash delivery resumes at committed + 1.
 */
import { type Effect, type Option, Schema, type Scope } from "effect"
import type { Buffer } from "./Buffer.ts"
import type { Reader } from "./Reader.ts"

/** In the context only where the record `Self` stands on a log: what a collector asks for. */
export interface LogOf<in out Self> {
  readonly "~@sluice/core/LogOf": Self
}
/** What an acknowledged value has survived to. */
export type Durability = "volatile" | "buffered" | "replicated" | "fsynced"
/** Where to begin: with the next value, the oldest kept, a sequence, or a time in milliseconds since the epoch. */
export type From = "head" | "oldest" | { readonly sequence: bigint } | { readonly time: number }

/** The engine could not read or write. `cause` says why. */
export class LogFailed extends Schema.TaggedError<LogFailed>()("LogFailed", {
  record: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `the log of record "${this.record}" failed: ${String(this.cause)}`
  }
}
/** Another holder has acquired the group since. Terminal for this one. */
export class StaleEpoch extends Schema.TaggedError<StaleEpoch>()("StaleEpoch", {
  record: Schema.String,
  group: Schema.String,
  epoch: Schema.BigInt
}) {
  override get message(): string {
    return `group "${this.group}" of record "${this.record}" was acquired by another holder since epoch ${this.epoch}: `
      + `this holder's progress is no longer committed, and it must stop`
  }
}

/** `value` is none where the stored bytes no longer decode; they are kept as they are. `at` is in milliseconds since the epoch. */
export interface Entry<out A> {
  readonly sequence: bigint
  readonly at: number
  readonly value: Option.Option<A>
  readonly bytes: Uint8Array
}
/** One holder's hold on a consumer group: everything a collector needs of an engine. */
export interface Group {
  /** The fencing token: higher than that of every earlier holder. */
  readonly epoch: bigint
  /** Every sequence at or below it was settled; -1 before the first. */
  readonly committed: bigint
  /** Sequences above the watermark that were tried before a crash, with their attempts. */
  readonly attempts: ReadonlyMap<bigint, number>
  /** Returns once `through` and `attempts` are as durable as the log says. */
  readonly commit: (progress: {
    readonly through: bigint
    readonly attempts: ReadonlyMap<bigint, number>
  }) => Effect.Effect<void, StaleEpoch | LogFailed>
}
/** A buffer with sequences and groups. */
export interface Log<in out A> extends Buffer<A> {
  readonly durability: Durability
  /** The oldest sequence still kept. */
  readonly oldest: Effect.Effect<bigint, LogFailed>
  /** The sequence that the next value will get. */
  readonly head: Effect.Effect<bigint, LogFailed>
  /** In order, without gaps, at most `max`; waits for the first. Fails with `Lagged` when `from` has expired. */
  readonly read: (from: bigint, max: number) => Effect.Effect<ReadonlyArray<Entry<A>>, LogFailed>
  readonly subscribeFrom: (from: From) => Effect.Effect<Reader<A>, LogFailed, Scope.Scope>
  /** Takes the group over from whoever holds it. `from` counts only for a group that is new. */
  readonly acquire: (group: string, options: { readonly from: From }) => Effect.Effect<Group, LogFailed, Scope.Scope>
  readonly groups: Effect.Effect<
    ReadonlyArray<{ readonly name: string; readonly committed: bigint; readonly idleSince: number }>,
    LogFailed
  >
  readonly removeGroup: (group: string) => Effect.Effect<void, LogFailed>
}
/** Makes the log of a record: what `Record.layerLog` takes. */
export interface LogBacking<out E = never, out R = never> {
  readonly durability: Durability
  readonly make: <A>(record: {
    readonly key: string
    readonly schema: Schema.Codec<A, any>
  }) => Effect.Effect<Log<A>, E, R | Scope.Scope>
}
