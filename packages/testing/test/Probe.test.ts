import { assert, describe, it } from "@effect/vitest"
import { type BufferClosed, type BufferFailed, Consumer, Record, Source, Topology, Transform } from "@sluice/core"
import { type Assembly, Interceptor } from "@sluice/core/Component"
import { Blocked, Probe } from "@sluice/testing"
import { Cause, Effect, Exit, Fiber, Latch, Layer, Option, References, Schedule, Schema, Scope, Stream } from "effect"
import { MaxOpsBeforeYield } from "effect/Scheduler"
import { TestClock } from "effect/testing"

const bounded = { kind: "Bounded", capacity: 100 } as const
class In extends Record.Service<In>()("t/In", { schema: Schema.Int, buffer: bounded }) {}
class Out extends Record.Service<Out>()("t/Out", { schema: Schema.Int, buffer: bounded }) {}

/** Topologies that say nothing at their end. */
const app = (components: Layer.Layer<never, never, In | Out | Assembly>) =>
  Topology.layer(components, { onShutdown: () => Effect.void }).pipe(
    Layer.provideMerge(Layer.mergeAll(In.layer, Out.layer))
  )
const probed = (components: Layer.Layer<never, never, In | Out | Assembly>, ...hold: ReadonlyArray<string>) =>
  Probe.layer(app(components), { hold })

const produce = (...values: ReadonlyArray<number>): Effect.Effect<
  void,
  BufferClosed<number> | BufferFailed<number> | Record.WriterConflict,
  In
> =>
  Effect.scoped(
    Effect.flatMap(In, (record) =>
      Effect.flatMap(record.producer("test"), ({ produceAsync }) =>
        Effect.forEach(values, (value) =>
          produceAsync(value), { discard: true })))
  )
const statusOf = (name: string) =>
  Effect.flatMap(
    Topology.Topology,
    ({ snapshot }) => Effect.map(snapshot, ({ components }) => components.find((component) => component.name === name)!)
  )

/** A consumer that keeps what it handled. */
const keeping = (
  name: string,
  options?: { readonly concurrency?: number; readonly restart?: Schedule.Schedule<any> }
) => {
  const seen: Array<number> = []
  return {
    seen,
    layer: Consumer.layer(In, { name, ...options, handle: (value) => Effect.sync(() => void seen.push(value)) })
  }
}

