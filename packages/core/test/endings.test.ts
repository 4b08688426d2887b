/**
 * How things end: nothing that a program does ends a component, a worker or a batch in silence, and a shutdown ends, whatever
 * hangs or dies on the way.
 */
import { assert, describe, it } from "@effect/vitest"
import { Buffer, Collector, Consumer, Engine, Log, Record, Source, Topology, Transform } from "@sluice/core"
import {
  Cause,
  Clock,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Logger,
  Queue,
  References,
  Schedule,
  Schema,
  Scope,
  Stream
} from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { Worker } from "../src/internal/worker.ts"
import { MemoryEngine, type MemoryEngineOptions } from "./memoryEngine.ts"
import { adjust, settle } from "./support.ts"

const bounded = { kind: "Bounded", capacity: 100 } as const
class A extends Record.Service<A>()("e/A", { schema: Schema.Int, buffer: bounded, writers: "many" }) {}
class B extends Record.Service<B>()("e/B", { schema: Schema.Int, buffer: bounded, writers: "many" }) {}
class Tight extends Record.Service<Tight>()("e/Tight", {
  schema: Schema.Int,
  buffer: { kind: "Bounded", capacity: 2 },
  writers: "many"
}) {}
class Letter extends Record.Service<Letter>()("e/Letter", { schema: Schema.String, buffer: bounded }) {}
const Records = Layer.mergeAll(A.layer, B.layer, Tight.layer, Letter.layer)

// ---- what the tests share

/** A topology by hand, over records that the tests do not build themselves. */
const started = (
  components: Layer.Layer<never, any, any>,
  options?: Topology.TopologyOptions & { readonly records?: Layer.Layer<any, any, any> }
) =>
  Effect.gen(function*() {
    const { records = Records, ...others } = options ?? {}
    const scope = yield* Scope.make()
    const reports: Array<Topology.ShutdownReport> = []
    const context = yield* Layer.buildWithScope(
      Topology.layer(components, {
        onShutdown: (report) => Effect.sync(() => void reports.push(report)),
        ...others
      }).pipe(Layer.provideMerge(records)) as Layer.Layer<any>,
      scope
    )
    const topology = Context.get(context, Topology.Topology)
    const component = (name: string) =>
      Effect.map(topology.snapshot, ({ components }) => components.find((found) => found.name === name)!)
    /** Begins the drain. */
    const stop = Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
    const produce = (record: Record.RecordClass<any, any, number>, ...values: ReadonlyArray<number>) =>
      Effect.scoped(
        Effect.flatMap(
          (Context.get(context, record) as Record.Record<number>).producer("test"),
          ({ produceAsync }) => Effect.forEach(values, (value) => produceAsync(value), { discard: true })
        )
      )
    return { context, topology, component, produce, reports, scope, stop }
  })
/** Lets `millis` pass, in steps that are shorter than what anybody waits for, so that each goes on from where it is. */
const pass = (millis: number): Effect.Effect<void> =>
  Effect.forEach(
    Array.from({ length: Math.ceil(millis / 50) }, (_, index) => Math.min(50, millis - index * 50)),
    (step) => Effect.andThen(adjust(step), settle),
    { discard: true }
  )
/** Fails where `fiber` has not ended. */
const ended = <A, E>(fiber: Fiber.Fiber<A, E>): Exit.Exit<A, E> => {
  const exit = fiber.pollUnsafe()
  assert.isDefined(exit, "it has not ended")
  return exit
}
/** What is logged, instead of in the output. */
const listening = <A, E, R>(use: (lines: ReadonlyArray<string>) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) =>
    void lines.push(`${logLevel}: ${String(message)} ${Cause.pretty(cause)}`)
  )
  return Effect.provideService(Effect.suspend(() => use(lines)), References.CurrentLoggers, new Set([logger]))
}
/** Where what is logged is not the point. */
const quietly = Effect.provideService(References.MinimumLogLevel, "None")
const soon = Schedule.spaced("1 second")
const interruptsItself = Effect.withFiber((fiber) => Fiber.interrupt(fiber))
/** An Effect that turns out deep inside not to be one. */
const noEffectInside: Effect.Effect<never> = Effect.flatMap(Effect.void, () => Promise.resolve() as never)
/** A handler of code that knows no types. */
const untyped = (answer: unknown): any => () => answer

const throwing = (field: string): object =>
  Object.defineProperty(new Error("hidden"), field, {
    get() {
      throw new Error(`${field} must not be read`)
    }
  })
/** By what they are: nothing prints them, not even Effect's own loggers. */
const unprintable: { readonly [name: string]: () => unknown } = {
  "an object without a prototype": () => Object.create(null),
  "an object whose toString throws": () => ({
    toString() {
      throw new Error("no text")
    }
  }),
  "an object whose toJSON throws": () => ({
    toJSON() {
      throw new Error("no JSON")
    }
  }),
  "an error whose message is a getter that throws": () => throwing("message"),
  "an error whose stack is a getter that throws": () => throwing("stack"),
  "a revoked proxy": () => {
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    return proxy
  },
  "a symbol": () => Symbol("gone")
}

// ---- nothing ends in silence

describe("a component that interrupts itself", () => {
  it.effect("as a handler costs the value it held, restarts, and handles the rest", () =>
    quietly(Effect.gen(function*() {
      const seen: Array<number> = []
      const { component, produce, stop } = yield* started(Consumer.layer(A, {
        name: "c",
        restart: soon,
        handle: (value) => value === 1 ? interruptsItself : Effect.sync(() => void seen.push(value))
      }))
      yield* produce(A, 1, 2, 3)
      yield* settle
      assert.deepInclude(yield* component("c"), { status: "Restarting", abandoned: 1 })
      yield* adjust("1 second")
      yield* settle
      assert.deepStrictEqual(seen, [2, 3])
      const { lastCause, ...told } = yield* component("c")
      assert.deepInclude(told, { status: "Running", handled: 2, abandoned: 1, restarts: 1 })
      assert.match(lastCause!, /interrupt/i)
      yield* Fiber.join(yield* stop)
    })))

  it.effect("as a transform costs the value it held, restarts, and passes the rest on", () =>
    quietly(Effect.gen(function*() {
      const seen: Array<number> = []
      const { component, produce, stop } = yield* started(Layer.mergeAll(
        Transform.layer({
          name: "t",
          restart: soon,
          from: A,
          to: B,
          through: Stream.mapEffect((value) => value === 1 ? Effect.as(interruptsItself, 0) : Effect.succeed(value))
        }),
        Consumer.layer(B, { name: "c", handle: (value) => Effect.sync(() => void seen.push(value)) })
      ))
      yield* produce(A, 1, 2, 3)
      yield* settle
      yield* adjust("1 second")
      yield* settle
      assert.deepStrictEqual(seen, [2, 3])
      assert.deepInclude(yield* component("t"), { status: "Running", abandoned: 1, restarts: 1 })
      yield* Fiber.join(yield* stop)
    })))

  it.effect("as a source is run again", () =>
    quietly(Effect.gen(function*() {
      let runs = 0
      const seen: Array<number> = []
      const { component, stop, topology } = yield* started(Layer.mergeAll(
        Source.layer(A, {
          name: "s",
          restart: soon,
          stream: Stream.suspend(() =>
            ++runs === 1
              ? Stream.concat(Stream.make(1), Stream.fromEffect(Effect.as(interruptsItself, 0)))
              : Stream.make(2)
          )
        }),
        Consumer.layer(A, { name: "c", handle: (value) => Effect.sync(() => void seen.push(value)) })
      ))
      yield* settle
      assert.deepInclude(yield* component("s"), { status: "Restarting" })
      yield* adjust("1 second")
      yield* topology.awaitDone
      assert.deepStrictEqual(seen, [1, 2])
      assert.deepInclude(yield* component("s"), { status: "Done", restarts: 1 })
      yield* Fiber.join(yield* stop)
    })))

  it.effect("for good has failed, not finished, where its schedule ends there", () =>
    quietly(Effect.gen(function*() {
      const { component, produce, stop, topology } = yield* started(
        Consumer.layer(A, { name: "c", restart: Schedule.recurs(0), handle: () => interruptsItself })
      )
      yield* produce(A, 1)
      assert.strictEqual((yield* Effect.flip(topology.awaitFailure)).why, "restartEnded")
      assert.strictEqual((yield* Effect.flip(topology.awaitDone))._tag, "ComponentFailed")
      assert.strictEqual((yield* component("c")).status, "Failed")
      yield* Fiber.join(yield* stop)
    })))
})

describe("a restart schedule", () => {
  const failing = (restart: Schedule.Schedule<unknown, unknown>, failure: () => unknown = () => "no") =>
    Consumer.layer(A, { name: "c", restart, handle: () => Effect.suspend(() => Effect.fail(failure())) })
  /** Its predicate takes the failure for something else. */
  const misled = Schedule.recurs(5).pipe(
    Schedule.while(({ input }) => (input as any).error.retryable === true)
  )

  it.effect("whose predicate throws makes the component Failed, and is told with what it was asked about", () =>
    listening((lines) =>
      Effect.gen(function*() {
        const { component, produce, stop, topology } = yield* started(failing(misled))
        yield* produce(A, 1, 2)
        for (const told of [topology.awaitFailure, topology.awaitDone]) {
          assert.deepInclude(yield* Effect.flip(told), {
            _tag: "ComponentFailed",
            component: "c",
            why: "restartFailed"
          })
        }
        assert.deepInclude(yield* component("c"), { status: "Failed", abandoned: 1, restarts: 0 })
        yield* settle
        const errors = lines.filter((line) => line.startsWith("Error"))
        assert.strictEqual(errors.length, 1, lines.join("\n"))
        assert.include(errors[0], "component \"c\" has failed for good, its restart schedule failed")
        assert.match(errors[0]!, /TypeError[^]*Error: no/)
        yield* Fiber.join(yield* stop)
      })
    ))

  it.effect("that throws for a failure which cannot be looked at is told all the same", () =>
    listening((lines) =>
      Effect.gen(function*() {
        for (const [name, value] of Object.entries(unprintable)) {
          const restart = Schedule.forever.pipe(Schedule.while(() => {
            throw new Error("the schedule is to blame")
          }))
          const { component, produce, stop, topology } = yield* started(failing(restart, value))
          yield* produce(A, 1)
          yield* settle
          assert.strictEqual((yield* component("c")).status, "Failed", name)
          assert.strictEqual((yield* Effect.flip(topology.awaitFailure)).why, "restartFailed", name)
          assert.strictEqual((yield* Effect.flip(topology.awaitDone))._tag, "ComponentFailed", name)
          yield* Fiber.join(yield* stop)
        }
        const errors = lines.filter((line) => line.startsWith("Error"))
        assert.strictEqual(errors.length, Object.keys(unprintable).length)
        assert.isTrue(errors.every((line) => line.includes("the schedule is to blame")), errors.join("\n"))
      })
    ))

  it.effect("that ends over a failure which cannot be looked at fails awaitFailure and awaitDone, and is logged", () =>
    listening((lines) =>
      Effect.gen(function*() {
        for (const [name, value] of Object.entries(unprintable)) {
          const { produce, stop, topology } = yield* started(failing(Schedule.recurs(0), value))
          yield* produce(A, 1)
          yield* settle
          const failure = yield* Effect.flip(topology.awaitFailure)
          assert.strictEqual(failure.why, "restartEnded", name)
          assert.include(failure.message, "component \"c\" has failed for good")
          assert.strictEqual((yield* Effect.flip(topology.awaitDone))._tag, "ComponentFailed", name)
          yield* Fiber.join(yield* stop)
        }
        assert.strictEqual(lines.filter((line) => line.startsWith("Error")).length, Object.keys(unprintable).length)
      })
    ))
})

