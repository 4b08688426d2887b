/**
 * What the two sides of a store of flows say to each other: the main thread asks by one of `Calls`, and the worker that
 * has the database answers in the same order. `now` is the time of the call in milliseconds since the epoch.
 */
import type { EdgeGroup, Execution, Filter, FlowError, FlowStore, Outcome } from "@sluice/core/Completion"

/** How long completions can be read again. Infinity is no limit; `age` is in milliseconds. */
export interface History {
  readonly count: number
  readonly age: number
}

/** An execution as it is asked for, with nothing left out. */
export interface Added {
  readonly executionId: string
  readonly flowId: string | null
  readonly namespace: string
  readonly tags: { readonly [key: string]: string }
  readonly groups: ReadonlyArray<EdgeGroup>
}
export type Edge = Parameters<FlowStore["addEdge"]>[0]
export type End = Parameters<FlowStore["complete"]>[0]
export interface Page {
  /** The place of the last one of the page before; 0 for the first page. */
  readonly after: number
  readonly limit: number
}
/** What fits on a page, and the place to go on after; undefined at the end. */
export interface Listing<A> {
  readonly executions: ReadonlyArray<A>
  readonly next: number | undefined
}

/** What a verb has come to: its result, or that it does not fit and has changed nothing. */
export type Verdict<A> =
  | { readonly _tag: "Done"; readonly value: A }
  | { readonly _tag: "Refused"; readonly reason: FlowError["reason"]; readonly detail: string }
/** With the sequence of the last completion that there was by then. */
export interface Told<A> {
  readonly verdict: Verdict<A>
  readonly last: number
}

/** A completion that is kept. They have sequences from 1 on, without one left out, in the order of their transactions. */
export interface Kept {
  readonly sequence: number
  readonly executionId: string
  readonly attempt: number
  readonly flowId: string | null
  readonly outcome: Outcome
  readonly at: number
  readonly namespace: string
  /** In JSON. */
  readonly tags: string
}
/** Which completions there are. */
export interface Range {
  /** Of this database: another file has another one. */
  readonly database: string
  /** The sequence of the oldest that is kept; `last + 1` where none is. */
  readonly oldest: number
  /** That of the last there has been, and when it was made; 0 before the first, and no time where it is not kept. */
  readonly last: number
  readonly lastAt: number | undefined
}
/** Which there are, and when the one at a sequence was made, where it is kept: that it is still the same one. */
export interface Standing {
  readonly range: Range
  readonly at: number | undefined
}
export interface Reading extends Standing {
  /** In order, those after `from` that pass the filter; none where `from + 1` has expired or `from` is past the last. */
  readonly completions: ReadonlyArray<Kept>
  /** Everything up to this sequence has been looked at, and when that one was made; undefined where it was nothing. */
  readonly through: { readonly sequence: number; readonly at: number } | undefined
}

interface VerbOf<Asked, Answer> {
  readonly asked: Asked & { readonly now: number }
  readonly answer: Told<Answer>
}
export interface Calls {
  /** Comes first. */
  readonly Open: {
    readonly asked: { readonly file: string; readonly busyTimeout: number; readonly history: History }
    readonly answer: Range
  }
  readonly Add: VerbOf<{ readonly execution: Added }, Execution>
  readonly AddEdge: VerbOf<{ readonly edge: Edge }, Execution>
  readonly Complete: VerbOf<{ readonly end: End }, boolean>
  readonly Promote: VerbOf<
    { readonly executionId: string },
    { readonly promoted: ReadonlyArray<string>; readonly skipped: ReadonlyArray<string> }
  >
  readonly Replay: VerbOf<{ readonly executionId: string }, Execution>
  readonly Get: { readonly asked: { readonly executionId: string }; readonly answer: Execution | undefined }
  readonly List: {
    readonly asked: Page & { readonly state: Execution["state"]; readonly flowId: string | undefined }
    readonly answer: Listing<Execution>
  }
  readonly Unsettled: { readonly asked: Page; readonly answer: Listing<string> }
  readonly Stand: { readonly asked: { readonly sequence: number }; readonly answer: Standing }
  readonly Read: {
    readonly asked: { readonly from: number; readonly filter: Filter }
    readonly answer: Reading
  }
  /** Which completions there are, where another process has written since the last time; else nothing. */
  readonly Poll: { readonly asked: undefined; readonly answer: Range | undefined }
  /** Comes last. */
  readonly Close: { readonly asked: undefined; readonly answer: void }
}
export type Call = {
  readonly [Tag in keyof Calls]: { readonly _tag: Tag; readonly asked: Calls[Tag]["asked"] }
}[keyof Calls]
export type Verb = Extract<Call, { readonly _tag: "Add" | "AddEdge" | "Complete" | "Promote" | "Replay" }>
