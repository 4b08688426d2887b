/**
 * Random topologies in which components fail, die, interrupt themselves, get stuck and are stopped at random moments,
 * on the virtual clock: every value is accounted for, the report agrees with the statistics, and nothing hangs.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Buffer, Consumer, Record, Source, Topology, Transform } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import { Cause, Context, Effect, Exit, Fiber, Layer, Random, References, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { casesOf } from "./support/cases.ts"

describe.each(casesOf("random topologies", { budget: 200, full: 5_000 }))("seed $seed", ({ runs, seed }) => {
  it.effect(
    "handled + abandoned + lagged + left = produced for each reader, the report agrees, nothing hangs",
    () =>
      Effect.gen(function*() {
        for (let run = 0; run < runs; run++) {
          const name = `${seed}/${run}`
          yield* Random.withSeed(runTopology, name).pipe(
            // Failures are the point here, and would fill the output.
            Effect.provideService(References.MinimumLogLevel, "None"),
            Effect.catchCause((cause) =>
              Effect.die(new Error(`topology ${name}, to repeat with Random.withSeed: ${Cause.pretty(cause)}`))
            )
          )
        }
      }),
    1_800_000
  )
})

class AnyRecord extends Record.Service<AnyRecord>()("any", { schema: Schema.Int }) {}
type Component = Layer.Layer<never, never, AnyRecord | Assembly>

const below = (max: number) => Random.nextIntBetween(0, max, { halfOpen: true })
const chance = (share: number) => Effect.map(Random.next, (drawn) => drawn < share)

const anyBuffer: Effect.Effect<Buffer.BufferConfig> = Effect.gen(function*() {
  const capacity = 1 + (yield* below(8))
  const strategy = yield* Random.choice(["suspend", "dropping", "sliding"] as const)
  return yield* Random.choice(
    [
      { kind: "SpmcRing", capacity },
      { kind: "SpmcRing", capacity },
      { kind: "SingleLatest" },
      { kind: "Mailbox" },
      { kind: "Bounded", capacity },
      { kind: "Bounded", capacity },
      { kind: "Queue", capacity, strategy },
      { kind: "PubSub", capacity, strategy }
    ] as const
  )
}).pipe(Effect.orDie)

/** What a handler does with a value: mostly nothing or a little, sometimes something bad. */
const anyHandling = (faults: number): Effect.Effect<void, string> =>
  Effect.gen(function*() {
    if (yield* chance(faults)) {
      const fault = yield* below(40)
      if (fault === 0) return yield* Effect.never
      if (fault < 14) return yield* Effect.fail("failed")
      if (fault < 27) return yield* Effect.die("died")
      return yield* Effect.interrupt
    }
    const time = yield* below(12)
    if (time > 9) yield* Effect.sleep(5 * (time - 9))
    else if (time > 7) yield* Effect.yieldNow
  })

const anyRestart = Effect.map(
  below(10),
  (drawn): { readonly restart?: Schedule.Schedule<unknown, unknown> } =>
    drawn === 0 ? { restart: Schedule.recurs(2) } : drawn < 4 ? {} : { restart: Schedule.spaced(drawn * 10) }
)

