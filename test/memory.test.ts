/** What a long life costs: nothing that grows. */
import { assert, describe, it } from "@effect/vitest"
import { Consumer, Record, Source, Topology } from "@sluice/core"
import { Effect, Exit, Layer, Metric, Option, Schema, Scope, Stream } from "effect"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void
const heap = () => {
  for (let i = 0; i < 3; i++) collectGarbage()
  return process.memoryUsage().heapUsed
}
const mebibyte = 2 ** 20

class Values
  extends Record.Service<Values>()("m/Values", { schema: Schema.Int, buffer: { kind: "SpmcRing", capacity: 1024 } })
{}
class Tight
  extends Record.Service<Tight>()("m/Tight", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 16 } })
{}
const silent = { onShutdown: () => Effect.void }

describe("the heap", () => {
  it.live("is where it was after a million messages", () =>
    Effect.gen(function*() {
      const App = Topology.layer(Consumer.layer(Values, { name: "c", handle: () => Effect.void }), silent).pipe(
        Layer.provideMerge(Values.layer)
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const producer = yield* (yield* Values).producer("test")
        const burst = Effect.gen(function*() {
          for (let value = 0; value < 500; value++) producer.produceUnsafe(value)
          yield* Effect.yieldNow
        })
        const push = (bursts: number) => Effect.repeat(burst, { times: bursts - 1 })
        yield* push(200)
        const before = heap()
        yield* push(2000)
        assert.isBelow(heap() - before, mebibyte)
        const { components } = yield* (yield* Topology.Topology).snapshot
        assert.isAbove(components[0]!.handled, 1_000_000)
      })).pipe(Effect.provide(App))
    }), 60_000)

  it.live(
    "is where it was after a thousand topologies were built and closed, and none of their fibers is left",
    () =>
      Effect.gen(function*() {
        const App = Topology.layer(
          Layer.mergeAll(
            Source.layer(Tight, { name: "endless", stream: Stream.forever(Stream.range(1, 100)) }),
            Consumer.layer(Tight, { name: "c", handle: () => Effect.yieldNow })
          ),
          silent
        ).pipe(Layer.provide(Tight.layer))
        let fibers = 0
        const counting = {
          recordFiberStart: () => void fibers++,
          recordFiberEnd: () => void fibers--
        }
        const once = Effect.gen(function*() {
          const scope = yield* Scope.make()
          yield* Layer.buildWithScope(App, scope)
          yield* Effect.yieldNow
          assert.isAbove(fibers, 2, "the components run")
          yield* Scope.close(scope, Exit.void)
        })
        const times = (count: number) =>
          Effect.provideService(Effect.repeat(once, { times: count }), Metric.FiberRuntimeMetrics, counting)
        yield* times(100)
        const before = heap()
        yield* times(1000)
        assert.isBelow(heap() - before, 2 * mebibyte)
        assert.strictEqual(fibers, 0)
      }),
    60_000
  )

  it.live("does not grow with readers that wait in vain and give up", () =>
    Effect.scoped(Effect.gen(function*() {
      const reader = yield* (yield* Values).subscribe
      const wait = Effect.timeoutOption(reader.recv, 0)
      yield* Effect.repeat(wait, { times: 1000 })
      const before = heap()
      yield* Effect.repeat(wait, { times: 20_000 })
      assert.isBelow(heap() - before, mebibyte)
      assert.isTrue(Option.isNone(yield* wait))
    })).pipe(Effect.provide(Values.layer)), 60_000)
})
