/** What the flows in memory do beyond the laws, and what their faults do to an application. */
import { assert, describe, it } from "@effect/vitest"
import type { Completion } from "@sluice/core"
import { Blocked, Flows } from "@sluice/testing"
import { Effect, Option, Result, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

const { settle } = Blocked

/** All that a subscriber is told from now on. */
const listen = Effect.fnUntraced(function*(
  { backend }: Flows.Flows,
  options?: Completion.SubscribeOptions
) {
  const heard: Array<Completion.Signal> = []
  const signals = yield* backend.subscribe(options)
  yield* Effect.forkScoped(Stream.runForEach(signals, (signal) => Effect.sync(() => void heard.push(signal))), {
    startImmediately: true
  })
  return heard
})
const names = (count: number) => Array.from({ length: count }, (_, index) => `e${index}`)
/** Adds and ends them, a second each, so that whoever listens keeps up. */
const work = ({ store }: Flows.Flows, executions: ReadonlyArray<string>) =>
  Effect.forEach(executions, (executionId) =>
    Effect.gen(function*() {
      yield* store.add({ executionId })
      yield* store.complete({ executionId, attempt: 1, outcome: "succeeded" })
      yield* TestClock.adjust("1 second")
      yield* settle
    }), { discard: true })
const toldOf = (heard: ReadonlyArray<Completion.Signal>): ReadonlyArray<string> =>
  heard.map((signal) => signal._tag === "Gap" ? signal.reason : signal.payload.executionId)

describe("Flows.memory", () => {
  it.effect("has the last completions, whoever was told of them", () =>
    Effect.gen(function*() {
      const flows = Flows.memory({ history: 3 })
      yield* work(flows, names(8))
      const completions = yield* flows.completions
      assert.deepStrictEqual(completions.map(({ executionId }) => executionId), ["e5", "e6", "e7"])
      assert.deepStrictEqual(completions.map(({ producedAt }) => producedAt), [5000, 6000, 7000])
    }))

  it.effect("refuses a cursor of another store, and takes one that has only just not expired", () =>
    Effect.gen(function*() {
      const flows = Flows.memory({ history: 3 })
      const heard = yield* listen(flows)
      yield* work(flows, names(8))
      const cursor = (index: number) => {
        const signal = heard[index]!
        return signal._tag === "Gap" ? assert.fail("a gap") : Option.getOrThrow(signal.cursor)
      }
      const other = yield* Effect.result(Effect.scoped(Flows.memory().backend.subscribe({ from: cursor(7) })))
      assert.isTrue(Result.isFailure(other) && other.failure.reason === "resumeUnsupported")
      assert.deepStrictEqual(toldOf(yield* listen(flows, { from: cursor(4) })), ["e5", "e6", "e7"])
      const late = yield* listen(flows, { from: cursor(3) })
      assert.deepStrictEqual(toldOf(late), ["cursorExpired", "e5", "e6", "e7"])
      assert.deepInclude(late[0], { since: 3000 })
    }))

  it.effect("refuses an edge back to an execution even where all in between have ended: a replay would never end", () =>
    Effect.gen(function*() {
      const { store } = Flows.memory()
      yield* store.add({ executionId: "open" })
      yield* store.add({ executionId: "first", groups: [{ policy: "allOf", upstreams: ["open"] }] })
      yield* store.add({ executionId: "second", groups: [{ policy: "anyOf", upstreams: ["first"] }] })
      yield* store.complete({ executionId: "second", attempt: 1, outcome: "succeeded" })
      const edge = yield* Effect.result(store.addEdge({ executionId: "first", upstream: "second", group: 0 }))
      assert.isTrue(Result.isFailure(edge) && edge.failure._tag === "FlowError" && edge.failure.reason === "cycle")
    }))

  it("refuses limits that make no sense, as its faults do shares", () => {
    assert.throws(() => Flows.memory({ history: 0 }), "`history` must be a positive integer, got 0")
    assert.throws(() => Flows.memory({ buffer: 1.5 }), "`buffer` must be a positive integer, got 1.5")
    assert.throws(() => Flows.faulty(Flows.memory(), { drop: 1.1 }), "`drop` must be from 0 to 1, got 1.1")
    assert.throws(() => Flows.faulty(Flows.memory()).adjust({ forge: NaN }), "`forge` must be from 0 to 1, got NaN")
  })
})

describe("Flows.faulty", () => {
  /** What one subscriber is told of 40 completions. */
  const told = (options: Flows.FaultOptions): Effect.Effect<
    { readonly heard: ReadonlyArray<Completion.Signal>; readonly counters: Flows.FaultCounters },
    unknown,
    Scope.Scope
  > =>
    Effect.gen(function*() {
      const flows = Flows.memory()
      const faulty = Flows.faulty(flows, options)
      const heard = yield* listen(faulty)
      yield* work(flows, names(40))
      return { heard, counters: faulty.counters }
    })

  it.effect("without faults is as the flows are", () =>
    Effect.gen(function*() {
      const { counters, heard } = yield* told({})
      assert.deepStrictEqual(toldOf(heard), names(40))
      assert.deepStrictEqual(new Set(Object.values(counters)), new Set([0]))
    }))

  it.effect("does the same again by the same seed, and something else by another", () =>
    Effect.gen(function*() {
      const rates = { drop: 0.3, gap: 0.5, repeat: 0.3, reorder: 0.5 }
      const of = (seed: number) => Effect.map(told({ seed, ...rates }), ({ heard }) => toldOf(heard))
      assert.deepStrictEqual(yield* of(3), yield* of(3))
      assert.notDeepEqual(yield* of(3), yield* of(4))
    }))

  it.effect("drops, repeats, reorders, and owns up by a gap, each as often as it counts", () =>
    Effect.gen(function*() {
      const dropped = yield* told({ drop: 1 })
      assert.deepStrictEqual([dropped.heard.length, dropped.counters.drop], [0, 40])
      const gaps = yield* told({ drop: 1, gap: 1 })
      assert.deepStrictEqual(toldOf(gaps.heard), names(40).map(() => "reconnected"))
      assert.deepInclude(gaps.heard[7], { since: 47_000 })
      const repeated = yield* told({ repeat: 1 })
      assert.deepStrictEqual(new Set(toldOf(repeated.heard)), new Set(names(40)))
      assert.isAtLeast(repeated.heard.length, 72)
      const reordered = toldOf((yield* told({ reorder: 1 })).heard)
      assert.isAtLeast(reordered.length, 32)
      assert.strictEqual(new Set(reordered).size, reordered.length)
      assert.notDeepEqual(reordered, reordered.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1))))
    }))

  it.effect("forges completions of nobody, of another attempt, and of what has not ended", () =>
    Effect.gen(function*() {
      const flows = Flows.memory()
      const heard = yield* listen(Flows.faulty(flows, { forge: 1 }))
      yield* flows.store.add({ executionId: "open" })
      yield* work(flows, names(40))
      const forged = heard.flatMap((signal) =>
        signal._tag === "Completion" && Option.isNone(signal.cursor) ? [signal.payload] : []
      )
      assert.strictEqual(forged.length, 40)
      assert.isTrue(forged.some(({ executionId }) => executionId.startsWith("nobody")))
      assert.isTrue(forged.some(({ attempt }) => attempt > 1))
      assert.isTrue(forged.some(({ executionId }) => executionId === "open"))
    }))

  it.effect("fails calls before or after they took effect, until it is told otherwise", () =>
    Effect.gen(function*() {
      const flows = Flows.memory()
      const faulty = Flows.faulty(flows, { failBefore: 1, failSubscribe: 1 })
      const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.map(Effect.flip(effect), String)
      assert.include(yield* failure(faulty.store.add({ executionId: "a" })), "add failed before it took effect")
      assert.isTrue(Option.isNone(yield* flows.store.get("a")))
      assert.include(yield* failure(Effect.scoped(faulty.backend.subscribe())), "could not be reached")
      faulty.adjust({ failBefore: 0, failAfter: 1 })
      assert.include(yield* failure(faulty.store.add({ executionId: "a" })), "add failed after it took effect")
      assert.isTrue(Option.isSome(yield* flows.store.get("a")))
      faulty.adjust({ failAfter: 0 })
      const { state } = Option.getOrThrow(yield* faulty.store.get("a"))
      assert.strictEqual(state, "ready")
      assert.deepInclude(faulty.counters, { failBefore: 1, failAfter: 1, failSubscribe: 1 })
    }))
})
