/** What can be relied on of the two components that promote: whatever a backend leaves out, and whatever a store fails at. */
import { assert, describe, it } from "@effect/vitest"
import { Completion, Topology } from "@sluice/core"
import { Blocked, Flows } from "@sluice/testing"
import {
  Cause,
  Context,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Logger,
  Option,
  Queue,
  Result,
  Schedule,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"

const { settle } = Blocked
const { listener, reconciler } = Completion
const restart = Schedule.spaced("1 second")
const never = "1000 hours"

/** A topology of these components that runs until the test ends, or `close` has drained it. */
const run = Effect.fnUntraced(function*<E>(components: Layer.Layer<never, E, Topology.Topology | any>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const reports: Array<Topology.ShutdownReport> = []
  const context = yield* Layer.buildWithScope(
    Topology.layer(components as Layer.Layer<never, E>, {
      onShutdown: (report) => Effect.sync(() => void reports.push(report))
    }),
    scope
  )
  return {
    topology: Context.get(context, Topology.Topology),
    reports,
    close: Scope.close(scope, Exit.void)
  }
})

/** `upstream`, and `after upstream` which waits for it. */
const pair = Effect.fnUntraced(function*(store: Completion.FlowStore, upstream: string) {
  yield* store.add({ executionId: upstream })
  yield* store.add({ executionId: `after ${upstream}`, groups: [{ policy: "allOf", upstreams: [upstream] }] })
})
const end = (store: Completion.FlowStore, executionId: string) =>
  store.complete({ executionId, attempt: 1, outcome: "succeeded" })
const stateOf = (store: Completion.FlowStore, executionId: string) =>
  Effect.map(store.get(executionId), (found) => Option.getOrThrow(found).state)
const storeError = new Completion.StoreError({ cause: "the database is away" })

const payload = (executionId: string) =>
  new Completion.CompletionPayload({
    completionId: executionId,
    executionId,
    attempt: 1,
    flowId: null,
    outcome: "succeeded",
    producedAt: 0,
    namespace: "",
    tags: {}
  })
const told = (executionId: string): Completion.Signal => ({
  _tag: "Completion",
  payload: payload(executionId),
  cursor: Option.none()
})
const gap: Completion.Signal = { _tag: "Gap", since: 0, reason: "reconnected" }

/** A backend that tells what the test offers. */
const backendOf = Effect.fnUntraced(function*() {
  const signals = yield* Queue.unbounded<Completion.Signal, Cause.Done>()
  const backend: Completion.CompletionBackend = {
    capabilities: { resume: false, filters: false },
    subscribe: () => Effect.succeed(Stream.fromQueue(signals))
  }
  return { backend, signals, tell: (signal: Completion.Signal) => Queue.offer(signals, signal) }
})
const nothing: Completion.Promotion = { promoted: [], skipped: [] }
/** A store of which only what the test says is there to be found, and which writes down what is promoted. */
const storeOf = (
  unsettled: ReadonlyArray<string> = [],
  promote: (executionId: string) => Effect.Effect<Completion.Promotion, Completion.StoreError> = () =>
    Effect.succeed(nothing)
) => {
  const promoted: Array<string> = []
  const pages: Array<readonly [after: string | null, limit: number]> = []
  const store: Completion.DependencyStore = {
    promote: (executionId) =>
      Effect.suspend(() => {
        promoted.push(executionId)
        return promote(executionId)
      }),
    unsettled: ({ after, limit }) =>
      Effect.sync(() => {
        pages.push([Option.getOrNull(after), limit])
        const from = Option.match(after, { onNone: () => 0, onSome: Number })
        return {
          executions: unsettled.slice(from, from + limit),
          next: from + limit < unsettled.length ? Option.some(String(from + limit)) : Option.none()
        }
      })
  }
  return { store, promoted, pages }
}
/** What is logged beside the test, as text. */
const withLogs = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => void lines.push(String(Array.isArray(message) ? message[0] : message)))
  return { lines, layer: Logger.layer([logger]) }
}

