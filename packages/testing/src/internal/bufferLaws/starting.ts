/** Laws on where a reader starts, and on what becomes of its place when its scope closes. */
import { RecordClosed } from "@sluice/core"
import { Effect, Exit, Scope } from "effect"
import { answers, ends, same, start, waits } from "../trial.ts"
import { always, type Law, law, refuses } from "./law.ts"
import { altered, drained, immortalReaders, sharedReader } from "./sabotage.ts"
import { drain, full, open, over, put, range, receive } from "./steps.ts"

const startsNext = law("a new reader starts at the next value produced", {
  applies: ({ starts }) => starts === "next",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer } = yield* open(subject)
    yield* put(buffer, 0, 2)
    const reader = yield* buffer.subscribe
    yield* same("what a new reader has", yield* drain(reader), [])
    yield* put(buffer, 2, 3)
    yield* same("what it has then", yield* drain(reader), [2])
  }),
  broken: sharedReader
})

const startsCurrent = law("a new reader starts at the newest value, which it gets once", {
  applies: ({ starts }) => starts === "current",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    yield* same("what a reader of a new buffer has", yield* drain(reader), [])
    yield* put(buffer, 0, 2)
    for (const which of ["second", "third"]) {
      const later = yield* buffer.subscribe
      yield* same(`what a ${which} reader has`, yield* drain(later), [1])
    }
  }),
  broken: altered(({ subscribe }) => ({ subscribe: Effect.tap(subscribe, drained) }))
})

const startsOldest = law("with no reader, values are kept for the next, which starts at the oldest", {
  applies: ({ starts }) => starts === "oldest",
  check: Effect.fnUntraced(function*(subject) {
    const buffer = yield* subject.make(4)
    const count = subject.promises.holds === "one" ? 1 : 4
    yield* put(buffer, 0, count)
    if (refuses(subject.promises)) {
      yield* answers("tryProduce on a buffer that is full and has no reader", buffer.tryProduce(4), full(buffer, 4))
    }
    yield* same("what the first reader has", yield* drain(yield* buffer.subscribe), range(0, count))
  }),
  broken: altered(({ subscribe }) => ({ subscribe: Effect.tap(subscribe, drained) }))
})

const leftBehind = law("what the last reader left is kept for the next", {
  applies: ({ starts }) => starts === "oldest",
  check: Effect.fnUntraced(function*(subject) {
    const buffer = yield* subject.make(4)
    const count = subject.promises.holds === "one" ? 1 : 4
    yield* put(buffer, 0, count)
    const taken = yield* Effect.scoped(
      Effect.flatMap(buffer.subscribe, (reader) => receive(reader, count === 1 ? 0 : 2))
    )
    yield* same("what the next reader has", yield* drain(yield* buffer.subscribe), range(taken.length, count))
  }),
  broken: altered(({ subscribe }) => ({
    subscribe: Effect.tap(subscribe, (reader) => Effect.addFinalizer(() => drained(reader)))
  }))
})

const detached = law("a reader whose scope is closed says that the record is closed, also to those who wait on it", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader: other } = yield* open(subject)
    const scope = yield* Scope.make()
    const reader = yield* Scope.provide(buffer.subscribe, scope)
    const waiting = yield* start(reader.recv)
    yield* waits("recv on an empty buffer", waiting)
    yield* Scope.close(scope, Exit.void)
    yield* ends("recv once the scope is closed", waiting, Exit.fail(new RecordClosed({ record: buffer.record })))
    yield* over("of a reader whose scope is closed", reader, buffer.record)
    yield* put(buffer, 0, 1)
    yield* over("of a reader whose scope is closed", reader, buffer.record)
    yield* same("what another reader has", yield* drain(other), [0])
  }),
  broken: immortalReaders
})

export const starting: ReadonlyArray<Law> = [startsNext, startsCurrent, startsOldest, leftBehind, detached]