/** Records in a row; whatever reads one writes only later ones, so that the graph has no cycle. */
const anyTopology = Effect.gen(function*() {
  const faults = yield* Random.choice([0, 0.02, 0.1, 0.3]).pipe(Effect.orDie)
  const count = 1 + (yield* below(20))
  const records: Array<Record.RecordClass<AnyRecord, string, number>> = []
  for (let index = 0; index < count; index++) {
    const buffer = yield* anyBuffer
    records.push(Record.Service<AnyRecord>()(`r${index}`, { schema: Schema.Int, buffer, writers: "many" }) as any)
  }
  const components: Array<Component> = []
  const later = (index: number) => Effect.map(below(count - index - 1), (step) => records[index + 1 + step]!)
  for (const [index, record] of records.entries()) {
    if (index === 0 || (yield* chance(0.4))) {
      const total = yield* below(80)
      const pause = yield* below(8)
      const failsAt = (yield* chance(faults)) ? yield* below(10) : -1
      const stream = Stream.range(1, total).pipe(
        Stream.mapEffect((value) =>
          value === failsAt
            ? Effect.fail("source")
            : pause === 0
            ? Effect.succeed(value)
            : Effect.delay(Effect.succeed(value), pause)
        )
      )
      components.push(Source.layer(record, { name: `source ${index}`, stream, ...yield* anyRestart }))
    }
    const readers = yield* below(4)
    for (let reader = 0; reader < readers; reader++) {
      const name = `${index}.${reader}`
      const common = { name, ...yield* anyRestart }
      const shape = index === count - 1 ? 3 + (yield* below(3)) : yield* below(6)
      if (shape === 0) {
        const to = yield* later(index)
        components.push(Transform.layer({
          ...common,
          from: record,
          to,
          through: Stream.mapEffect((value) => Effect.as(anyHandling(faults), value))
        }))
      } else if (shape < 3) {
        const to = yield* later(index)
        const verb = yield* Random.choice(["produce", "produceAsync"] as const).pipe(Effect.orDie)
        components.push(Consumer.layer(record, {
          ...common,
          emits: { to },
          concurrency: 1 + (yield* below(3)),
          handle: (value, emit) => Effect.andThen(anyHandling(faults), emit.to[verb](value))
        }))
      } else if (shape === 3) {
        components.push(Consumer.layer(record, { ...common, batchMax: 4, handleBatch: () => anyHandling(faults) }))
      } else if (shape === 4) {
        components.push(Consumer.layer(record, { ...common, handleUnsafe: () => undefined }))
      } else {
        components.push(Consumer.layer(record, { ...common, handle: () => anyHandling(faults) }))
      }
    }
  }
  const layers = records.map(({ layer }) => layer) as unknown as [Layer.Layer<AnyRecord>]
  return { components: components as [Component, ...Array<Component>], layers }
})

const runTopology = Effect.gen(function*() {
  const { components, layers } = yield* anyTopology
  const reports: Array<Topology.ShutdownReport> = []
  const scope = yield* Scope.make()
  const context = yield* Layer.buildWithScope(
    Topology.layer(Layer.mergeAll(...components), {
      drainTimeout: "2 seconds",
      onShutdown: (report) => Effect.sync(() => reports.push(report))
    }).pipe(Layer.provide(Layer.mergeAll(...layers))),
    scope
  )
  const topology = Context.get(context, Topology.Topology)
  for (let step = yield* below(30); step > 0; step--) yield* TestClock.adjust(yield* below(100))

  const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
  for (let waited = 0; closing.pollUnsafe() === undefined && waited < 200; waited++) {
    yield* TestClock.adjust("50 millis")
  }
  assert.isDefined(closing.pollUnsafe(), "the shutdown hangs")
  yield* Fiber.join(closing)

  const [report] = reports
  const snapshot = yield* topology.snapshot
  expectAgreement(snapshot, report!)
  for (const record of snapshot.records) expectAccounted(record, snapshot)
})

const expectAgreement = (snapshot: Topology.Snapshot, report: Topology.ShutdownReport) => {
  assert.deepStrictEqual(
    report.left,
    snapshot.readers.filter(({ pending }) => pending > 0).map(({ component, pending, record }) => ({
      record,
      component,
      values: pending
    }))
  )
  assert.strictEqual(report.withinDeadline, report.interrupted.length === 0)
  for (const { abandoned, handled, inFlight, name, status } of snapshot.components) {
    assert.include(["Done", "Failed"], status, name)
    assert.strictEqual(inFlight, 0, name)
    if (name.startsWith("source")) continue
    const received = snapshot.readers.filter(({ component }) => component === name).map(({ received }) => received)
    assert.deepStrictEqual(received, [handled + abandoned], name)
  }
}

const expectAccounted = (record: Topology.Snapshot["records"][number], snapshot: Topology.Snapshot) => {
  const readers = snapshot.readers.filter((reader) => reader.record === record.key)
  const sum = (field: "received" | "pending") => readers.reduce((total, reader) => total + reader[field], 0)
  // What was produced after a reader had failed for good is nothing that it could have left.
  const failed = (component: string) =>
    snapshot.components.some(({ name, status }) => name === component && status === "Failed")
  if (record.kind === "Mailbox" || record.kind === "Queue") {
    assert.strictEqual(sum("received") + record.overwritten + record.held, record.produced, JSON.stringify(record))
    return
  }
  for (const reader of readers) {
    const accounted = reader.received + reader.lagged + reader.conflated + reader.pending
    const context = `${JSON.stringify(record)} ${JSON.stringify(reader)}`
    // A sliding PubSub does not say what it dropped for whom.
    if (failed(reader.component) || (record.kind === "PubSub" && record.overwritten > 0)) {
      assert.isAtMost(accounted, record.produced, context)
    } else assert.strictEqual(accounted, record.produced, context)
  }
}