describe("hold, step, release", () => {
  it.effect("a held handling stops before the handler, steps go one by one and in order, and release lets all go", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      yield* produce(1, 2, 3, 4)
      const handling = yield* probe.awaitHandling()
      assert.deepStrictEqual(handling, { component: "alarms", record: "t/In", values: [1], slot: 0, attempt: 1 })
      assert.deepStrictEqual(alarms.seen, [])
      assert.deepStrictEqual(yield* probe.awaitHandling(), handling)
      assert.deepStrictEqual(yield* probe.step(), { ...handling, exit: Exit.void })
      assert.deepStrictEqual(alarms.seen, [1])
      assert.deepStrictEqual((yield* probe.step()).values, [2])
      assert.deepStrictEqual(alarms.seen, [1, 2])
      assert.deepInclude(yield* probe.snapshot, { handled: 2, abandoned: 0, attempt: 1, restarts: 0, running: [] })
      assert.deepStrictEqual((yield* probe.snapshot).held.map(({ values }) => values), [[3]])
      assert.deepInclude(yield* statusOf("alarms"), { handled: 2, inFlight: 1 })
      yield* probe.release
      assert.deepInclude(yield* probe.awaitHandled(4), { handled: 4, held: [], running: [] })
      assert.deepStrictEqual(alarms.seen, [1, 2, 3, 4])
    }).pipe(Effect.provide(probed(alarms.layer)))
  })

  it.effect("a step that comes before the value waits for it; interrupted, it lets nothing through", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      const gone = yield* Blocked.fork(probe.step())
      const first = yield* Blocked.fork(probe.step())
      const second = yield* Blocked.fork(probe.step())
      yield* Fiber.interrupt(gone)
      yield* produce(1, 2, 3)
      assert.deepStrictEqual((yield* Fiber.join(first)).values, [1])
      assert.deepStrictEqual((yield* Fiber.join(second)).values, [2])
      yield* Blocked.settle
      assert.deepStrictEqual(alarms.seen, [1, 2])
      yield* probe.release
    }).pipe(Effect.provide(probed(alarms.layer)))
  })

  it.effect("a step that is interrupted while the handler runs leaves the handler alone", () => {
    const gate = Latch.makeUnsafe(false)
    const seen: Array<number> = []
    return Effect.gen(function*() {
      const probe = yield* Probe.component("slow")
      yield* probe.hold()
      yield* produce(1, 2)
      const step = yield* Blocked.fork(probe.step())
      assert.deepStrictEqual((yield* probe.snapshot).running.map(({ values }) => values), [[1]])
      yield* Fiber.interrupt(step)
      yield* gate.open
      yield* probe.awaitHandled(1)
      assert.deepStrictEqual(seen, [1])
      yield* probe.release
    }).pipe(Effect.provide(probed(Consumer.layer(In, {
      name: "slow",
      handle: (value) => Effect.map(gate.await, () => void seen.push(value))
    }))))
  })

  it.effect("a hold on some values lets the others pass, and takes the place of the hold before it", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      yield* probe.hold(({ values }) => values[0] === 3)
      yield* produce(1, 2, 3, 4)
      yield* probe.awaitHandling(({ values }) => values[0] === 3)
      assert.deepStrictEqual(alarms.seen, [1, 2])
      yield* probe.release
      yield* probe.awaitHandled(4)
      assert.deepStrictEqual(alarms.seen, [1, 2, 3, 4])
    }).pipe(Effect.provide(probed(alarms.layer)))
  })

  it.effect("a handler that is at work when the hold comes is not stopped, and not what the holder waits for", () => {
    const gate = Latch.makeUnsafe(false)
    return Effect.gen(function*() {
      const probe = yield* Probe.component("slow")
      yield* produce(1, 2)
      assert.deepStrictEqual((yield* probe.awaitHandling()).values, [1])
      yield* probe.hold()
      const held = yield* Blocked.fork(probe.awaitHandling())
      yield* gate.open
      assert.deepStrictEqual((yield* Fiber.join(held)).values, [2])
      yield* probe.release
    }).pipe(Effect.provide(probed(Consumer.layer(In, { name: "slow", handle: () => gate.await }))))
  })

  it.effect("a batch is one handling of all its values, and a plain function is held as well", () => {
    const batches: Array<ReadonlyArray<number>> = []
    const plain: Array<number> = []
    return Effect.gen(function*() {
      const batch = yield* Probe.component("batch")
      const fast = yield* Probe.component("plain")
      yield* Effect.all([batch.hold(), fast.hold()])
      yield* produce(1, 2, 3)
      assert.deepStrictEqual((yield* batch.awaitHandling()).values, [1, 2, 3])
      assert.deepStrictEqual((yield* fast.awaitHandling()).values, [1])
      assert.deepStrictEqual([batches, plain], [[], []])
      yield* batch.step()
      yield* fast.release
      assert.strictEqual((yield* batch.snapshot).handled, 3)
      yield* fast.awaitHandled(3)
      assert.deepStrictEqual<unknown>([batches, plain], [[[1, 2, 3]], [1, 2, 3]])
    }).pipe(Effect.provide(probed(Layer.mergeAll(
      Consumer.layer(In, { name: "batch", handleBatch: (values) => Effect.sync(() => void batches.push(values)) }),
      Consumer.layer(In, { name: "plain", handleUnsafe: (value) => void plain.push(value) })
    ))))
  })
})

