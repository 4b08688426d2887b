// @effect-diagnostics missingLayerContext:off
// @effect-diagnostics floatingEffect:off
/**
 * What an application writes, and what must not compile. Nothing here runs: `pnpm check` type-checks it, and a line
 * marked `@ts-expect-error` that compiles is an error.
 */
import { Buffer, Collector, Completion, Consumer, Log, Record, Source, Topology, Transform } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import {
  Context,
  Effect,
  type FileSystem,
  Layer,
  type PubSub,
  Schedule,
  Schema,
  SchemaTransformation,
  type Scope,
  Stream
} from "effect"

class Reading extends Record.Service<Reading>()("plant/Reading", {
  schema: Schema.Struct({ celsius: Schema.Finite, at: Schema.Int }),
  buffer: { kind: "SpmcRing", capacity: 2048 }
}) {}
class Alert extends Record.Service<Alert>()("plant/Alert", { schema: Schema.String, buffer: { kind: "Mailbox" } }) {}
class Trend extends Record.Service<Trend>()("plant/Trend", { schema: Schema.Finite }) {}
class Database extends Context.Service<Database, { readonly insert: (row: unknown) => Effect.Effect<void> }>()(
  "app/Database"
) {}

const Sensor = Source.layer(Reading, {
  name: "sensor",
  stream: Stream.fromSchedule(Schedule.spaced("10 millis")).pipe(Stream.map((n) => ({ celsius: 20 + n % 40, at: n })))
})
const Alarms = Consumer.layer(Reading, {
  name: "alarms",
  emits: { alerts: Alert },
  handle: (reading, emit) => reading.celsius > 50 ? emit.alerts.produce(`hot: ${reading.celsius}`) : Effect.void
})
const History = Consumer.layer(Reading, {
  name: "history",
  handleBatch: (readings) => Effect.flatMap(Database, (database) => database.insert(readings)),
  restart: Schedule.exponential("100 millis")
})
let seen = 0
const Count = Consumer.layer(Reading, { name: "count", handleUnsafe: () => void seen++ })
const Trends = Transform.layer({
  name: "trends",
  from: { readings: Reading, alerts: Alert },
  to: Trend,
  through: ({ alerts, readings }) =>
    Stream.merge(Stream.map(readings, (r) => r.celsius), Stream.map(alerts, () => seen))
})

export const App = Topology.layer(Layer.mergeAll(Sensor, Alarms, History, Count, Trends), { drainTimeout: "5 seconds" })
  .pipe(
    Layer.provideMerge(Layer.mergeAll(Reading.layer, Alert.layerConfig, Trend.layerBuffer(Buffer.singleLatest)))
  )
export const appNeeds: Layer.Layer<Reading | Alert | Trend | Topology.Topology, unknown, Database> = App

declare const diskLog: (options: { readonly directory: string }) => Log.LogBacking<Error, FileSystem.FileSystem>
export const Durable = Topology.layer(Sensor).pipe(
  Layer.provideMerge(Reading.layerLog(diskLog({ directory: "data" })))
)
export const durableNeeds: Layer.Layer<
  Reading | Log.LogOf<Reading> | Topology.Topology,
  Topology.TopologyInvalid | Error,
  FileSystem.FileSystem
> = Durable
// @ts-expect-error a ring is no log
export const noLog: Layer.Layer<Log.LogOf<Reading>> = Reading.layer

// @ts-expect-error a component cannot join a topology that already runs
export const tooLate: Layer.Layer<Topology.Topology, unknown, Database> = Alarms.pipe(Layer.provideMerge(App))

declare const pubsub: PubSub.PubSub<string>
export const Existing: Layer.Layer<Alert> = Alert.layerBuffer(Buffer.fromPubSub(pubsub))
// @ts-expect-error a PubSub of strings behind a record of numbers
export const Mistaken = Trend.layerBuffer(Buffer.fromPubSub(pubsub))
export const Chosen: Layer.Layer<Alert, unknown> = Alert.layerConfigWith({ hub: Buffer.fromPubSub(pubsub) })