describe("a logger that throws", () => {
  const broken = Effect.provideService(
    References.CurrentLoggers,
    new Set([Logger.make(() => {
      throw new Error("EPIPE")
    })])
  )

  it.effect("ends no supervision: the component restarts and handles the rest", () =>
    broken(Effect.gen(function*() {
      const { component, produce, stop } = yield* started(Consumer.layer(A, {
        name: "c",
        restart: soon,
        handle: (value) => value === 1 ? Effect.fail("bad") : Effect.void
      }))
      yield* produce(A, 1, 2, 3)
      yield* settle
      yield* adjust("1 second")
      yield* settle
      assert.deepInclude(yield* component("c"), { status: "Running", handled: 2, abandoned: 1, restarts: 1 })
      yield* Fiber.join(yield* stop)
    })))

  it.effect("does not keep the end of a component from being told, nor the drain from ending", () =>
    broken(Effect.gen(function*() {
      const { produce, stop, topology } = yield* started(
        Consumer.layer(A, { name: "c", restart: Schedule.recurs(0), handle: () => Effect.fail("bad") })
      )
      yield* produce(A, 1)
      assert.strictEqual((yield* Effect.flip(topology.awaitFailure)).why, "restartEnded")
      yield* settle
      const stopping = yield* stop
      yield* settle
      ended(stopping)
    })))
})

describe("a failure that cannot be printed", () => {
  for (const [name, value] of Object.entries(unprintable)) {
    for (const [how, fail] of [["failure", Effect.fail], ["defect", Effect.die]] as const) {
      it.effect(`${name}, as the ${how} of a handler, costs one value, and the last cause is a text`, () =>
        Effect.gen(function*() {
          const { component, produce, stop } = yield* started(Consumer.layer(A, {
            name: "c",
            restart: soon,
            handle: (n) => n === 1 ? Effect.suspend(() => fail(value())) : Effect.void
          }))
          yield* produce(A, 1, 2, 3)
          yield* settle
          yield* adjust("1 second")
          yield* settle
          const { lastCause, ...told } = yield* component("c")
          assert.deepInclude(told, { status: "Running", handled: 2, abandoned: 1, restarts: 1 })
          assert.isString(lastCause)
          yield* Fiber.join(yield* stop)
        }).pipe(Effect.provideService(References.CurrentLoggers, new Set([Logger.make(Logger.formatLogFmt.log)]))))
    }
  }
})

describe("a handler that answers with no Effect", () => {
  const answers: ReadonlyArray<readonly [answer: unknown, said: string]> = [
    [Promise.resolve(), "a Promise"],
    [undefined, "undefined"],
    [3, "the number 3"]
  ]
  for (const option of ["handle", "handleBatch"] as const) {
    for (const [answer, said] of answers) {
      it.effect(`but with ${said}, as \`${option}\` of a consumer, fails and says so`, () =>
        quietly(Effect.gen(function*() {
          const { component, produce, stop } = yield* started(
            Consumer.layer(A, { name: "c", restart: soon, [option]: untyped(answer) } as any)
          )
          yield* produce(A, 1)
          yield* settle
          assert.deepInclude(yield* component("c"), {
            status: "Restarting",
            handled: 0,
            abandoned: 1,
            lastCause: `TypeError: component "c": \`${option}\` must answer with an Effect, and answered with ${said}`
          })
          yield* adjust("1 second")
          yield* settle
          yield* produce(A, 2)
          yield* settle
          assert.deepInclude(yield* component("c"), { abandoned: 2, restarts: 1 })
          yield* Fiber.join(yield* stop)
        })))
    }
  }

  it.effect("is told what `handleUnsafe` returned, which would never be run", () =>
    quietly(Effect.gen(function*() {
      const { component, produce, stop } = yield* started(
        Consumer.layer(A, { name: "c", restart: soon, handleUnsafe: untyped(Effect.void) })
      )
      yield* produce(A, 1)
      yield* settle
      const { lastCause, ...told } = yield* component("c")
      assert.deepInclude(told, { status: "Restarting", handled: 0, abandoned: 1 })
      assert.include(lastCause, "`handleUnsafe` must answer with nothing")
      yield* Fiber.join(yield* stop)
    })))

  it.effect("but with an Effect that turns out deep inside not to be one, restarts", () =>
    quietly(Effect.gen(function*() {
      const seen: Array<number> = []
      const { component, produce, stop } = yield* started(Consumer.layer(A, {
        name: "c",
        restart: soon,
        handle: (value) => value === 1 ? noEffectInside : Effect.sync(() => void seen.push(value))
      }))
      yield* produce(A, 1, 2, 3)
      yield* settle
      yield* adjust("1 second")
      yield* settle
      assert.deepStrictEqual(seen, [2, 3])
      assert.deepInclude(yield* component("c"), { status: "Running", handled: 2, abandoned: 1, restarts: 1 })
      yield* Fiber.join(yield* stop)
    })))
})

describe("lag is never fatal", () => {
  class Ring extends Record.Service<Ring>()("e/Ring", {
    schema: Schema.Int,
    buffer: { kind: "SpmcRing", capacity: 2 }
  }) {}
  const ways: { readonly [name: string]: () => any } = {
    "answers with a promise": () => Promise.resolve(),
    "answers with nothing": () => undefined,
    throws: () => {
      throw new Error("no lag, please")
    },
    fails: () => Effect.fail("no lag, please"),
    dies: () => Effect.die("no lag, please"),
    "interrupts itself": () => Effect.interrupt
  }
  for (const [name, onLag] of Object.entries(ways)) {
    it.effect(`although onLag ${name}: that is told, and the reader goes on`, () =>
      listening((lines) =>
        Effect.gen(function*() {
          const seen: Array<number> = []
          const { component, context, stop } = yield* started(
            Consumer.layer(Ring, { name: "c", onLag, handle: (value) => Effect.sync(() => void seen.push(value)) }),
            { records: Ring.layer }
          )
          yield* settle
          yield* Effect.scoped(Effect.map(
            (Context.get(context, Ring) as Record.Record<number>).producer("test"),
            ({ produceUnsafe }) => {
              for (let value = 1; value <= 5; value++) produceUnsafe(value)
            }
          ))
          yield* settle
          assert.deepStrictEqual(seen, [4, 5])
          assert.deepInclude(yield* component("c"), { status: "Running", restarts: 0, abandoned: 0, handled: 2 })
          assert.isTrue(
            lines.some((line) => line.startsWith("Warn: onLag of component \"c\" failed")),
            lines.join("\n")
          )
          yield* Fiber.join(yield* stop)
        })
      ))
  }
})

