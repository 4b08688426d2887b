/** Laws on what a buffer says about itself: its statistics, and its newest value. */
import { Effect, Exit, Option } from "effect"
import { ends, same, settle, start, valueOf, waits } from "../trial.ts"
import { always, holdsBack, type Law, law, overwrites } from "./law.ts"
import { altered, alteredStats } from "./sabotage.ts"
import { accepts, counts, drain, open, put, range, receive, verbs } from "./steps.ts"

const overwritten = law("a value that was overwritten before anyone had it is counted, and no other", {
  applies: (promises) => overwrites(promises) && promises.reports.overwritten,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    yield* put(buffer, 0, room)
    yield* counts("before anything is overwritten", buffer, { overwritten: 0 })
    yield* put(buffer, room, room + 3)
    yield* counts("after 3 more values than fit", buffer, { overwritten: 3 })
    yield* drain(reader)
    yield* put(buffer, 0, room)
    yield* counts("after only values that someone had were replaced", buffer, { overwritten: 3 })
  }),
  broken: alteredStats(({ overwritten }) => ({ overwritten: overwritten * 2 }))
})

const holding = law("the statistics say exactly how many values are held, and how many fit", {
  applies: ({ reports }) => reports.held || reports.capacity,
  check: Effect.fnUntraced(function*(subject) {
    const { holds, keeps, reports } = subject.promises
    const { buffer, reader, room } = yield* open(subject)
    const fit = holds === "capacity" ? 4 : holds === "one" ? 1 : null
    if (reports.capacity) yield* counts("of a buffer made for 4 values", buffer, { capacity: fit })
    if (!reports.held) return
    for (let held = 0; held < room; held++) {
      yield* counts(`once ${held} values are held`, buffer, { held })
      yield* put(buffer, held, held + 1)
    }
    yield* counts("once it is full", buffer, { held: room })
    yield* receive(reader, 1)
    yield* counts("once one value is read", buffer, { held: keeps === "untilRead" ? room - 1 : room })
  }),
  broken: alteredStats(({ capacity, held }) => ({ capacity: (capacity ?? 0) + 1, held: held + 1 }))
})

const produced = law("an accepted value is counted once and received once, whichever verb brought it", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject)
    for (const [index, verb] of verbs.entries()) {
      yield* accepts(verb, buffer, index)
      yield* counts(`after ${verb.name}`, buffer, { produced: index + 1, dropped: 0, failed: 0 })
      yield* same(`what is received after ${verb.name}`, yield* drain(reader), [index])
    }
  }),
  broken: altered(() => ({ produceUnsafe: () => "Accepted" }))
})

const latest = law("latest is the newest value, and asking for it takes nothing", {
  applies: ({ latest }) => latest !== "none",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader, room } = yield* open(subject)
    const expects = (what: string, expected: Option.Option<number>) =>
      Effect.flatMap(valueOf("latest", buffer.latest), (seen) => same(`latest ${what}`, seen, expected))
    yield* expects("of a new buffer", Option.none())
    for (const value of range(0, room)) {
      yield* put(buffer, value, value + 1)
      yield* expects("after a value was produced", Option.some(value))
    }
    yield* same("what is received after latest", yield* drain(reader), range(0, room))
    const gone = subject.promises.latest === "held" && subject.promises.keeps === "untilRead"
    yield* expects("once everything is read", gone ? Option.none() : Option.some(room - 1))
  }),
  broken: altered(() => ({ latest: Effect.succeedNone }))
})

const latestOfWaiting = law("latest follows the order in which values got in, also those of waiting producers", {
  applies: (promises) => holdsBack(promises) && promises.latest !== "none",
  check: Effect.fnUntraced(function*(subject) {
    const { buffer, reader } = yield* open(subject, 1)
    yield* put(buffer, 0, 1)
    const waiting = yield* start(buffer.produceAsync(1))
    yield* waits("produceAsync on a full buffer", waiting)
    yield* same("latest while a producer waits", yield* buffer.latest, Option.some(0))
    // All in one turn: where the first take lets the producer in at once, the second leaves room again.
    const taken = [...(yield* drain(reader))]
    const last = buffer.produceUnsafe(2) === "Accepted" ? 2 : 1
    yield* ends("the producer that waited", waiting, Exit.void)
    yield* settle
    const seen = yield* buffer.latest
    taken.push(...(yield* drain(reader)))
    yield* same("the values in the order in which they got in", taken, range(0, last + 1))
    yield* same("latest once the producer that waited got in", seen, Option.some(last))
  }),
  broken: altered((buffer) => ({ latest: Effect.map(buffer.latest, Option.map((value) => Math.min(value, 0))) }))
})

export const statistics: ReadonlyArray<Law> = [produced, holding, overwritten, latest, latestOfWaiting]
