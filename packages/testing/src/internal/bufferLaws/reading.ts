/** Laws on what the takes of one reader answer. */
import { Effect, Exit, Option } from "effect"
import { answers, ends, outcome, same, start, valueOf, waits } from "../trial.ts"
import { always, type Law, law, overwrites } from "./law.ts"
import { alteredReader, doubledValues } from "./sabotage.ts"
import { accepts, drain, open, put, range, receive, verbs } from "./steps.ts"

const order = law("a reader receives values in the order in which they were produced, each once", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    const received: Array<unknown> = []
    for (let value = 0; value < 12 * room; value += room) {
      for (const next of range(value, value + room)) yield* accepts(verbs[next % verbs.length]!, buffer, next)
      const way = value / room % 3
      if (way === 0) received.push(...(yield* receive(reader, room)))
      else if (way === 1) received.push(...(yield* drain(reader)))
      else while (received.length < value + room) received.push(...(yield* valueOf("recvBatch", reader.recvBatch(3))))
    }
    yield* same("what was received", received, range(0, 12 * room))
  }),
  broken: doubledValues
})

const woken = law("a waiting recv is woken by the next value, whichever verb brings it, every time", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    for (const [index, verb] of verbs.entries()) {
      const waiting = yield* start(reader.recv)
      yield* waits("recv on an empty buffer", waiting)
      yield* accepts(verb, buffer, index)
      yield* ends(`recv after ${verb.name}`, waiting, Exit.succeed(index))
    }
    // Wake-ups may take another way every so often.
    for (const value of range(4, 300)) {
      const waiting = yield* start(reader.recv)
      yield* put(buffer, value, value + 1)
      yield* ends("recv after a value was produced", waiting, Exit.succeed(value))
    }
  }),
  broken: alteredReader((reader) => ({
    recv: Effect.flatMap(reader.tryRecv, (value) => Option.isSome(value) ? Effect.succeed(value.value) : Effect.never)
  }))
})

const tryRecv = law("tryRecv answers none where nothing is ready, and takes what is", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* answers("tryRecv on an empty buffer", reader.tryRecv, Exit.succeed(Option.none()))
    yield* put(buffer, 0, 1)
    yield* answers("tryRecv", reader.tryRecv, Exit.succeed(Option.some(0)))
    yield* answers("tryRecv once it has taken the value", reader.tryRecv, Exit.succeed(Option.none()))
  }),
  broken: alteredReader(() => ({ tryRecv: Effect.succeedNone }))
})

const recvBatch = law("recvBatch waits for the first value and takes what is ready, in order, at most max", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    const waiting = yield* start(reader.recvBatch(2))
    yield* waits("recvBatch on an empty buffer", waiting)
    yield* put(buffer, 0, 1)
    yield* ends("recvBatch once there is a value", waiting, Exit.succeed([0]))
    yield* put(buffer, 1, 1 + room)
    const max = Math.max(1, room - 1)
    yield* answers(`recvBatch(${max}) of ${room} values`, reader.recvBatch(max), Exit.succeed(range(1, 1 + max)))
    yield* same("what it left", yield* drain(reader), range(1 + max, 1 + room))
    yield* put(buffer, 9, 10)
    yield* answers("recvBatch(1000) of one value", reader.recvBatch(1000), Exit.succeed([9]))
  }),
  broken: alteredReader((reader) => ({
    recvBatch: () => Effect.map(reader.tryRecv, (value) => Option.toArray(value) as [number])
  }))
})

const badMax = law("recvBatch dies of a max that is not a positive integer, and takes nothing", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 1)
    for (const max of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const exit = yield* outcome(`recvBatch(${max})`, Effect.suspend(() => reader.recvBatch(max)))
      yield* same(`whether recvBatch(${max}) dies`, Exit.hasDies(exit), true)
    }
    yield* same("what is there still", yield* drain(reader), [0])
  }),
  broken: alteredReader((reader) => ({
    recvBatch: (max) => reader.recvBatch(Number.isSafeInteger(max) ? Math.max(1, max) : 1)
  }))
})

const pending = law("pending counts what is ready for this reader; where it is told of lag, what it missed included", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    const expects = (what: string, expected: number) =>
      answers(`pending ${what}`, reader.pending, Exit.succeed(expected))
    yield* expects("on a new buffer", 0)
    yield* put(buffer, 0, room)
    yield* expects(`after ${room} value(s)`, room)
    yield* receive(reader, 1)
    yield* expects("after a value was read", room - 1)
    yield* drain(reader)
    yield* expects("once everything is read", 0)
    if (!overwrites(subject.promises)) return
    yield* put(buffer, 0, room + 3)
    yield* expects("after 3 values more than fit", subject.promises.behind === "lagged" ? room + 3 : room)
  }),
  broken: alteredReader(() => ({ pending: Effect.succeed(0) }))
})

export const reading: ReadonlyArray<Law> = [order, woken, tryRecv, recvBatch, badMax, pending]