describe("a collector", () => {
  class Value extends Record.Service<Value>()("e/Value", { schema: Schema.Int, writers: "many" }) {}
  const one = { batch: { max: 1 } }
  /** A collector as a component, over a log with faults. */
  const collecting = (
    options: Omit<Parameters<typeof Collector.layer>[1], "name" | "group" | "deadLetter"> & {
      readonly deadLetter?: any
    },
    log: Log.LogBacking<any, any> = Log.memory()
  ) =>
    Effect.gen(function*() {
      const app = yield* started(
        Collector.layer(Value, { name: "c", group: "g", ...one, retry: soon, restart: soon, ...options } as any),
        { records: Layer.merge(Value.layerLog(log), Letter.layer) }
      )
      return { ...app, produce: (...values: ReadonlyArray<number>) => app.produce(Value, ...values) }
    })
  /** What a handler got, as `value#attempt`, and what becomes of the value 1 at its first attempt. */
  const failingOnce = (fail: () => Effect.Effect<void, unknown>) => {
    const seen: Array<string> = []
    return {
      seen,
      handle: ({ attempt, values }: Collector.Batch<any>) => {
        seen.push(`${values}#${attempt}`)
        return values[0] === 1 && attempt === 1 ? fail() : Effect.void
      }
    }
  }

  const ends: { readonly [name: string]: () => any } = {
    "interrupts its own fiber": () => interruptsItself,
    "answers with a promise": () => Promise.resolve(),
    "answers with nothing": () => undefined,
    "answers with a number": () => 3,
    "answers with an Effect that turns out deep inside not to be one": () => noEffectInside,
    throws: () => {
      throw new Error("no")
    },
    ...Object.fromEntries(
      Object.entries(unprintable).flatMap(([name, value]) => [
        [`fails with ${name}`, () => Effect.fail(value())],
        [`dies of ${name}`, () => Effect.die(value())]
      ])
    )
  }
  for (const [name, fail] of Object.entries(ends)) {
    it.effect(`whose handler ${name} has used an attempt, and hands the batch out again`, () =>
      quietly(Effect.gen(function*() {
        const { handle, seen } = failingOnce(fail)
        const { component, produce, stop } = yield* collecting({ handle })
        yield* produce(1, 2)
        yield* settle
        yield* pass(3000)
        assert.deepStrictEqual(seen.toSorted(), ["1#1", "1#2", "2#1"])
        const { lastCause, ...told } = yield* component("c")
        assert.deepInclude(told, { status: "Running", handled: 2, abandoned: 1 })
        assert.isString(lastCause)
        if (["answers with a promise", "answers with nothing", "answers with a number"].includes(name)) {
          assert.match(
            lastCause!,
            /`handle` must answer with an Effect, and answered with (a Promise|undefined|the number 3)/
          )
        }
        yield* Fiber.join(yield* stop)
      })))
  }

  it.effect("whose handler always interrupts its own fiber comes to its last attempt, and to the dead letter", () =>
    quietly(Effect.gen(function*() {
      const attempts: Array<number> = []
      const { context, produce, stop } = yield* collecting({
        maxAttempts: 3,
        deadLetter: {
          record: Letter,
          as: ({ attempts, sequence }: Collector.DeadLetter) => `${sequence} after ${attempts}`
        },
        handle: ({ attempt }) => Effect.andThen(Effect.sync(() => void attempts.push(attempt)), interruptsItself)
      })
      yield* produce(1)
      yield* pass(3000)
      assert.deepStrictEqual(attempts, [1, 2, 3])
      const latest = yield* (Context.get(context, Letter) as Record.Record<string>).latest
      assert.deepInclude(latest, { value: "0 after 3" })
      yield* Fiber.join(yield* stop)
    })))

  for (
    const [name, retry, delays] of [
      [
        "throws",
        Schedule.spaced("1 second").pipe(Schedule.while(() => {
          throw new Error("no")
        })),
        [100, 300, 700, 1500, 3100]
      ],
      // 1 second twice; what follows is never shorter than that.
      [
        "ends",
        Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(2)]),
        [1000, 2000, 3000, 4000, 5000, 6000, 7600]
      ]
    ] as const
  ) {
    it.effect(`whose \`retry\` ${name} goes on with delays that grow, and are not shorter than its last`, () =>
      quietly(Effect.gen(function*() {
        const clock = yield* Clock.Clock
        const at: Array<number> = []
        const { produce, stop } = yield* collecting({
          retry,
          handle: () =>
            Effect.andThen(Effect.sync(() => void at.push(clock.currentTimeMillisUnsafe())), Effect.fail("no"))
        })
        yield* produce(1)
        yield* settle
        yield* pass(delays.at(-1)!)
        assert.deepStrictEqual(at.map((time) => time - at[0]!), [0, ...delays])
        const stopping = yield* stop
        yield* settle
        ended(stopping)
      })))
  }

  /** A log whose `read`, or whose groups' `commit`, does something else once. */
  const odd = (what: "read" | "commit", once: () => any): Log.LogBacking => ({
    durability: "volatile",
    make: (record) =>
      Effect.map(Log.memory().make(record), (log) => {
        let left = 1
        const or = <A, E>(as: () => Effect.Effect<A, E>): Effect.Effect<A, E> =>
          Effect.suspend(() => left-- > 0 ? once() : as())
        return Object.assign(
          Object.create(log),
          what === "read"
            ? { read: (from: bigint, max: number) => or(() => log.read(from, max)) }
            : {
              acquire: (group: string, options: { readonly from: Log.From }) =>
                Effect.map(log.acquire(group, options), (held) => ({
                  ...held,
                  commit: (progress: Parameters<typeof held.commit>[0]) => or(() => held.commit(progress))
                }))
            }
        )
      })
  })
  const oddities: { readonly [name: string]: () => any } = {
    dies: () => Effect.die(new TypeError("reset")),
    "dies of what cannot be looked at": () => Effect.die(unprintable["a revoked proxy"]!()),
    throws: () => {
      throw new TypeError("reset")
    },
    "answers with an interrupt": () => Effect.interrupt,
    "interrupts its own fiber": () => interruptsItself,
    "answers with a promise": () => Promise.resolve([])
  }
  for (const [name, once] of Object.entries(oddities)) {
    // These end the worker itself, which is told in the log, and begins anew in a second.
    const isTold = name !== "answers with a promise" && name !== "interrupts its own fiber"
    it.effect(`whose log's read ${name} tells ${isTold ? "one take" : "the log"} of it, and goes on by itself`, () =>
      listening((lines) =>
        Effect.gen(function*() {
          const collector = yield* Collector.make(Value, { group: "g", ...one })
          const taking = yield* Effect.forkChild(Effect.exit(Effect.scoped(collector.take)))
          yield* settle
          yield* Effect.scoped(Effect.flatMap(
            Effect.flatMap(Value, ({ producer }) => producer("test")),
            ({ produceAsync }) => produceAsync(7)
          ))
          yield* pass(2000)
          const told = yield* ended(taking)
          if (Exit.isSuccess(told)) {
            assert.isFalse(isTold)
            assert.isTrue(lines.some((line) => line.startsWith("Error") && line.includes("its fetching failed")))
            return assert.deepStrictEqual(told.value.values, [7])
          }
          assert.isTrue(isTold)
          assert.strictEqual((Cause.squash(told.cause) as Log.LogFailed)._tag, "LogFailed")
          const again = yield* Effect.forkChild(Effect.scoped(collector.take))
          yield* settle
          assert.deepStrictEqual((yield* ended(again)).values, [7])
        }).pipe(Effect.scoped, Effect.provide(Value.layerLog(odd("read", once))))
      ))

    it.effect(`whose commit ${name} tries it again, and hands nothing out twice for it`, () =>
      quietly(
        Effect.gen(function*() {
          const collector = yield* Collector.make(Value, { group: "g", ...one })
          yield* Effect.scoped(Effect.flatMap(
            Effect.flatMap(Value, ({ producer }) => producer("test")),
            ({ produceAsync }) => Effect.andThen(produceAsync(7), produceAsync(8))
          ))
          assert.deepStrictEqual((yield* Effect.scoped(collector.take)).values, [7])
          yield* settle
          yield* pass(isTold ? 100 : 1000)
          assert.deepInclude(yield* collector.progress, { committed: 0n, watermark: 0n })
          assert.deepStrictEqual((yield* Effect.scoped(collector.take)).values, [8])
          yield* settle
          assert.deepInclude(yield* collector.progress, { committed: 1n, watermark: 1n })
        }).pipe(Effect.scoped, Effect.provide(Value.layerLog(odd("commit", once))))
      ))
  }

  it.effect("whose commit dies tells who has asked for it, and stores it when it is asked again", () =>
    quietly(
      Effect.gen(function*() {
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          commitEvery: { acks: 100, within: "1 hour" }
        })
        yield* Effect.scoped(Effect.flatMap(
          Effect.flatMap(Value, ({ producer }) => producer("test")),
          ({ produceAsync }) => produceAsync(7)
        ))
        yield* Effect.scoped(collector.take)
        assert.strictEqual((yield* Effect.flip(collector.flush))._tag, "LogFailed")
        assert.strictEqual(yield* collector.flush, 0n)
      }).pipe(Effect.scoped, Effect.provide(Value.layerLog(odd("commit", () => Effect.die(new TypeError("reset"))))))
    ))

  it.effect("stores one commit at a time, whoever has asked for one and is gone since", () => {
    let under = 0
    let most = 0
    const counting: Log.LogBacking = {
      durability: "volatile",
      make: (record) =>
        Effect.map(Log.memory().make(record), (log) =>
          Object.assign(Object.create(log), {
            acquire: (group: string, options: { readonly from: Log.From }) =>
              Effect.map(log.acquire(group, options), (held) => ({
                ...held,
                commit: (progress: Parameters<typeof held.commit>[0]) =>
                  Effect.acquireUseRelease(
                    Effect.sync(() => most = Math.max(most, ++under)),
                    () => Effect.andThen(Effect.sleep("10 millis"), held.commit(progress)),
                    () => Effect.sync(() => under--)
                  )
              }))
          }))
    }
    return Effect.gen(function*() {
      const collector = yield* Collector.make(Value, {
        group: "g",
        ...one,
        commitEvery: { acks: 100, within: "1 hour" }
      })
      yield* Effect.scoped(Effect.flatMap(
        Effect.flatMap(Value, ({ producer }) => producer("test")),
        ({ produceAsync }) => Effect.forEach([0, 1, 2, 3, 4], (value) => produceAsync(value))
      ))
      const settleOneAndFlush = Effect.andThen(
        Effect.scoped(collector.take),
        Effect.forkChild(collector.flush, { startImmediately: true })
      )
      for (let round = 0; round < 3; round++) {
        const flushing = yield* settleOneAndFlush
        yield* settle
        yield* pass(20)
        ended(flushing)
      }
      const both = [yield* settleOneAndFlush, yield* settleOneAndFlush]
      yield* settle
      yield* pass(50)
      for (const flushing of both) ended(flushing)
      assert.strictEqual(most, 1)
      assert.deepInclude(yield* collector.progress, { committed: 4n })
    }).pipe(Effect.scoped, Effect.provide(Value.layerLog(counting)))
  })

  /** A record of dead letters for which the letters of `never` cannot be made, whatever is tried. */
  const lettersBut = (...never: ReadonlyArray<bigint>) => ({
    record: Letter,
    as: ({ sequence }: Collector.DeadLetter) => {
      if (never.includes(sequence)) throw new Error("no letter for this one")
      return `sequence ${sequence}`
    }
  })
  const producing = (...values: ReadonlyArray<number>) =>
    Effect.scoped(Effect.flatMap(
      Effect.flatMap(Value, ({ producer }) => producer("test")),
      ({ produceAsync }) => Effect.forEach(values, (value) => produceAsync(value), { discard: true })
    ))
  const lettersHeld = Effect.scoped(
    Effect.flatMap(
      Letter,
      ({ subscribe }) =>
        Effect.flatMap(
          subscribe,
          (reader) =>
            Effect.flatMap(reader.pending, (pending) =>
              Effect.forEach(Array.from({ length: pending }), () => reader.recv))
        )
    )
  )
  const withLetters = <A, E>(
    use: Effect.Effect<A, E, Value | Letter | Log.LogOf<Value> | Scope.Scope>,
    log: Log.LogBacking = Log.memory()
  ) => quietly(Effect.scoped(use).pipe(Effect.provide(Layer.merge(Value.layerLog(log), Letter.layer))))

  it.effect("puts every other value aside while one dead letter cannot be stored, and tells who rejected that", () =>
    withLetters(Effect.gen(function*() {
      const collector = yield* Collector.make(Value, { group: "g", ...one, deadLetter: lettersBut(0n) })
      yield* producing(1, 2, 3)
      const [first, second, third] = [yield* collector.take, yield* collector.take, yield* collector.take]
      const rejecting = yield* Effect.forEach(
        [first, second, third],
        (batch) => Effect.forkChild(Effect.exit(collector.reject(batch, "bad")))
      )
      yield* settle
      const [one_, two, three] = yield* Effect.forEach(rejecting, (fiber) => ended(fiber))
      assert.isTrue(Exit.isFailure(one_!) && Exit.isSuccess(two!) && Exit.isSuccess(three!))
      assert.deepStrictEqual(yield* lettersHeld, ["sequence 1", "sequence 2"])
      assert.deepInclude(yield* collector.progress, { watermark: -1n, holes: 1 })
    })))

  it.effect("stores the other letters of a rejected batch, each once, however often one of them is tried again", () =>
    withLetters(Effect.gen(function*() {
      const collector = yield* Collector.make(Value, { group: "g", deadLetter: lettersBut(1n) })
      yield* producing(1, 2, 3, 4)
      const batch = yield* collector.take
      assert.strictEqual(batch.values.length, 4)
      const exit = yield* Effect.exit(collector.reject(batch, "bad"))
      assert.isTrue(Exit.isFailure(exit))
      yield* producing(5)
      assert.deepStrictEqual((yield* collector.take).values, [5])
      yield* pass(10_000)
      assert.deepStrictEqual(yield* lettersHeld, ["sequence 0", "sequence 2", "sequence 3"])
      assert.deepInclude(yield* collector.progress, { watermark: -1n })
    })))

  for (const [name, value] of Object.entries(unprintable)) {
    it.effect(`tries a dead letter again whose making throws ${name}`, () =>
      withLetters(Effect.gen(function*() {
        let failures = 2
        const collector = yield* Collector.make(Value, {
          group: "g",
          ...one,
          deadLetter: {
            record: Letter,
            as: ({ sequence }) => {
              if (sequence === 0n && failures-- > 0) throw value()
              return `sequence ${sequence}`
            }
          }
        })
        yield* producing(1, 2)
        const [first, second] = [yield* collector.take, yield* collector.take]
        const rejecting = yield* Effect.forkChild(Effect.exit(collector.reject(first, "bad")))
        yield* collector.reject(second, "bad")
        const exit = yield* Fiber.join(rejecting)
        assert.strictEqual(
          Exit.isFailure(exit) ? (Cause.squash(exit.cause) as Log.LogFailed)._tag : "stored",
          "LogFailed"
        )
        yield* pass(2000)
        assert.deepStrictEqual(yield* lettersHeld, ["sequence 1", "sequence 0"])
        assert.deepInclude(yield* collector.progress, { watermark: 1n, holes: 0 })
      })))
  }

  it.effect("drains well before its deadline although a dead letter can never be stored, and leaves that for the next run", () =>
    quietly(Effect.gen(function*() {
      const { produce, reports, stop } = yield* collecting({
        maxAttempts: 1,
        deadLetter: lettersBut(0n),
        handle: ({ values }) => values[0] === 1 ? Effect.fail("poison") : Effect.void
      })
      yield* produce(1, 2)
      yield* settle
      const stopping = yield* stop
      yield* pass(2500)
      ended(stopping)
      assert.deepInclude(reports[0]!, { withinDeadline: true, interrupted: [], waited: [], faults: [] })
      // Nothing above it is committed, so that it comes again with all that follows.
      assert.deepStrictEqual(reports[0]!.left, [{ record: "e/Value", component: "c", values: 2 }])
    })))
})

