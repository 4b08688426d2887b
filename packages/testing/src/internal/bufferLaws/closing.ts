/** Laws on the close: two-sided and exact. */
import { BufferClosed, RecordClosed } from "@sluice/core"
import { Effect, Exit, type Fiber } from "effect"
import { answers, ends, exitOf, pass, rest, same, settle, start, startStepwise, valueOf, waits } from "../trial.ts"
import { always, holdsBack, type Law, law, overwrites } from "./law.ts"
import { altered, alteredReader } from "./sabotage.ts"
import { closed, counts, drain, lagged, open, over, put, range } from "./steps.ts"

const verbs = law("after the close every verb answers that it is closed, and hands the value back intact", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    for (const full of [false, true]) {
      const { buffer, reader, room } = yield* open(subject)
      const held = full ? room : 0
      yield* put(buffer, 0, held)
      yield* valueOf("close", buffer.close)
      for (const value of [7, 0, -0]) {
        yield* answers("tryProduce after the close", buffer.tryProduce(value), closed(buffer, value))
        yield* answers("produceAsync after the close", buffer.produceAsync(value), closed(buffer, value))
        yield* same("produceUnsafe after the close", buffer.produceUnsafe(value), "Closed")
      }
      yield* counts("after refusals", buffer, { produced: held, dropped: 0 })
      yield* answers("produce after the close", buffer.produce(8), Exit.void)
      yield* counts("after produce after the close", buffer, { produced: held, dropped: 1 })
      const end = new RecordClosed({ record: buffer.record })
      yield* same("what was held", yield* drain(reader), [...range(0, held), end])
    }
  }),
  broken: altered((buffer) => ({
    produceUnsafe: (value) => {
      const produced = buffer.produceUnsafe(value)
      return produced === "Closed" ? "Full" : produced
    }
  }))
})

const held = law("after the close readers receive what is held, then fail with RecordClosed, for ever", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    const more = overwrites(subject.promises) ? 3 : 0
    yield* put(buffer, 0, room + more)
    yield* valueOf("close", buffer.close)
    const told = subject.promises.behind === "lagged" ? [lagged(buffer, more)] : []
    const end = new RecordClosed({ record: buffer.record })
    yield* same("what a reader has", yield* drain(reader), [...told, ...range(more, room + more), end])
    yield* over("after the end", reader, buffer.record)
  }),
  broken: altered((buffer) => {
    let over = false
    const ended = Effect.suspend(() => over ? Effect.fail(new RecordClosed({ record: buffer.record })) : Effect.void)
    return {
      close: Effect.suspend(() => (over = true, buffer.close)),
      subscribe: Effect.map(buffer.subscribe, (reader) => ({
        recv: Effect.andThen(ended, reader.recv),
        tryRecv: Effect.andThen(ended, reader.tryRecv),
        recvBatch: (max) => Effect.andThen(ended, reader.recvBatch(max)),
        pending: reader.pending
      }))
    }
  })
})

const wakesReaders = law("the close wakes whoever waits to receive, after what was produced before it", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    const other = yield* buffer.subscribe
    const end = Exit.fail(new RecordClosed({ record: buffer.record }))
    const waiting: ReadonlyArray<Fiber.Fiber<unknown, unknown>> = [
      yield* start(reader.recv),
      yield* start(reader.recv),
      yield* start(reader.recvBatch(2)),
      yield* start(other.recv)
    ]
    for (const fiber of waiting) yield* waits("recv on an empty buffer", fiber)
    yield* valueOf("close", buffer.close)
    for (const fiber of waiting) yield* ends("recv once the record is closed", fiber, end)

    // In one turn: the value, then the close.
    const again = yield* open(subject)
    const last = yield* start(again.reader.recv)
    yield* waits("recv on an empty buffer", last)
    yield* put(again.buffer, 0, 1)
    yield* valueOf("close", again.buffer.close)
    yield* ends("recv of a value produced right before the close", last, Exit.succeed(0))
    yield* over("then", again.reader, again.buffer.record)
  }),
  broken: alteredReader((reader) => ({ recv: Effect.catchTag(reader.recv, "RecordClosed", () => Effect.never) }))
})

