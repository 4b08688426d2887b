/** Laws on producers that wait for room: their order, their waking, and whom they wait for. */
import type { ProduceError } from "@sluice/core"
import { Effect, Exit, Scope } from "effect"
import { answers, ends, exitOf, same, settle, start, waits } from "../trial.ts"
import { holdsBack, type Law, law } from "./law.ts"
import { altered, immortalReaders, sharedReader } from "./sabotage.ts"
import { counts, drain, open, put, range, receive, verbs } from "./steps.ts"

const room = law("produceAsync on a full buffer waits until a reader makes room", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 4)
    const waiting = yield* start(buffer.produceAsync(4))
    yield* waits("produceAsync on a full buffer", waiting)
    yield* counts("while a producer waits", buffer, { produced: 4, dropped: 0 })
    yield* same("the oldest value", yield* receive(reader, 1), [0])
    yield* ends("produceAsync once there is room", waiting, Exit.void)
    yield* counts("once the producer got in", buffer, { produced: 5, dropped: 0 })
    yield* same("the rest", yield* drain(reader), range(1, 5))
  }),
  broken: altered((buffer) => ({ produceAsync: (value) => Effect.ignore(buffer.tryProduce(value)) }))
})

const slowest = law("where each reader sees every value, a producer waits for the slowest", {
  applies: (promises) => holdsBack(promises) && promises.readers === "each",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader: fast } = yield* open(subject)
    const slow = yield* buffer.subscribe
    yield* put(buffer, 0, 4)
    const waiting = yield* start(buffer.produceAsync(4))
    yield* same("what the fast reader has", yield* drain(fast), range(0, 4))
    const parked = yield* start(fast.recv)
    yield* waits("produceAsync while one reader has read nothing", waiting)
    yield* receive(slow, 1)
    yield* ends("produceAsync once the slowest reader has read one", waiting, Exit.void)
    yield* ends("recv of the reader that has read everything", parked, Exit.succeed(4))
    yield* same("what the slow reader has then", yield* drain(slow), range(1, 5))
  }),
  broken: sharedReader
})

const firstCome = law("waiting producers are let in first come, first served", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 4)
    const ended: Array<number> = []
    for (const value of range(4, 10)) {
      yield* start(Effect.map(buffer.produceAsync(value), () => ended.push(value)))
    }
    yield* settle
    const received: Array<number> = []
    for (const count of [1, 3, 2, 4]) {
      received.push(...(yield* receive(reader, count)))
      yield* settle
    }
    yield* same("the order in which values arrive", received, range(0, 10))
    yield* same("the order in which producers go on", ended, range(4, 10))
  }),
  broken: altered((buffer) => {
    let calls = 0
    return {
      produceAsync: (value) =>
        Effect.suspend(() => Effect.andThen(calls++ === 0 ? Effect.yieldNow : Effect.void, buffer.produceAsync(value)))
    }
  })
})

const overtaking = law("no other verb overtakes producers that wait, not even in the turn that makes room", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    for (const verb of verbs.filter(({ name }) => name !== "produceAsync")) {
      const { buffer, reader } = yield* open(subject)
      yield* put(buffer, 0, 4)
      const waiting = yield* start(buffer.produceAsync(4))
      yield* settle
      yield* same("produceUnsafe on a full buffer", buffer.produceUnsafe(5), "Full")
      yield* receive(reader, 1)
      yield* answers(verb.name, Effect.exit(verb.run(buffer, 5)).pipe(Effect.asVoid), Exit.void)
      yield* ends("the producer that waited", waiting, Exit.void)
      yield* same(`what is held after ${verb.name} came last`, yield* drain(reader), range(1, 5))
    }
  }),
  broken: altered((buffer) => {
    const polled = <B extends number>(value: B): Effect.Effect<void, ProduceError<B>> =>
      Effect.catchTag(buffer.tryProduce(value), "BufferFull", () => Effect.andThen(Effect.yieldNow, polled(value)))
    return { produceAsync: polled }
  })
})

const besideRoom = law("no producer goes on waiting beside free room", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 4)
    const [first, second, third, fourth] = [
      yield* start(buffer.produceAsync(4)),
      yield* start(buffer.produceAsync(5)),
      yield* start(buffer.produceAsync(6)),
      yield* start(buffer.produceAsync(7))
    ]
    yield* settle
    yield* receive(reader, 2)
    yield* ends("the first producer, once there is room for two", first, Exit.void)
    yield* ends("the second producer, once there is room for two", second, Exit.void)
    yield* waits("the third producer, while there is room for two", third)
    // The room is made for the third, which gives up in the same turn: unless it had it already, it is the fourth's.
    yield* receive(reader, 1)
    third.interruptUnsafe()
    if (Exit.isSuccess(yield* exitOf("the third producer", third))) yield* receive(reader, 1)
    yield* ends("the last producer, once there is room and nobody before it", fourth, Exit.void)
  }),
  broken: altered((buffer) => ({
    produceAsync: (value) => Effect.catchTag(buffer.tryProduce(value), "BufferFull", () => Effect.never)
  }))
})

const gone = law("a reader whose scope closes holds no producer back", {
  applies: (promises) => holdsBack(promises) && promises.readers === "each",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    const scope = yield* Scope.make()
    yield* Scope.provide(buffer.subscribe, scope)
    yield* put(buffer, 0, 4)
    const waiting = yield* start(buffer.produceAsync(4))
    yield* drain(reader)
    yield* waits("produceAsync while one reader has read nothing", waiting)
    yield* Scope.close(scope, Exit.void)
    yield* ends("produceAsync once that reader is gone", waiting, Exit.void)
    yield* same("what the other reader has", yield* receive(reader, 1), [4])
    yield* put(buffer, 5, 8)
  }),
  broken: immortalReaders
})

export const waiting: ReadonlyArray<Law> = [room, slowest, firstCome, overtaking, besideRoom, gone]
