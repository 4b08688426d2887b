/** Random interleavings of everything one can do with a buffer, each step compared with a plain model. */
import { assert, describe, it } from "@effect/vitest"
import type { Buffer, Reader } from "@sluice/core"
import { Arbitrary, Effect, Exit, Fiber, Option, Schema, Scope } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import {
  BoundedModel,
  LatestModel,
  MailboxModel,
  type Model,
  type ModelReader,
  RingModel,
  type Taken
} from "./models.ts"
import { bufferOf, settle } from "./support.ts"

const Step = Schema.Union([
  Schema.Struct({ op: Schema.tag("push"), verb: Schema.Literals(["produce", "tryProduce", "produceUnsafe"]) }),
  Schema.Struct({ op: Schema.tag("produceAsync") }),
  Schema.Struct({ op: Schema.tag("recv"), which: Schema.Literals([0, 1, 2]) }),
  Schema.Struct({ op: Schema.tag("tryRecv"), which: Schema.Literals([0, 1, 2]) }),
  Schema.Struct({ op: Schema.tag("recvBatch"), which: Schema.Literals([0, 1, 2]), max: Schema.Literals([1, 2, 5]) }),
  Schema.Struct({ op: Schema.tag("subscribe") }),
  Schema.Struct({ op: Schema.tag("unsubscribe"), which: Schema.Literals([0, 1, 2]) }),
  Schema.Struct({ op: Schema.tag("interrupt"), which: Schema.Literals([0, 1, 2, 3]) }),
  Schema.Struct({ op: Schema.tag("yield") }),
  Schema.Struct({ op: Schema.tag("settle") })
])
type Step = typeof Step.Type

const kinds: ReadonlyArray<readonly [Buffer.BufferConfig, () => Model]> = [
  ...[1, 2, 3, 7].map((capacity) => [{ kind: "SpmcRing", capacity } as const, () => new RingModel(capacity)] as const),
  [{ kind: "SingleLatest" }, () => new LatestModel()],
  [{ kind: "Mailbox" }, () => new MailboxModel()],
  ...[1, 2, 3, 7].map((capacity) => [{ kind: "Bounded", capacity } as const, () => new BoundedModel(capacity)] as const)
]

describe.each(casesOf("buffer model, each of 10 kinds", { budget: 400, full: 10_000 }))(
  "seed $seed",
  ({ runs, seed }) => {
    for (const [config, model] of kinds) {
      it.effect.prop(
        `${JSON.stringify(config)} does what its model does`,
        {
          readers: Schema.Literals([0, 1, 2, 3]),
          steps: Arbitrary.array(Arbitrary.schema(Step), { minLength: 1, maxLength: 60 }),
          close: Schema.Boolean
        },
        ({ close, readers, steps }) =>
          Effect.scoped(follow(config, model(), [...subscribed.slice(0, readers), ...steps], close)),
        { arbitrary: { runs, seed, size: 60 }, timeout: 600_000 }
      )
    }
  }
)

const subscribed: ReadonlyArray<Step> = [{ op: "subscribe" }, { op: "subscribe" }, { op: "subscribe" }]

interface Attached {
  readonly reader: Reader.Reader<number>
  readonly model: ModelReader
  readonly scope: Scope.Closeable
  received: number
}