describe("listener", () => {
  it.effect("promotes what waited as soon as a completion is heard, and a skip goes down on its own", () =>
    Effect.gen(function*() {
      const { backend, store } = Flows.memory()
      yield* run(listener({ name: "listener", backend, store }))
      yield* settle
      yield* pair(store, "a")
      yield* store.add({ executionId: "last", groups: [{ policy: "allOf", upstreams: ["after a"] }] })
      yield* end(store, "a")
      yield* settle
      assert.strictEqual(yield* stateOf(store, "after a"), "ready")
      yield* store.complete({ executionId: "after a", attempt: 1, outcome: "failed" })
      yield* settle
      assert.strictEqual(yield* stateOf(store, "last"), "skipped")
    }))

  it.effect("subscribes again, as its restarts say, until the backend is there; meanwhile the reconciler promotes", () =>
    Effect.gen(function*() {
      const { backend, store } = Flows.memory()
      yield* pair(store, "before")
      yield* end(store, "before")
      let subscriptions = 0
      const down: Completion.CompletionBackend = {
        ...backend,
        subscribe: (options) =>
          ++subscriptions < 4
            ? Effect.fail(new Completion.SubscribeError({ reason: "unavailable", cause: "nobody answers" }))
            : backend.subscribe(options)
      }
      yield* run(Layer.merge(
        listener({ name: "listener", backend: down, store, restart }),
        reconciler({ name: "reconciler", store, every: never })
      ))
      yield* settle
      assert.deepStrictEqual([subscriptions, yield* stateOf(store, "after before")], [1, "ready"])
      yield* pair(store, "missed")
      yield* end(store, "missed")
      yield* TestClock.adjust("2 seconds")
      yield* settle
      assert.deepStrictEqual([subscriptions, yield* stateOf(store, "after missed")], [3, "blocked"])
      yield* TestClock.adjust("1 second")
      yield* settle
      // What it had missed by then it leaves to the reconciler, which runs at once.
      assert.deepStrictEqual([subscriptions, yield* stateOf(store, "after missed")], [4, "ready"])
      yield* pair(store, "heard")
      yield* end(store, "heard")
      yield* settle
      assert.strictEqual(yield* stateOf(store, "after heard"), "ready")
    }))

  it.effect("has no more promotions under way than its concurrency, and waits for none of them in turn", () =>
    Effect.gen(function*() {
      const { backend, tell } = yield* backendOf()
      const latches = new Map<string, Latch.Latch>()
      let underWay = 0
      let most = 0
      const { promoted, store } = storeOf([], (executionId) => {
        const latch = Latch.makeUnsafe(false)
        latches.set(executionId, latch)
        most = Math.max(most, ++underWay)
        return Effect.map(latch.await, () => (underWay--, nothing))
      })
      yield* run(listener({ name: "listener", backend, store, concurrency: 4 }))
      for (let index = 0; index < 50; index++) yield* tell(told(`e${index}`))
      yield* settle
      assert.deepStrictEqual(promoted, ["e0", "e1", "e2", "e3"])
      // The first is stuck: the others go on beside it.
      for (let index = 1; index < 50; index++) {
        yield* latches.get(`e${index}`)!.open
        yield* settle
      }
      assert.deepStrictEqual([promoted.length, most, underWay], [50, 4, 1])
      yield* latches.get("e0")!.open
    }))

  it.effect("wakes the reconcilers of its store by a gap, at once, and no others", () =>
    Effect.gen(function*() {
      const { backend, tell } = yield* backendOf()
      const ours = storeOf(["ours"])
      const theirs = storeOf(["theirs"])
      yield* run(Layer.mergeAll(
        listener({ name: "listener", backend, store: ours.store }),
        reconciler({ name: "one", store: ours.store, every: never }),
        reconciler({ name: "two", store: ours.store, every: never }),
        reconciler({ name: "other", store: theirs.store, every: never })
      ))
      yield* settle
      const before = ours.pages.length
      assert.deepStrictEqual(theirs.promoted, ["theirs"])
      yield* tell(gap)
      yield* settle
      assert.deepStrictEqual([ours.pages.length - before, theirs.pages.length], [2, 1])
    }))

  it.effect("loses nothing to a backend that only says that it has missed something", () =>
    Effect.gen(function*() {
      const flows = Flows.memory()
      const { backend } = Flows.faulty(flows, { drop: 1, gap: 1 })
      const { store } = flows
      yield* run(Layer.merge(
        listener({ name: "listener", backend, store }),
        reconciler({ name: "reconciler", store, every: never })
      ))
      yield* settle
      for (let index = 0; index < 20; index++) {
        yield* pair(store, `e${index}`)
        yield* end(store, `e${index}`)
      }
      yield* settle
      for (let index = 0; index < 20; index++) assert.strictEqual(yield* stateOf(store, `after e${index}`), "ready")
    }))

  it.effect.each(
    [
      ["fails", Effect.fail(storeError)],
      ["dies", Effect.die(new Error("a bug"))]
    ] as const
  )(
    "tells of a promotion that %s, goes on, and leaves it to the reconciler, which runs at once",
    ([, failure]) =>
      Effect.gen(function*() {
        const { layer, lines } = withLogs()
        yield* Effect.gen(function*() {
          const { backend, tell } = yield* backendOf()
          let failures = 0
          const { promoted, store } = storeOf(
            ["bad"],
            (executionId) => executionId === "bad" && ++failures === 2 ? failure : Effect.succeed(nothing)
          )
          const { topology } = yield* run(Layer.merge(
            listener({ name: "listener", backend, store }),
            reconciler({ name: "reconciler", store, every: never })
          ))
          yield* settle
          const before = promoted.length
          failures = 1
          for (const executionId of ["good", "bad", "better"]) yield* tell(told(executionId))
          yield* settle
          assert.deepStrictEqual(promoted.slice(before), ["good", "bad", "better", "bad"])
          assert.deepStrictEqual(lines, [`listener "listener" could not promote; a reconciler has to find it`])
          const { components } = yield* topology.snapshot
          assert.deepStrictEqual(components.map(({ restarts }) => restarts), [0, 0])
        }).pipe(Effect.provide(layer))
      })
  )

  it.effect("tells of failed promotions once a second at most", () =>
    Effect.gen(function*() {
      const { layer, lines } = withLogs()
      yield* Effect.gen(function*() {
        const { backend, tell } = yield* backendOf()
        const { promoted, store } = storeOf([], () => Effect.fail(storeError))
        yield* run(listener({ name: "listener", backend, store }))
        for (let index = 0; index < 100; index++) yield* tell(told(`e${index}`))
        yield* settle
        assert.deepStrictEqual([promoted.length, lines.length], [100, 1])
        yield* TestClock.adjust("1 second")
        yield* tell(told("later"))
        yield* settle
        assert.deepStrictEqual([promoted.length, lines.length], [101, 2])
      }).pipe(Effect.provide(layer))
    }))

  it.effect("a drain ends the promotions under way and begins no more", () =>
    Effect.gen(function*() {
      const { backend, tell } = yield* backendOf()
      const latch = Latch.makeUnsafe(false)
      let ended = 0
      const { promoted, store } = storeOf([], () => Effect.map(latch.await, () => (ended++, nothing)))
      const { close, reports } = yield* run(listener({ name: "listener", backend, store, concurrency: 3 }))
      for (let index = 0; index < 20; index++) yield* tell(told(`e${index}`))
      yield* settle
      const closing = yield* Blocked.fork(close)
      yield* latch.open
      yield* Fiber.join(closing)
      assert.deepStrictEqual([promoted.length, ended], [3, 3])
      assert.deepInclude(reports[0], { withinDeadline: true, took: 0, interrupted: [] })
    }))

  it.effect("what a drain leaves unread, the reconciler of the next start promotes", () =>
    Effect.gen(function*() {
      const { backend, store } = Flows.memory()
      const latch = Latch.makeUnsafe(false)
      const slow = { ...store, promote: (id: string) => Effect.andThen(latch.await, store.promote(id)) }
      const first = yield* run(listener({ name: "listener", backend, store: slow, concurrency: 1 }))
      yield* settle
      for (let index = 0; index < 10; index++) {
        yield* pair(store, `e${index}`)
        yield* end(store, `e${index}`)
      }
      yield* settle
      const closing = yield* Blocked.fork(first.close)
      yield* latch.open
      yield* Fiber.join(closing)
      assert.strictEqual((yield* store.unsettled({ after: Option.none(), limit: 100 })).executions.length, 9)
      yield* run(reconciler({ name: "reconciler", store }))
      yield* settle
      for (let index = 0; index < 10; index++) assert.strictEqual(yield* stateOf(store, `after e${index}`), "ready")
    }))

  it.effect.each(
    [
      ["does not answer", Effect.never],
      ["is down", Effect.fail(new Completion.SubscribeError({ reason: "unavailable", cause: "nobody answers" }))]
    ] as const
  )("a backend that %s does not hold up a drain", ([, subscribing]) =>
    Effect.gen(function*() {
      const { backend } = yield* backendOf()
      const { store } = storeOf()
      const down: Completion.CompletionBackend = { ...backend, subscribe: () => subscribing }
      const { close, reports } = yield* run(listener({ name: "listener", backend: down, store, restart }))
      yield* settle
      yield* close
      assert.deepInclude(reports[0], { withinDeadline: true, took: 0, interrupted: [] })
    }))

  it.effect("a promotion that never ends is interrupted at the deadline of the drain", () =>
    Effect.gen(function*() {
      const { backend, tell } = yield* backendOf()
      let interrupted = 0
      const { store } = storeOf([], () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
      const { close, reports } = yield* run(listener({ name: "listener", backend, store }))
      yield* tell(told("a"))
      yield* settle
      const closing = yield* Blocked.fork(close)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      assert.deepInclude(reports[0], { withinDeadline: false, interrupted: ["listener"] })
      assert.strictEqual(interrupted, 1)
    }))

  it.effect("restarts where a backend's stream ends, which it must not, and gives its subscription back", () =>
    Effect.gen(function*() {
      const subscribed = { open: 0, times: 0 }
      const { promoted, store } = storeOf()
      const backend: Completion.CompletionBackend = {
        capabilities: { resume: false, filters: false },
        subscribe: () =>
          Effect.acquireRelease(
            Effect.sync(() => {
              subscribed.open++
              return Stream.make(told(`time ${++subscribed.times}`))
            }),
            () => Effect.sync(() => subscribed.open--)
          )
      }
      const { close, topology } = yield* run(listener({ name: "listener", backend, store, restart }))
      yield* settle
      assert.deepStrictEqual([promoted, subscribed.open], [["time 1"], 0])
      assert.include((yield* topology.snapshot).components[0]!.lastCause, "the backend's stream ended")
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual([promoted, subscribed.open], [["time 1", "time 2"], 0])
      yield* close
    }))
})

describe("reconciler", () => {
  it.effect("goes through all that is unsettled at its start and each time its interval has passed, page by page", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 7 }, (_, index) => `e${index}`)
      const { pages, promoted, store } = storeOf(names)
      yield* run(reconciler({ name: "reconciler", store, every: "10 seconds", page: 3 }))
      yield* settle
      const once = [[null, 3], ["3", 3], ["6", 3]]
      assert.deepStrictEqual([promoted, pages], [names, once])
      yield* TestClock.adjust("9999 millis")
      yield* settle
      assert.strictEqual(promoted.length, 7)
      yield* TestClock.adjust("1 millis")
      yield* settle
      assert.deepStrictEqual([promoted, pages], [[...names, ...names], [...once, ...once]])
    }))

  it.effect("by itself promotes all that nobody hears of", () =>
    Effect.gen(function*() {
      const { store } = Flows.memory()
      yield* pair(store, "early")
      yield* end(store, "early")
      yield* run(reconciler({ name: "reconciler", store }))
      yield* settle
      assert.strictEqual(yield* stateOf(store, "after early"), "ready")
      yield* pair(store, "late")
      yield* end(store, "late")
      yield* settle
      assert.strictEqual(yield* stateOf(store, "after late"), "blocked")
      yield* TestClock.adjust("30 seconds")
      yield* settle
      assert.strictEqual(yield* stateOf(store, "after late"), "ready")
    }))

  it.effect("goes down any chain of skips at once, though nobody hears of them", () =>
    Effect.gen(function*() {
      const { store } = Flows.memory()
      yield* store.add({ executionId: "0" })
      for (let index = 1; index < 1000; index++) {
        const groups = [{ policy: "allOf" as const, upstreams: [String(index - 1)] }]
        yield* store.add({ executionId: String(index), groups })
      }
      yield* store.complete({ executionId: "0", attempt: 1, outcome: "failed" })
      yield* run(reconciler({ name: "reconciler", store, every: never }))
      while ((yield* store.unsettled({ after: Option.none(), limit: 1 })).executions.length > 0) yield* settle
      assert.strictEqual(yield* stateOf(store, "999"), "skipped")
    }), 10_000)

  it.effect("passes over what fails to promote, says so, and tries it again the next time", () =>
    Effect.gen(function*() {
      const { layer, lines } = withLogs()
      yield* Effect.gen(function*() {
        const { promoted, store } = storeOf(
          ["a", "b", "c", "d"],
          (executionId) =>
            executionId === "b"
              ? Effect.fail(storeError)
              : executionId === "c"
              ? Effect.die("a bug")
              : Effect.succeed(nothing)
        )
        const { topology } = yield* run(reconciler({ name: "reconciler", store, every: "10 seconds", page: 2 }))
        yield* settle
        assert.deepStrictEqual(promoted, ["a", "b", "c", "d"])
        // At most one a second.
        assert.deepStrictEqual(lines, [`reconciler "reconciler" could not promote what waits for "b"`])
        yield* TestClock.adjust("10 seconds")
        yield* settle
        assert.deepStrictEqual(promoted, ["a", "b", "c", "d", "a", "b", "c", "d"])
        assert.strictEqual((yield* topology.snapshot).components[0]!.restarts, 0)
      }).pipe(Effect.provide(layer))
    }))

  for (
    const [name, promote] of Object.entries<() => any>({
      throws: () => {
        throw new Error("a bug")
      },
      "answers with nothing": () => undefined,
      "ends its own fiber": () => Effect.withFiber((fiber) => Fiber.interrupt(fiber))
    })
  ) {
    it.effect(`promotes all others where a promotion ${name}`, () =>
      Effect.gen(function*() {
        const { layer, lines } = withLogs()
        yield* Effect.gen(function*() {
          const { promoted, store } = storeOf(
            ["a", "b", "c"],
            (executionId) => executionId === "a" ? promote() : Effect.succeed(nothing)
          )
          const { topology } = yield* run(
            reconciler({ name: "reconciler", store, every: "10 seconds", concurrency: 1 })
          )
          yield* settle
          yield* settle
          assert.deepStrictEqual(promoted, ["a", "b", "c"])
          assert.deepStrictEqual(lines, [`reconciler "reconciler" could not promote what waits for "a"`])
          assert.deepInclude((yield* topology.snapshot).components[0]!, { restarts: 0, inFlight: 0 })
        }).pipe(Effect.provide(layer))
      }))
  }

  it.effect("restarts, as its restarts say, where it cannot read what is unsettled", () =>
    Effect.gen(function*() {
      const { promoted, store } = storeOf(["a"])
      let reads = 0
      const failing: Completion.DependencyStore = {
        ...store,
        unsettled: (page) => ++reads < 3 ? Effect.fail(storeError) : store.unsettled(page)
      }
      const { topology } = yield* run(reconciler({ name: "reconciler", store: failing, every: never, restart }))
      yield* settle
      assert.deepStrictEqual([reads, promoted], [1, []])
      yield* TestClock.adjust("1 second")
      yield* settle
      yield* TestClock.adjust("1 second")
      yield* settle
      assert.deepStrictEqual([reads, promoted], [3, ["a"]])
      assert.strictEqual((yield* topology.snapshot).components[0]!.restarts, 2)
    }))

  it.effect("goes through once more where it was woken while it was at it, however often", () =>
    Effect.gen(function*() {
      const { backend, tell } = yield* backendOf()
      const latch = Latch.makeUnsafe(false)
      const { pages, store } = storeOf(["a"], () => Effect.as(latch.await, nothing))
      yield* run(Layer.merge(
        reconciler({ name: "reconciler", store, every: never }),
        listener({ name: "listener", backend, store })
      ))
      yield* settle
      assert.strictEqual(pages.length, 1)
      for (let time = 0; time < 5; time++) yield* tell(gap)
      yield* settle
      assert.strictEqual(pages.length, 1)
      yield* latch.open
      yield* settle
      assert.strictEqual(pages.length, 2)
    }))

  it.effect("has no more promotions under way than its concurrency, and ends a page before it asks for the next", () =>
    Effect.gen(function*() {
      const latches: Array<Latch.Latch> = []
      const names = Array.from({ length: 14 }, (_, index) => `e${index}`)
      const { pages, promoted, store } = storeOf(names, () => {
        const latch = Latch.makeUnsafe(false)
        latches.push(latch)
        return Effect.as(latch.await, nothing)
      })
      yield* run(reconciler({ name: "reconciler", store, every: never, page: 10, concurrency: 4 }))
      yield* settle
      assert.deepStrictEqual(promoted, names.slice(0, 4))
      // The first is stuck: the others of its page go on beside it.
      for (let index = 1; index < 10; index++) {
        yield* latches[index]!.open
        yield* settle
      }
      assert.deepStrictEqual([promoted.length, pages.length], [10, 1])
      yield* latches[0]!.open
      yield* settle
      assert.deepStrictEqual([promoted.length, pages.length], [14, 2])
      for (let index = 10; index < 14; index++) yield* latches[index]!.open
    }))

  it.effect("a drain ends the promotions under way, goes no further, and does not wait for the interval", () =>
    Effect.gen(function*() {
      const latch = Latch.makeUnsafe(false)
      const { pages, promoted, store } = storeOf(["a", "b", "c", "d"], () => Effect.as(latch.await, nothing))
      const busy = yield* run(reconciler({ name: "reconciler", store, concurrency: 2, page: 3 }))
      yield* settle
      const closing = yield* Blocked.fork(busy.close)
      yield* latch.open
      yield* Fiber.join(closing)
      assert.deepStrictEqual([promoted, pages.length], [["a", "b"], 1])
      const idle = yield* run(reconciler({ name: "reconciler", store }))
      yield* settle
      yield* idle.close
      for (const { reports } of [busy, idle]) {
        assert.deepInclude(reports[0], { withinDeadline: true, took: 0, interrupted: [] })
      }
    }))
})