describe("awaiting", () => {
  it.effect("every waiter is told of the handling that begins, also where it passes at once", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      const any = yield* Effect.forEach([1, 2, 3], () => Blocked.fork(probe.awaitHandling()))
      const third = yield* Blocked.fork(probe.awaitHandling(({ values }) => values[0] === 3))
      const handled = yield* Blocked.fork(probe.awaitHandled(2))
      const interrupted = yield* Blocked.fork(probe.awaitHandled(1))
      yield* Fiber.interrupt(interrupted)
      yield* produce(1, 2)
      for (const fiber of any) assert.deepStrictEqual((yield* Fiber.join(fiber)).values, [1])
      yield* Fiber.join(handled)
      yield* Blocked.check(third)
      yield* produce(3)
      assert.deepStrictEqual((yield* Fiber.join(third)).values, [3])
    }).pipe(Effect.provide(probed(alarms.layer)))
  })

  it.effect("whoever waits on a held component is told of a handling also where a step lets it through at once", () =>
    Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      const waiting = yield* Blocked.fork(probe.awaitHandling())
      const step = yield* Blocked.fork(probe.step())
      yield* produce(1)
      assert.deepStrictEqual((yield* Fiber.join(waiting)).values, [1])
      assert.deepStrictEqual((yield* Fiber.join(step)).values, [1])
    }).pipe(Effect.provide(probed(keeping("alarms").layer))))

  it.effect("what has been handled already is not waited for", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* produce(1, 2, 3)
      yield* Blocked.settle
      const { handled, last } = yield* probe.awaitHandled(2)
      assert.strictEqual(handled, 3)
      assert.deepStrictEqual<unknown>(
        Option.map(last, ({ exit, values }) => [exit, values]),
        Option.some([Exit.void, [3]])
      )
      yield* Blocked.fork(probe.awaitHandled(4))
    }).pipe(Effect.provide(probed(alarms.layer)))
  })

  it.effect("a step returns once the topology counts what it let through, whatever the scheduler's budget", () =>
    Effect.gen(function*() {
      for (const budget of [3, 4, 5, 7, 11, 64, 2048]) {
        yield* Effect.gen(function*() {
          const probe = yield* Probe.component("alarms")
          yield* probe.hold()
          yield* produce(...Array.from({ length: 50 }, (_, index) => index))
          for (let count = 1; count <= 50; count++) {
            yield* probe.step()
            assert.deepInclude(yield* statusOf("alarms"), { handled: count, inFlight: count < 50 ? 1 : 0 })
          }
        }).pipe(Effect.provide(probed(keeping("alarms").layer)), Effect.provideService(MaxOpsBeforeYield, budget))
      }
    }))
})

