/** Laws on sequences: which value has which, and in which order they are given. */
import { Effect, Exit, type Fiber } from "effect"
import { accepts, range, verbs } from "../bufferLaws/steps.ts"
import { elapse } from "../law.ts"
import { answers, exitOf, pass, same, settle, start, valueOf } from "../trial.ts"
import { always, type Law, law, limited } from "./law.ts"
import { altered, alteredEntries } from "./sabotage.ts"
import { acquire, commit, full, own, pairs, put, readAll, spans } from "./steps.ts"

const consecutive = law("sequences are consecutive from 0, one for each value, whatever verb it comes by", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* spans("of a new log", log, 0, 0)
    const count = 2 * verbs.length
    for (const value of range(0, count)) yield* accepts(verbs[value % verbs.length]!, log, value)
    for (const value of range(0, count)) {
      yield* answers(`read of ${value}`, pairs(log, BigInt(value), 1), Exit.succeed(own(value, value + 1)))
    }
    yield* spans(`after ${count} values`, log, 0, count)
    yield* put(log, count, count + 3)
    yield* spans("after 3 more", log, limited(subject.promises) ? count + 3 - 8 : 0, count + 3)
    yield* answers("read of the newest", pairs(log, BigInt(count + 2), 1), Exit.succeed(own(count + 2, count + 3)))
  }),
  broken: alteredEntries((entries) => entries.map((entry) => ({ ...entry, sequence: entry.sequence % 4n })))
})

const refusals = law("a value that is refused has no sequence", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const group = yield* acquire(log, "slow")
    yield* put(log, 0, 4)
    yield* answers("tryProduce on a full log", log.tryProduce(90), full(log, 90))
    yield* answers("produce on a full log", log.produce(91), Exit.void)
    yield* same("produceUnsafe on a full log", log.produceUnsafe(92), "Full")
    yield* spans("after refusals", log, 0, 4)
    yield* answers("commit", commit(group, 0), Exit.void)
    yield* put(log, 4, 5)
    yield* same("what is read then", yield* readAll(log, 1n), own(1, 5))
  }),
  broken: altered((log) => {
    let refused = 0n
    return {
      tryProduce: (value) => Effect.tapError(log.tryProduce(value), () => Effect.sync(() => refused++)),
      head: Effect.map(log.head, (head) => head + refused)
    }
  })
})

const entry = law("an entry has its value, the JSON of that as bytes, and the time of its appending", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* same("durability", log.durability, subject.durability)
    for (const value of [7, 8.5, -9]) {
      yield* put(log, value, value + 1)
      yield* elapse(subject, 10)
    }
    const entries = yield* Effect.forEach([0n, 1n, 2n], (from) => valueOf("read", log.read(from, 1)))
    const texts = entries.flat().map(({ bytes }) => JSON.parse(String.fromCharCode(...bytes)))
    yield* same("the bytes of the entries", texts, [7, 8.5, -9])
    const times = entries.flat().map(({ at }) => at)
    yield* same("whether times go up", times.every((at, index) => index === 0 || at > times[index - 1]!), true)
    if (subject.elapse === undefined) yield* same("how they do", times.map((at) => at - times[0]!), [0, 10, 20])
  }),
  broken: alteredEntries((entries) =>
    entries.map(({ at, bytes, sequence, value }) => ({ sequence, at: -at, value, bytes }))
  )
})

const acknowledged = law("the order of acknowledgement is the order of the sequences", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 64 })
    const told: Array<number> = []
    const fibers = yield* Effect.forEach(
      range(0, 16),
      (producer) =>
        start(
          Effect.forEach([0, 16, 32], (base) =>
            Effect.map(log.produceAsync(base + producer), () => told.push(base + producer)))
        )
    )
    for (const fiber of fibers) yield* exitOf("a producer", fiber)
    const read = yield* readAll(log, 0n)
    yield* same("the sequences", read.map(([sequence]) => sequence), own(0, 48).map(([sequence]) => sequence))
    yield* same(
      "the values in order of sequence, against those in order of acknowledgement",
      read.map(([, value]) => value),
      told
    )
  }),
  broken: altered((log) => ({
    produceAsync: (value) =>
      value % 2 === 1 ? log.produceAsync(value) : Effect.tap(log.produceAsync(value), () => pass(3))
  }))
})

const waitersInOrder = law("producers that wait have their sequences and are told in the order in which they came", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const group = yield* acquire(log, "slow")
    yield* put(log, 0, 4)
    const told: Array<number> = []
    const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
    for (const value of range(4, 12)) {
      fibers.push(yield* start(Effect.map(log.produceAsync(value), () => told.push(value))))
    }
    yield* settle
    for (const through of [0, 3, 7]) {
      yield* answers(`commit through ${through}`, commit(group, through), Exit.void)
      for (const fiber of fibers.slice(0, through + 1)) yield* exitOf("a producer that there is room for", fiber)
      yield* same(`who was told after a commit through ${through}`, told, range(4, through + 5))
    }
    yield* same("what is read", yield* readAll(log, 8n), own(8, 12))
  }),
  broken: altered((log) => ({
    produceAsync: (value) =>
      value % 2 === 1 ? log.produceAsync(value) : Effect.tap(log.produceAsync(value), () => pass(3))
  }))
})

const notOvertaken = law("nobody overtakes a producer that waits, even where there is room for both", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    for (const verb of verbs) {
      const log = yield* subject.make({ capacity: 4 })
      const group = yield* acquire(log, "slow")
      yield* put(log, 0, 4)
      const waiting = yield* start(log.produceAsync(4))
      yield* settle
      // In one turn, as far as the engine lets it.
      const late = Effect.andThen(commit(group, 1), verb.run(log, 5))
      yield* exitOf(`${verb.name} right after room was made`, yield* start(late))
      yield* exitOf("the producer that waited", waiting)
      yield* settle
      const read = yield* readAll(log, 4n)
      yield* same(`what is read, where ${verb.name} came last`, read, own(4, 4 + read.length))
    }
  }),
  broken: altered((log) => ({
    produceAsync: (value) =>
      Effect.catchTag(log.tryProduce(value), "BufferFull", () => Effect.andThen(pass(40), log.produceAsync(value)))
  }))
})

export const sequences: ReadonlyArray<Law> = [consecutive, refusals, entry, acknowledged, waitersInOrder, notOvertaken]
