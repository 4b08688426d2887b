/** Laws on `read`, and on how readers and reads are told of what has expired. */
import { Lagged } from "@sluice/core"
import { Effect, Exit } from "effect"
import { drain, range } from "../bufferLaws/steps.ts"
import { answers, ends, exitOf, pass, same, start, startStepwise, valueOf, waits } from "../trial.ts"
import { always, type Law, law, limited } from "./law.ts"
import { altered, alteredEntries, alteredReader } from "./sabotage.ts"
import { acquire, dies, ended, lagged, listed, own, pairs, put, readAll, spans, subscribeFrom } from "./steps.ts"

const inOrder = law("read answers from exactly where it was asked, in order, without gaps, with at most so many", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 6)
    for (const from of range(0, 6)) {
      for (const max of range(1, 8)) {
        const what = `read(${from}, ${max})`
        const read = yield* valueOf(what, pairs(log, BigInt(from), max))
        yield* same(what, read, own(from, from + Math.max(1, Math.min(read.length, max, 6 - from))))
      }
    }
    yield* same("all that is read", yield* readAll(log, 0n), own(0, 6))
  }),
  broken: alteredEntries((entries) => entries.toReversed())
})

const waitsForFirst = law("read waits for the first value, and for no other", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    const next = yield* start(pairs(log, 0n, 5))
    const later = yield* start(pairs(log, 2n, 5))
    yield* waits("read at the head", next)
    yield* put(log, 0, 1)
    yield* ends("read of a value that came", next, Exit.succeed(own(0, 1)))
    yield* put(log, 1, 2)
    yield* waits("read of a value that is still to come", later)
    yield* put(log, 2, 3)
    yield* ends("read of a value that came at last", later, Exit.succeed(own(2, 3)))
  }),
  broken: altered((log) => ({
    read: (from, max) => Effect.flatMap(log.head, (head) => from > head ? Effect.succeed([]) : log.read(from, max))
  }))
})

const onItsWay = law("a read on its way to wait does not miss what it waits for, nor the close", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    for (const turns of range(0, 16)) {
      const log = yield* subject.make({ capacity: 8 })
      const next = yield* startStepwise(pairs(log, 0n, 5))
      const never = yield* startStepwise(pairs(log, 1n, 5))
      yield* pass(turns)
      // Without waiting for its answer: that would let the reads come to rest.
      yield* same("produceUnsafe", log.produceUnsafe(0), "Accepted")
      yield* ends(
        `read of a value that came ${turns} turns after it was asked for`,
        next.fiber,
        Exit.succeed(own(0, 1))
      )
      const late = yield* startStepwise(pairs(log, 1n, 5))
      yield* pass(turns)
      yield* log.close
      for (const { fiber } of [never, late]) {
        yield* ends(`read of what never comes, ${turns} turns before the close`, fiber, Exit.fail(ended(log)))
      }
    }
  }),
  broken: altered((log) => ({
    read: (from, max) =>
      Effect.flatMap(
        log.head,
        (head) =>
          from < head
            ? log.read(from, max)
            : Effect.andThen(log.subscribe, (reader) => Effect.andThen(Effect.ignore(reader.recv), log.read(from, max)))
              .pipe(Effect.scoped)
      )
  }))
})

const takesNothing = law("read takes nothing: what was read, or was to be, is read again", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    for (const hasty of [false, true]) {
      for (const turns of range(0, 24)) {
        const log = yield* subject.make({ capacity: 8 })
        const { fiber, interrupt } = yield* startStepwise(log.read(0n, 2))
        yield* pass(turns)
        interrupt(hasty)
        yield* put(log, 0, 3)
        yield* exitOf("an interrupted read", fiber)
        for (let time = 0; time < 2; time++) yield* same("what is read", yield* readAll(log, 0n), own(0, 3))
      }
    }
  }),
  broken: altered((log) => {
    let taken = 0n
    return {
      read: (from, max) =>
        Effect.tap(
          log.read(from < taken ? taken : from, max),
          (entries) => Effect.sync(() => taken += BigInt(entries.length))
        )
    }
  })
})

const misuse = law("a negative position, a time that is no number and a `max` that is no positive integer die", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 2)
    yield* dies("read(-1)", log.read(-1n, 1))
    for (const max of [0, -1, 1.5, Number.NaN]) yield* dies(`read of at most ${max}`, log.read(0n, max))
    for (const from of [{ sequence: -1n }, { time: Number.NaN }]) {
      yield* dies("subscribeFrom", log.subscribeFrom(from))
      yield* dies("acquire", log.acquire("group", { from }))
    }
    yield* same("the groups then", yield* listed(log), [])
    yield* acquire(log, "group")
  }),
  broken: altered((log) => ({ read: (from, max) => log.read(from < 0n ? 0n : from, max) }))
})

const expired = law("read of what has expired says by how many values it comes too late", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    yield* put(log, 0, 10)
    yield* spans("after 10 values in a log of 4", log, 6, 10)
    for (const from of range(0, 6)) {
      yield* answers(`read(${from}) of 6 to 9`, log.read(BigInt(from), 2), Exit.fail(lagged(log, 6 - from)))
    }
    yield* same("what is read of the oldest kept", yield* readAll(log, 6n), own(6, 10))
  }),
  broken: altered((log) => ({
    read: (from, max) =>
      Effect.catchTag(
        log.read(from, max),
        "Lagged",
        () => Effect.flatMap(log.oldest, (oldest) => log.read(oldest, max))
      )
  }))
})

const readersLag = law("a reader holds nothing back, and is told once by how many values it lags", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const readers = [yield* log.subscribe, yield* subscribeFrom(log, "oldest"), yield* subscribeFrom(log, "head")]
    yield* put(log, 0, 10)
    for (const reader of readers) {
      yield* same("what a reader of 10 values has", yield* drain(reader), [lagged(log, 6), ...range(6, 10)])
    }
    yield* put(log, 10, 15)
    for (const reader of readers) {
      yield* same("what it has of 5 more", yield* drain(reader), [lagged(log, 1), ...range(11, 15)])
    }
  }),
  broken: alteredReader((reader) => ({
    tryRecv: Effect.mapError(
      reader.tryRecv,
      (error) => error._tag === "Lagged" ? new Lagged({ record: error.record, missed: error.missed + 1 }) : error
    )
  }))
})

export const reading: ReadonlyArray<Law> = [inOrder, waitsForFirst, onItsWay, takesNothing, misuse, expired, readersLag]