describe("both", () => {
  it.effect("together, several of each, promote everything once", () =>
    Effect.gen(function*() {
      const flows = Flows.memory()
      const { backend, store } = Flows.faulty(flows, { seed: 1, drop: 0.3, repeat: 0.5, reorder: 0.5, forge: 0.5 })
      const promoted: Array<string> = []
      const counting: Completion.FlowStore = {
        ...store,
        promote: (id) => Effect.tap(store.promote(id), (done) => Effect.sync(() => promoted.push(...done.promoted)))
      }
      yield* run(Layer.mergeAll(
        ...[1, 2, 3].flatMap((index) => [
          listener({ name: `listener ${index}`, backend, store: counting }),
          reconciler({ name: `reconciler ${index}`, store: counting, every: `${index} seconds` })
        ]) as [Layer.Layer<never>]
      ))
      yield* settle
      const names = Array.from({ length: 100 }, (_, index) => `e${index}`)
      for (const name of names) {
        yield* pair(flows.store, name)
        yield* end(flows.store, name)
      }
      for (let time = 0; time < 5; time++) {
        yield* TestClock.adjust("1 second")
        yield* settle
        yield* settle
      }
      assert.deepStrictEqual(promoted.toSorted(), names.map((name) => `after ${name}`).toSorted())
    }))

  it.effect("take the services of the context where they are given none", () =>
    Effect.gen(function*() {
      const flows = Flows.memory()
      yield* run(
        Layer.merge(listener({ name: "listener" }), reconciler({ name: "reconciler", every: never })).pipe(
          Layer.provide(Flows.layer(flows))
        )
      )
      yield* settle
      yield* pair(flows.store, "a")
      yield* end(flows.store, "a")
      yield* settle
      assert.strictEqual(yield* stateOf(flows.store, "after a"), "ready")
    }))

  it.effect("refuse options that make no sense, by the component's name", () =>
    Effect.gen(function*() {
      const { backend } = yield* backendOf()
      const { store } = storeOf()
      const refused = [
        ...[0, -1, 1.5, NaN].map((concurrency) =>
          [listener({ name: "mine", backend, store, concurrency }), "`concurrency` must be a positive integer"] as const
        ),
        ...[0, -1, 1.5, Infinity].map((page) =>
          [reconciler({ name: "mine", store, page }), "`page` must be a positive integer"] as const
        ),
        [reconciler({ name: "mine", store, concurrency: 0 }), "`concurrency` must be a positive integer"] as const,
        [reconciler({ name: "mine", store, every: 0 }), "`every` must be positive"] as const
      ]
      for (const [component, why] of refused) {
        const exit = yield* Effect.exit(run(component))
        assert.isTrue(Exit.isFailure(exit))
        assert.include(Cause.pretty((exit as Exit.Failure<never, never>).cause), `component "mine": ${why}`)
      }
    }))
})

