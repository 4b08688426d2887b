/** The steps that the checks of buffers have in common, and the answers that they expect. */
import { type Buffer, BufferClosed, BufferFull, Lagged, type Reader, RecordClosed } from "@sluice/core"
import { Effect, Exit, Option, type Scope } from "effect"
import { answers, same, valueOf } from "../trial.ts"
import type { Mismatch } from "../trial.ts"
import { roomOf, type Subject } from "./law.ts"

type Numbers = Buffer.Buffer<number>
type NumberReader = Reader.Reader<number>

/** A new buffer with one reader from the start, and how many values the check may put in without losing one. */
export const open = Effect.fnUntraced(function*(subject: Subject, capacity = 4) {
  const buffer = yield* subject.make(capacity)
  const reader = yield* buffer.subscribe
  return { buffer, reader, room: roomOf(subject.promises, capacity) }
})

/** `from`, `from + 1`, ... below `to`. */
export const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, index) => from + index)

/** Puts in `from` up to `to`, without it, each of which has to be accepted at once. */
export const put = (buffer: Numbers, from: number, to: number): Effect.Effect<void, Mismatch> =>
  same(
    `what produceUnsafe of ${from} to ${to - 1} answers`,
    range(from, to).map((value) => buffer.produceUnsafe(value)),
    range(from, to).map(() => "Accepted")
  )

/** What `tryRecv` gives until there is no more: values, and the errors in between and at the end. */
export const drain = Effect.fnUntraced(function*(reader: NumberReader) {
  const taken: Array<number | Lagged | RecordClosed> = []
  // Bounded, for a reader that never runs dry.
  while (taken.length < 1000) {
    const next = yield* valueOf("tryRecv", Effect.result(reader.tryRecv))
    if (next._tag === "Failure") taken.push(next.failure)
    else if (Option.isSome(next.success)) taken.push(next.success.value)
    else break
    if (next._tag === "Failure" && next.failure._tag === "RecordClosed") break
  }
  return taken
})

/** What `count` calls of `recv` give. */
export const receive = (
  reader: NumberReader,
  count: number
): Effect.Effect<ReadonlyArray<number>, Mismatch, Scope.Scope> =>
  Effect.forEach(range(0, count), () => valueOf("recv", reader.recv))

/** Whatever `reader` takes in, it says from now on that the record is closed. */
export const over = Effect.fnUntraced(function*(what: string, reader: NumberReader, record: string) {
  const closed = Exit.fail(new RecordClosed({ record }))
  for (let round = 0; round < 2; round++) {
    yield* answers(`recv ${what}`, reader.recv, closed)
    yield* answers(`tryRecv ${what}`, reader.tryRecv, closed)
    yield* answers(`recvBatch ${what}`, reader.recvBatch(2), closed)
  }
})

export const full = (buffer: Numbers, value: number) => Exit.fail(new BufferFull({ record: buffer.record, value }))
export const closed = (buffer: Numbers, value: number) => Exit.fail(new BufferClosed({ record: buffer.record, value }))
export const lagged = (buffer: Numbers, missed: number) => new Lagged({ record: buffer.record, missed })

/** A way to produce, with what it answers to an accepted value. */
export interface Verb {
  readonly name: "produce" | "tryProduce" | "produceAsync" | "produceUnsafe"
  readonly run: (buffer: Numbers, value: number) => Effect.Effect<unknown, unknown>
  readonly accepted: Exit.Exit<unknown>
}
export const verbs: ReadonlyArray<Verb> = [
  { name: "produce", run: (buffer, value) => buffer.produce(value), accepted: Exit.void },
  { name: "tryProduce", run: (buffer, value) => buffer.tryProduce(value), accepted: Exit.void },
  { name: "produceAsync", run: (buffer, value) => buffer.produceAsync(value), accepted: Exit.void },
  {
    name: "produceUnsafe",
    run: (buffer, value) => Effect.sync(() => buffer.produceUnsafe(value)),
    accepted: Exit.succeed("Accepted")
  }
]

/** Runs a verb, which has to accept the value at once. */
export const accepts = (verb: Verb, buffer: Numbers, value: number): Effect.Effect<void, Mismatch, Scope.Scope> =>
  answers(`${verb.name}(${value})`, verb.run(buffer, value), verb.accepted)

/** The statistics named in `expected` are these. */
export const counts = (
  what: string,
  buffer: Numbers,
  expected: Partial<Buffer.BufferStats>
): Effect.Effect<void, Mismatch> =>
  Effect.suspend(() => {
    const stats = buffer.stats()
    const seen = Object.keys(expected).map((name) => [name, stats[name as keyof Buffer.BufferStats]])
    return same(`the statistics ${what}`, Object.fromEntries(seen), expected)
  })