describe("the failure of an application's own queue", () => {
  class Feed extends Record.Service<Feed>()("e/Feed", { schema: Schema.Int }) {}
  const lost = new Error("connection lost")
  const ways: {
    readonly [name: string]: (queue: Queue.Queue<number, Error | Cause.Done>) => Effect.Effect<unknown>
  } = {
    fail: (queue) => Queue.fail(queue, lost),
    die: (queue) => Queue.failCause(queue, Cause.die(lost))
  }
  const cleanly: typeof ways = { end: (queue) => Queue.end(queue), shutdown: (queue) => Queue.shutdown(queue) }
  const onQueue = (components: Layer.Layer<never, any, any>) =>
    Effect.gen(function*() {
      const queue = yield* Queue.unbounded<number, Error | Cause.Done>()
      const app = yield* started(components, {
        records: Layer.merge(Feed.layerBuffer(Buffer.fromQueue(queue)), Records)
      })
      yield* Queue.offer(queue, 1)
      yield* settle
      return { ...app, queue }
    })

  for (const [name, end] of Object.entries(ways)) {
    it.effect(`(${name}) reaches recv once what is held is read, for ever`, () =>
      Effect.gen(function*() {
        const queue = yield* Queue.unbounded<number, Error | Cause.Done>()
        yield* Effect.gen(function*() {
          const reader = yield* (yield* Feed).subscribe
          yield* Queue.offer(queue, 1)
          assert.strictEqual(yield* reader.recv, 1)
          const waiting = yield* Effect.forkChild(Effect.flip(reader.recv))
          yield* settle
          yield* end(queue)
          for (
            const error of [
              yield* Fiber.join(waiting),
              yield* Effect.flip(reader.recv),
              yield* Effect.flip(reader.tryRecv)
            ]
          ) {
            assert.deepInclude(error, { _tag: "RecordClosed", record: "e/Feed", cause: lost })
            assert.include(error.message, "connection lost")
          }
        }).pipe(Effect.scoped, Effect.provide(Feed.layerBuffer(Buffer.fromQueue(queue))))
      }))

    it.effect(`(${name}) makes a consumer Failed for good, whatever its schedule says`, () =>
      quietly(Effect.gen(function*() {
        const { component, queue, stop, topology } = yield* onQueue(
          Consumer.layer(Feed, { name: "c", handle: () => Effect.void })
        )
        yield* end(queue)
        yield* settle
        assert.deepInclude(yield* Effect.flip(topology.awaitDone), { component: "c", why: "final" })
        const { lastCause, ...told } = yield* component("c")
        assert.deepInclude(told, { status: "Failed", handled: 1, abandoned: 0, restarts: 0 })
        assert.include(lastCause, "connection lost")
        yield* Fiber.join(yield* stop)
      })))

    it.effect(`(${name}) makes a transform Failed for good`, () =>
      quietly(Effect.gen(function*() {
        const { component, queue, stop, topology } = yield* onQueue(
          Transform.layer({ name: "t", from: Feed, to: A, through: (values) => values })
        )
        yield* end(queue)
        assert.deepInclude(yield* Effect.flip(topology.awaitFailure), { component: "t", why: "final" })
        assert.include((yield* component("t")).lastCause, "connection lost")
        yield* Fiber.join(yield* stop)
      })))

    it.effect(`(${name}) is what Record.stream dies of`, () =>
      Effect.gen(function*() {
        const queue = yield* Queue.unbounded<number, Error | Cause.Done>()
        const reading = yield* Effect.forkChild(
          Effect.exit(Stream.runCollect(Record.stream(Feed))).pipe(
            Effect.provide(Feed.layerBuffer(Buffer.fromQueue(queue)))
          )
        )
        yield* Queue.offer(queue, 1)
        yield* settle
        yield* end(queue)
        const exit = yield* Fiber.join(reading)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        assert.deepInclude(Exit.isFailure(exit) ? Cause.squash(exit.cause) as object : {}, {
          _tag: "RecordClosed",
          cause: lost
        })
      }))
  }

  for (const [name, end] of Object.entries(cleanly)) {
    it.effect(`is none where it was told to ${name}: readers, streams and components end well`, () =>
      Effect.gen(function*() {
        const { component, context, queue, stop, topology } = yield* onQueue(
          Consumer.layer(Feed, { name: "c", handle: () => Effect.void })
        )
        const reading = yield* Effect.forkChild(Effect.provide(Stream.runCollect(Record.stream(Feed)), context))
        yield* settle
        yield* end(queue)
        yield* settle
        yield* topology.awaitDone
        yield* Fiber.join(reading)
        yield* settle
        assert.deepInclude(yield* component("c"), { status: "Done", handled: 1, lastCause: null })
        yield* Fiber.join(yield* stop)
      }))
  }
})

describe("work beside everything else", () => {
  it.effect("that dies, fails or interrupts itself is told and begun anew after a second; it ends by returning", () =>
    listening((lines) =>
      Effect.gen(function*() {
        const ends = [
          Effect.die("died"),
          Effect.fail("failed"),
          interruptsItself,
          Promise.resolve() as never,
          Effect.void
        ]
        let runs = 0
        const worker = new Worker("the watch", Effect.suspend(() => ends[runs++]!), yield* Effect.context<never>())
        yield* settle
        for (let begun = 1; begun < ends.length; begun++) {
          assert.strictEqual(runs, begun)
          assert.strictEqual(lines.length, begun)
          assert.include(lines.at(-1), "Error: the watch failed, and begins anew in a second")
          yield* adjust("999 millis")
          yield* settle
          assert.strictEqual(runs, begun)
          yield* adjust("1 millis")
          yield* settle
        }
        assert.strictEqual(runs, ends.length)
        yield* adjust("1 minute")
        assert.strictEqual(runs, ends.length)
        assert.strictEqual(lines.length, ends.length - 1)
        worker.stop()
      })
    ))

  it.effect("ends where it is stopped: at work, and also while it is about to begin anew", () =>
    listening((lines) =>
      Effect.gen(function*() {
        const context = yield* Effect.context<never>()
        let interrupted = 0
        const atWork = new Worker(
          "at work",
          Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++)),
          context
        )
        let runs = 0
        const waiting = new Worker("about to", Effect.suspend(() => (runs++, Effect.die("died"))), context)
        yield* settle
        atWork.stop()
        waiting.stop()
        yield* adjust("1 minute")
        yield* settle
        assert.strictEqual(interrupted, 1)
        assert.strictEqual(runs, 1)
        assert.strictEqual(lines.length, 1)
      })
    ))

  it.effect("ends where it is stopped by the logger that is told of it", () =>
    Effect.gen(function*() {
      let runs = 0
      let worker: Worker | undefined
      const stopping = Logger.make(() => worker!.stop())
      const context = Context.add(yield* Effect.context<never>(), References.CurrentLoggers, new Set([stopping]))
      const work = Effect.suspend(() => (runs++, Effect.die("died")))
      worker = new Worker("the watch", Effect.andThen(Effect.yieldNow, work), context)
      yield* settle
      assert.strictEqual(runs, 1)
      yield* pass(5000)
      assert.strictEqual(runs, 1)
    }))

  it.effect("such as the watch for stalls goes on although its logger throws at a warning", () =>
    Effect.gen(function*() {
      let warnings = 0
      const throwing = Logger.make(({ logLevel, message }) => {
        if (logLevel !== "Warn" || !String(message).includes("is stalled")) return
        warnings++
        throw new Error("EPIPE")
      })
      yield* Effect.gen(function*() {
        const { produce, stop } = yield* started(
          Consumer.layer(Tight, { name: "slow", handle: () => Effect.never })
        )
        const producing = yield* Effect.forkChild(Effect.exit(produce(Tight, 1, 2, 3, 4, 5)))
        yield* settle
        yield* pass(3500)
        assert.strictEqual(warnings, 3)
        const stopping = yield* stop
        yield* pass(6000)
        ended(stopping)
        yield* Fiber.join(producing)
      }).pipe(Effect.provideService(References.CurrentLoggers, new Set([throwing])))
    }))
})

// ---- a shutdown ends, and ends well

class Odd extends Record.Service<Odd>()("e/Odd", { schema: Schema.Int, writers: "many" }) {}

