/** Laws on the close, and on interruption of those who produce. */
import { RecordClosed } from "@sluice/core"
import { Effect, Exit } from "effect"
import { drain, range } from "../bufferLaws/steps.ts"
import {
  answers,
  ends,
  everyInterrupt,
  exitOf,
  pass,
  rest,
  same,
  settle,
  start,
  startStepwise,
  valueOf,
  waits
} from "../trial.ts"
import { always, type Law, law, limited } from "./law.ts"
import { altered, twiceOnInterrupt } from "./sabotage.ts"
import { acquire, commit, ended, lagged, own, pairs, put, readAll, refused, spans, subscribeFrom } from "./steps.ts"

const reads = law("after the close what is held is read to its end; what will never come is RecordClosed", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const reader = yield* subscribeFrom(log, "oldest")
    yield* put(log, 0, 4)
    const waiting = [yield* start(log.read(4n, 1)), yield* start(log.read(6n, 1))]
    for (const fiber of waiting) yield* waits("read of what is still to come", fiber)
    yield* valueOf("close", log.close)
    for (const fiber of waiting) yield* ends("read of what will never come", fiber, Exit.fail(ended(log)))
    for (let time = 0; time < 2; time++) {
      yield* same("what is read", yield* readAll(log, 0n), own(0, 4))
      yield* answers("read of the last", pairs(log, 3n, 5), Exit.succeed(own(3, 4)))
      for (const from of [4n, 9n]) yield* answers(`read(${from})`, log.read(from, 1), Exit.fail(ended(log)))
    }
    yield* same("what a reader has", yield* drain(reader), [...range(0, 4), ended(log)])
    const late = yield* subscribeFrom(log, { sequence: 2n })
    yield* same("what a late reader has", yield* drain(late), [2, 3, ended(log)])
    yield* answers("tryProduce", log.tryProduce(4), refused(log, 4))
    yield* answers("produceAsync", log.produceAsync(4), refused(log, 4))
    yield* spans("after the close", log, 0, 4)
  }),
  broken: altered((log) => {
    let over = false
    return {
      close: Effect.suspend(() => (over = true, log.close)),
      read: (from, max) =>
        Effect.suspend(() => over ? Effect.fail(new RecordClosed({ record: log.record })) : log.read(from, max))
    }
  })
})

const readsExpired = law("after the close, too, read of what has expired says by how many", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    yield* put(log, 0, 6)
    yield* valueOf("close", log.close)
    yield* answers("read(0)", log.read(0n, 1), Exit.fail(lagged(log, 2)))
    yield* same("what is read", yield* readAll(log, 2n), own(2, 6))
  }),
  broken: altered((log) => ({
    read: (from, max) =>
      Effect.catchTag(log.read(from, max), "Lagged", () => Effect.fail(new RecordClosed({ record: log.record })))
  }))
})

const producers = law("the close refuses the producers that wait for a group, and gives them no sequence", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const group = yield* acquire(log, "group")
    yield* put(log, 0, 4)
    const waiting = yield* Effect.forEach(range(4, 7), (value) => start(log.produceAsync(value)))
    yield* settle
    yield* valueOf("close", log.close)
    yield* answers("commit after the close", commit(group, 3), Exit.void)
    for (const [index, fiber] of waiting.entries()) {
      yield* ends("a producer that waited at the close", fiber, refused(log, 4 + index))
    }
    yield* spans("after the close", log, 0, 4)
  }),
  broken: altered((log) => ({
    produceAsync: (value) => Effect.catchTag(log.produceAsync(value), "BufferClosed", () => Effect.void)
  }))
})

const final = law("once the close has returned nothing more is stored, although room was made right before it", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    for (const roomFirst of [true, false]) {
      const log = yield* subject.make({ capacity: 4 })
      const group = yield* acquire(log, "group")
      yield* put(log, 0, 4)
      const waiting = yield* Effect.forEach(range(4, 7), (value) => start(log.produceAsync(value)))
      yield* settle
      // In one turn, as far as the engine lets it.
      const close = Effect.andThen(log.close, log.head)
      const head = yield* valueOf(
        "commit and close",
        roomFirst
          ? Effect.andThen(commit(group, 3), close)
          : Effect.tap(close, () => commit(group, 3))
      )
      for (const [index, fiber] of waiting.entries()) {
        const stored = 4 + index < Number(head)
        yield* ends("a producer that waited", fiber, stored ? Exit.void : refused(log, 4 + index))
      }
      yield* settle
      yield* answers("head", log.head, Exit.succeed(head))
      const newest = Number(head) - 1
      yield* same("the newest", yield* readAll(log, BigInt(newest)), own(newest, newest + 1))
    }
  }),
  broken: altered((log) => ({
    close: Effect.andThen(Effect.forkDetach(Effect.andThen(pass(2), log.close)), Effect.void)
  }))
})

const interrupted = law("an interrupted produceAsync has one sequence or none", {
  applies: always,
  check: (subject) =>
    everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const log = yield* subject.make({ capacity: 4 })
      const { fiber, interrupt } = yield* startStepwise(log.produceAsync(7))
      yield* pass(turns)
      interrupt(hasty)
      const exit = yield* exitOf("an interrupted produceAsync", fiber)
      yield* settle
      const read = yield* readAll(log, 0n)
      const happened = read.length > 0 || Exit.isSuccess(exit)
      yield* same(`what is read after produceAsync, interrupted after ${turns} turns`, read, happened ? [[0n, 7]] : [])
      return Exit.isSuccess(exit)
    })),
  broken: twiceOnInterrupt
})

const givesUp = law("a producer that is interrupted while it waits for a group leaves no value, and lets others in", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    for (const hasty of [false, true]) {
      for (const [turns, committed] of range(0, 20).flatMap((turns) => [[turns, false], [turns, true]] as const)) {
        const log = yield* subject.make({ capacity: 4 })
        const group = yield* acquire(log, "group")
        yield* put(log, 0, 4)
        const first = yield* startStepwise(log.produceAsync(4))
        if (committed) yield* rest
        else yield* pass(turns)
        const second = yield* start(log.produceAsync(5))
        yield* settle
        // The interrupt comes before there is room, or some turns after.
        if (committed) yield* Effect.andThen(answers("commit", commit(group, 0), Exit.void), pass(turns))
        first.interrupt(hasty)
        const exit = yield* exitOf("an interrupted produceAsync", first.fiber)
        if (!committed) yield* answers("commit", commit(group, 0), Exit.void)
        yield* settle
        const letIn = (yield* readAll(log, 4n)).map(([, value]) => value)
        const happened = Exit.isSuccess(exit) || (committed && letIn[0] === 4)
        yield* same("who was let in", letIn, happened ? [4] : [5])
        yield* answers("commit", commit(group, 3), Exit.void)
        yield* ends("the other producer", second, Exit.void)
        yield* settle
        const values = (yield* readAll(log, 4n)).map(([, value]) => value)
        yield* same("what is read in the end", values, happened ? [4, 5] : [5])
      }
    }
  }),
  broken: twiceOnInterrupt
})

export const closing: ReadonlyArray<Law> = [reads, readsExpired, producers, final, interrupted, givesUp]
