/** What the neighbours of a component that misbehaves can rely on. */
import { assert, describe, it } from "@effect/vitest"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Effect, Exit, Fiber, Layer, References, Schedule, Schema, Scope, Stream } from "effect"
import { adjust, settle } from "./support.ts"

class Values
  extends Record.Service<Values>()("s/Values", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 64 } })
{}
class Level extends Record.Service<Level>()("s/Level", { schema: Schema.Int, buffer: { kind: "SingleLatest" } }) {}
/** The restarts are the point here, and ten thousand of them would fill the output. */
const quietly = Effect.provideService(References.MinimumLogLevel, "None")

describe("beside a handler that dies on every tenth value", () => {
  it.live(
    "nine healthy consumers miss nothing of 100,000, and it loses exactly the values it died on",
    () =>
      Effect.gen(function*() {
        const total = 100_000
        const next = Array.from({ length: 9 }, () => 1)
        const handled: Array<number> = []
        const healthy = next.map((_, index) =>
          Consumer.layer(Values, {
            name: `healthy ${index}`,
            handleUnsafe: (value) => {
              if (value !== next[index]) throw new Error(`${value} came instead of ${next[index]}`)
              next[index]!++
            }
          })
        )
        const faulty = Consumer.layer(Values, {
          name: "faulty",
          restart: Schedule.forever,
          handle: (value) => value % 10 === 0 ? Effect.die(value) : Effect.sync(() => void handled.push(value))
        })
        const App = Topology.layer(
          Layer.mergeAll(
            ...healthy as [typeof faulty],
            faulty,
            Source.layer(Values, { name: "source", stream: Stream.range(1, total) })
          ),
          { onShutdown: () => Effect.void }
        ).pipe(Layer.provide(Values.layer))
        yield* Effect.gen(function*() {
          const topology = yield* Topology.Topology
          yield* topology.awaitDone
          const { components } = yield* topology.snapshot
          for (const { abandoned, handled, name, restarts } of components) {
            if (name === "source") continue
            assert.deepStrictEqual(
              { name, handled, abandoned, restarts },
              name === "faulty"
                ? { name, handled: total * 0.9, abandoned: total * 0.1, restarts: total * 0.1 }
                : { name, handled: total, abandoned: 0, restarts: 0 }
            )
          }
        }).pipe(Effect.provide(App))
        assert.deepStrictEqual(next, next.map(() => total + 1))
        assert.isTrue(handled.every((value, index) => value === index + 1 + Math.floor(index / 9)))
      }).pipe(quietly),
    60_000
  )
})

describe("a producer far faster than its consumer", () => {
  it.effect("is held back without a deadlock, and all its values are handled in order", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const App = Topology.layer(
        Layer.mergeAll(
          Source.layer(Values, { name: "fast", stream: Stream.range(1, 1000) }),
          Consumer.layer(Values, {
            name: "slow",
            handle: (value) => Effect.map(Effect.sleep("100 millis"), () => void seen.push(value))
          })
        ),
        { onShutdown: () => Effect.void }
      ).pipe(Layer.provide(Values.layer))
      yield* Effect.gen(function*() {
        const topology = yield* Topology.Topology
        yield* Effect.raceFirst(topology.awaitDone, Effect.forever(adjust("100 millis")))
      }).pipe(Effect.provide(App))
      assert.deepStrictEqual(seen, Array.from({ length: 1000 }, (_, index) => index + 1))
    }))
})

describe("rapid changes of a latest value", () => {
  it.effect("end with the newest, however slow the reader", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const App = Topology.layer(
        Layer.mergeAll(
          Source.layer(Level, {
            name: "changes",
            stream: Stream.range(1, 500).pipe(Stream.rechunk(1), Stream.tap(() => Effect.sleep("1 millis")))
          }),
          Consumer.layer(Level, {
            name: "slow",
            handle: (value) => Effect.map(Effect.sleep("17 millis"), () => void seen.push(value))
          })
        ),
        { onShutdown: () => Effect.void }
      ).pipe(Layer.provide(Level.layer))
      yield* Effect.gen(function*() {
        const topology = yield* Topology.Topology
        yield* Effect.raceFirst(topology.awaitDone, Effect.forever(adjust("1 millis")))
        const { readers } = yield* topology.snapshot
        assert.strictEqual(readers[0]!.received + readers[0]!.conflated, 500)
      }).pipe(Effect.provide(App))
      assert.strictEqual(seen.at(-1), 500)
      assert.deepStrictEqual(seen, seen.toSorted((a, b) => a - b))
    }))
})

describe("a topology's scope", () => {
  it.effect("closed twice, also at once, drains once", () =>
    Effect.gen(function*() {
      let reports = 0
      const scope = yield* Scope.make()
      const App = Topology.layer(Consumer.layer(Values, { name: "c", handle: () => Effect.void }), {
        onShutdown: () => Effect.sync(() => void reports++)
      }).pipe(Layer.provide(Values.layer))
      yield* Layer.buildWithScope(App, scope)
      const closings = yield* Effect.forEach([1, 2], () => Effect.forkChild(Scope.close(scope, Exit.void)))
      yield* Fiber.awaitAll(closings)
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual(reports, 1)
    }))
})