describe("completions", () => {
  it.effect("are those of the backend without its gaps, while the stream runs", () =>
    Effect.gen(function*() {
      const flows = Flows.memory({ buffer: 2 })
      const heard: Array<string> = []
      const latch = Latch.makeUnsafe(false)
      const hearing = yield* Completion.completions({ filter: { namespace: "plant" } }).pipe(
        Stream.runForEach(({ executionId }) => Effect.andThen(latch.await, Effect.sync(() => heard.push(executionId)))),
        Effect.provide(Flows.layer(flows)),
        Effect.forkChild({ startImmediately: true })
      )
      yield* settle
      for (let index = 0; index < 10; index++) {
        yield* flows.store.add({ executionId: `e${index}`, namespace: index % 2 ? "plant" : "shop" })
        yield* end(flows.store, `e${index}`)
        yield* settle
      }
      yield* latch.open
      yield* settle
      // The first was with the handler, two were in its buffer, and of the gap after them there is nothing.
      assert.deepStrictEqual(heard, ["e1", "e3", "e5"])
      yield* Fiber.interrupt(hearing)
    }))

  it.effect("fail as the subscription does", () =>
    Effect.gen(function*() {
      const flows = Flows.memory({ capabilities: { filters: false } })
      const result = yield* Completion.completions({ filter: { namespace: "plant" } }).pipe(
        Stream.runDrain,
        Effect.provide(Flows.layer(flows)),
        Effect.result
      )
      assert.isTrue(Result.isFailure(result) && result.failure.reason === "filterUnsupported")
    }))
})
