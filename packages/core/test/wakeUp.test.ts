/**
 * A handler is called in the wake-up itself, and its fiber resumed only with an effect that needs it: whatever the
 * handler's effect asks of its fiber, it must not notice.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Buffer, Consumer, Record, Topology } from "@sluice/core"
import { Clock, Context, Effect, Exit, Fiber, Latch, Layer, Logger, Schedule, Schema, Scope, Tracer } from "effect"
import { AsyncLocalStorage } from "node:async_hooks"
import { Gate, Pump } from "../src/internal/gate.ts"
import { settle } from "./support.ts"

class Ring extends Record.Service<Ring>()("w/Ring", { schema: Schema.Int }) {}
class Out extends Record.Service<Out>()("w/Out", { schema: Schema.Int }) {}
class Even extends Record.Service<Even>()("w/Even", {
  schema: Schema.Int.check(Schema.makeFilter((value: number) => value % 2 === 0)),
  validate: true
}) {}
class Narrow
  extends Record.Service<Narrow>()("w/Narrow", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 1 } })
{}
class Pair extends Record.Service<Pair>()("w/Pair", { schema: Schema.Int, buffer: { kind: "Bounded", capacity: 2 } }) {}
class Place extends Context.Reference<string>("w/Place", { defaultValue: () => "nowhere" }) {}

const silent = { onShutdown: () => Effect.void }
const records = Layer.mergeAll(Ring.layer, Out.layer, Even.layer, Narrow.layer, Pair.layer)
const quiet = Logger.layer([])

/** Builds the components, lets them come to where they wait, and gives what a test needs of them. */
const running = <E, R>(components: Layer.Layer<never, E, R>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    const context = yield* Layer.buildWithScope(Topology.layer(components, silent), scope)
    yield* settle
    return {
      topology: Context.get(context, Topology.Topology),
      producer: yield* (yield* Ring).producer("test"),
      stop: Scope.close(scope, Exit.void)
    }
  })
const test = <E>(name: string, body: Effect.Effect<void, E, Ring | Out | Even | Narrow | Pair | Scope.Scope>) =>
  it.effect(name, () => body.pipe(Effect.scoped, Effect.provide([records, quiet])))

/** One value at a time, each into a reader that waits. */
const oneByOne = (
  producer: Buffer.Buffer<number> | { readonly produceUnsafe: (value: number) => unknown },
  values: ReadonlyArray<number>
) =>
  Effect.forEach(values, (value) => Effect.andThen(Effect.sync(() => producer.produceUnsafe(value)), settle), {
    discard: true
  })