describe("kill", () => {
  it.effect("costs exactly the held value, and the component restarts after its backoff, on virtual time", () => {
    const alarms = keeping("alarms", { restart: Schedule.spaced("10 seconds") })
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      yield* produce(1, 2, 3)
      const killed = yield* probe.kill(Cause.fail("no disk"))
      assert.deepStrictEqual([killed.values, killed.exit], [[1], Exit.fail("no disk")])
      yield* probe.release
      const { lastCause, ...counts } = yield* statusOf("alarms")
      assert.deepInclude(counts, { status: "Restarting", handled: 0, abandoned: 1, inFlight: 0 })
      assert.include(lastCause, "no disk")
      const restarted = yield* Blocked.fork(probe.awaitHandling(({ attempt }) => attempt === 2))
      yield* TestClock.adjust("9999 millis")
      yield* Blocked.check(restarted)
      assert.deepStrictEqual(alarms.seen, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual((yield* Fiber.join(restarted)).values, [2])
      assert.deepInclude(yield* probe.awaitHandled(2), { handled: 2, abandoned: 1, attempt: 2, restarts: 1 })
      assert.deepStrictEqual(alarms.seen, [2, 3])
      assert.deepInclude(yield* statusOf("alarms"), { status: "Running", handled: 2, abandoned: 1, restarts: 1 })
    }).pipe(Effect.provide(probed(alarms.layer)))
  })

  it.effect.each(
    [["failure", Cause.fail("no")], ["defect", Cause.die("bug")], ["interruption", Cause.interrupt()]] as const
  )(
    "of the next handling waits for it, by a cause of any kind: %s",
    ([, cause]) => {
      const alarms = keeping("alarms", { restart: Schedule.spaced("1 second") })
      return Effect.gen(function*() {
        const probe = yield* Probe.component("alarms")
        const second = yield* Blocked.fork(probe.kill(cause, ({ values }) => values[0] === 2))
        yield* produce(1, 2, 3)
        const { exit, values } = yield* Fiber.join(second)
        assert.deepStrictEqual([values, exit], [[2], Exit.failCause(cause)])
        yield* TestClock.adjust("1 second")
        yield* probe.awaitHandled(2)
        assert.deepStrictEqual(alarms.seen, [1, 3])
      }).pipe(Effect.provide(probed(alarms.layer)))
    }
  )

  it.effect("of one slot leaves the others to their work", () => {
    const alarms = keeping("alarms", { concurrency: 3, restart: Schedule.spaced("1 minute") })
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      yield* produce(1, 2, 3, 4, 5)
      yield* probe.awaitHandling(({ slot }) => slot === 2)
      const { held } = yield* probe.snapshot
      assert.deepStrictEqual(held.map(({ slot }) => slot).toSorted(), [0, 1, 2])
      const middle = held[1]!
      const killed = yield* probe.kill(Cause.die("bug"), ({ slot }) => slot === middle.slot)
      assert.deepStrictEqual(killed.values, middle.values)
      // Out of turn: the last of those held goes first.
      assert.deepStrictEqual((yield* probe.step(({ slot }) => slot === held[2]!.slot)).values, held[2]!.values)
      yield* probe.release
      yield* probe.awaitHandled(4)
      assert.deepStrictEqual(alarms.seen.toSorted((a, b) => a - b), [1, 3, 4, 5])
      assert.deepInclude(yield* statusOf("alarms"), { status: "Running", handled: 4, abandoned: 1, restarts: 0 })
      yield* produce(6)
      yield* probe.awaitHandled(5)
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* statusOf("alarms"), { restarts: 1 })
    }).pipe(Effect.provide(probed(alarms.layer)))
  })
})

describe("a source and a transform", () => {
  it.effect("a source is held before its first value goes in, and a kill runs its stream again", () => {
    const out = keeping("out")
    return Effect.gen(function*() {
      const source = yield* Probe.component("source")
      assert.deepStrictEqual((yield* source.awaitHandling()).values, [1])
      yield* source.step()
      yield* source.step()
      yield* Blocked.settle
      assert.deepStrictEqual(out.seen, [1, 2])
      yield* source.kill(Cause.fail("unplugged"))
      yield* source.release
      yield* TestClock.adjust("1 second")
      yield* (yield* Topology.Topology).awaitDone
      assert.deepStrictEqual(out.seen, [1, 2, 1, 2, 3])
      assert.deepInclude(yield* source.snapshot, { handled: 5, abandoned: 1, attempt: 2, restarts: 1 })
    }).pipe(Effect.provide(probed(
      Layer.mergeAll(
        Source.layer(In, { name: "source", stream: Stream.make(1, 2, 3), restart: Schedule.spaced("1 second") }),
        out.layer
      ),
      "source"
    )))
  })

  it.effect("a transform is held before its stream has the value, and a kill costs that value", () => {
    const seen: Array<number> = []
    return Effect.gen(function*() {
      const double = yield* Probe.component("double")
      yield* double.hold()
      yield* produce(1, 2, 3)
      assert.deepInclude(yield* double.awaitHandling(), { record: "t/In", values: [1] })
      yield* double.step()
      yield* Blocked.settle
      assert.deepStrictEqual(seen, [2])
      yield* double.kill(Cause.die("bug"))
      yield* double.release
      yield* TestClock.adjust("1 second")
      yield* double.awaitHandled(2)
      assert.deepStrictEqual(seen, [2, 6])
      assert.deepInclude(yield* statusOf("double"), { abandoned: 1, restarts: 1 })
    }).pipe(Effect.provide(probed(Layer.mergeAll(
      Transform.layer({
        name: "double",
        from: In,
        to: Out,
        restart: Schedule.spaced("1 second"),
        through: Stream.map((value) => value * 2)
      }),
      Consumer.layer(Out, { name: "out", handle: (value) => Effect.sync(() => void seen.push(value)) })
    ))))
  })
})

