/** Laws on a reader that falls behind. */
import { Effect, Exit } from "effect"
import { answers, same } from "../trial.ts"
import { type Law, law, overwrites } from "./law.ts"
import { alteredTakes } from "./sabotage.ts"
import { drain, lagged, open, put, range, receive } from "./steps.ts"

const toldFalsely = alteredTakes((buffer) => {
  let first = true
  return (take) => Effect.suspend(() => first ? (first = false, Effect.fail(lagged(buffer, 3))) : take)
})

const told = law("a reader that fell behind fails once with the exact count, then goes on at the oldest value held", {
  applies: ({ behind }) => behind === "lagged",
  check: Effect.fnUntraced(function*(subject) {
    for (const capacity of [1, 3, 4]) {
      const { buffer, reader } = yield* open(subject, capacity)
      const slow = yield* buffer.subscribe
      yield* put(buffer, 0, capacity)
      yield* same("what a reader that kept up has", yield* drain(reader), range(0, capacity))
      yield* put(buffer, capacity, 2 * capacity + 1)
      yield* answers("recv of a reader that missed one", reader.recv, Exit.fail(lagged(buffer, 1)))
      // Between being told and going on, it falls behind again.
      yield* put(buffer, 2 * capacity + 1, 2 * capacity + 4)
      yield* answers("recvBatch of one that missed 3 more", reader.recvBatch(9), Exit.fail(lagged(buffer, 3)))
      const held = range(capacity + 4, 2 * capacity + 4)
      yield* answers("recvBatch then", reader.recvBatch(9), Exit.succeed(held))
      yield* same("what a reader that never read has", yield* drain(slow), [lagged(buffer, capacity + 4), ...held])
    }
  }),
  broken: alteredTakes(() => (take) => {
    let first = true
    return Effect.catchTag(take, "Lagged", (error) => first ? (first = false, take) : Effect.fail(error))
  })
})

const untold = law("a reader that fell behind goes on at the oldest value held, and is told nothing", {
  applies: (promises) => overwrites(promises) && promises.behind !== "lagged",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    yield* put(buffer, 0, room + 3)
    yield* same("what a slow reader has", yield* drain(reader), range(3, room + 3))
    yield* put(buffer, 0, room + 1)
    yield* same("what it has after it fell behind again", yield* drain(reader), range(1, room + 1))
  }),
  broken: toldFalsely
})

const cannot = law("a reader never falls behind: it receives every accepted value, however slow it is", {
  applies: (promises) => !overwrites(promises),
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    const accepted: Array<number> = []
    const received: Array<unknown> = []
    for (const value of range(0, 24)) {
      if (buffer.produceUnsafe(value) === "Accepted") accepted.push(value)
      if (value % 3 === 0) received.push(...(yield* receive(reader, 1)))
    }
    received.push(...(yield* drain(reader)))
    yield* same("what a slow reader has", received, accepted)
  }),
  broken: toldFalsely
})

export const lag: ReadonlyArray<Law> = [told, untold, cannot]