/** A buffer as somebody writes it, with what its close and the end of a subscription come to. */
const broker = (
  ends: { readonly close?: Effect.Effect<void>; readonly unsubscribe?: Effect.Effect<void> }
): Buffer.BackingOf<number> => ({
  make: (record) =>
    Effect.map(Buffer.spmcRing({ capacity: 8 }).make(record), (ring) =>
      Buffer.make({
        record: record.key,
        kind: "Broker",
        push: (value: number) => void ring.produceUnsafe(value),
        close: ends.close ?? ring.close,
        subscribe: Effect.andThen(Effect.addFinalizer(() => ends.unsubscribe ?? Effect.void), ring.subscribe)
      }))
})
/** A log over an engine in memory of which some things are otherwise. */
const engineLog = (
  otherwise: Partial<Engine.Engine>,
  options?: MemoryEngineOptions,
  made: (engine: MemoryEngine) => void = () => {}
): Log.LogBacking => ({
  durability: "replicated",
  make: (record) =>
    Effect.orDie(Effect.flatMap(Clock.Clock, (clock) => {
      const engine = new MemoryEngine(0, clock, options)
      made(engine)
      return Engine.make(record, Object.assign(engine, otherwise))
    }))
})
const withOdd = (odd: Layer.Layer<any, any, any>) => Layer.merge(odd, Records)
const reading = (handle: (value: number) => Effect.Effect<void, unknown> = () => Effect.void) =>
  Consumer.layer(Odd, { name: "odd", handle })
/** Besides what hangs or dies: a component with values to handle, whose end must be as good as ever. */
const neighbour = () => {
  const seen: Array<number> = []
  const layer = Consumer.layer(A, {
    name: "neighbour",
    handle: (value) => Effect.map(Effect.sleep("10 millis"), () => void seen.push(value))
  })
  return { seen, layer }
}
const inTwoSeconds = { drainTimeout: "2 seconds" } as const

describe("a shutdown", () => {
  const whatever: {
    readonly [name: string]: {
      readonly odd: Layer.Layer<any, any, any>
      readonly component?: Layer.Layer<never, any, any>
      readonly options?: Topology.TopologyOptions
      /** What is told of it in the report. Of what is there for all, nothing is left and everyone is in time. */
      readonly report: Partial<Topology.ShutdownReport>
      readonly log?: string
    }
  } = {
    "a buffer's close that never returns": {
      odd: Odd.layerBuffer(broker({ close: Effect.never })),
      report: {
        withinDeadline: false,
        waited: ["odd"],
        faults: [{ what: "the close of record \"e/Odd\"", cause: "it has not returned" }]
      }
    },
    "a buffer's close that never returns and cannot be interrupted": {
      odd: Odd.layerBuffer(broker({ close: Effect.uninterruptible(Effect.never) })),
      report: {
        withinDeadline: false,
        waited: ["odd"],
        faults: [{ what: "the close of record \"e/Odd\"", cause: "it has not returned" }]
      }
    },
    "a buffer's close that dies": {
      odd: Odd.layerBuffer(broker({ close: Effect.die("connection reset") })),
      // Its reader never hears of an end, and is ended once it has read what there is.
      report: { faults: [{ what: "the close of record \"e/Odd\"", cause: "connection reset" }] }
    },
    "a buffer's close that dies of what cannot be printed": {
      odd: Odd.layerBuffer(broker({ close: Effect.suspend(() => Effect.die(unprintable["a revoked proxy"]!())) })),
      report: { faults: [{ what: "the close of record \"e/Odd\"", cause: "a value that cannot be printed" }] }
    },
    "a subscription whose end never returns": {
      odd: Odd.layerBuffer(broker({ unsubscribe: Effect.never })),
      report: {
        withinDeadline: false,
        interrupted: ["odd"],
        faults: [{ what: "component \"odd\"", cause: "it could not be interrupted, and is left behind" }]
      }
    },
    "a subscription whose end dies": {
      odd: Odd.layerBuffer(broker({ unsubscribe: Effect.die("connection reset") })),
      report: {},
      log: "the end of component \"odd\" failed"
    },
    "a subscription whose end turns out deep inside not to be an Effect": {
      odd: Odd.layerBuffer(broker({ unsubscribe: noEffectInside })),
      report: {}
    },
    "an onShutdown that never returns": {
      odd: Odd.layer,
      options: { onShutdown: () => Effect.never },
      report: {},
      log: "onShutdown of the topology has not returned in time"
    },
    "an onShutdown that never returns and cannot be interrupted": {
      odd: Odd.layer,
      options: { onShutdown: () => Effect.uninterruptible(Effect.never) },
      report: {},
      log: "onShutdown of the topology has not returned in time"
    },
    "an onShutdown that dies": {
      odd: Odd.layer,
      options: { onShutdown: () => Effect.die("no endpoint") },
      report: {},
      log: "onShutdown of the topology failed"
    },
    "an onShutdown that throws": {
      odd: Odd.layer,
      options: {
        onShutdown: () => {
          throw new Error("no endpoint")
        }
      },
      report: {},
      log: "onShutdown of the topology failed"
    },
    "an onShutdown that answers with a promise": {
      odd: Odd.layer,
      options: { onShutdown: untyped(Promise.resolve()) },
      report: {},
      log: "`onShutdown` of the topology must answer with an Effect, and answered with a Promise"
    },
    "a handler that never returns": {
      odd: Odd.layer,
      component: reading(() => Effect.never),
      report: { withinDeadline: false, interrupted: ["odd"] }
    },
    "a handler that cannot be interrupted": {
      odd: Odd.layer,
      component: reading(() => Effect.uninterruptible(Effect.never)),
      report: {
        withinDeadline: false,
        interrupted: ["odd"],
        faults: [{ what: "component \"odd\"", cause: "it could not be interrupted, and is left behind" }]
      }
    },
    "a handler that cannot be interrupted, over a subscription whose end never returns": {
      odd: Odd.layerBuffer(broker({ unsubscribe: Effect.never })),
      component: reading(() => Effect.uninterruptible(Effect.never)),
      report: {
        withinDeadline: false,
        interrupted: ["odd"],
        faults: [{ what: "component \"odd\"", cause: "it could not be interrupted, and is left behind" }]
      }
    },
    "an append that is never answered": {
      odd: Odd.layerLog(engineLog({ append: () => {} })),
      component: Source.layer(Odd, { name: "odd", stream: Stream.make(1) }),
      report: {
        withinDeadline: false,
        waited: ["odd"],
        faults: [{ what: "record \"e/Odd\"", cause: "its store has not answered for 1 value(s)" }]
      }
    },
    "an engine's close that never returns": {
      odd: Odd.layerLog(engineLog({ close: Effect.never })),
      report: {
        withinDeadline: false,
        faults: [{ what: "the close of record \"e/Odd\"", cause: "it has not returned" }]
      }
    },
    "an engine's close that dies": {
      odd: Odd.layerLog(engineLog({ close: Effect.die("disk on fire") })),
      report: { faults: [{ what: "the close of record \"e/Odd\"", cause: "disk on fire" }] }
    },
    "an engine's close that dies under a collector": {
      odd: Odd.layerLog(engineLog({ close: Effect.die("disk on fire") })),
      component: Collector.layer(Odd, { name: "odd", group: "g", handle: () => Effect.void }),
      report: { faults: [{ what: "the close of record \"e/Odd\"", cause: "disk on fire" }] }
    },
    "an engine's release that never returns": {
      odd: Odd.layerLog(engineLog({ release: () => Effect.never })),
      component: Collector.layer(Odd, { name: "odd", group: "g", handle: () => Effect.void }),
      report: {},
      log: "the release of group \"g\" of record \"e/Odd\" has not returned within a second"
    },
    "an engine's release that dies": {
      odd: Odd.layerLog(engineLog({ release: () => Effect.die("disk on fire") })),
      component: Collector.layer(Odd, { name: "odd", group: "g", handle: () => Effect.void }),
      report: {},
      log: "the release of group \"g\" of record \"e/Odd\" failed"
    },
    "a last commit that is never answered": {
      odd: Odd.layerLog(engineLog({ commit: () => Effect.never })),
      component: Collector.layer(Odd, { name: "odd", group: "g", handle: () => Effect.void }),
      // Its end tries the commit once more, for a second of its own.
      report: {
        withinDeadline: false,
        interrupted: ["odd"],
        faults: [{ what: "component \"odd\"", cause: "it could not be interrupted, and is left behind" }]
      }
    }
  }
  for (const [name, { component, log, odd, options, report }] of Object.entries(whatever)) {
    it.effect(`ends a second after its deadline at the latest, and well for all others, in spite of ${name}`, () =>
      listening((lines) =>
        Effect.gen(function*() {
          const { layer, seen } = neighbour()
          let closed = false
          const services = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => void (closed = true))))
          const reports: Array<Topology.ShutdownReport> = []
          const { context, produce, stop } = yield* started(
            Layer.merge(component ?? reading(), layer).pipe(Layer.provide(services)) as typeof layer,
            {
              ...inTwoSeconds,
              onShutdown: (report) => {
                assert.isFalse(closed)
                assert.deepStrictEqual(seen, [1, 2, 3])
                reports.push(report)
                return options?.onShutdown?.(report) ?? Effect.void
              },
              records: withOdd(odd)
            }
          )
          if (component === undefined || name.includes("handler") || name.includes("commit")) {
            yield* Effect.forkChild(produce(Odd, 1))
          }
          yield* settle
          yield* produce(A, 1, 2, 3)
          const stopping = yield* stop
          yield* pass(3000)
          assert.deepStrictEqual(ended(stopping), Exit.void)
          assert.strictEqual(reports.length, 1)
          const { took, ...told } = reports[0]!
          assert.deepInclude(told, {
            withinDeadline: true,
            interrupted: [],
            waited: [],
            faults: [],
            left: [],
            ...report
          })
          assert.isAtMost(took, 3000)
          assert.isTrue(closed)
          // The others are closed as ever.
          const record = Context.get(context, A) as Record.Record<number>
          const late = yield* Effect.scoped(
            Effect.flatMap(record.producer("late"), ({ tryProduce }) => Effect.flip(tryProduce(4)))
          )
          assert.strictEqual(late._tag, "BufferClosed")
          if (log !== undefined) assert.isTrue(lines.some((line) => line.includes(log)), lines.join("\n"))
        })
      ))
  }

  it.effect("tells those that held it up from those that only waited for them", () =>
    quietly(Effect.gen(function*() {
      const { produce, reports, stop } = yield* started(
        Layer.mergeAll(
          Consumer.layer(A, { name: "stuck", emits: { b: B }, handle: () => Effect.never }),
          Transform.layer({ name: "behind", from: B, to: Tight, through: (values) => values }),
          Consumer.layer(Tight, { name: "last", handle: () => Effect.void })
        ),
        inTwoSeconds
      )
      yield* produce(A, 1)
      yield* settle
      const stopping = yield* stop
      yield* pass(3000)
      ended(stopping)
      const { waited, ...told } = reports[0]!
      assert.deepInclude(told, { withinDeadline: false, interrupted: ["stuck"], faults: [] })
      assert.sameMembers([...waited], ["behind", "last"])
    })))
})

