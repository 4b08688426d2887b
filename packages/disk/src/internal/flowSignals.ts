/**
 * A subscription to the completions of a file: it reads them where they are kept, at the pace of whoever takes them, so
 * that what it holds is a page. What the pages begin with is decided by a plain function.
 */
import { CompletionPayload, type Cursor, type Filter, type Signal } from "@sluice/core/Completion"
import { Effect, Option, Stream } from "effect"
import type { Kept, Standing } from "./flowCalls.ts"
import type { FlowConnection } from "./flowConnection.ts"

/** All completions up to `sequence` have been seen; that one was made at `at`. */
export interface Position {
  readonly database: string
  readonly sequence: number
  readonly at: number
}

export const cursorOf = ({ at, database, sequence }: Position): Cursor =>
  `sqlite/${database}/${sequence}/${at}` as Cursor
export const positionOf = (cursor: string): Position | undefined => {
  const [, database, sequence, at] = /^sqlite\/([0-9a-f]{16})\/(\d{1,15})\/(\d{1,15})$/.exec(cursor) ?? []
  return database === undefined ? undefined : { database, sequence: Number(sequence), at: Number(at) }
}

/** The file was put back to another state, by which a position means nothing, or another one has taken its place. */
export const isElsewhere = (position: Position, { at, range }: Standing): boolean =>
  range.database !== position.database || range.last < position.sequence || (at !== undefined && at !== position.at)

/** Where to go on after a position, and the gap before it if something may have been missed. */
export const bridge = (
  position: Position,
  standing: Standing,
  expired: "lagged" | "cursorExpired"
): { readonly gap: Extract<Signal, { readonly _tag: "Gap" }> | undefined; readonly position: Position } => {
  const { database, last, lastAt, oldest } = standing.range
  const gap = (reason: typeof expired | "reconnected") => ({ _tag: "Gap", since: position.at, reason } as const)
  if (isElsewhere(position, standing)) {
    return { gap: gap("reconnected"), position: { database, sequence: last, at: lastAt ?? position.at } }
  }
  return position.sequence + 1 < oldest
    ? { gap: gap(expired), position: { ...position, sequence: oldest - 1 } }
    : { gap: undefined, position }
}

/** Goes on after a position, and never ends or fails. Each run of it begins there anew. */
export const signals = (connection: FlowConnection, from: Position, filter: Filter): Stream.Stream<Signal> =>
  Stream.paginate(
    from,
    (position) =>
      Effect.flatMap(connection.read(position.sequence, filter), (reading) => {
        const { completions, range, through } = reading
        const { gap, position: bridged } = bridge(position, reading, "lagged")
        if (gap !== undefined) return Effect.succeed(pageOf([gap], bridged))
        if (through === undefined) return Effect.as(connection.after(position.sequence), pageOf([], position))
        return Effect.succeed(
          pageOf(completions.map((kept) => signalOf(kept, range.database)), { ...position, ...through })
        )
      })
  )

const pageOf = (signals: ReadonlyArray<Signal>, position: Position) => [signals, Option.some(position)] as const
const signalOf = (kept: Kept, database: string): Signal => {
  const { at, attempt, executionId, flowId, namespace, outcome, sequence, tags } = kept
  return {
    _tag: "Completion",
    payload: new CompletionPayload({
      completionId: `${executionId}/${attempt}`,
      executionId,
      attempt,
      flowId,
      outcome,
      producedAt: at,
      namespace,
      tags: JSON.parse(tags)
    }),
    cursor: Option.some(cursorOf({ database, sequence, at }))
  }
}
