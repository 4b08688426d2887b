/** Laws on how much a buffer holds, and on what becomes of a value that comes when it is full. */
import { BufferFull } from "@sluice/core"
import { Effect, Exit, Logger, References } from "effect"
import { answers, same } from "../trial.ts"
import { type Law, law, overwrites, refuses } from "./law.ts"
import { altered, alteredStats } from "./sabotage.ts"
import { accepts, counts, drain, full, lagged, open, put, range, verbs } from "./steps.ts"

const exact = law("a buffer holds exactly its capacity", {
  applies: ({ holds }) => holds === "capacity",
  check: Effect.fnUntraced(function*(subject) {
    for (const capacity of [1, 3, 4]) {
      const { buffer, reader } = yield* open(subject, capacity)
      yield* put(buffer, 0, capacity)
      if (!overwrites(subject.promises)) {
        yield* answers(
          `tryProduce beyond a capacity of ${capacity}`,
          buffer.tryProduce(capacity),
          full(buffer, capacity)
        )
        yield* same("what was held", yield* drain(reader), range(0, capacity))
      } else {
        yield* put(buffer, capacity, capacity + 2)
        const told = subject.promises.behind === "lagged" ? [lagged(buffer, 2)] : []
        yield* same("what was held", yield* drain(reader), [...told, ...range(2, capacity + 2)])
      }
    }
  }),
  broken: (subject) => ({ ...subject, make: (capacity) => subject.make(capacity + 1) })
})

const slot = law("a slot holds the newest value alone", {
  applies: ({ holds }) => holds === "one",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* put(buffer, 0, 3)
    yield* same("what was held", yield* drain(reader), [2])
  }),
  broken: altered((buffer) => {
    let first = true
    return { produceUnsafe: (value) => first ? (first = false, buffer.produceUnsafe(value)) : "Accepted" }
  })
})

const overwriting = law("a full buffer that overwrites accepts the next value at once, whichever verb brings it", {
  applies: ({ full }) => full === "overwrites" || full === "never",
  check: Effect.fnUntraced(function*(subject) {
    for (const verb of verbs) {
      const { buffer, reader, room } = yield* open(subject)
      yield* put(buffer, 0, room)
      yield* accepts(verb, buffer, room)
      yield* counts("of a buffer that overwrites", buffer, { produced: room + 1, dropped: 0 })
      yield* same("the newest value received", (yield* drain(reader)).at(-1), room)
    }
  }),
  broken: altered((buffer) => ({
    tryProduce: (value) => Effect.fail(new BufferFull({ record: buffer.record, value }))
  }))
})

const refusing = law("a full buffer refuses tryProduce and produceUnsafe, and hands the value back intact", {
  applies: refuses,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    yield* put(buffer, 0, room)
    for (const value of [7, 0, -0]) {
      yield* answers("tryProduce on a full buffer", buffer.tryProduce(value), full(buffer, value))
      yield* same("produceUnsafe on a full buffer", buffer.produceUnsafe(value), "Full")
    }
    yield* counts("after refusals", buffer, { produced: room, dropped: 0 })
    yield* same("what was held", yield* drain(reader), range(0, room))
    yield* answers("tryProduce once there is room", buffer.tryProduce(9), Exit.void)
  }),
  broken: altered((buffer) => ({
    tryProduce: (value) =>
      Effect.catchTag(
        buffer.tryProduce(value),
        "BufferFull",
        () => Effect.fail(new BufferFull({ record: buffer.record, value: 1 as typeof value }))
      )
  }))
})

const dropping = law("produce on a full buffer that refuses drops the value, counts it, and does not wait", {
  applies: refuses,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    yield* put(buffer, 0, room)
    yield* answers("produce on a full buffer", buffer.produce(7), Exit.void)
    yield* answers("produce on a full buffer", buffer.produce(8), Exit.void)
    yield* counts("after produce on a full buffer", buffer, { produced: room, dropped: 2 })
    yield* same("what was held", yield* drain(reader), range(0, room))
  }),
  broken: alteredStats(() => ({ dropped: 0 }))
})

const warning = law("values that produce drops are warned about once a second at most, naming the record", {
  applies: refuses,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, room } = yield* open(subject)
    const warnings: Array<boolean> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel === "Warn") warnings.push(String(message).includes(buffer.record))
    })
    yield* put(buffer, 0, room)
    yield* Effect.forEach(range(0, 5), () => buffer.produce(7)).pipe(
      Effect.provideService(References.CurrentLoggers, new Set([logger]))
    )
    yield* same("whether warnings of five values dropped in a row name the record", warnings, [true])
  }),
  broken: altered((buffer) => ({
    produce: (value) => Effect.andThen(Effect.logWarning(`record "${buffer.record}" is full`), buffer.produce(value))
  }))
})

const droppingAsync = law("produceAsync on a full buffer that drops does not wait, and counts the value", {
  applies: ({ full }) => full === "drops",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    yield* put(buffer, 0, room)
    yield* answers("produceAsync on a full buffer that drops", buffer.produceAsync(7), Exit.void)
    yield* counts("after produceAsync on a full buffer that drops", buffer, { produced: room, dropped: 1 })
    yield* same("what was held", yield* drain(reader), range(0, room))
  }),
  broken: alteredStats(() => ({ dropped: 0 }))
})

export const capacity: ReadonlyArray<Law> = [
  exact,
  slot,
  overwriting,
  refusing,
  dropping,
  warning,
  droppingAsync
]
