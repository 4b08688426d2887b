/** Laws on several readers of one buffer, and on several fibers that share a reader. */
import { Effect, Exit, Option } from "effect"
import { answers, ends, exitOf, pass, rest, same, settle, start, startStepwise, waits } from "../trial.ts"
import { always, type Law, law } from "./law.ts"
import { altered, alteredReader, doubledValues, sharedReader } from "./sabotage.ts"
import { drain, open, over, put, range } from "./steps.ts"

const each = law("every reader sees every value", {
  applies: ({ readers }) => readers === "each",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader: first, room } = yield* open(subject)
    const second = yield* buffer.subscribe
    for (const round of range(0, 6)) {
      const values = range(round * room, (round + 1) * room)
      yield* put(buffer, values[0]!, values[0]! + room)
      yield* same("what the first reader has", yield* drain(first), values)
      yield* same("what the second reader has", yield* drain(second), values)
    }
    const waiting = [yield* start(first.recv), yield* start(second.recv)]
    yield* settle
    yield* put(buffer, 99, 100)
    for (const fiber of waiting) yield* ends("recv of either reader", fiber, Exit.succeed(99))
  }),
  broken: sharedReader
})

const compete = law("readers compete: each value is taken once", {
  applies: ({ readers }) => readers === "compete",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader: first, room } = yield* open(subject)
    const second = yield* buffer.subscribe
    yield* put(buffer, 0, room)
    yield* answers("tryRecv of the first reader", first.tryRecv, Exit.succeed(Option.some(0)))
    yield* same("what the second reader has", yield* drain(second), range(1, room))
    yield* same("what the first reader has then", yield* drain(first), [])
    const waiting = [yield* start(first.recv), yield* start(second.recv)]
    yield* settle
    yield* put(buffer, 99, 100)
    yield* settle
    const ended = waiting.filter((fiber) => fiber.pollUnsafe() !== undefined)
    yield* same("how many of two waiting readers one value ends", ended.length, 1)
    yield* put(buffer, 100, 101)
    for (const fiber of waiting) yield* exitOf("recv of either reader, after a value for each", fiber)
  }),
  broken: altered((buffer) => {
    const taken: Array<number> = []
    return {
      subscribe: Effect.map(buffer.subscribe, (reader) => {
        let next = 0
        const tryRecv = Effect.map(reader.tryRecv, (value) => {
          if (Option.isSome(value)) next = taken.push(value.value)
          else if (next < taken.length) return Option.some(taken[next++]!)
          return value
        })
        return { recv: reader.recv, tryRecv, recvBatch: reader.recvBatch, pending: reader.pending }
      })
    }
  })
})

const shared = law("of the fibers that share a reader, exactly one receives each value", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    const received: Array<number> = []
    const fibers = yield* Effect.forEach(
      range(0, 3),
      () =>
        start(Effect.whileLoop({
          // Bounded, for a reader that never runs dry.
          while: () => received.length < 1000,
          body: () => reader.recv,
          step: (value) => received.push(value)
        }))
    )
    for (const round of range(0, 10)) {
      yield* settle
      yield* put(buffer, round * room, (round + 1) * room)
    }
    yield* settle
    yield* same("what the fibers have in all", received.toSorted((a, b) => a - b), range(0, 10 * room))
    for (const fiber of fibers) yield* waits("each fiber once everything is received", fiber)
    yield* buffer.close
    for (const fiber of fibers) yield* exitOf("each fiber once the record is closed", fiber)
    yield* over("once the record is closed", reader, buffer.record)
  }),
  broken: doubledValues
})

const passedOn = law("no fiber goes on waiting beside a ready value because another one that waited gave up", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    for (const turns of range(0, 24)) {
      for (const [quitter, hasty] of [[0, false], [0, true], [1, false], [1, true]] as const) {
        const { buffer, reader } = yield* open(subject)
        const received: Array<number> = []
        const recv = startStepwise(Effect.map(reader.recv, (value) => received.push(value)))
        const fibers = [yield* recv, yield* recv] as const
        yield* rest
        yield* put(buffer, 0, 1)
        yield* pass(turns)
        fibers[quitter].interrupt(hasty)
        yield* exitOf("a fiber that was interrupted in recv", fibers[quitter].fiber)
        const left = fibers[1 - quitter]!.fiber
        // The value may have reached the fiber that gave up before it did: then the other waits for the next.
        if (received.length > 0 && left.pollUnsafe() === undefined) yield* put(buffer, 1, 2)
        yield* exitOf(`recv beside a ready value, ${turns} turns after which another fiber gave up`, left)
      }
    }
  }),
  broken: alteredReader((reader) => {
    let taken = false
    return {
      recv: Effect.suspend(() => {
        if (taken) return Effect.never
        taken = true
        return reader.recv
      })
    }
  })
})

export const sharing: ReadonlyArray<Law> = [each, compete, shared, passedOn]