describe("the end of a record's layer, without a topology", () => {
  for (
    const [name, close] of [["", Effect.never], [" uninterruptibly", Effect.uninterruptible(Effect.never)]] as const
  ) {
    it.effect(`leaves a close behind that hangs${name} for 5 seconds, and says so`, () =>
      listening((lines) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          yield* Layer.buildWithScope(Odd.layerBuffer(broker({ close })), scope)
          const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
          yield* pass(4999)
          assert.isUndefined(closing.pollUnsafe())
          assert.deepStrictEqual(lines, [])
          yield* pass(1)
          assert.deepStrictEqual(ended(closing), Exit.void)
          assert.include(lines[0], "Warn: the close of record \"e/Odd\" has not returned within 5 s")
        })
      ))
  }

  it.effect("tells of a close that dies, and ends well", () =>
    listening((lines) =>
      Effect.gen(function*() {
        yield* Effect.scoped(Layer.build(Odd.layerBuffer(broker({ close: Effect.die("connection reset") }))))
        assert.include(lines[0], "Warn: the close of record \"e/Odd\" failed")
        assert.include(lines[0], "connection reset")
      })
    ))
})

describe("a group that is never given", () => {
  const collecting = Topology.layer(Collector.layer(Odd, { name: "c", group: "g", handle: () => Effect.void }))

  for (
    const [name, never] of [["", Effect.never], [
      " and cannot be interrupted",
      Effect.uninterruptible(Effect.never)
    ]] as const
  ) {
    it.effect(`${name} does not hold up whoever gives up the build`.trim(), () =>
      Effect.gen(function*() {
        const building = yield* Effect.forkChild(Effect.scoped(Layer.build(
          collecting.pipe(Layer.provide(Odd.layerLog(engineLog({ acquire: () => never }))))
        )))
        yield* settle
        assert.isUndefined(building.pollUnsafe())
        const interrupting = yield* Effect.forkChild(Fiber.interrupt(building), { startImmediately: true })
        yield* settle
        ended(interrupting)
        const exit = ended(building)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause))
      }))
  }

  const ways: { readonly [name: string]: <A, E>(acquire: Effect.Effect<A, E>) => Effect.Effect<A, E> } = {
    "": (acquire) => acquire,
    " and cannot be interrupted": Effect.uninterruptible
  }
  for (const [name, how] of Object.entries(ways)) {
    it.effect(`and comes late${name} is given back at once`, () =>
      Effect.gen(function*() {
        const go = Deferred.makeUnsafe<void>()
        const released: Array<string> = []
        const backing = engineLog({}, {}, (engine) => {
          const { acquire } = engine
          Object.assign(
            engine,
            {
              acquire: (group: string, from: Engine.Place) =>
                how(Effect.andThen(Deferred.await(go), Effect.suspend(() => acquire(group, from)))),
              release: (hold: Engine.Hold) => Effect.sync(() => void released.push(hold.group))
            } satisfies Partial<Engine.Engine>
          )
        })
        const building = yield* Effect.forkChild(
          Effect.scoped(Layer.build(collecting.pipe(Layer.provide(Odd.layerLog(backing)))))
        )
        yield* settle
        yield* Fiber.interrupt(building)
        assert.deepStrictEqual(released, [])
        yield* Deferred.succeed(go, undefined)
        yield* settle
        assert.deepStrictEqual(released, ["g"])
      }))
  }
})

describe("a drain", () => {
  const hourly = Schedule.spaced("1 hour")

  it.effect("does not run a source again that fails at once in its stream", () =>
    quietly(Effect.gen(function*() {
      let runs = 0
      const { reports, stop } = yield* started(
        Source.layer(A, { name: "s", stream: Stream.suspend(() => (runs++, Stream.fail("ECONNREFUSED"))) })
      )
      yield* pass(2000)
      const before = runs
      assert.isAbove(before, 1)
      const stopping = yield* stop
      yield* settle
      ended(stopping)
      assert.strictEqual(runs, before)
      assert.deepInclude(reports[0]!, { withinDeadline: true, took: 0, interrupted: [] })
    })))

  it.effect("does not run a source again whose write fails at once", () =>
    quietly(Effect.gen(function*() {
      class Positive extends Record.Service<Positive>()("e/Positive", {
        schema: Schema.Int.check(Schema.isGreaterThan(0)),
        validate: true,
        buffer: bounded
      }) {}
      let runs = 0
      const seen: Array<number> = []
      const { reports, stop } = yield* started(
        Layer.merge(
          Source.layer(Positive, { name: "s", stream: Stream.suspend(() => (runs++, Stream.make(1, -1, 2))) }),
          Consumer.layer(Positive, { name: "c", handle: (value) => Effect.sync(() => void seen.push(value)) })
        ),
        { records: Positive.layer }
      )
      yield* pass(2000)
      const before = runs
      const stopping = yield* stop
      yield* settle
      ended(stopping)
      assert.strictEqual(runs, before)
      assert.deepStrictEqual(seen, Array.from({ length: runs }, () => 1))
      assert.deepInclude(reports[0]!, { withinDeadline: true, took: 0, interrupted: [], left: [] })
    })))

  it.effect("ends a source whose write fails while it drains, and says why", () =>
    quietly(Effect.gen(function*() {
      let runs = 0
      let engine!: MemoryEngine
      const { component, stop, topology } = yield* started(
        Source.layer(Odd, {
          name: "s",
          restart: Schedule.forever,
          stream: Stream.suspend(() => (runs++, Stream.make(1, 2)))
        }),
        { records: Odd.layerLog(engineLog({}, { onDemand: true }, (made) => engine = made)) }
      )
      yield* settle
      const stopping = yield* stop
      yield* settle
      assert.isUndefined(stopping.pollUnsafe())
      engine.faults.appends = 1
      engine.flush()
      yield* settle
      ended(stopping)
      assert.strictEqual(runs, 1)
      assert.strictEqual((yield* component("s")).status, "Failed")
      assert.deepInclude(yield* Effect.flip(topology.awaitFailure), { component: "s", why: "draining" })
    })))

  it.effect("ends the backoff of a source of an hour at once", () =>
    quietly(Effect.gen(function*() {
      let runs = 0
      const { component, reports, stop } = yield* started(
        Source.layer(A, { name: "s", restart: hourly, stream: Stream.suspend(() => (runs++, Stream.fail("no"))) })
      )
      yield* settle
      assert.strictEqual((yield* component("s")).status, "Restarting")
      const stopping = yield* stop
      yield* settle
      ended(stopping)
      assert.strictEqual(runs, 1)
      assert.deepInclude(reports[0]!, { withinDeadline: true, took: 0, interrupted: [] })
    })))

  it.effect("ends a transform that fails at once, and counts what it leaves", () =>
    quietly(Effect.gen(function*() {
      let runs = 0
      const { component, produce, reports, stop, topology } = yield* started(
        Transform.layer({
          name: "t",
          restart: hourly,
          from: A,
          to: B,
          through: () => {
            runs++
            throw new Error("no such function")
          }
        })
      )
      yield* produce(A, 1, 2, 3)
      yield* settle
      const stopping = yield* stop
      yield* settle
      ended(stopping)
      assert.isAtMost(runs, 2)
      assert.strictEqual((yield* component("t")).status, "Failed")
      assert.deepInclude(yield* Effect.flip(topology.awaitFailure), { component: "t", why: "draining" })
      assert.deepInclude(reports[0]!, {
        withinDeadline: true,
        took: 0,
        interrupted: [],
        left: [{ record: "e/A", component: "t", values: 3 }]
      })
    })))

  it.effect("gets a handler that fails for each value through what is held, without its backoffs", () =>
    quietly(Effect.gen(function*() {
      const tried: Array<number> = []
      const { component, produce, reports, stop } = yield* started(Consumer.layer(A, {
        name: "c",
        restart: hourly,
        handle: (value) => Effect.andThen(Effect.sync(() => void tried.push(value)), Effect.fail("no"))
      }))
      const values = Array.from({ length: 100 }, (_, index) => index)
      yield* produce(A, ...values)
      yield* settle
      assert.deepStrictEqual(tried, [0])
      yield* Fiber.join(yield* stop)
      assert.deepStrictEqual(tried, values)
      assert.deepInclude(yield* component("c"), { handled: 0, abandoned: 100 })
      assert.deepInclude(reports[0]!, { withinDeadline: true, took: 0, left: [], interrupted: [] })
    })))

  it.effect("lets those in that wait for room when it comes to their record, and refuses whoever comes later", () =>
    Effect.gen(function*() {
      const gate = Latch.makeUnsafe(false)
      const seen: Array<number> = []
      const { context, reports, stop } = yield* started(
        Consumer.layer(Tight, { name: "c", handle: (value) => Effect.map(gate.await, () => void seen.push(value)) })
      )
      const record = Context.get(context, Tight) as Record.Record<number>
      yield* Effect.scoped(Effect.gen(function*() {
        const claim = yield* record.producer("early")
        const waiting = yield* Effect.forkChild(
          Effect.forEach([1, 2, 3, 4, 5, 6], (value) => claim.produceAsync(value), { concurrency: "unbounded" })
        )
        yield* settle
        const stopping = yield* stop
        yield* settle
        const other = yield* record.producer("late")
        for (const late of [claim, other]) {
          const refused = yield* Effect.forkChild(Effect.flip(late.produceAsync(7)), { startImmediately: true })
          assert.deepInclude(yield* ended(refused), { _tag: "BufferClosed", value: 7 })
          assert.strictEqual(late.produceUnsafe(8), "Closed")
        }
        assert.isUndefined(waiting.pollUnsafe())
        yield* gate.open
        yield* Fiber.join(waiting)
        yield* Fiber.join(stopping)
      }))
      assert.deepStrictEqual(seen, [1, 2, 3, 4, 5, 6])
      assert.deepInclude(reports[0]!, { withinDeadline: true, left: [], interrupted: [], faults: [] })
    }))

  it.effect("is within its deadline although producers outside never end, and all that was accepted is handled", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const { context, reports, stop } = yield* started(
        Consumer.layer(Tight, {
          name: "c",
          handle: (value) => Effect.map(Effect.sleep("5 millis"), () => void seen.push(value))
        }),
        inTwoSeconds
      )
      const record = Context.get(context, Tight) as Record.Record<number>
      let accepted = 0
      const client = (name: number) =>
        Effect.scoped(Effect.flatMap(
          record.producer(`client ${name}`),
          ({ produceAsync }) =>
            Effect.forever(Effect.map(produceAsync(name), () => {
              accepted++
            }))
        ))
      const clients = yield* Effect.forEach(
        [1, 2, 3, 4, 5, 6, 7, 8],
        (name) => Effect.forkChild(Effect.flip(client(name)))
      )
      yield* pass(200)
      const stopping = yield* stop
      yield* pass(1000)
      ended(stopping)
      for (const fiber of clients) assert.strictEqual((yield* ended(fiber))._tag, "BufferClosed")
      assert.deepInclude(reports[0]!, { withinDeadline: true, left: [], interrupted: [], faults: [] })
      assert.strictEqual(seen.length, accepted)
    }))

  it.effect("loses nothing that a source's stream has emitted, wherever a fiber yields", () =>
    Effect.gen(function*() {
      for (let ops = 3; ops < 16; ops++) {
        for (let turns = 0; turns < 60; turns += 3) {
          const queue = yield* Queue.unbounded<number>()
          let emitted = 0
          let handled = 0
          const App = Topology.layer(
            Layer.merge(
              Source.layer(A, {
                name: "source",
                stream: Stream.tap(Stream.fromQueue(queue), () => Effect.sync(() => void emitted++))
              }),
              Consumer.layer(A, { name: "reading", handle: () => Effect.sync(() => void handled++) })
            ),
            { onShutdown: () => Effect.void }
          ).pipe(Layer.provideMerge(Layer.fresh(A.layer)))
          const scope = yield* Scope.make()
          yield* Effect.provideService(Layer.buildWithScope(App, scope), MaxOpsBeforeYield, ops)
          yield* settle
          for (let value = 0; value < 20; value++) Queue.offerUnsafe(queue, value)
          for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(handled, emitted, `fibers that yield after ${ops} operations, ${turns} turns`)
        }
      }
    }))

  it.effect("is not held up by a stream that never rests and never emits", () =>
    Effect.gen(function*() {
      let pulled = 0
      const { component, reports, stop } = yield* started(Source.layer(A, {
        name: "busy",
        stream: Stream.fromEffectRepeat(Effect.map(Effect.yieldNow, () => ++pulled)).pipe(Stream.filter(() => false))
      }))
      yield* settle
      assert.isAbove(pulled, 0)
      yield* Fiber.join(yield* stop)
      assert.deepInclude(reports[0]!, { withinDeadline: true, took: 0, interrupted: [] })
      assert.deepInclude(yield* component("busy"), { status: "Done", handled: 0, abandoned: 0 })
    }))

  it.effect("is within its deadline with a transform whose output never rests after its input has ended", () =>
    quietly(Effect.gen(function*() {
      const { reports, stop } = yield* started(
        Transform.layer({
          name: "busy",
          from: A,
          to: B,
          through: (values) =>
            Stream.concat(
              values,
              Stream.fromEffectRepeat(Effect.as(Effect.sleep(1), 0)).pipe(Stream.filter(() => false))
            )
        }),
        inTwoSeconds
      )
      yield* settle
      const stopping = yield* stop
      yield* pass(3000)
      ended(stopping)
      assert.deepInclude(reports[0]!, { withinDeadline: false, interrupted: ["busy"], faults: [] })
    })))

  it.live("of 2,500 idle components is within its deadline", () =>
    Effect.gen(function*() {
      const records = Array.from(
        { length: 2500 },
        (_, index) =>
          class Device extends Record.Service<Device>()(`e/device/${index}`, {
            schema: Schema.Int,
            buffer: { kind: "SingleLatest" }
          }) {}
      )
      const all = (layers: ReadonlyArray<unknown>): Layer.Layer<any> =>
        Layer.mergeAll(...layers as unknown as readonly [Layer.Layer<any>])
      const reports: Array<Topology.ShutdownReport> = []
      const App = Topology.layer(
        all(records.map((record, index) => Consumer.layer(record, { name: `c${index}`, handle: () => Effect.void }))),
        { metrics: false, onShutdown: (report) => Effect.sync(() => void reports.push(report)) }
      ).pipe(Layer.provide(all(records.map(({ layer }) => layer)))) as Layer.Layer<Topology.Topology>
      yield* Effect.provide(Effect.sleep("50 millis"), App)
      assert.deepInclude(reports[0]!, { withinDeadline: true, interrupted: [], waited: [], left: [], faults: [] })
    }), 60_000)
})

