/**
 * A user's own buffers, from `Buffer.make`: an array whose readers compete, without a limit or with one. Where nobody waits
 * for room its readers are put together by hand; a take that lets a producer in may be interrupted by it within the very
 * step, and what it took is safe only in a reader of `Buffer.makeReader`.
 */
import { Buffer, BufferClosed, type Reader, RecordClosed } from "@sluice/core"
import { Effect, Exit, Option } from "effect"

interface Waiting {
  readonly value: number
  readonly resume: (effect: Effect.Effect<void>) => void
}

const Empty = Symbol("Empty")

export const arrayBuffer = (
  record: string,
  capacity = Number.POSITIVE_INFINITY
): Buffer.Buffer<number> => {
  const values: Array<number> = []
  const readers = new Set<() => void>()
  const producers = new Set<Waiting>()
  let closed = false

  const wakeReaders = (): void => {
    const woken = [...readers]
    readers.clear()
    for (const resume of woken) resume()
  }
  const push = (value: number): void => {
    values.push(value)
    wakeReaders()
  }
  const isFull = () => values.length >= capacity
  const admit = (): void => {
    for (const producer of producers) {
      if (isFull()) return
      producers.delete(producer)
      values.push(producer.value)
      producer.resume(Effect.void)
    }
  }
  const take = (max: number): Array<number> => {
    const taken = values.splice(0, max)
    admit()
    return taken
  }

  const open = () => {
    const place = { gone: false }
    const over = Effect.suspend(() =>
      place.gone || (closed && values.length === 0) ? Effect.fail(new RecordClosed({ record })) : Effect.void
    )
    const arrival = Effect.callback<void>((resume) => {
      if (place.gone || closed || values.length > 0) return resume(Effect.void)
      const woken = () => resume(Effect.void)
      readers.add(woken)
      return Effect.sync(() => readers.delete(woken))
    })
    /**
     * `Effect.sync` hands what it took to the fiber in the step that takes it; another step could be interrupted before.
     * So it cannot answer that there is nothing to take, and throws instead.
     */
    const taken = <T>(ready: () => T, empty: Effect.Effect<T, RecordClosed>): Effect.Effect<T, RecordClosed> =>
      Effect.sync(() => {
        if (place.gone || values.length === 0) throw Empty
        return ready()
      }).pipe(
        Effect.catchDefect((defect) => defect === Empty ? Effect.andThen(over, empty) : Effect.die(defect))
      )
    const awaited = <T>(ready: () => T): Effect.Effect<T, RecordClosed> =>
      taken(ready, Effect.suspend(() => Effect.andThen(arrival, awaited(ready))))
    const byHand: Reader.Reader<number> = {
      recv: awaited(() => take(1)[0]!),
      tryRecv: taken(() => Option.some(take(1)[0]!), Effect.succeedNone),
      recvBatch: (max) =>
        Number.isInteger(max) && max > 0
          ? awaited(() => take(max) as [number, ...Array<number>])
          : Effect.die(new RangeError(`max must be a positive integer, got ${max}`)),
      pending: Effect.sync(() => place.gone ? 0 : values.length)
    }
    const made = Buffer.makeReader<number>({
      record,
      poll: () =>
        place.gone || (closed && values.length === 0)
          ? Exit.fail(new RecordClosed({ record }))
          : values.length > 0
          ? Exit.succeed(take(1)[0]!)
          : undefined,
      wait: arrival,
      pending: () => place.gone ? 0 : values.length
    })
    return { place, reader: Number.isFinite(capacity) ? made : byHand }
  }
  const close = Effect.sync(() => {
    closed = true
    wakeReaders()
    const refused = [...producers]
    producers.clear()
    for (const { resume, value } of refused) resume(Effect.fail(new BufferClosed({ record, value })) as any)
  })
  return Buffer.make<number>({
    record,
    kind: "Array",
    push: (value) => isFull() ? undefined : push(value),
    ...(Number.isFinite(capacity) && {
      tryPush: (value) => producers.size > 0 || isFull() ? "Full" : (push(value), "Accepted"),
      pushAsync: (value) =>
        Effect.callback((resume) => {
          if (!isFull()) return resume(Effect.sync(() => push(value)))
          const producer: Waiting = { value, resume }
          producers.add(producer)
          return Effect.sync(() => {
            producers.delete(producer)
            admit()
          })
        })
    }),
    subscribe: Effect.map(
      Effect.acquireRelease(Effect.sync(open), ({ place }) =>
        Effect.sync(() => {
          place.gone = true
          wakeReaders()
        })),
      ({ reader }) => reader
    ),
    held: () => values.length,
    close
  })
}