declare const open: Effect.Effect<void, never, Scope.Scope>
const Leaky = Consumer.layer(Reading, { name: "leaky", handle: () => open })
// @ts-expect-error what the handler opens would stay open until shutdown
export const leaky: Layer.Layer<Topology.Topology, unknown, Reading> = Topology.layer(Leaky)
export const scoped: Layer.Layer<Topology.Topology, unknown, Reading> = Topology.layer(
  Consumer.layer(Reading, { name: "scoped", handle: () => Effect.scoped(open) })
)

Consumer.layer(Reading, {
  name: "unsafe",
  // @ts-expect-error an Effect from a plain handler would never run
  handleUnsafe: () => Effect.void
})
// @ts-expect-error a stream of strings into a record of readings
Source.layer(Reading, { name: "wrong", stream: Stream.make("hot") })
// @ts-expect-error a transform that gives strings into a record of numbers
Transform.layer({ name: "wrong", from: Reading, to: Trend, through: Stream.map(() => "hot") })
// @ts-expect-error there is no such kind of buffer
Record.Service<Alert>()("plant/Wrong", { schema: Schema.String, buffer: { kind: "Ring" } })

export const program: Effect.Effect<void, Record.WriterConflict, Reading> = Effect.gen(function*() {
  const reading = yield* Reading
  const producer = yield* reading.producer("program")
  yield* producer.tryProduce({ celsius: 21, at: 1 }).pipe(
    Effect.catchTags({
      BufferFull: ({ value }) => Effect.logWarning(`dropped ${value.celsius}`),
      BufferClosed: ({ value }) => Effect.logWarning(`too late for ${value.at}`)
    })
  )
  // @ts-expect-error not a reading
  yield* producer.produce("hot")
}).pipe(Effect.scoped)

export const skipped: Stream.Stream<number, never, Trend> = Record.stream(Trend)
// @ts-expect-error a stream that fails on lag says so in its type
export const told: Stream.Stream<number, never, Trend> = Record.stream(Trend, { onLag: "fail" })

// ---- versions: a migration ends in the record's type of today
const OrderV0 = Schema.Struct({ cents: Schema.Int })
const Order = Schema.Struct({ cents: Schema.Int, currency: Schema.String })
export class Orders extends Record.Service<Orders>()("shop/Orders", {
  schema: Order,
  version: 1,
  migrations: {
    0: OrderV0.pipe(Schema.decodeTo(
      Schema.toType(Order),
      SchemaTransformation.transform({
        decode: ({ cents }) => ({ cents, currency: "EUR" }),
        encode: ({ cents }) => ({ cents })
      })
    ))
  }
}) {}
Record.Service<Orders>()("shop/Orders", {
  schema: Order,
  version: 1,
  // @ts-expect-error a migration that ends in the type of yesterday
  migrations: { 0: OrderV0 }
})

// ---- collectors: only over a log
class Parked extends Record.Service<Parked>()("plant/Parked", {
  schema: Schema.Struct({ sequence: Schema.BigInt, reason: Schema.String }),
  writers: "many"
}) {}
const Ship = Collector.layer(Reading, {
  name: "ship",
  group: "shipping",
  maxReadAhead: 64,
  handle: (batch) => Effect.flatMap(Database, (database) => database.insert(batch.values))
})
export const InMemory: Layer.Layer<
  Reading | Log.LogOf<Reading> | Topology.Topology,
  Topology.TopologyInvalid | Log.LogFailed,
  Database
