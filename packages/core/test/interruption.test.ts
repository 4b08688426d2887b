/**
 * A fiber that receives or produces is interrupted at every point at which it can be, under operation budgets so small
 * that it yields between any two steps: nothing is lost and nothing comes twice.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Buffer, Reader } from "@sluice/core"
import { Effect, Exit, Fiber, Option } from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { bufferOf, settle } from "./support.ts"

// With a budget below 3 a fiber of Effect does nothing but yield.
const budgets = [3, 4, 5, 6, 7, 8, 16, 2048]
const turns = Array.from({ length: 24 }, (_, index) => index)
const pauses = {
  "turns of the scheduler": Effect.yieldNow,
  microtasks: Effect.promise(() => Promise.resolve())
}
const kinds: ReadonlyArray<Buffer.BufferConfig> = [
  { kind: "SpmcRing", capacity: 8 },
  { kind: "Bounded", capacity: 8 },
  { kind: "Bounded", capacity: 1 },
  { kind: "Queue", capacity: 8, strategy: "suspend" },
  { kind: "PubSub", capacity: 8, strategy: "suspend" }
]
const values = [1, 2, 3, 4, 5]

type Recv = (reader: Reader.Reader<number>) => Effect.Effect<number, Reader.RecvError>

/** What two readers of the same position got: one that was interrupted after `turn` pauses, one that took the rest. */
const receiveInterrupted = (config: Buffer.BufferConfig, pause: Effect.Effect<void>, turn: number, recv: Recv) =>
  Effect.scoped(Effect.gen(function*() {
    const buffer = yield* bufferOf(config)
    const reader = yield* buffer.subscribe
    const got: Array<number> = []
    const keep = (value: number) => {
      got.push(value)
      return Effect.void
    }
    const victim = yield* Effect.forkChild(Effect.forever(Effect.flatMap(recv(reader), keep)))
    const producer = yield* Effect.forkChild(Effect.forEach(values, (value) => buffer.produceAsync(value)))
    for (let i = 0; i < turn; i++) yield* pause
    yield* Fiber.interrupt(victim)
    const rest = yield* Effect.forkChild(Effect.forever(Effect.flatMap(reader.recv, keep)))
    yield* Fiber.join(producer)
    while (got.length < values.length && (yield* reader.pending) > 0) yield* settle
    yield* settle
    yield* Fiber.interrupt(rest)
    return got
  }))

const run = <A>(budget: number, effect: Effect.Effect<A, unknown>) =>
  Effect.provideService(Effect.orDie(effect), MaxOpsBeforeYield, budget)

describe.each(Object.keys(pauses) as Array<keyof typeof pauses>)("interrupted after some %s", (unit) => {
  for (const config of kinds) {
    it.effect(`recv of ${JSON.stringify(config)} has taken a value or has not`, () =>
      Effect.gen(function*() {
        for (const budget of budgets) {
          for (const turn of turns) {
            const got = yield* run(budget, receiveInterrupted(config, pauses[unit], turn, ({ recv }) => recv))
            assert.deepStrictEqual(got, values, `budget ${budget}, interrupted after ${turn}`)
          }
        }
      }))
  }

  it.effect("produceAsync has happened or has not, and nobody is overtaken", () =>
    Effect.gen(function*() {
      for (const capacity of [1, 2]) {
        for (const budget of budgets) {
          for (const turn of turns) {
            const { got, sure } = yield* run(budget, produceInterrupted(capacity, pauses[unit], turn))
            const from = got.filter((value) => value < 100)
            const context = `capacity ${capacity}, budget ${budget}, interrupted after ${turn}: ${got}`
            assert.deepStrictEqual(from, values.slice(0, from.length), context)
            assert.include([sure, sure + 1], from.length, context)
            assert.deepStrictEqual(got.filter((value) => value > 100), [101, 102], context)
          }
        }
      }
    }))
})

const produceInterrupted = (capacity: number, pause: Effect.Effect<void>, turn: number) =>
  Effect.scoped(Effect.gen(function*() {
    const buffer = yield* bufferOf({ kind: "Bounded", capacity })
    const reader = yield* buffer.subscribe
    let sure = 0
    const victim = yield* Effect.forkChild(
      Effect.forEach(values, (value) =>
        Effect.flatMap(buffer.produceAsync(value), () => {
          sure++
          return Effect.void
        }))
    )
    const got: Array<number> = []
    const consumer = yield* Effect.forkChild(Effect.forever(Effect.flatMap(reader.recv, (value) => {
      got.push(value)
      return Effect.yieldNow
    })))
    for (let i = 0; i < turn; i++) yield* pause
    yield* Fiber.interrupt(victim)
    yield* buffer.produceAsync(101)
    yield* buffer.produceAsync(102)
    while (!got.includes(102)) yield* settle
    yield* Fiber.interrupt(consumer)
    return { got, sure }
  }))

describe("the scenario itself", () => {
  it.effect("tells a recv that returns its Exit from suspend, and so loses values", () =>
    Effect.gen(function*() {
      const lossy: Recv = (reader) => {
        const recv: Effect.Effect<number, Reader.RecvError> = Effect.suspend(() =>
          Effect.flatMap(reader.tryRecv, (taken) =>
            Option.isNone(taken) ? Effect.andThen(Effect.yieldNow, recv) : Exit.succeed(taken.value))
        )
        return recv
      }
      const lost: Array<string> = []
      for (const budget of budgets) {
        for (const turn of turns) {
          const got = yield* run(budget, receiveInterrupted(kinds[0]!, Effect.yieldNow, turn, lossy))
          if (got.length < values.length) {
            lost.push(`${budget}/${turn}`)
          }
        }
      }
      assert.isAbove(lost.length, 0)
    }))
})