describe("a handler that is called in the wake-up", () => {
  test(
    "reads the clock, the span, the references and the services that its layer was built with",
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const clock: Clock.Clock = { ...(yield* Clock.Clock), currentTimeMillis: Effect.succeed(42) }
      const spans: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          spans.push(options.name)
          return new Tracer.NativeSpan(options)
        }
      })
      const { producer } = yield* running(
        Consumer.layer(Ring, {
          name: "reader",
          handle: (value) =>
            Effect.gen(function*() {
              seen.push([value, yield* Clock.currentTimeMillis, yield* Place])
              seen.push((yield* Effect.currentSpan).name)
            }).pipe(Effect.withSpan("inside"))
        }).pipe(
          Layer.provide(Layer.mergeAll(
            Layer.succeed(Clock.Clock, clock),
            Layer.succeed(Tracer.Tracer, tracer),
            Layer.succeed(Place, "around the layer")
          ))
        )
      )
      yield* oneByOne(producer, [1, 2])
      const expected = (value: number) => [[value, 42, "around the layer"], "inside"]
      assert.deepStrictEqual(seen, [...expected(1), ...expected(2)])
      assert.deepStrictEqual(spans, ["inside", "inside"])
    })
  )

  test(
    "is in the async context that its topology was built in, also in what it leaves to its fiber",
    Effect.gen(function*() {
      const storage = new AsyncLocalStorage<string>()
      const seen: Array<string | undefined> = []
      const note = () => seen.push(storage.getStore())
      const build = running(
        Consumer.layer(Ring, {
          name: "reader",
          handle: () => {
            note()
            return Effect.andThen(Effect.yieldNow, Effect.sync(note))
          }
        })
      )
      const context = yield* Effect.context<Ring | Scope.Scope>()
      const { producer } = yield* Effect.promise(() =>
        storage.run("topology", () => Effect.runPromiseWith(context)(build))
      )
      for (const value of [1, 2, 3]) {
        storage.run("producer", () => producer.produceUnsafe(value))
        yield* settle
      }
      assert.deepStrictEqual(seen, Array.from({ length: 6 }, () => "topology"))
    })
  )

  for (
    const [what, handle] of [
      ["throws", () => {
        throw new Error("thrown")
      }],
      ["dies", () => Effect.die("dead")],
      ["fails", () => Effect.fail("failed")],
      ["dies later", () => Effect.andThen(Effect.yieldNow, Effect.die("dead"))]
    ] as ReadonlyArray<[string, () => Effect.Effect<void, string>]>
  ) {
    test(
      `and ${what} costs the value that it held, and no other`,
      Effect.gen(function*() {
        const seen: Array<number> = []
        const { producer, topology } = yield* running(
          Consumer.layer(Ring, {
            name: "reader",
            restart: Schedule.recurs(100),
            handle: (value) => value % 3 === 0 ? handle() : Effect.sync(() => void seen.push(value))
          })
        )
        yield* oneByOne(producer, [1, 2, 3, 4, 5, 6, 7])
        for (const value of [8, 9, 10, 11]) producer.produceUnsafe(value)
        yield* settle
        assert.deepStrictEqual(seen, [1, 2, 4, 5, 7, 8, 10, 11])
        const [component] = (yield* topology.snapshot).components
        assert.deepInclude(component!, { handled: 8, abandoned: 3, inFlight: 0, restarts: 3, status: "Running" })
      })
    )
  }

  for (const [what, later] of [["at once", false], ["in a later turn", true]] as const) {
    test(
      `and interrupts its own fiber ${what} has that value abandoned, and the rest is read after the restart`,
      Effect.gen(function*() {
        const seen: Array<number> = []
        const { producer, topology } = yield* running(
          Consumer.layer(Ring, {
            name: "reader",
            restart: Schedule.recurs(100),
            handle: (value) =>
              value === 2
                ? Effect.andThen(later ? Effect.yieldNow : Effect.void, Effect.interrupt)
                : Effect.sync(() => void seen.push(value))
          })
        )
        for (const value of [1, 2, 3]) producer.produceUnsafe(value)
        yield* settle
        const { components: [component], readers: [reader] } = yield* topology.snapshot
        assert.strictEqual(component!.handled + component!.abandoned + component!.inFlight, reader!.received)
        assert.deepInclude(component!, { abandoned: 1, inFlight: 0 })
        assert.isTrue(seen.includes(1) && !seen.includes(2))
      })
    )
  }

  test(
    "from where a plain handler ends its own topology loses nothing silently",
    Effect.gen(function*() {
      const seen: Array<number> = []
      let stop = Effect.void
      const app = yield* running(
        Consumer.layer(Ring, {
          name: "reader",
          handleUnsafe: (value) => {
            seen.push(value)
            if (value === 2) Effect.runFork(stop)
          }
        })
      )
      stop = app.stop
      for (const value of [1, 2, 3]) app.producer.produceUnsafe(value)
      yield* settle
      assert.deepStrictEqual(seen, [1, 2, 3])
    })
  )

  test(
    "and, called, interrupts the very fiber that waits, takes no value that nobody would handle",
    Effect.gen(function*() {
      const seen: Array<number> = []
      let fiber: Fiber.Fiber<unknown, unknown> | undefined
      const { producer, topology } = yield* running(
        Consumer.layer(Ring, {
          name: "reader",
          handle: (value) => {
            seen.push(value)
            if (value === 1) {
              return Effect.withFiber((own) => {
                fiber = own
                return Effect.void
              })
            }
            if (value === 3) fiber!.interruptUnsafe()
            return Effect.void
          }
        })
      )
      yield* oneByOne(producer, [1])
      for (const value of [2, 3, 4, 5]) producer.produceUnsafe(value)
      yield* settle
      assert.deepStrictEqual(seen, [1, 2, 3])
      const { components: [component], readers: [reader] } = yield* topology.snapshot
      assert.deepInclude(component!, { handled: 2, abandoned: 1, inFlight: 0 })
      assert.deepInclude(reader!, { received: 3, pending: 2 })
    })
  )

  test(
    "interrupted at the deadline while its fiber runs what it left, handles nothing more",
    Effect.gen(function*() {
      const seen: Array<number> = []
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Topology.layer(
          Consumer.layer(Ring, {
            name: "reader",
            handle: (value) => Effect.andThen(Effect.sync(() => void seen.push(value)), Effect.never)
          }),
          { drainTimeout: 0, onShutdown: () => Effect.void }
        ),
        scope
      )
      yield* settle
      const producer = yield* (yield* Ring).producer("test")
      for (const value of [1, 2]) producer.produceUnsafe(value)
      yield* settle
      yield* Scope.close(scope, Exit.void)
      producer.produceUnsafe(3)
      yield* settle
      assert.deepStrictEqual(seen, [1])
    })
  )
})

