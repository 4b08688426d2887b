/** Correct buffers with one thing about them changed, so that a law has something to find. */
import type { Buffer, Reader } from "@sluice/core"
import { Effect, Scope } from "effect"
import type { Subject } from "./law.ts"

type Numbers = Buffer.Buffer<number>
type NumberReader = Reader.Reader<number>

/** The same kind with some of its buffers' members replaced. */
export const altered = (alter: (buffer: Numbers) => Partial<Numbers>) => (subject: Subject): Subject => ({
  ...subject,
  make: (capacity) =>
    Effect.map(subject.make(capacity), (buffer): Numbers => ({
      record: buffer.record,
      kind: buffer.kind,
      produce: buffer.produce,
      tryProduce: buffer.tryProduce,
      produceAsync: buffer.produceAsync,
      produceUnsafe: buffer.produceUnsafe,
      subscribe: buffer.subscribe,
      latest: buffer.latest,
      stats: buffer.stats,
      close: buffer.close,
      ...alter(buffer)
    }))
})

/** The same kind with some of its statistics replaced. */
export const alteredStats = (alter: (stats: Buffer.BufferStats) => Partial<Buffer.BufferStats>) =>
  altered((buffer) => ({
    stats: () => {
      const stats = buffer.stats()
      return { ...stats, ...alter(stats) }
    }
  }))

/** The same kind with some members of its readers replaced. */
export const alteredReader = (
  alter: (reader: NumberReader, buffer: Numbers) => Partial<NumberReader>
) =>
  altered((buffer) => ({
    subscribe: Effect.map(buffer.subscribe, (reader) => ({
      recv: reader.recv,
      tryRecv: reader.tryRecv,
      recvBatch: reader.recvBatch,
      pending: reader.pending,
      ...alter(reader, buffer)
    }))
  }))

/** The same kind with every take of its readers replaced in the same way. */
export const alteredTakes = (
  alter: (buffer: Numbers) => <A>(take: Effect.Effect<A, Reader.RecvError>) => Effect.Effect<A, Reader.RecvError>
) =>
  alteredReader((reader, buffer) => {
    const altered = alter(buffer)
    return {
      recv: altered(reader.recv),
      tryRecv: altered(reader.tryRecv),
      recvBatch: (max) => altered(reader.recvBatch(max))
    }
  })

/** All who subscribe get one and the same reader. */
export const sharedReader = altered((buffer) => {
  let first: NumberReader | undefined
  return {
    subscribe: Effect.suspend(() =>
      first !== undefined ? Effect.succeed(first) : Effect.map(buffer.subscribe, (reader) => first = reader)
    )
  }
})

/** Readers outlive the scope that they were subscribed in. */
export const immortalReaders = altered((buffer) => ({
  subscribe: Effect.flatMap(Scope.make(), (scope) => Scope.provide(buffer.subscribe, scope))
}))

/** `recv` forgets that it gave a value, and gives it once more. */
export const doubledValues = alteredReader((reader) => {
  const again: Array<number> = []
  const recv = Effect.tap(reader.recv, (value) => Effect.sync(() => again.push(value)))
  return { recv: Effect.suspend(() => again.length > 0 ? Effect.succeed(again.shift()!) : recv) }
})

/** Takes everything there is; bounded, for a reader that never runs dry. */
export const drained = (reader: NumberReader, left = 1000): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.matchEffect(reader.tryRecv, {
      onFailure: () => Effect.void,
      onSuccess: (value) => value._tag === "None" || left === 0 ? Effect.void : drained(reader, left - 1)
    })
  )
