/** A `Reader` over a cursor: each take is handed to the fiber in the step that took it. */
import { type Array, Effect, Exit, Option } from "effect"
import type { Reader, RecvError } from "../Reader.ts"
import { Lagged, RecordClosed } from "../Reader.ts"
import { type Cursor, CursorTypeId, Empty, Ended, Overrun } from "./cursor.ts"
import { render } from "./render.ts"
import { type AnyFiber, isInterruptedInTheAct, step } from "./step.ts"
import { withoutStack } from "./withoutStack.ts"

/** What a reader is told at the end: for ever, and why where the record's own queue has failed. */
export const closedOf = (record: string, { failure }: { readonly failure: unknown }): RecordClosed =>
  new RecordClosed(failure === undefined ? { record } : { record, cause: failure })

export const readerOf = <A>(record: string, cursor: Cursor<A>): Reader<A> => {
  const lagged = () => Exit.fail(withoutStack(() => new Lagged({ record, missed: cursor.missed })))
  const ended = () => Exit.fail(closedOf(record, cursor))
  /** Hands `values` over, or puts them back where nobody will hear of them. */
  const handed = <B>(values: ReadonlyArray<A>, answer: () => B, fiber: AnyFiber): Effect.Effect<B> => {
    if (!isInterruptedInTheAct(fiber)) return Exit.succeed(answer())
    for (const value of values.toReversed()) cursor.untake(value)
    return Effect.interrupt
  }

  const recv: Effect.Effect<A, RecvError> = step<A, RecvError>((fiber) => {
    const polled = cursor.poll()
    if (polled === Empty) return waitAndRecv
    if (polled === Overrun) return lagged()
    if (polled === Ended) return ended()
    return isInterruptedInTheAct(fiber) ? handed([polled], () => polled, fiber) : Exit.succeed(polled)
  })
  const waitAndRecv = cursor.wait(recv)
  const tryRecv: Effect.Effect<Option.Option<A>, RecvError> = step<Option.Option<A>, RecvError>((fiber) => {
    const polled = cursor.poll()
    if (polled === Empty) return cursor.isFetching() ? cursor.wait(tryRecv) : Exit.succeed(Option.none())
    if (polled === Overrun) return lagged()
    if (polled === Ended) return ended()
    return handed([polled], () => Option.some(polled), fiber)
  })
  const recvBatch = (max: number): Effect.Effect<Array.NonEmptyReadonlyArray<A>, RecvError> => {
    if (!Number.isInteger(max) || max < 1) {
      return Effect.die(
        new RangeError(`recvBatch of record "${record}": \`max\` must be a positive integer, got ${render(max)}`)
      )
    }
    const batch: Effect.Effect<Array.NonEmptyReadonlyArray<A>, RecvError> = step((fiber) => {
      const values = cursor.takeBatch(max, [])
      if (values === Empty) return cursor.wait(batch)
      if (values === Overrun) return lagged()
      if (values === Ended) return ended()
      return handed(values, () => values, fiber)
    })
    return batch
  }
  return Object.assign({ recv, tryRecv, recvBatch, pending: Effect.sync(() => cursor.pending()) }, {
    [CursorTypeId]: cursor
  })
}

/** The cursor of one of our own readers. */
export const cursorOf = <A>(reader: Reader<A>): Cursor<A> | undefined => (reader as any)[CursorTypeId]
