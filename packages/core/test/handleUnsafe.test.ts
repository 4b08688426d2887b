/** A plain handler is run in the wake-up itself, without its fiber: nothing else about it differs. */
import { assert, describe, it } from "@effect/vitest"
import { Consumer, Record, Topology } from "@sluice/core"
import { Effect, Exit, Fiber, Layer, Schedule, Schema, Scope } from "effect"
import { AsyncLocalStorage } from "node:async_hooks"
import { Gate, Pump } from "../src/internal/gate.ts"
import { settle } from "./support.ts"

class Ring extends Record.Service<Ring>()("u/Ring", { schema: Schema.Int }) {}
class Back extends Record.Service<Back>()("u/Back", { schema: Schema.Int }) {}
class Tight
  extends Record.Service<Tight>()("u/Tight", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 5_000 } })
{}
class Level extends Record.Service<Level>()("u/Level", { schema: Schema.Int, buffer: { kind: "SingleLatest" } }) {}

const silent = { onShutdown: () => Effect.void }
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

/** A consumer of `record` with this plain handler, and a producer for it. */
const consuming = <Self, Key extends string>(
  record: Record.RecordClass<Self, Key, number>,
  handleUnsafe: (value: number) => undefined
) =>
  Effect.gen(function*() {
    const { producer } = yield* record
    const App = Topology.layer(
      Consumer.layer(record, { name: "plain", handleUnsafe, restart: Schedule.recurs(100) }),
      silent
    )
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(App, scope)
    const topology = yield* Effect.provideContext(Topology.Topology, context)
    yield* settle
    return { producer: yield* producer("test"), topology, stop: Scope.close(scope, Exit.void) }
  })

describe("a plain handler", () => {
  it.effect("gets each value in order, one at a time or in bursts, and what is held at the end", () =>
    Effect.scoped(Effect.gen(function*() {
      const seen: Array<number> = []
      const { producer, stop } = yield* consuming(Ring, (value) => void seen.push(value))
      for (const value of range(1, 600)) {
        yield* producer.produce(value)
        if (value < 400 || value % 10 === 0) yield* settle
      }
      for (const value of range(601, 700)) producer.produceUnsafe(value)
      yield* stop
      assert.deepStrictEqual(seen, range(1, 700))
    })).pipe(Effect.provide(Ring.layer)))

  it.effect("gets the newest of a latest value, once per wake-up", () =>
    Effect.scoped(Effect.gen(function*() {
      const seen: Array<number> = []
      const { producer } = yield* consuming(Level, (value) => void seen.push(value))
      for (const burst of [[1, 2, 3], [4], [5, 6]]) {
        for (const value of burst) producer.produceUnsafe(value)
        yield* settle
      }
      assert.deepStrictEqual(seen, [3, 4, 6])
    })).pipe(Effect.provide(Level.layer)))

  it.effect("that throws costs the value, and goes on after its restart", () =>
    Effect.scoped(Effect.gen(function*() {
      const seen: Array<number> = []
      const { producer, topology } = yield* consuming(Ring, (value) => {
        if (value % 3 === 0) throw new Error(`no ${value}`)
        seen.push(value)
      })
      for (const value of range(1, 9)) {
        producer.produceUnsafe(value)
        yield* settle
      }
      assert.deepStrictEqual(seen, [1, 2, 4, 5, 7, 8])
      const [component] = (yield* topology.snapshot).components
      assert.deepInclude(component!, { handled: 6, abandoned: 3, restarts: 3, status: "Running" })
    })).pipe(Effect.provide(Ring.layer)))

  it.effect("runs in the async context that its topology was built in, whoever produces", () =>
    Effect.scoped(Effect.gen(function*() {
      const storage = new AsyncLocalStorage<string>()
      const seen: Array<string | undefined> = []
      const build = consuming(Ring, () => void seen.push(storage.getStore()))
      const context = yield* Effect.context<Ring | Scope.Scope>()
      const { producer } = yield* Effect.promise(() =>
        storage.run("topology", () => Effect.runPromiseWith(context)(build))
      )
      for (const value of range(1, 5)) {
        storage.run("producer", () => producer.produceUnsafe(value))
        yield* settle
      }
      assert.deepStrictEqual(seen, Array.from({ length: 5 }, () => "topology"))
    })).pipe(Effect.provide(Ring.layer)))

  it.live("that has much to do lets others run in between", () =>
    Effect.scoped(Effect.gen(function*() {
      let handled = 0
      const { producer } = yield* consuming(Tight, () => void handled++)
      const turns: Array<number> = []
      const watcher = yield* Effect.forkChild(Effect.forever(Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => turns.push(handled))
      )))
      for (const value of range(1, 5_000)) assert.strictEqual(producer.produceUnsafe(value), "Accepted")
      yield* Effect.repeat(Effect.yieldNow, { until: () => handled === 5_000 })
      yield* Fiber.interrupt(watcher)
      assert.isAbove(turns.filter((count) => count > 0 && count < 5_000).length, 0)
    })).pipe(Effect.provide(Tight.layer)))

  it.live("and another that wake each other without end do not stop the event loop", () =>
    Effect.scoped(Effect.gen(function*() {
      const ring = yield* (yield* Ring).producer("there")
      const back = yield* (yield* Back).producer("back")
      let hops = 0
      let on = true
      yield* Layer.build(Topology.layer(
        Layer.mergeAll(
          Consumer.layer(Ring, { name: "there", handleUnsafe: (value) => void (hops++, back.produceUnsafe(value)) }),
          Consumer.layer(Back, {
            name: "back",
            handleUnsafe: (value) => void (on && ring.produceUnsafe(value))
          })
        ),
        silent
      ))
      yield* settle
      ring.produceUnsafe(1)
      // Each yield is a turn of the event loop: were it stopped, this would not come back.
      const turns: Array<number> = []
      yield* Effect.repeat(Effect.map(Effect.yieldNow, () => turns.push(hops)), { until: () => hops > 10_000 })
      on = false
      assert.isAbove(turns.length, 10)
    })).pipe(Effect.provide(Layer.mergeAll(Ring.layer, Back.layer))))

  it.effect("that comes to wait while a wake-up is under way is woken by the next", () =>
    Effect.gen(function*() {
      const gate = yield* Effect.withFiber((fiber) => Effect.succeed(new Gate(fiber.currentDispatcher, () => true)))
      let woken = 0
      const waiting = yield* Effect.forkChild(gate.wait(() => false, Effect.void), { startImmediately: true })
      gate.signal()
      const pump = new class extends Pump {
        pump() {
          woken++
          return undefined
        }
      }()
      const pumping = yield* Effect.forkChild(gate.pump(() => false, pump), { startImmediately: true })
      yield* Fiber.join(waiting)
      yield* settle
      gate.signal()
      yield* settle
      assert.strictEqual(woken, 1)
      yield* Fiber.interrupt(pumping)
      gate.signal()
      yield* settle
      assert.strictEqual(woken, 1, "an interrupted one is woken no more")
    }))
})