const wakesProducers = law("the close refuses whoever waits to produce, hands the value back and keeps none", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 4)
    const producers = yield* Effect.forEach(range(4, 7), (value) => start(buffer.produceAsync(value)))
    yield* settle
    yield* valueOf("close", buffer.close)
    for (const [index, fiber] of producers.entries()) {
      yield* ends("a producer that waited at the close", fiber, closed(buffer, 4 + index))
    }
    yield* counts("after the close", buffer, { produced: 4, dropped: 0 })
    const end = new RecordClosed({ record: buffer.record })
    yield* same("what is received", yield* drain(reader), [...range(0, 4), end])
  }),
  broken: altered((buffer) => ({
    produceAsync: (value) => Effect.catchTag(buffer.produceAsync(value), "BufferClosed", () => Effect.never)
  }))
})

/** Who is refused is told that it was accepted, and the other way round. */
const contrary = altered((buffer) => ({
  produceAsync: (value) =>
    Effect.matchEffect(buffer.produceAsync(value), {
      onFailure: () => Effect.void,
      onSuccess: () => Effect.fail(new BufferClosed({ record: buffer.record, value }))
    })
}))

const tie = law("a producer that waits at the close is refused, although room is made in the same turn", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 4)
    const producer = yield* start(buffer.produceAsync(4))
    yield* settle
    yield* valueOf("close", buffer.close)
    yield* drain(reader)
    yield* ends("a producer that waited at the close", producer, closed(buffer, 4))
  }),
  broken: altered((buffer) => ({
    produceAsync: (value) => Effect.catchTag(buffer.produceAsync(value), "BufferClosed", () => Effect.void)
  }))
})

const exact = law("what a producer that waits at the close is told is what happened to its value", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    for (const roomFirst of [true, false]) {
      for (const turns of range(0, 24)) {
        const { buffer, reader } = yield* open(subject)
        yield* put(buffer, 0, 4)
        const { fiber: producer } = yield* startStepwise(buffer.produceAsync(4))
        yield* rest
        const received = yield* roomFirst ? drain(reader) : Effect.as(valueOf("close", buffer.close), [])
        yield* pass(turns)
        received.push(...(yield* roomFirst ? Effect.as(valueOf("close", buffer.close), []) : drain(reader)))
        const exit = yield* exitOf("a producer that waited at the close", producer)
        received.push(...(yield* drain(reader)))
        const accepted = Exit.isSuccess(exit)
        const when = `${turns} turns ${roomFirst ? "after room was made" : "before room is made"}`
        yield* same(`what the producer is told of a close ${when}`, exit, accepted ? Exit.void : closed(buffer, 4))
        const values = received.filter((value) => typeof value === "number")
        yield* same(`what is received if it is told so of a close ${when}`, values, range(0, accepted ? 5 : 4))
        yield* counts(`after a close ${when}`, buffer, { produced: accepted ? 5 : 4 })
      }
    }
  }),
  broken: contrary
})

const idempotent = law("closing again changes nothing", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    yield* put(buffer, 0, room)
    yield* answers("close", buffer.close, Exit.void)
    yield* answers("close a second time", buffer.close, Exit.void)
    const end = new RecordClosed({ record: buffer.record })
    yield* same("what a reader has", yield* drain(reader), [...range(0, room), end])
    yield* answers("close a third time", Effect.all([buffer.close, buffer.close], { discard: true }), Exit.void)
    yield* over("then", reader, buffer.record)
    yield* same("produceUnsafe then", buffer.produceUnsafe(9), "Closed")
  }),
  broken: altered((buffer) => {
    let over = false
    return { close: Effect.suspend(() => over ? Effect.die("closed twice") : (over = true, buffer.close)) }
  })
})

const late = law("who subscribes after the close has what a new reader has, then RecordClosed", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { promises } = subject
    const buffer = yield* subject.make(4)
    const count = promises.holds === "one" ? 1 : 4
    yield* put(buffer, 0, count)
    yield* valueOf("close", buffer.close)
    const reader = yield* buffer.subscribe
    const end = new RecordClosed({ record: buffer.record })
    const first = promises.starts === "next" ? count : promises.starts === "current" ? count - 1 : 0
    yield* same("what a late reader has", yield* drain(reader), [...range(first, count), end])
    yield* over("then", reader, buffer.record)
  }),
  broken: altered((buffer) => {
    let over = false
    return {
      close: Effect.suspend(() => (over = true, buffer.close)),
      subscribe: Effect.map(
        buffer.subscribe,
        (reader) => over ? { ...reader, tryRecv: Effect.succeedNone, recv: Effect.never } : reader
      )
    }
  })
})

export const closing: ReadonlyArray<Law> = [
  verbs,
  held,
  wakesReaders,
  wakesProducers,
  tie,
  exact,
  idempotent,
  late
]