> = Topology.layer(Ship).pipe(Layer.provideMerge(Reading.layerLog(Log.memory())))
// @ts-expect-error Reading.layer is not a log
export const refused: Layer.Layer<Reading | Topology.Topology, unknown, Database> = Topology.layer(Ship).pipe(
  Layer.provideMerge(Reading.layer)
)
const Careful = Collector.layer(Reading, {
  name: "careful",
  group: "careful",
  maxAttempts: 5,
  deadLetter: { record: Parked, as: (letter) => ({ sequence: letter.sequence, reason: letter.reason }) },
  handle: (batch) => Effect.log(batch.last)
})
export const careful: Layer.Layer<
  Topology.Topology,
  Topology.TopologyInvalid | Log.LogFailed,
  Reading | Log.LogOf<Reading> | Parked
> = Topology.layer(Careful)
Collector.layer(Reading, {
  name: "wrong",
  group: "wrong",
  // @ts-expect-error a letter that does not fit its record
  deadLetter: { record: Parked, as: (letter) => ({ sequence: letter.sequence }) },
  handle: () => Effect.void
})
const LeakyCollector = Collector.layer(Reading, { name: "leaky", group: "leaky", handle: () => open })
// @ts-expect-error what the handler opens would stay open until shutdown
export const leakyCollector: Layer.Layer<Topology.Topology, unknown, Reading | Log.LogOf<Reading>> = Topology.layer(
  LeakyCollector
)
export const byHand: Effect.Effect<
  Collector.Collector<typeof Reading.schema.Type>,
  Log.LogFailed,
  Reading | Log.LogOf<Reading> | Scope.Scope
> = Collector.make(Reading, { group: "by hand" })
export const parking: Effect.Effect<
  Collector.Collector<typeof Reading.schema.Type>,
  Log.LogFailed | Record.WriterConflict,
  Reading | Log.LogOf<Reading> | Parked | Scope.Scope
> = Collector.make(Reading, { group: "parking", deadLetter: { record: Parked, as: (letter) => letter } })

// Completions: a service that is given as a value is not asked for.
declare const flowStore: Completion.FlowStore
declare const completions: Completion.CompletionBackend
type Asked<L extends Layer.Any> = Layer.Services<L>
declare const exactly: <Expected>() => <L extends Layer.Layer<never, never, any>>(
  component: [Asked<L>] extends [Expected] ? [Expected] extends [Asked<L>] ? L : never : never
) => void
exactly<Assembly | Completion.Completions | Completion.Dependencies>()(Completion.listener({ name: "listener" }))
exactly<Assembly | Completion.Dependencies>()(Completion.listener({ name: "listener", backend: completions }))
exactly<Assembly | Completion.Completions>()(Completion.listener({ name: "listener", store: flowStore }))
exactly<Assembly>()(Completion.listener({ name: "listener", backend: completions, store: flowStore }))
exactly<Assembly | Completion.Dependencies>()(Completion.reconciler({ name: "reconciler" }))
exactly<Assembly>()(Completion.reconciler({ name: "reconciler", store: flowStore }))
export const heard: Stream.Stream<
  Completion.CompletionPayload,
  Completion.SubscribeError,
  Completion.Completions
> = Completion.completions({ filter: { tag: ["line", "4"] } })
// @ts-expect-error a skip is the store's own: nobody completes with it
flowStore.complete({ executionId: "a", attempt: 1, outcome: "skipped" })
// @ts-expect-error a cursor is what a signal came with
Completion.completions({ from: "0-1" })
export const FlowApp: Layer.Layer<Topology.Topology, Topology.TopologyInvalid, Completion.Completions> = Topology.layer(
  Layer.merge(
    Completion.listener({ name: "listener", store: flowStore }),
    Completion.reconciler({ name: "reconciler", store: flowStore })
  )
)

// A handler may fail with any errors and need any services: its branches need not agree.
declare const orText: (value: number) => Effect.Effect<void, "one"> | Effect.Effect<void, "two">
declare const fromEither: (value: number) => Effect.Effect<void, never, Database> | Effect.Effect<void, never, Cache>
class Cache extends Context.Service<Cache, { readonly put: (row: unknown) => Effect.Effect<void, "full"> }>()(
  "app/Cache"
) {}
const eitherError = (value: number) => value > 0 ? Effect.fail("one" as const) : Effect.fail({ _tag: "Two" } as const)
const eitherService = (value: number) =>
  value > 0
    ? Effect.flatMap(Database, ({ insert }) => insert(value))
    : Effect.flatMap(Cache, ({ put }) => put(value))
