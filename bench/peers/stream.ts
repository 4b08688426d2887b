/**
 * Node's object streams and web streams: pushed into as a source of events does, which asks for no room; and with the
 * backpressure of waiting for `drain` or `ready`, to one subscriber. `capacity` is the high-water mark.
 */
import { Effect } from "effect"
import { once } from "node:events"
import { PassThrough, Readable, Writable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { attend, type Peer, type PlainPush } from "../contestant.ts"
import type { Reading, Subscriber } from "../workload.ts"
import type { AsyncPush } from "./async.ts"

export const readableToData = (capacity: number): Peer<PlainPush> => ({
  name: "Readable push → on data",
  open: (subscribers) =>
    Effect.map(destroyed(() => sourceOf(capacity)), (readable) => {
      for (const { handleUnsafe } of subscribers) readable.on("data", handleUnsafe)
      return (value) => {
        // What it answers is advice: the value is in.
        readable.push(value)
        return true
      }
    })
})
/** A stream for each subscriber. */
export const enqueueToReader = (capacity: number): Peer<PlainPush> => ({
  name: "ReadableStream enqueue → getReader",
  open: (subscribers) =>
    Effect.gen(function*() {
      const controllers: Array<ReadableStreamDefaultController<Reading>> = []
      for (const subscriber of subscribers) {
        const { controller, stream } = webSourceOf(capacity)
        controllers.push(controller)
        yield* attend(subscriber, Effect.promise(() => readAll(stream, subscriber)))
      }
      return (value) => {
        for (const controller of controllers) controller.enqueue(value)
        return true
      }
    })
})

export const writeToForAwait = (capacity: number): Peer<AsyncPush> =>
  writing("PassThrough write → for await", capacity, async (stream, { handleUnsafe }) => {
    for await (const value of stream) handleUnsafe(value as Reading)
  })
export const writeToWritable = (capacity: number): Peer<AsyncPush> =>
  writing("PassThrough write → pipeline, Writable", capacity, (stream, { handleUnsafe }) =>
    pipeline(
      stream,
      new Writable({
        objectMode: true,
        highWaterMark: capacity,
        write: (value: Reading, _encoding, done) => {
          handleUnsafe(value)
          done()
        }
      })
    ))
export const writerToReader = (capacity: number): Peer<AsyncPush> => ({
  name: "TransformStream write → getReader",
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const strategy = new CountQueuingStrategy({ highWaterMark: capacity })
      const { readable, writable } = new TransformStream<Reading, Reading>(undefined, strategy)
      yield* attend(subscriber!, Effect.promise(() => readAll(readable, subscriber!)))
      const writer = writable.getWriter()
      return async (value) => {
        await writer.ready
        // Awaited, it would wait until the value was taken.
        void writer.write(value)
      }
    })
})

/** A source that is pushed into from outside. */
export const sourceOf = (capacity: number): Readable =>
  new Readable({ objectMode: true, highWaterMark: capacity, read: () => {} })
export const webSourceOf = (capacity: number) => {
  let controller!: ReadableStreamDefaultController<Reading>
  const stream = new ReadableStream<Reading>(
    {
      start: (given) => {
        controller = given
      }
    },
    new CountQueuingStrategy({ highWaterMark: capacity })
  )
  return { controller, stream }
}

const writing = (
  name: string,
  capacity: number,
  read: (stream: PassThrough, subscriber: Subscriber) => Promise<void>
): Peer<AsyncPush> => ({
  name,
  open: ([subscriber]) =>
    Effect.gen(function*() {
      const stream = yield* destroyed(() => new PassThrough({ objectMode: true, highWaterMark: capacity }))
      yield* attend(subscriber!, Effect.promise(() => read(stream, subscriber!)))
      return (value) => stream.write(value) ? undefined : once(stream, "drain")
    })
})
const readAll = async (stream: ReadableStream<Reading>, { handleUnsafe }: Subscriber): Promise<void> => {
  const reader = stream.getReader()
  for (let next = await reader.read(); !next.done; next = await reader.read()) handleUnsafe(next.value)
}
const destroyed = <S extends Readable>(make: () => S) =>
  Effect.acquireRelease(Effect.sync(make), (stream) => Effect.sync(() => stream.destroy()))