describe("closing", () => {
  /** A topology by hand, on the clock of the test. */
  const byHand = Effect.fnUntraced(function*(
    components: Layer.Layer<never, never, In | Assembly>,
    options?: { readonly releaseOnClose: boolean }
  ) {
    const scope = yield* Scope.make()
    const reports: Array<Topology.ShutdownReport> = []
    const App = Topology.layer(components, {
      drainTimeout: "5 seconds",
      onShutdown: (report) => Effect.sync(() => void reports.push(report))
    }).pipe(Layer.provideMerge(In.layer))
    const context = yield* Layer.buildWithScope(Probe.layer(App, options), scope)
    return { context, reports, close: Scope.close(scope, Exit.void) }
  })

  it.effect("a topology that is closed while a handling is held ends at the deadline of its drain, and reports it", () =>
    Effect.gen(function*() {
      const alarms = keeping("alarms")
      const { close, context, reports } = yield* byHand(alarms.layer, { releaseOnClose: false })
      const probe = yield* Effect.provideContext(Probe.component("alarms"), context)
      yield* probe.hold()
      yield* Effect.provideContext(produce(1, 2, 3), context)
      yield* probe.step()
      const closing = yield* Blocked.fork(close)
      yield* TestClock.adjust("4999 millis")
      yield* Blocked.check(closing)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(reports, [{
        withinDeadline: false,
        took: 5000,
        left: [{ record: "t/In", component: "alarms", values: 1 }],
        interrupted: ["alarms"],
        waited: [],
        faults: []
      }])
      assert.deepInclude(yield* probe.snapshot, { handled: 1, abandoned: 1, held: [], running: [] })
      assert.deepStrictEqual(alarms.seen, [1])
    }))

  it.effect("a topology that drains finishes what is released meanwhile", () =>
    Effect.gen(function*() {
      const alarms = keeping("alarms")
      const { close, context, reports } = yield* byHand(alarms.layer, { releaseOnClose: false })
      const probe = yield* Effect.provideContext(Probe.component("alarms"), context)
      yield* probe.hold()
      yield* Effect.provideContext(produce(1, 2, 3), context)
      const closing = yield* Blocked.fork(close)
      yield* probe.step()
      yield* Blocked.check(closing)
      yield* probe.release
      yield* Fiber.join(closing)
      assert.deepStrictEqual(reports.map(({ interrupted, left }) => [interrupted, left]), [[[], []]])
      assert.deepStrictEqual(alarms.seen, [1, 2, 3])
    }))

  it.effect("all that is held is released when the layer closes, so that a test that fails does not hang", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const exit = yield* Effect.gen(function*() {
        const probe = yield* Probe.component("alarms")
        yield* probe.hold()
        yield* produce(1, 2, 3)
        yield* probe.awaitHandling()
        return yield* Effect.fail("an assertion")
      }).pipe(Effect.provide(probed(alarms.layer)), Effect.exit)
      assert.deepStrictEqual(exit, Exit.fail("an assertion"))
      assert.deepStrictEqual(alarms.seen, [1, 2, 3])
    })
  })

  it.effect("whoever waits for a handling when the probe is closed is told", () =>
    Effect.gen(function*() {
      const { close, context } = yield* byHand(keeping("alarms").layer)
      const probe = yield* Effect.provideContext(Probe.component("alarms"), context)
      const waiting = yield* Blocked.fork(probe.step())
      yield* Blocked.check(waiting)
      yield* close
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting))).reason, "ProbeClosed")
      assert.strictEqual((yield* Effect.flip(probe.awaitHandling())).reason, "Done")
    }))
})

