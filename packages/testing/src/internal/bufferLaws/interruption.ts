/** Laws on interruption: what is interrupted has happened or it has not, whatever step of it the interrupt hits. */
import type { Reader } from "@sluice/core"
import { Effect, Exit, Option } from "effect"
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
  waits
} from "../trial.ts"
import { always, holdsBack, type Law, law } from "./law.ts"
import { altered, alteredTakes } from "./sabotage.ts"
import { counts, drain, full, open, put, range, receive } from "./steps.ts"

/** Turns to let pass before the event that a fiber waits for: on its way to wait, and once it is at rest. */
const ahead = [...range(0, 16), 64]

/** The ways to take, each as the values that it took. */
const takes: ReadonlyArray<
  readonly [
    name: string,
    take: (reader: Reader.Reader<number>) => Effect.Effect<ReadonlyArray<number>, Reader.RecvError>
  ]
> = [
  ["recv", (reader) => Effect.map(reader.recv, (value) => [value])],
  ["recvBatch", (reader) => reader.recvBatch(2)],
  ["tryRecv", (reader) => Effect.map(reader.tryRecv, Option.toArray)]
]

/** After an interrupt: what was taken and what is left to take are everything, and `pending` knows what is left. */
const accounted = Effect.fnUntraced(function*(
  what: string,
  reader: Reader.Reader<number>,
  taken: ReadonlyArray<number>,
  expected: ReadonlyArray<number>
) {
  yield* same(`pending after ${what}`, yield* reader.pending, expected.length - taken.length)
  const left = yield* drain(reader)
  yield* same(`what is left after ${what}`, left, expected.filter((value) => !taken.includes(value)))
})

const taking = law("an interrupted take has taken nothing", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    for (const [name, take] of takes) {
      for (const turnsAhead of name === "tryRecv" ? [-1] : [-1, ...ahead]) {
        yield* everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
          const { buffer, reader } = yield* open(subject)
          const taken: Array<number> = []
          if (turnsAhead === -1) yield* put(buffer, 0, 1)
          // Whoever takes has the values with the first step that gets them.
          const { fiber, interrupt } = yield* startStepwise(
            Effect.map(take(reader), (values) => taken.push(...values))
          )
          if (turnsAhead !== -1) {
            yield* pass(turnsAhead)
            yield* put(buffer, 0, 1)
          }
          yield* pass(turns)
          const late = fiber.pollUnsafe() !== undefined
          interrupt(hasty)
          yield* exitOf(`an interrupted ${name}`, fiber)
          yield* accounted(`${name}, interrupted ${turns} turns after a value came`, reader, taken, [0])
          return late
        }))
      }
    }
  }),
  broken: alteredTakes(() => (take) => Effect.flatMap(take, (taken) => Effect.as(Effect.yieldNow, taken)))
})

const together = law("what interrupted fibers that share a reader did not take is received, in order", {
  applies: ({ holds }) => holds !== "one",
  check: (subject) =>
    everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const { buffer, reader } = yield* open(subject)
      const taken: Array<number> = []
      const recv = startStepwise(Effect.map(reader.recv, (value) => taken.push(value)))
      const fibers = [yield* recv, yield* recv]
      yield* rest
      yield* put(buffer, 0, 3)
      yield* pass(turns)
      const late = fibers.every(({ fiber }) => fiber.pollUnsafe() !== undefined)
      for (const { interrupt } of fibers) interrupt(hasty)
      for (const { fiber } of fibers) yield* exitOf("an interrupted recv", fiber)
      yield* accounted(`two fibers were interrupted ${turns} turns after 3 values came`, reader, taken, [0, 1, 2])
      return late
    })),
  broken: alteredTakes(() => (take) => Effect.flatMap(take, (taken) => Effect.as(Effect.yieldNow, taken)))
})

const beforeWaiting = law("a take that is interrupted on its way to wait takes nothing later", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    for (const [name, take] of takes.slice(0, 2)) {
      for (const turns of range(0, 24)) {
        for (const hasty of [false, true]) {
          const { buffer, reader } = yield* open(subject)
          const { fiber, interrupt } = yield* startStepwise(take(reader))
          yield* pass(turns)
          interrupt(hasty)
          yield* put(buffer, 0, 1)
          yield* exitOf(`an interrupted ${name}`, fiber)
          yield* answers(`recv after an interrupted ${name}`, reader.recv, Exit.succeed(0))
        }
      }
    }
  }),
  broken: alteredTakes(() => (take) => Effect.onInterrupt(take, () => Effect.asVoid(Effect.exit(take))))
})

/** Who is interrupted while it produces produces twice, if only it can. */
const twiceOnInterrupt = altered((buffer) => ({
  produceAsync: (value) =>
    Effect.onInterrupt(
      buffer.produceAsync(value),
      () => Effect.forkDetach(Effect.exit(Effect.andThen(buffer.produceAsync(value), buffer.produceAsync(value))))
    )
}))

const producing = law("an interrupted produceAsync has happened and is counted, or it has not", {
  applies: always,
  check: (subject) =>
    everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const { buffer, reader } = yield* open(subject)
      const { fiber, interrupt } = yield* startStepwise(buffer.produceAsync(7))
      yield* pass(turns)
      interrupt(hasty)
      const exit = yield* exitOf("an interrupted produceAsync", fiber)
      yield* settle
      const received = yield* drain(reader)
      const happened = received.length > 0 || Exit.isSuccess(exit)
      yield* same(`what is received from produceAsync, interrupted after ${turns} turns`, received, happened ? [7] : [])
      yield* counts("after an interrupted produceAsync", buffer, { produced: happened ? 1 : 0, dropped: 0 })
      return Exit.isSuccess(exit)
    })),
  broken: twiceOnInterrupt
})