describe("a record whose only reader is over for good", () => {
  const config = (kind: "Bounded" | "Queue") =>
    kind === "Bounded"
      ? { kind, capacity: 2 } as const
      : { kind, capacity: 2, strategy: "suspend" } as const

  for (const kind of ["Bounded", "Queue"] as const) {
    class Job
      extends Record.Service<Job>()(`e/Job/${kind}`, { schema: Schema.Int, writers: "many", buffer: config(kind) })
    {}
    const failing = (gate: Latch.Latch) =>
      Consumer.layer(Job, {
        name: "only",
        restart: Schedule.recurs(0),
        handle: () => Effect.andThen(gate.await, Effect.fail("for good"))
      })

    it.effect(`(${kind}) answers those that wait as closed once it is full, keeps what is held, and takes more for a next reader`, () =>
      listening((lines) =>
        Effect.gen(function*() {
          const gate = Latch.makeUnsafe(false)
          const { context, stop, topology } = yield* started(failing(gate), { records: Job.layer })
          const record = Context.get(context, Job) as Record.Record<number>
          yield* Effect.scoped(Effect.gen(function*() {
            const claim = yield* record.producer("outside")
            yield* claim.produceAsync(1)
            yield* settle
            for (const value of [2, 3]) yield* claim.produceAsync(value)
            const waiting = yield* Effect.forkChild(Effect.exit(claim.produceAsync(4)))
            yield* settle
            assert.isUndefined(waiting.pollUnsafe())
            yield* gate.open
            assert.strictEqual((yield* Effect.flip(topology.awaitFailure)).component, "only")
            yield* settle
            const told = yield* ended(waiting)
            assert.strictEqual(
              Exit.isFailure(told) ? (Cause.squash(told.cause) as { readonly _tag: string })._tag : "let in",
              "BufferClosed"
            )
            assert.isTrue(lines.some((line) => line.includes("has no reader left, since component \"only\" is over")))
            // Full, it refuses at once, whoever comes.
            const late = yield* Effect.forkChild(Effect.flip(claim.produceAsync(5)))
            yield* settle
            assert.deepInclude(yield* ended(late), { _tag: "BufferClosed", value: 5 })
            assert.strictEqual((yield* Effect.flip(claim.tryProduce(5)))._tag, "BufferClosed")
            // Who reads next has what was kept, and all goes on as ever.
            const next = yield* record.subscribe
            const again = yield* Effect.forkChild(claim.produceAsync(6))
            yield* settle
            assert.isUndefined(again.pollUnsafe())
            assert.strictEqual((yield* Effect.flip(claim.tryProduce(7)))._tag, "BufferFull")
            assert.deepStrictEqual([yield* next.recv, yield* next.recv, yield* next.recv], [2, 3, 6])
            yield* Fiber.join(again)
          }))
          yield* Fiber.join(yield* stop)
        })
      ))

    it.effect(`(${kind}) takes values for as long as it has room`, () =>
      quietly(Effect.gen(function*() {
        const gate = Latch.makeUnsafe(true)
        const { context, stop } = yield* started(failing(gate), { records: Job.layer })
        const record = Context.get(context, Job) as Record.Record<number>
        yield* Effect.scoped(Effect.gen(function*() {
          const claim = yield* record.producer("outside")
          yield* claim.produceAsync(1)
          yield* settle
          yield* claim.produceAsync(2)
          assert.strictEqual(claim.produceUnsafe(3), "Accepted")
          assert.strictEqual(claim.produceUnsafe(4), "Closed")
        }))
        yield* Fiber.join(yield* stop)
      })))

    // Fibers yield after `ops` operations: the last one is over at any moment of the other's coming.
    it.effect.each(Array.from({ length: 20 }, (_, index) => index + 3))(
      `(${kind}) refuses nobody while it has another reader (%i)`,
      (ops) =>
        quietly(
          Effect.gen(function*() {
            const gate = Latch.makeUnsafe(true)
            const { context, produce, stop, topology } = yield* started(failing(gate), { records: Job.layer })
            const record = Context.get(context, Job) as Record.Record<number>
            yield* Effect.scoped(Effect.gen(function*() {
              yield* produce(Job, 1)
              // It comes before the component is over.
              const other = yield* record.subscribe
              yield* Effect.flip(topology.awaitFailure)
              yield* settle
              const producing = yield* Effect.forkChild(produce(Job, 2, 3, 4, 5))
              yield* settle
              assert.isUndefined(producing.pollUnsafe())
              const received: Array<number> = []
              while (received.at(-1) !== 5) received.push(yield* other.recv)
              yield* Fiber.join(producing)
              assert.deepStrictEqual(received.slice(-4), [2, 3, 4, 5])
            }))
            yield* Fiber.join(yield* stop)
          }).pipe(Effect.provideService(MaxOpsBeforeYield, ops))
        )
    )
  }
})

describe("awaitDone over a log", () => {
  const passingOn = Layer.mergeAll(
    Source.layer(A, { name: "source", stream: Stream.make(1, 2, 3) }),
    Consumer.layer(A, { name: "passing on", emits: { odd: Odd }, handle: (value, { odd }) => odd.tryProduce(value) })
  )
  const logged = (made: (engine: MemoryEngine) => void) =>
    withOdd(Odd.layerLog(engineLog({}, { onDemand: true }, made)))

  it.effect("waits for what is on its way into its engine, and for its being handled", () =>
    Effect.gen(function*() {
      let engine!: MemoryEngine
      const seen: Array<number> = []
      const { stop, topology } = yield* started(
        Layer.merge(passingOn, reading((value) => Effect.sync(() => void seen.push(value)))),
        { records: logged((made) => engine = made) }
      )
      const done = yield* Effect.forkChild(topology.awaitDone)
      yield* settle
      assert.isUndefined(done.pollUnsafe())
      assert.deepStrictEqual(seen, [])
      engine.flush()
      yield* Fiber.join(done)
      assert.deepStrictEqual(seen, [1, 2, 3])
      yield* Fiber.join(yield* stop)
    }))

  it.effect("ends where what was on its way could not be stored", () =>
    quietly(Effect.gen(function*() {
      let engine!: MemoryEngine
      const { stop, topology } = yield* started(Layer.merge(passingOn, reading()), {
        records: logged((made) => engine = made)
      })
      const done = yield* Effect.forkChild(topology.awaitDone)
      yield* settle
      assert.isUndefined(done.pollUnsafe())
      engine.faults.appends = 1
      engine.flush()
      yield* settle
      ended(done)
      yield* Fiber.join(yield* stop)
    })))

  for (const [name, failures] of [["is stored", 0], ["could not be stored", 1]] as const) {
    it.effect(`ends where what was on its way ${name}, also where nobody reads it`, () =>
      quietly(Effect.gen(function*() {
        let engine!: MemoryEngine
        const { stop, topology } = yield* started(passingOn, { records: logged((made) => engine = made) })
        const done = yield* Effect.forkChild(topology.awaitDone)
        yield* settle
        assert.isUndefined(done.pollUnsafe())
        engine.faults.appends = failures
        engine.flush()
        yield* settle
        ended(done)
        yield* Fiber.join(yield* stop)
      })))
  }
})

