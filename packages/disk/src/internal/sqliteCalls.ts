/**
 * What the two sides of a SQLite log say to each other: the main thread asks by one of `Calls`, and the worker that has
 * the database answers in the same order. Everything here can be sent between threads.
 */
import type { Committed, Listed, Place } from "@sluice/core/Engine"

/** What a record lets go of. A limit that is Infinity is none; times are in milliseconds. */
export interface Limits {
  readonly count: number
  readonly bytes: number
  readonly age: number
  /** Whether to keep what a group has not committed, whatever the limits say. */
  readonly keepsUnacknowledged: boolean
  readonly groupIdleTimeout: number
}

/** How one record stands after a transaction. */
export interface RecordState {
  readonly next: number
  readonly oldest: number
  /** Of the group that is behind most; Infinity where there is none. */
  readonly committed: number
  /** Of the values that this group has not committed. */
  readonly bytesUncommitted: number
  /** The groups that have not committed the oldest value: ten of them at most. */
  readonly blockers: ReadonlyArray<string>
  /** The earliest that a group was released, or that its holder showed that it lives; Infinity where there is none. */
  readonly idleSince: number
  /** When the oldest value was appended, where it is only its age that keeps it; else Infinity. */
  readonly oldestAt: number
  /** Whether rows are left to delete. */
  readonly more: boolean
  /** How many values were dated ahead by a clock that has been put right since, and have got another date just now. */
  readonly datedBack: number
}

/** A holder of this process: it keeps its group from being idle. */
export interface Holder {
  readonly group: string
  readonly epoch: number
}
/** Values one after the other, as one piece of memory. */
export interface Packed {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly lengths: Uint32Array<ArrayBuffer>
  readonly times: Float64Array<ArrayBuffer>
}

/** What is done in a transaction. `now` is the time of the call. */
export type Write =
  | { readonly _tag: "Append"; readonly values: Packed }
  | {
    readonly _tag: "Acquire"
    readonly group: string
    readonly from: Place
    readonly now: number
    readonly holders: ReadonlyArray<Holder>
  }
  | { readonly _tag: "Release"; readonly hold: Holder; readonly now: number }
  | {
    readonly _tag: "Commit"
    readonly hold: Holder
    readonly through: number
    readonly attempts: ReadonlyArray<readonly [number, number]>
    readonly now: number
  }
  | { readonly _tag: "List"; readonly now: number; readonly holders: ReadonlyArray<Holder> }
  | { readonly _tag: "Remove"; readonly group: string; readonly now: number }
  /** Lets go of what is past its time. */
  | { readonly _tag: "Expire"; readonly now: number; readonly holders: ReadonlyArray<Holder> }

/** What `Acquire` found. */
export interface Acquired {
  readonly epoch: number
  readonly committed: number
  readonly attempts: ReadonlyArray<readonly [number, number]>
}
/** The answer to each kind of write. */
export interface Written {
  readonly Append: void
  readonly Acquire: Acquired
  readonly Release: void
  readonly Commit: Committed
  readonly List: ReadonlyArray<Listed>
  readonly Remove: void
  readonly Expire: void
}

/** A record as this process has opened it, by a number of the main thread's choice. */
export interface Slot {
  readonly slot: number
  readonly key: string
  /** Of the schema by which this process encodes. */
  readonly version: number
  readonly limits: Limits
}
/** How the record of a slot stands. */
export type Standing = readonly [slot: number, state: RecordState]

export interface Calls {
  /** Comes first. */
  readonly Open: {
    readonly asked: { readonly file: string; readonly busyTimeout: number; readonly slots: ReadonlyArray<Slot> }
    readonly answer: ReadonlyArray<Standing>
  }
  readonly OpenSlot: { readonly asked: Slot; readonly answer: RecordState }
  readonly CloseSlot: { readonly asked: { readonly slot: number }; readonly answer: void }
  /** One transaction: all of it happens, or nothing. Answers also with how every record that it touched then stands. */
  readonly Write: {
    readonly asked: ReadonlyArray<{ readonly slot: number; readonly writes: ReadonlyArray<Write> }>
    readonly answer: {
      readonly written: ReadonlyArray<ReadonlyArray<unknown>>
      readonly standings: ReadonlyArray<Standing>
    }
  }
  /** Answers with nothing where `from` has expired meanwhile, and then with how the record stands in any case. */
  readonly Read: {
    readonly asked: { readonly slot: number; readonly from: number; readonly max: number }
    readonly answer: {
      readonly values: Packed
      readonly versions: Uint32Array
      readonly state: RecordState | undefined
    }
  }
  readonly SequenceAt: { readonly asked: { readonly slot: number; readonly time: number }; readonly answer: number }
  readonly Look: { readonly asked: { readonly slot: number }; readonly answer: RecordState }
  /** How all records stand, where another process has written since the last time; else nothing. */
  readonly Poll: { readonly asked: undefined; readonly answer: ReadonlyArray<Standing> }
  /** Comes last. */
  readonly Close: { readonly asked: undefined; readonly answer: void }
}
export type Call = {
  readonly [Tag in keyof Calls]: { readonly _tag: Tag; readonly asked: Calls[Tag]["asked"] }
}[keyof Calls]
