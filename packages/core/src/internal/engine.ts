/**
 * What stands under a durable log: bytes in, bytes out, as an engine keeps them on disk or on a server.
 *
 * Sequences are plain numbers here, exact up to 2^53, consecutive from 0 and never reused; times are milliseconds since
 * the epoch. A failure is whatever the engine has to say: callers get it as the cause of a `LogFailed` or `BufferFailed`.
 */
import type { Effect } from "effect"
import type { Durability } from "../Log.ts"
import type { Committed, Hold, Listed } from "./groupTable.ts"
import type { Place } from "./logState.ts"

/** One value as it is kept. */
export interface Stored {
  readonly sequence: number
  /** Never less than that of an earlier value. */
  readonly at: number
  /** Of the schema by which it was encoded: see `Record.Service`. */
  readonly version: number
  readonly bytes: Uint8Array
}

/** The log of one record. None of the plain calls runs foreign code: listeners and `done` are called in a later turn. */
export interface Engine {
  /** For statistics and messages: "Journal". */
  readonly kind: string
  readonly durability: Durability
  /** How many values it keeps at most; Infinity where count is no limit. */
  readonly capacity: number
  /**
   * The sequence that the next value to be stored will get, as far as this process knows: values that are not durable yet
   * do not count, since they may still fail and their sequences be another's. Never goes back.
   */
  readonly head: () => number
  /** The oldest sequence kept; the head where none is. Never goes back. */
  readonly oldest: () => number
  /** Asks the engine anew, where other processes append too; `head` and `oldest` then say what it answered. */
  readonly refresh?: Effect.Effect<void, unknown>
  /** Whether a value would be refused now: the write queue is full, or retention keeps what a group has not committed. */
  readonly isFull: () => boolean
  /** What holds the oldest value, as words of a message: `group "a"`. */
  readonly blockers: () => ReadonlyArray<string>
  /**
   * Takes a value; only where it is not full and not closed. The order of calls is the order of sequences, and of the
   * `done`s: each is called once, when its value is as durable as the engine says and `head` has passed it, or with why it
   * is not stored and has no sequence. It may append again at once.
   */
  readonly append: (bytes: Uint8Array, done: (failure?: { readonly cause: unknown }) => void) => void
  /** As `append`, of a text that is to be kept as its UTF-8: for an engine that is faster so. */
  readonly appendText?: (text: string, done: (failure?: { readonly cause: unknown }) => void) => void
  /** Sets whom to tell: `advanced` once `head` or `oldest` moved; `roomMade` once `isFull` may answer otherwise. */
  readonly listen: (listener: { readonly advanced: () => void; readonly roomMade: () => void }) => void
  /** At most `max` values from `from` on, without gaps; `oldest() ≤ from < head()` when it is called. Takes nothing. */
  readonly read: (from: number, max: number) => Effect.Effect<ReadonlyArray<Stored>, unknown>
  /** The sequence of the first value kept that was appended at `time` or later; the head where there is none. */
  readonly sequenceAt: (time: number) => Effect.Effect<number, unknown>
  /** Takes a group over, or makes it so that it begins at `from`; durable when it returns. */
  readonly acquire: (group: string, from: Place) => Effect.Effect<Hold, unknown>
  /** Nothing where someone else has it now. */
  readonly release: (hold: Hold) => Effect.Effect<void>
  /** Durable when it returns. */
  readonly commit: (
    hold: Hold,
    through: number,
    attempts: ReadonlyMap<number, number>
  ) => Effect.Effect<Committed, unknown>
  readonly groups: Effect.Effect<ReadonlyArray<Listed>, unknown>
  readonly removeGroup: (group: string) => Effect.Effect<void, unknown>
  /** Stores what was taken; everything but `append` can be called afterwards, until the scope that made it closes. */
  readonly close: Effect.Effect<void>
}