describe("the end of a collector, without a topology", () => {
  it.effect("waits a second for a last commit that is never answered", () =>
    quietly(
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const collector = yield* Scope.provide(Collector.make(Odd, { group: "g" }), scope)
        yield* Effect.scoped(Effect.flatMap(
          Effect.flatMap(Odd, ({ producer }) => producer("test")),
          ({ produceAsync }) => produceAsync(1)
        ))
        yield* Effect.scoped(collector.take)
        yield* settle
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        yield* pass(950)
        assert.isUndefined(closing.pollUnsafe())
        yield* pass(100)
        assert.deepStrictEqual(ended(closing), Exit.void)
      }).pipe(Effect.scoped, Effect.provide(Odd.layerLog(engineLog({ commit: () => Effect.never }))))
    ))
})

describe("a close that takes its time", () => {
  for (const by of ["source that runs", "source that has ended"]) {
    it.effect(`is waited for, also where its only writer is a ${by}`, () =>
      quietly(Effect.gen(function*() {
        let closings = 0
        let closed = false
        const close = Effect.gen(function*() {
          closings++
          yield* Effect.sleep("300 millis")
          closed = true
        })
        const stream = by === "source that runs" ? Stream.concat(Stream.make(1), Stream.never) : Stream.make(1)
        const { reports, stop } = yield* started(Source.layer(Odd, { name: "s", stream }), {
          drainTimeout: "2 seconds",
          records: withOdd(Odd.layerBuffer(broker({ close })))
        })
        yield* settle
        const stopping = yield* stop
        yield* pass(1000)
        ended(stopping)
        assert.deepStrictEqual([closings, closed], [1, true])
        assert.deepInclude(reports[0]!, { withinDeadline: true, faults: [] })
        assert.isAtLeast(reports[0]!.took, 300)
      })))
  }
})

describe("the report of a shutdown", () => {
  it.effect("names as culprit the last of a chain, where the others wait for room before it", () =>
    quietly(Effect.gen(function*() {
      const { reports, stop } = yield* started(
        Layer.mergeAll(
          Source.layer(A, { name: "source", stream: Stream.range(1, 1000) }),
          Transform.layer({ name: "between", from: A, to: Tight, through: (values) => values }),
          Consumer.layer(Tight, { name: "stuck", handle: () => Effect.never })
        ),
        inTwoSeconds
      )
      yield* settle
      const stopping = yield* stop
      yield* pass(3000)
      ended(stopping)
      assert.deepStrictEqual(reports[0]!.interrupted, ["stuck"])
      assert.sameMembers([...reports[0]!.waited], ["source", "between"])
    })))

  it.effect("counts what a handler that cannot be interrupted leaves unread", () =>
    quietly(Effect.gen(function*() {
      const { produce, reports, stop } = yield* started(
        Consumer.layer(A, { name: "deaf", handle: () => Effect.uninterruptible(Effect.never) }),
        inTwoSeconds
      )
      yield* produce(A, 1, 2, 3, 4)
      yield* settle
      const stopping = yield* stop
      yield* pass(3000)
      ended(stopping)
      assert.deepStrictEqual(reports[0]!.left, [{ record: "e/A", component: "deaf", values: 3 }])
    })))

  it.effect("is preceded by a word on what a finalizer failed with that an interrupt had let run", () =>
    listening((lines) =>
      Effect.gen(function*() {
        const { produce, stop } = yield* started(
          Consumer.layer(A, {
            name: "holding",
            handle: () => Effect.ensuring(Effect.never, Effect.die("could not be given back"))
          }),
          inTwoSeconds
        )
        yield* produce(A, 1)
        yield* settle
        const stopping = yield* stop
        yield* pass(3000)
        ended(stopping)
        assert.isTrue(
          lines.some((line) => /"holding" failed when it was interrupted.*could not be given back/s.test(line)),
          lines.join("\n")
        )
      })
    ))
})

describe("a promise that nobody waits for", () => {
  it.effect("is a failure that says so, and ends no process where it rejects", () =>
    quietly(Effect.gen(function*() {
      const handle = untyped(undefined)
      const rejecting: any = () => Promise.reject(new Error("nobody hears of it"))
      const { component, produce, stop } = yield* started(
        Layer.mergeAll(
          Consumer.layer(A, { name: "handle", handle: rejecting, restart: soon }),
          Consumer.layer(A, { name: "unsafe", handleUnsafe: rejecting, restart: soon }),
          Consumer.layer(A, { name: "nothing", handle, restart: soon })
        ),
        { ...inTwoSeconds, onShutdown: rejecting }
      )
      yield* produce(A, 1)
      // A rejection that is not caught is told by the process, and fails the run of these tests.
      yield* settle
      for (const name of ["handle", "unsafe"]) assert.include((yield* component(name)).lastCause, "a Promise")
      yield* Effect.flatMap(stop, Fiber.join)
    })))
})

describe("a failure whose cause is of another version of effect", () => {
  it.effect("is a failure as any", () =>
    quietly(Effect.gen(function*() {
      const foreign = Effect.failCause({ _tag: "Fail", error: "of version 3" } as never)
      const { component, produce, stop } = yield* started(
        Consumer.layer(A, { name: "c", restart: soon, handle: (value) => value === 1 ? foreign : Effect.void })
      )
      yield* produce(A, 1, 2)
      yield* settle
      yield* pass(1100)
      const { abandoned, handled, lastCause } = yield* component("c")
      assert.deepStrictEqual([handled, abandoned], [1, 1])
      assert.isString(lastCause)
      yield* Effect.flatMap(stop, Fiber.join)
    })))
})

describe("a collector's `retry` that says nothing", () => {
  for (
    const [name, retry] of Object.entries<any>({
      "never answers": Schedule.while(Schedule.recurs(5), () => Effect.never),
      "ends its fiber": Schedule.while(Schedule.recurs(5), () => Effect.as(interruptsItself, true)),
      "is no schedule": "10 millis"
    })
  ) {
    it.effect(`since it ${name} loses no batch`, () =>
      quietly(Effect.gen(function*() {
        const attempts: Array<number> = []
        const { produce, stop } = yield* started(
          Collector.layer(Odd, {
            name: "c",
            group: "g",
            retry,
            handle: ({ attempt }) => attempts.push(attempt) === 1 ? Effect.fail("no") : Effect.void
          }),
          { ...inTwoSeconds, records: withOdd(Odd.layerLog(Log.memory())) }
        )
        yield* produce(Odd, 1)
        yield* settle
        yield* pass(3000)
        assert.deepStrictEqual(attempts, [1, 2])
        const stopping = yield* stop
        yield* pass(3000)
        ended(stopping)
      })))
  }
})

describe("a buffer of somebody's own whose numbers are none", () => {
  it.effect("is told of, and leaves the other numbers and the snapshot as they are", () =>
    listening((lines) =>
      Effect.gen(function*() {
        const numbers = { held: (): number => 3 }
        const { produce, stop, topology } = yield* started(
          Consumer.layer(Odd, { name: "c", handle: () => Effect.void }),
          {
            records: withOdd(Odd.layerBuffer({
              make: (record) =>
                Effect.map(Buffer.spmcRing({ capacity: 8 }).make<number>(record), (ring) =>
                  Buffer.make<number>({
                    record: record.key,
                    kind: "Own",
                    push: (value) => void ring.produceUnsafe(value),
                    subscribe: ring.subscribe,
                    held: () => numbers.held(),
                    close: ring.close
                  }))
            }))
          }
        )
        yield* produce(Odd, 1, 2)
        yield* settle
        const recordNow = Effect.map(topology.snapshot, ({ records }) => records[0]!)
        assert.deepInclude(yield* recordNow, { held: 3, produced: 2 })
        for (
          const held of [() => NaN, () => 1.5, (): number => {
            throw new Error("gone")
          }]
        ) {
          numbers.held = held
          yield* adjust("2 seconds")
          assert.deepInclude(yield* recordNow, { held: 3, produced: 2 })
        }
        yield* settle
        assert.strictEqual(
          lines.filter((line) => line.includes("record \"e/Odd\"") && line.includes("no count")).length,
          3
        )
        yield* Effect.flatMap(stop, Fiber.join)
      })
    ))
})

describe("a log in memory whose only collector is over for good", () => {
  it.effect("answers those that wait as closed, and takes more once a group of it is acquired", () =>
    quietly(Effect.gen(function*() {
      const failing: Log.LogBacking = {
        durability: "volatile",
        make: (record) =>
          Effect.map(
            Log.memory({ capacity: 2 }).make(record),
            (log) => Object.assign(Object.create(log), { read: () => Effect.die("cannot be read") })
          )
      }
      const { context, stop, topology } = yield* started(
        Collector.layer(Odd, { name: "only", group: "g", restart: Schedule.recurs(0), handle: () => Effect.void }),
        { records: withOdd(Odd.layerLog(failing)) }
      )
      const record = Context.get(context, Odd) as Record.Record<number>
      yield* Effect.scoped(Effect.gen(function*() {
        const claim = yield* record.producer("outside")
        yield* Effect.forEach([1, 2], (value) => claim.produceAsync(value))
        const waiting = yield* Effect.forkChild(Effect.flip(claim.produceAsync(3)))
        assert.strictEqual((yield* Effect.flip(topology.awaitFailure)).component, "only")
        yield* settle
        assert.deepInclude(yield* ended(waiting), { _tag: "BufferClosed", value: 3 })
        // The next holder of a group is somebody to wait for.
        const next = yield* Effect.provide(Collector.make(Odd, { group: "g" }), context)
        const again = yield* Effect.forkChild(claim.produceAsync(4))
        yield* settle
        assert.isUndefined(again.pollUnsafe())
        assert.strictEqual((yield* next.progress).committed, -1n)
        yield* Fiber.interrupt(again)
      }))
      yield* Fiber.join(yield* stop)
    })))
})

describe("an event loop that is blocked", () => {
  it.live("is named in the report, where it has made the end late", () =>
    quietly(Effect.gen(function*() {
      const { produce, reports, stop } = yield* started(
        Consumer.layer(A, {
          name: "blocking",
          handle: () =>
            Effect.andThen(
              Effect.sleep(20),
              Effect.sync(() => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1600))
            )
        }),
        { drainTimeout: 50 }
      )
      yield* produce(A, 1)
      yield* settle
      yield* Effect.flatMap(stop, Fiber.join)
      const [fault] = reports[0]!.faults
      assert.strictEqual(fault?.what, "the event loop")
      assert.match(fault!.cause, /it was blocked, and the end is \d+ ms late/)
    })))
})