const letIn = law("a waiting producer that is interrupted as room is made got in and is counted, or it did not", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    for (const turnsAhead of ahead) {
      yield* everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
        const { buffer, reader } = yield* open(subject)
        yield* put(buffer, 0, 4)
        const { fiber, interrupt } = yield* startStepwise(buffer.produceAsync(4))
        yield* pass(turnsAhead)
        yield* receive(reader, 1)
        yield* pass(turns)
        interrupt(hasty)
        const exit = yield* exitOf("an interrupted produceAsync", fiber)
        yield* settle
        const received = yield* drain(reader)
        const happened = received.includes(4) || Exit.isSuccess(exit)
        const what = `produceAsync, interrupted ${turns} turns after room was made`
        yield* same(`what is received after ${what}`, received, range(1, happened ? 5 : 4))
        yield* counts(`after ${what}`, buffer, { produced: happened ? 5 : 4, dropped: 0 })
        yield* put(buffer, 5, 9)
        yield* answers("tryProduce beyond the capacity", buffer.tryProduce(9), full(buffer, 9))
        return Exit.isSuccess(exit)
      }))
    }
  }),
  broken: twiceOnInterrupt
})

const givesUp = law("a waiting producer that is interrupted leaves nothing, and lets those behind it in", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    for (const turns of range(0, 24)) {
      for (const hasty of [false, true]) {
        const { buffer, reader } = yield* open(subject)
        yield* put(buffer, 0, 4)
        const first = yield* startStepwise(buffer.produceAsync(4))
        yield* pass(turns)
        const second = yield* start(buffer.produceAsync(5))
        first.interrupt(hasty)
        const exit = yield* exitOf("an interrupted produceAsync", first.fiber)
        yield* same("whether produceAsync on a full buffer was interrupted", Exit.hasInterrupts(exit), true)
        yield* waits("another producer, since there is no room", second)
        yield* receive(reader, 1)
        yield* ends("another producer, once there is room", second, Exit.void)
        const received = [...(yield* drain(reader))]
        yield* settle
        received.push(...(yield* drain(reader)))
        yield* same("what is received then", received, [1, 2, 3, 5])
        yield* counts("after one producer gave up", buffer, { produced: 5, dropped: 0 })
      }
    }
  }),
  broken: twiceOnInterrupt
})

/** What was taken is handed over in a later step than the one that took it, and an interrupt is not heard before that. */
const handsOverLater = alteredTakes(() => (take) =>
  Effect.flatMap(Effect.uninterruptible(take), (taken) => Effect.as(Effect.yieldNow, taken))
)

const fromWithin = law("an interrupted recv has taken nothing, whoever is let in meanwhile", {
  applies: holdsBack,
  check: Effect.fnUntraced(function*(subject) {
    const victims = subject.promises.readers === "each" ? ["who takes", "another reader"] : ["who takes"]
    for (const victim of victims) {
      for (const [name, take] of takes) {
        // Another one has to wait.
        if (victim !== "who takes" && name === "tryRecv") continue
        for (const [producers, nth] of [[1, 1], [2, 1], [2, 2], [3, 1], [3, 2], [3, 3]] as const) {
          const { buffer, reader } = yield* open(subject)
          /** Takes, again and again, from the next turn on until it is interrupted. */
          const taker = Effect.fnUntraced(function*(reader: Reader.Reader<number>) {
            const taken: Array<number> = []
            const loop = Effect.whileLoop({
              // Bounded, for a reader that never runs dry.
              while: () => taken.length < 1000,
              body: () => take(reader),
              step: (values) => taken.push(...values)
            })
            return { fiber: yield* start(Effect.andThen(pass(1), loop)), taken, reader }
          })
          const other = victim === "who takes" ? undefined : yield* buffer.subscribe
          yield* put(buffer, 0, 4)
          const ahead = other === undefined ? undefined : yield* taker(other)
          yield* settle
          let letIn = 0
          let interrupted = ahead
          for (const value of range(4, 4 + producers)) {
            // It goes on within whatever makes room for it, which may be the very step that takes.
            yield* start(Effect.map(buffer.produceAsync(value), () => {
              if (++letIn === nth) interrupted?.fiber.interruptUnsafe()
            }))
          }
          yield* settle
          const makesRoom = yield* taker(reader)
          interrupted ??= makesRoom
          yield* settle
          for (const taking of [makesRoom, ahead]) {
            if (taking === undefined) continue
            const what = `${name}, where ${victim} is interrupted by producer ${nth} of ${producers} that it let in`
            taking.fiber.interruptUnsafe()
            yield* exitOf(`a fiber that repeats ${name}`, taking.fiber)
            const all = [...taking.taken, ...(yield* drain(taking.reader))]
            yield* same(`what was taken and what is left after ${what}`, all, range(0, 4 + producers))
          }
        }
      }
    }
  }),
  broken: handsOverLater
})

export const interruption: ReadonlyArray<Law> = [
  taking,
  together,
  beforeWaiting,
  producing,
  letIn,
  givesUp,
  fromWithin
]