describe("a wait in vain", () => {
  it.effect("is refused where no component has the name, with the names that there are", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Probe.component("alarm"))
      assert.strictEqual(
        error.message,
        "no component of the topology is named \"alarm\": there are \"alarms\", \"source\""
      )
    }).pipe(Effect.provide(probed(Layer.mergeAll(
      keeping("alarms").layer,
      Source.layer(In, { name: "source", stream: Stream.never })
    )))))

  it.effect("is refused where a name that was to be held from the start is no component's", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Probe.component("alarms"))).component, "alarm")
    }).pipe(Effect.provide(probed(keeping("alarms").layer, "alarm"))))

  it.effect("fails where the component is done, but not for what it has handled", () =>
    Effect.gen(function*() {
      const source = yield* Probe.component("source")
      yield* source.awaitHandled(2)
      const error = yield* Effect.flip(source.awaitHandled(3))
      assert.strictEqual(error.message, "component \"source\" will not handle what is waited for: it is done")
      assert.strictEqual((yield* Effect.flip(source.step())).reason, "Done")
    }).pipe(Effect.provide(probed(Source.layer(In, { name: "source", stream: Stream.make(1, 2) })))))

  it.effect("fails when the component fails for good", () =>
    Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* produce(1, 2, 3)
      const waiting = yield* Blocked.fork(probe.awaitHandled(4))
      yield* Effect.forkChild(probe.kill(Cause.fail("no")), { startImmediately: true })
      yield* Effect.forkChild(probe.kill(Cause.fail("no")), { startImmediately: true })
      yield* produce(4, 5)
      assert.strictEqual((yield* Effect.flip(Fiber.join(waiting))).reason, "Failed")
      assert.strictEqual((yield* Effect.flip(probe.step())).reason, "Failed")
    }).pipe(
      Effect.provide(
        probed(keeping("alarms", { restart: Schedule.max([Schedule.spaced(0), Schedule.recurs(1)]) }).layer)
      )
    ))

  const App = app(keeping("alarms").layer)
  it.effect("fails where the topology was built without the probe", () =>
    Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      yield* produce(1)
      const error = yield* Effect.flip(probe.step())
      assert.include(error.message, "Probe.layer(App)")
    }).pipe(Effect.provide(Layer.provideMerge(Probe.layer(App), App))))
})

describe("an interceptor that stands there already", () => {
  const slow = Layer.succeed(Interceptor, (_, handle) => Effect.andThen(Effect.sleep("1 second"), handle))

  it.effect("keeps its place next to the handler, inside what the probe holds", () => {
    const alarms = keeping("alarms")
    return Effect.gen(function*() {
      const probe = yield* Probe.component("alarms")
      yield* probe.hold()
      yield* produce(1)
      const step = yield* Blocked.fork(probe.step())
      assert.deepStrictEqual(alarms.seen, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual((yield* Fiber.join(step)).exit, Exit.void)
      assert.deepStrictEqual(alarms.seen, [1])
    }).pipe(Effect.provide(probed(alarms.layer).pipe(Layer.provide(slow))))
  })
})

describe("in plain Effect", () => {
  const alarms = keeping("alarms", { restart: Schedule.spaced("1 hour") })
  const App = probed(alarms.layer)

  it("on the live clock", () =>
    Effect.runPromise(
      Effect.gen(function*() {
        const probe = yield* Probe.component("alarms")
        yield* probe.hold()
        yield* produce(1, 2, 3)
        yield* probe.step()
        yield* Blocked.fork(probe.awaitHandled(2))
        yield* probe.release
        yield* probe.awaitHandled(3)
        assert.deepStrictEqual(alarms.seen, [1, 2, 3])
      }).pipe(Effect.provide(App))
    ))

  it("on virtual time", () =>
    Effect.runPromise(
      Effect.gen(function*() {
        const probe = yield* Probe.component("alarms")
        yield* probe.hold()
        yield* produce(4, 5)
        yield* probe.kill(Cause.fail("no"))
        yield* TestClock.adjust("1 hour")
        assert.deepInclude(yield* probe.awaitHandling(), { values: [5], attempt: 2 })
        yield* probe.release
        yield* probe.awaitHandled(1)
        assert.deepStrictEqual(alarms.seen, [1, 2, 3, 5])
      }).pipe(
        Effect.provide(App.pipe(Layer.provideMerge(TestClock.layer()))),
        Effect.provideService(References.CurrentLoggers, new Set())
      )
    ))
})