const follow = (config: Buffer.BufferConfig, model: Model, steps: ReadonlyArray<Step>, close: boolean) =>
  Effect.gen(function*() {
    const buffer = yield* bufferOf(config)
    let nextValue = 0
    let attached: Array<Attached> = []
    const receiving: Array<{ readonly fiber: Fiber.Fiber<void>; readonly from: Attached }> = []
    const producing: Array<{ readonly fiber: Fiber.Fiber<void>; readonly value: number }> = []

    // A waiting producer is let in at a moment that the model does not know, but in order: the count says how many.
    const admit = () => {
      while (model.produced.length < buffer.stats().produced) {
        const value = model.waiting.shift()
        assert.isDefined(value, "more was produced than was offered")
        assert.notStrictEqual(model.held(), (config as { capacity: number }).capacity, "let in beyond the capacity")
        model.accept(value!)
      }
    }
    const expectTaken = (from: Attached, seen: Taken) => {
      admit()
      assert.deepStrictEqual(seen, attached.includes(from) ? model.take(from.model) : { _tag: "Closed" })
      if (seen._tag === "Value") from.received++
    }
    const onError = (from: Attached) => (error: Reader.RecvError) => {
      expectTaken(from, error._tag === "Lagged" ? { _tag: "Lagged", missed: error.missed } : { _tag: "Closed" })
      return Effect.void
    }
    const push = (verb: "produce" | "tryProduce" | "produceUnsafe", value: number) => {
      if (verb === "produceUnsafe") return Effect.sync(() => buffer.produceUnsafe(value))
      if (verb === "tryProduce") {
        return Effect.matchEffect(buffer.tryProduce(value), {
          onSuccess: () => Effect.succeed("Accepted" as const),
          onFailure: (error) => {
            assert.strictEqual(error.value, value)
            return Effect.succeed(error._tag === "BufferFull" ? "Full" as const : "Closed" as const)
          }
        })
      }
      return Effect.gen(function*() {
        const { dropped, produced } = buffer.stats()
        yield* buffer.produce(value)
        const after = buffer.stats()
        assert.strictEqual(after.produced + after.dropped, produced + dropped + 1)
        return after.produced > produced ? "Accepted" as const : "Dropped" as const
      })
    }
    const run = (step: Step): Effect.Effect<void> =>
      Effect.gen(function*() {
        const from = "which" in step ? attached[step.which % Math.max(1, attached.length)] : undefined
        switch (step.op) {
          case "push": {
            admit()
            const value = nextValue++
            const expected = model.push(value)
            const seen = yield* push(step.verb, value)
            assert.strictEqual(seen, seen === "Dropped" && expected !== "Accepted" ? "Dropped" : expected)
            return
          }
          case "produceAsync": {
            admit()
            const value = nextValue++
            if (model.push(value) === "Full") model.waiting.push(value)
            const fiber = yield* Effect.forkChild(
              Effect.catch(buffer.produceAsync(value), (error) => {
                assert.isTrue(model.closed)
                assert.strictEqual(error.value, value)
                return Effect.void
              }),
              { startImmediately: true }
            )
            producing.push({ fiber, value })
            return
          }
          case "recv": {
            if (from === undefined) return
            const fiber = yield* Effect.forkChild(
              Effect.matchEffect(from.reader.recv, {
                onSuccess: (value) => {
                  expectTaken(from, { _tag: "Value", value })
                  return Effect.void
                },
                onFailure: onError(from)
              }),
              { startImmediately: true }
            )
            receiving.push({ fiber, from })
            return
          }
          case "tryRecv": {
            if (from === undefined) return
            yield* Effect.matchEffect(from.reader.tryRecv, {
              onSuccess: (option) => {
                expectTaken(from, Option.isSome(option) ? { _tag: "Value", value: option.value } : { _tag: "Nothing" })
                return Effect.void
              },
              onFailure: onError(from)
            })
            return
          }
          case "recvBatch": {
            if (from === undefined || (yield* from.reader.pending) === 0) return
            yield* Effect.matchEffect(from.reader.recvBatch(step.max), {
              onSuccess: (values) => {
                assert.isAtMost(values.length, step.max)
                for (const value of values) expectTaken(from, { _tag: "Value", value })
                if (values.length < step.max) assert.notInclude(["Value"], model.take(from.model)._tag)
                return Effect.void
              },
              onFailure: onError(from)
            })
            return
          }
          case "subscribe": {
            if (attached.length === 3) return
            admit()
            const scope = yield* Scope.make()
            const reader = yield* Scope.provide(buffer.subscribe, scope)
            attached.push({ reader, model: model.subscribe(), scope, received: 0 })
            return
          }
          case "unsubscribe": {
            if (from === undefined) return
            admit()
            attached = attached.filter((other) => other !== from)
            model.unsubscribe(from.model)
            return yield* Scope.close(from.scope, Exit.void)
          }
          case "interrupt": {
            const fibers = [...receiving, ...producing].filter(({ fiber }) => fiber.pollUnsafe() === undefined)
            const chosen = fibers[step.which % Math.max(1, fibers.length)]
            if (chosen === undefined) return
            yield* Fiber.interrupt(chosen.fiber)
            admit()
            if ("value" in chosen) model.waiting = model.waiting.filter((value) => value !== chosen.value)
            return
          }
          case "yield":
            return yield* Effect.yieldNow
          case "settle":
            yield* settle
            return expectSettled()
        }
      })
    const expectSettled = () => {
      admit()
      const stats = buffer.stats()
      assert.strictEqual(stats.produced, model.produced.length)
      assert.strictEqual(stats.held, model.held())
      assert.strictEqual(stats.overwritten, model.overwritten)
      if (model.waiting.length > 0) {
        assert.strictEqual(model.held(), stats.capacity, "a producer waits beside free room")
      }
      for (const { fiber, value } of producing) {
        assert.strictEqual(fiber.pollUnsafe() === undefined, model.waiting.includes(value), `producer of ${value}`)
      }
      for (const { fiber, from } of receiving) {
        if (fiber.pollUnsafe() !== undefined) continue
        assert.include(attached, from, "a reader whose scope closed still waits")
        assert.isFalse(model.closed, "a reader of a closed record still waits")
        assert.strictEqual(model.pending(from.model), 0, "a reader waits beside a value")
      }
      for (const exit of [...producing, ...receiving].map(({ fiber }) => fiber.pollUnsafe())) {
        if (exit !== undefined && Exit.isFailure(exit)) assert.isTrue(Exit.hasInterrupts(exit), String(exit))
      }
    }

    for (const step of steps) yield* run(step)
    if (close) {
      admit()
      yield* buffer.close
      model.closed = true
      model.waiting = []
    }
    yield* settle
    expectSettled()
    for (const from of attached) {
      while ((yield* from.reader.pending) > 0) yield* run({ op: "tryRecv", which: attached.indexOf(from) as 0 })
      assert.strictEqual(yield* from.reader.pending, model.pending(from.model))
    }
    yield* settle
    expectSettled()
    yield* Fiber.interruptAll([...receiving, ...producing].map(({ fiber }) => fiber))
  })