describe("the gate", () => {
  it.effect("calls a reader once for each signal, however often its fiber has come back to wait", () =>
    Effect.gen(function*() {
      const gate = yield* Effect.withFiber((fiber) => Effect.succeed(new Gate(fiber.currentDispatcher, () => true)))
      const pump = new class extends Pump {
        calls = 0
        pump() {
          // Every other time it has something for its fiber.
          return ++this.calls % 2 === 0 ? Effect.yieldNow : undefined
        }
      }()
      const fiber = yield* Effect.forkChild(Effect.forever(gate.pump(() => false, pump)), { startImmediately: true })
      for (let signals = 1; signals <= 100; signals++) {
        gate.signal()
        yield* settle
        assert.strictEqual(pump.calls, signals)
      }
      yield* Fiber.interrupt(fiber)
      gate.signal()
      yield* settle
      assert.strictEqual(pump.calls, 100)
    }))
})

describe("how long handling takes", () => {
  for (const burst of [1, 3]) {
    test(
      `is a sample: few values are timed, and those that are, whole; in bursts of ${burst}`,
      Effect.gen(function*() {
        let reads = 0
        const clock: Clock.Clock = {
          ...(yield* Clock.Clock),
          monotonicTimeNanosUnsafe: () => BigInt(1_000_000 * reads++)
        }
        const { producer, topology } = yield* Effect.provideService(
          running(Consumer.layer(Ring, { name: "reader", handleUnsafe: () => undefined })),
          Clock.Clock,
          clock
        )
        const before = reads
        for (let value = 0; value < 3_000; value++) {
          producer.produceUnsafe(value)
          if (value % burst === 0) yield* settle
        }
        yield* settle
        // Two reads for each of the first 64 values and for one in 512 after, and one where what was to come did not.
        assert.isAtMost(reads - before, 2 * 64 + 3 * 8 + 64)
        const [component] = (yield* topology.snapshot).components
        assert.strictEqual(component!.handled, 3_000)
        assert.strictEqual(component!.latency.p50, 1)
      })
    )
  }
})

