/** Laws on where readers and groups begin. */
import type { From } from "@sluice/core/Log"
import { Effect, Exit, Scope } from "effect"
import { drain, over, range } from "../bufferLaws/steps.ts"
import { elapse } from "../law.ts"
import { ends, same, start, valueOf, waits } from "../trial.ts"
import { always, type Law, law, limited, type Subject } from "./law.ts"
import { altered } from "./sabotage.ts"
import { acquire, ended, lagged, type Numbers, put, subscribeFrom } from "./steps.ts"

/** A log of 0 to 3, appended 10 ms apart, and every way to begin in it with the sequence that it means. */
const places = Effect.fnUntraced(function*(subject: Subject) {
  const log = yield* subject.make({ capacity: 8 })
  for (const value of range(0, 4)) {
    yield* put(log, value, value + 1)
    yield* elapse(subject, 10)
  }
  const times: Array<number> = []
  for (const from of range(0, 4)) times.push((yield* valueOf("read", log.read(BigInt(from), 1)))[0]!.at)
  const places: ReadonlyArray<readonly [name: string, from: From, sequence: number]> = [
    ["the head", "head", 4],
    ["the oldest", "oldest", 0],
    ["sequence 0", { sequence: 0n }, 0],
    ["sequence 2", { sequence: 2n }, 2],
    ["the next sequence", { sequence: 4n }, 4],
    ["a sequence still to come", { sequence: 9n }, 4],
    ["a sequence beyond all numbers", { sequence: 2n ** 80n }, 4],
    ["long ago", { time: 0 }, 0],
    ["the time of 2", { time: times[2]! }, 2],
    ["just before 2", { time: times[2]! - 1 }, 2],
    ["just after 2", { time: times[2]! + 1 }, 3],
    ["a time still to come", { time: times[3]! + 1e9 }, 4],
    ["the end of time", { time: Number.POSITIVE_INFINITY }, 4]
  ]
  return { log, places }
})

const readers = law(
  "a reader begins at the head, the oldest, a sequence or a time; what is still to come is the head",
  {
    applies: always,
    check: Effect.fnUntraced(function*(subject) {
      const { log, places: all } = yield* places(subject)
      const begun = yield* Effect.forEach(
        all,
        ([name, from, sequence]) => Effect.map(subscribeFrom(log, from), (reader) => ({ name, reader, sequence }))
      )
      for (const { name, reader, sequence } of begun) {
        yield* same(`what a reader from ${name} has`, yield* drain(reader), range(sequence, 4))
      }
      yield* put(log, 4, 5)
      for (const { name, reader } of begun) yield* same(`what one from ${name} has next`, yield* drain(reader), [4])
      yield* same("what one from the head has", yield* drain(yield* log.subscribe), [])
    }),
    broken: altered((log) => ({ subscribeFrom: () => log.subscribe }))
  }
)

const readersExpired = law("a reader from a sequence that has expired is told by how many; from a time it is not", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    yield* put(log, 0, 10)
    const beginnings: ReadonlyArray<readonly [From, number]> = [
      [{ sequence: 0n }, 6],
      [{ sequence: 5n }, 1],
      [{ sequence: 6n }, 0],
      [{ time: 0 }, 0],
      ["oldest", 0]
    ]
    for (const [from, missed] of beginnings) {
      const told = missed === 0 ? [] : [lagged(log, missed)]
      const seen = yield* drain(yield* subscribeFrom(log, from))
      yield* same("what a reader of 6 to 9 has", seen, [...told, ...range(6, 10)])
    }
  }),
  broken: altered((log) => ({
    subscribeFrom: (from) => log.subscribeFrom(typeof from === "object" && "sequence" in from ? "oldest" : from)
  }))
})

const readersEnd = law("a reader whose scope is closed says that the record is closed, also to those who wait on it", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    const scope = yield* Scope.make()
    const reader = yield* Scope.provide(subscribeFrom(log, "oldest"), scope)
    const waiting = yield* start(reader.recv)
    yield* waits("recv of a reader of an empty log", waiting)
    yield* Scope.close(scope, Exit.void)
    yield* ends("recv of a reader whose scope was closed", waiting, Exit.fail(ended(log)))
    yield* put(log, 0, 2)
    yield* over("of a reader whose scope was closed", reader, log.record)
    yield* same("what another reader has", yield* drain(yield* subscribeFrom(log, "oldest")), [0, 1])
  }),
  broken: altered((log) => ({
    subscribeFrom: (from) => Effect.flatMap(Scope.make(), (scope) => Scope.provide(log.subscribeFrom(from), scope))
  }))
})

const committedAt = Effect.fnUntraced(function*(log: Numbers, name: string, from: From) {
  return (yield* acquire(log, name, from)).committed
})

const groups = law("a group that is new begins at the head, the oldest, a sequence or a time", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const empty = yield* subject.make({ capacity: 8 })
    for (const from of ["head", "oldest", { sequence: 5n }, { time: 5 }] as const) {
      const name = `from ${JSON.stringify(from, (_, value) => String(value))}`
      yield* same("what a group of an empty log has committed", yield* committedAt(empty, name, from), -1n)
    }
    const { log, places: all } = yield* places(subject)
    for (const [name, from, sequence] of all) {
      const committed = yield* committedAt(log, `group ${name}`, from)
      yield* same(`what a group from ${name} has committed`, committed, BigInt(sequence - 1))
    }
  }),
  broken: altered((log) => ({ acquire: (name) => log.acquire(name, { from: "oldest" }) }))
})

const groupsExpired = law("a group from a sequence that has expired begins there, and its first read is told", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    yield* put(log, 0, 10)
    yield* same("committed of one from 2", yield* committedAt(log, "a", { sequence: 2n }), 1n)
    yield* same("committed of one from long ago", yield* committedAt(log, "b", { time: 0 }), 5n)
    yield* same("committed of one from the oldest", yield* committedAt(log, "c", "oldest"), 5n)
  }),
  broken: altered((log) => ({
    acquire: (name, { from }) =>
      log.acquire(name, { from: typeof from === "object" && "sequence" in from ? "oldest" : from })
  }))
})

export const starting: ReadonlyArray<Law> = [readers, readersExpired, readersEnd, groups, groupsExpired]