const needsBoth = Effect.fnUntraced(function*(value: number) {
  yield* Database
  yield* Cache
  if (value > 1) return yield* Effect.fail("one" as const)
  if (value > 0) return yield* Effect.fail({ _tag: "Two" } as const)
  return value
})
exactly<Trend | Alert | Reading | Assembly>()(Consumer.layer(Trend, {
  name: "two errors",
  emits: { alert: Alert, reading: Reading },
  handle: (value, emit) => value > 0 ? emit.alert.produceAsync("up") : emit.reading.produceAsync({ celsius: 1, at: 1 })
}))
exactly<Trend | Assembly>()(Consumer.layer(Trend, { name: "two errors", handle: eitherError }))
exactly<Trend | Assembly>()(Consumer.layer(Trend, { name: "two errors", handle: orText }))
exactly<Trend | Assembly>()(
  Consumer.layer(Trend, { name: "two errors", handleBatch: (values) => eitherError(values[0]) })
)
exactly<Trend | Database | Cache | Assembly>()(Consumer.layer(Trend, { name: "two services", handle: eitherService }))
exactly<Trend | Database | Cache | Assembly>()(Consumer.layer(Trend, { name: "two services", handle: fromEither }))
exactly<Trend | Database | Cache | Assembly>()(
  Consumer.layer(Trend, { name: "two services", handleBatch: (values) => eitherService(values[0]) })
)
export const twoErrors: Layer.Layer<never, Log.LogFailed, Trend | Log.LogOf<Trend> | Assembly> = Collector.layer(
  Trend,
  {
    name: "two errors",
    group: "g",
    handle: ({ values }) => eitherError(values[0])
  }
)
export const twoServices: Layer.Layer<
  never,
  Log.LogFailed,
  Trend | Log.LogOf<Trend> | Database | Cache | Assembly
> = Collector.layer(Trend, { name: "two services", group: "g", handle: ({ values }) => eitherService(values[0]) })
exactly<Trend | Database | Cache | Assembly>()(Source.layer(Trend, {
  name: "two of both",
  stream: Stream.mapEffect(Stream.make(1, 2), needsBoth)
}))
exactly<Trend | Database | Cache | Assembly>()(Source.layer(Trend, {
  name: "one of two streams",
  stream: seen > 0
    ? Stream.fromEffect(Effect.as(Database, 1))
    : Stream.mapEffect(Stream.make(1), (value) => Effect.as(Effect.andThen(Cache, Effect.fail("two")), value))
}))
exactly<Reading | Trend | Database | Cache | Assembly>()(Transform.layer({
  name: "two of both",
  from: Reading,
  to: Trend,
  through: (readings) => Stream.mapEffect(readings, ({ celsius }) => needsBoth(celsius))
}))
exactly<Reading | Trend | Database | Cache | Assembly>()(Transform.layer({
  name: "one of two streams",
  from: { readings: Reading },
  to: Trend,
  through: ({ readings }) => {
    const values = Stream.map(readings, ({ celsius }) => celsius)
    return seen > 0
      ? Stream.mapEffect(values, (value) => Effect.as(Database, value))
      : Stream.mapEffect(values, (value) => Effect.as(Effect.andThen(Cache, Effect.fail("two")), value))
  }
}))
/** A handler may ask for the topology, which provides itself. */
export const asking: Layer.Layer<Topology.Topology, Topology.TopologyInvalid, Trend> = Topology.layer(
  Consumer.layer(Trend, {
    name: "asks",
    handle: () => Effect.flatMap(Topology.Topology, ({ snapshot }) => Effect.asVoid(snapshot))
  })
)