describe("what a handler produces is decided on the spot", () => {
  test(
    "in order with what it does in its fiber",
    Effect.gen(function*() {
      const reader = yield* (yield* Out).subscribe
      const { producer } = yield* running(
        Consumer.layer(Ring, {
          name: "copy",
          emits: { out: Out },
          handle: (value, { out }) =>
            value % 2 === 0 ? out.produce(value) : Effect.andThen(Effect.yieldNow, out.produce(value))
        })
      )
      for (const value of [1, 2, 3, 4, 5, 6]) producer.produceUnsafe(value)
      yield* settle
      assert.deepStrictEqual(yield* reader.recvBatch(10), [1, 2, 3, 4, 5, 6])
    })
  )

  test(
    "with the span of the handler's own fiber",
    Effect.gen(function*() {
      const links: Array<string> = []
      const tracer = Tracer.make({
        span: (options) => {
          for (const { span } of options.links) if (span._tag === "Span") links.push(`${options.name} ← ${span.name}`)
          return new Tracer.NativeSpan(options)
        }
      })
      const { producer } = yield* running(
        Layer.mergeAll(
          Consumer.layer(Ring, {
            name: "copy",
            emits: { out: Out },
            handle: (value, { out }) => Effect.withSpan(out.produce(value), "around")
          }).pipe(Layer.provide(Layer.span("of the build"))),
          Consumer.layer(Out, { name: "end", handle: () => Effect.suspend(() => Effect.void) })
        ).pipe(Layer.provide(Layer.succeed(Tracer.Tracer, tracer)))
      )
      yield* oneByOne(producer, [1])
      assert.deepStrictEqual(links, ["Consumer.handle ← around"])
    })
  )

  test(
    "and where it is refused, the handler fails with it",
    Effect.gen(function*() {
      yield* (yield* Narrow).subscribe
      const { producer, topology } = yield* running(
        Consumer.layer(Ring, {
          name: "copy",
          emits: { narrow: Narrow },
          restart: Schedule.recurs(100),
          handle: (value, { narrow }) => narrow.tryProduce(value)
        })
      )
      yield* oneByOne(producer, [1, 2, 3])
      const [component] = (yield* topology.snapshot).components
      assert.deepInclude(component!, { handled: 1, abandoned: 2, restarts: 2 })
      assert.include(component!.lastCause ?? "", "BufferFull")
    })
  )

  test(
    "and where it must wait for room, the handler waits in its fiber",
    Effect.gen(function*() {
      const reader = yield* (yield* Narrow).subscribe
      const { producer, topology } = yield* running(
        Consumer.layer(Ring, {
          name: "copy",
          emits: { narrow: Narrow },
          handle: (value, { narrow }) => narrow.produceAsync(value).pipe(Effect.orDie)
        })
      )
      for (const value of [1, 2, 3]) producer.produceUnsafe(value)
      yield* settle
      assert.strictEqual((yield* topology.snapshot).components[0]!.inFlight, 1)
      const received: Array<number> = []
      for (let count = 0; count < 3; count++) received.push(yield* reader.recv)
      assert.deepStrictEqual(received, [1, 2, 3])
      yield* settle
      assert.deepInclude((yield* topology.snapshot).components[0]!, { handled: 3, inFlight: 0 })
    })
  )

  test(
    "and a value that does not fit its record dies in the handler",
    Effect.gen(function*() {
      const { producer, topology } = yield* running(
        Consumer.layer(Ring, {
          name: "copy",
          emits: { even: Even },
          restart: Schedule.recurs(100),
          handle: (value, { even }) => even.produce(value)
        })
      )
      yield* oneByOne(producer, [1, 2, 3])
      assert.deepInclude((yield* topology.snapshot).components[0]!, { handled: 1, abandoned: 2, restarts: 2 })
    })
  )

  it.live("and two that feed each other without end do not stop the event loop", () =>
    Effect.gen(function*() {
      const ring = yield* (yield* Ring).producer("there")
      const out = yield* (yield* Out).producer("back")
      let hops = 0
      let on = true
      yield* Layer.build(Topology.layer(
        Layer.mergeAll(
          Consumer.layer(Ring, { name: "there", handle: (value) => (hops++, out.produce(value)) }),
          Consumer.layer(Out, { name: "back", handle: (value) => on ? ring.produce(value) : Effect.void })
        ),
        silent
      ))
      yield* settle
      ring.produceUnsafe(1)
      const turns: Array<number> = []
      yield* Effect.repeat(Effect.map(Effect.yieldNow, () => turns.push(hops)), { until: () => hops > 10_000 })
      on = false
      assert.isAbove(turns.length, 10)
    }).pipe(Effect.scoped, Effect.provide([records, quiet])))
})

describe("a producer that waits", () => {
  test(
    "and is interrupted by one that was let in with it, is not resumed where it waits next",
    Effect.gen(function*() {
      const reader = yield* (yield* Pair).subscribe
      const { produceAsync } = yield* (yield* Pair).producer("test")
      const steps: Array<string> = []
      const latch = Latch.makeUnsafe(false)
      yield* produceAsync(-1)
      yield* produceAsync(0)
      const fibers: Array<Fiber.Fiber<void, unknown>> = []
      fibers.push(
        yield* Effect.forkChild(
          Effect.andThen(
            produceAsync(1),
            Effect.sync(() => {
              steps.push("first let in")
              fibers[1]!.interruptUnsafe()
            })
          ),
          { startImmediately: true }
        ),
        yield* Effect.forkChild(
          Effect.onInterrupt(
            produceAsync(2),
            () => Effect.andThen(latch.await, Effect.sync(() => steps.push("second cleaned up")))
          ),
          { startImmediately: true }
        )
      )
      assert.deepStrictEqual(yield* reader.recvBatch(2), [-1, 0])
      yield* settle
      assert.deepStrictEqual(steps, ["first let in"])
      yield* latch.open
      yield* settle
      assert.deepStrictEqual(steps, ["first let in", "second cleaned up"])
      assert.deepStrictEqual(yield* reader.recvBatch(2), [1, 2])
    })
  )
})
