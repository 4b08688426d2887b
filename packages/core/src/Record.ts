/**
 * A record: a named stream of values of one schema, with one writer unless it says otherwise. The class says what a
 * value is and is the key of its service; one of its layers says how values wait.
 *
 * ```ts
 * class Reading extends Record.Service<Reading>()("plant/Reading", {
 *   schema: Schema.Struct({ celsius: Schema.Finite }),
 *   buffer: { kind: "SpmcRing", capacity: 2048 }
 * }) {}
 * ```
 */
import { Cause, type Config, Context, Effect, Exit, Layer, type Option, Schema, type Scope, Sink, Stream } from "effect"
import { type BackingOf, type Buffer, type BufferConfig, fromConfig, type Migrations } from "./Buffer.ts"
import { assertCapacity, assertVersions } from "./internal/capacity.ts"
import { lastingContext } from "./internal/lasting.ts"
import { logOf } from "./internal/logKey.ts"
import { chosenBuffer } from "./internal/recordConfig.ts"
import { DefinitionTypeId, RecordRuntime } from "./internal/recordRuntime.ts"
import { render } from "./internal/render.ts"
import type { LogBacking, LogOf } from "./Log.ts"
import { type ProduceError, type Producer, WriterConflict } from "./Producer.ts"
import type { Lagged, Reader, RecvError } from "./Reader.ts"

export { WriterConflict }

/** The service behind a record class. */
export interface Record<in out A> {
  readonly key: string
  /** Claims the write side as `name`, for the life of the scope; a handle whose claim was released answers as closed. */
  readonly producer: (name: string) => Effect.Effect<Producer<A>, WriterConflict, Scope.Scope>
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  /** The newest value held. */
  readonly latest: Effect.Effect<Option.Option<A>>
  /** Refuses every later value and lets readers finish what is held. The record's layer does it when its scope closes. */
  readonly close: Effect.Effect<void>
}

/** A record's class: the key of its service, and the layers that give it a buffer. */
export interface RecordClass<in out Self, in out Key extends string, in out A>
  extends Context.ServiceClass<Self, Key, Record<A>>
{
  readonly schema: Schema.Codec<A, any>
  /** Of the schema, for values that are stored. */
  readonly version: number
  /** How values that were stored under an earlier version are decoded. */
  readonly migrations: Migrations<A>
  /** The buffer of the definition. */
  readonly layer: Layer.Layer<Self>
  /**
   * The definition, overridden by `records.<key>.*` of the ConfigProvider, or by `RECORDS_<KEY>_KIND`, `_CAPACITY` and
   * `_STRATEGY` with the key in constant case. A kind alone keeps the definition's capacity, a capacity alone its kind.
   */
  readonly layerConfig: Layer.Layer<Self, Config.ConfigError>
  /** `layerConfig` with backings of the application's own, which the config chooses by name as it does a kind. */
  readonly layerConfigWith: <B extends { readonly [name: string]: BackingOf<A, any, any> }>(
    backings: B
  ) => Layer.Layer<
    Self,
    Config.ConfigError | BackingError<B[keyof B]>,
    Exclude<BackingServices<B[keyof B]>, Scope.Scope>
  >
  readonly layerBuffer: <E, R>(backing: BackingOf<A, E, R>) => Layer.Layer<Self, E, Exclude<R, Scope.Scope>>
  /** Also proves that the record stands on a log, which is what a collector asks for. */
  readonly layerLog: <E, R>(backing: LogBacking<E, R>) => Layer.Layer<Self | LogOf<Self>, E, Exclude<R, Scope.Scope>>
}
type BackingError<B> = B extends BackingOf<any, infer E, any> ? E : never
type BackingServices<B> = B extends BackingOf<any, any, infer R> ? R : never

export declare namespace RecordClass {
  export type Any = RecordClass<any, any, any>
  export type Value<C> = C extends RecordClass<any, any, infer A> ? A : never
  export type Self<C> = C extends RecordClass<infer S, any, any> ? S : never
}

/**
 * Defines a record. `buffer` defaults to a ring of 1024, `writers` to "one". A capacity that is not a positive integer
 * throws here, naming the record.
 *
 * `version` counts for a record whose log outlives the process: values are stored with it, and those of an earlier one
 * are decoded by the schema that `migrations` has for it, or not at all. Raise it whenever the schema changes. A version
 * that is not a non-negative integer, and a migration from one that is not earlier, throw here.
 *
 * ```ts
 * const OrderV0 = Schema.Struct({ cents: Schema.Int })
 * const Order = Schema.Struct({ cents: Schema.Int, currency: Schema.String })
 *
 * class Orders extends Record.Service<Orders>()("shop/Orders", {
 *   schema: Order,
 *   version: 1,
 *   migrations: {
 *     0: OrderV0.pipe(Schema.decodeTo(
 *       Schema.toType(Order),
 *       SchemaTransformation.transform({
 *         decode: ({ cents }) => ({ cents, currency: "EUR" }),
 *         encode: ({ cents }) => ({ cents })
 *       })
 *     ))
 *   }
 * }) {}
 * ```
 */
export const Service = <Self>() =>
<const Key extends string, S extends Schema.Codec<any, any>>(key: Key, options: {
  readonly schema: S
  readonly buffer?: BufferConfig
  readonly writers?: "one" | "many"
  /** Check every value against the schema before it enters: a value that does not fit dies at the producer. Off by default. */
  readonly validate?: boolean
  /** Of the schema, for values that are stored. Default 0. */
  readonly version?: number
  /** How values that were stored under an earlier version are decoded. */
  readonly migrations?: Migrations<S["Type"]>
}): RecordClass<Self, Key, S["Type"]> => {
  type A = S["Type"]
  const definition: BufferConfig = options.buffer ?? { kind: "SpmcRing", capacity: 1024 }
  assertCapacity(key, definition)
  const tag: Context.Service<Self, Record<A>> = Context.Service<Self, Record<A>>()(key)
  const { migrations = {}, version = 0 } = options
  assertVersions(key, version, migrations)
  const info = { key, schema: options.schema as Schema.Codec<A, any>, version, migrations }
  const runtimeOptions = {
    writers: options.writers ?? "one",
    validate: options.validate === true ? validator(key, options.schema) : undefined
  }
  const acquire = <B extends Buffer<A>, E, R>(make: Effect.Effect<B, E, R>) =>
    Effect.acquireRelease(
      Effect.flatMap(make, (buffer) =>
        Effect.map(lastingContext, (context) => ({
          buffer,
          runtime: new RecordRuntime<A>(info, buffer, runtimeOptions, context)
        }))),
      ({ runtime }) => runtime.end
    )

  const layerBuffer = <E, R>(backing: BackingOf<A, E, R>) =>
    Layer.effect(tag, Effect.map(acquire(backing.make(info)), ({ runtime }): Record<A> => runtime))
  const layerConfigWith = (backings: { readonly [name: string]: BackingOf<A, any, any> }) =>
    Layer.effect(
      tag,
      chosenBuffer(key, definition, Object.keys(backings)).pipe(
        Effect.flatMap((chosen) =>
          acquire("backing" in chosen ? backings[chosen.backing]!.make(info) : fromConfig(chosen.config).make(info))
        ),
        Effect.map(({ runtime }): Record<A> => runtime)
      )
    )
  const layerLog = <E, R>(backing: LogBacking<E, R>) =>
    Layer.effectContext(
      Effect.map(acquire(backing.make<A>(info)), ({ buffer, runtime }) =>
        Context.make(tag, runtime as Record<A>).pipe(Context.add(logOf<Self, A>(key), buffer)))
    )
  return Object.assign(tag, {
    [DefinitionTypeId]: info,
    schema: options.schema,
    version,
    migrations,
    layer: layerBuffer(fromConfig(definition)),
    layerConfig: layerConfigWith({}),
    layerConfigWith,
    layerBuffer,
    layerLog
  }) as any
}

const validator = <A>(key: string, schema: Schema.Codec<A, any>) => {
  const check = Schema.decodeUnknownExit(Schema.toType(schema))
  return (value: A): void => {
    const exit = check(value)
    if (Exit.isFailure(exit)) {
      throw new TypeError(`record "${key}": a value does not fit its schema: ${render(Cause.squash(exit.cause))}`)
    }
  }
}

/**
 * The read side as a Stream, subscribed when it is first pulled; it ends when the record is closed. A reader that fell
 * behind goes on at the oldest value held, or fails with `Lagged` where `onLag` says so. Default: `"skip"`. Where the
 * application's own queue behind the record has failed, it dies of the `RecordClosed` that says with what.
 */
export const stream: {
  <Self, Key extends string, A>(
    record: RecordClass<Self, Key, A>,
    options?: { readonly onLag?: "skip" }
  ): Stream.Stream<A, never, Self>
  <Self, Key extends string, A>(
    record: RecordClass<Self, Key, A>,
    options: { readonly onLag: "fail" }
  ): Stream.Stream<A, Lagged, Self>
} = (<Self, Key extends string, A>(
  record: RecordClass<Self, Key, A>,
  options?: { readonly onLag?: "skip" | "fail" }
): Stream.Stream<A, Lagged, Self> =>
  Stream.unwrap(Effect.gen(function*() {
    const { subscribe } = yield* record
    const reader: Reader<A> = yield* subscribe
    const pull: Effect.Effect<readonly [A, ...Array<A>], Lagged | Cause.Done> = Effect.catch(
      reader.recvBatch(256),
      (error: RecvError) =>
        error._tag === "RecordClosed"
          ? error.cause === undefined ? Cause.done() : Effect.die(error)
          : options?.onLag === "fail"
          ? Effect.fail(error)
          : pull
    )
    return Stream.fromPull(Effect.succeed(pull))
  }))) as any

/** The write side as a Sink: claims the record as `name`, waits for space, fails when the record does. */
export const sink = <Self, Key extends string, A>(
  record: RecordClass<Self, Key, A>,
  name: string
): Sink.Sink<void, A, never, ProduceError<A> | WriterConflict, Self> =>
  Sink.unwrap(Effect.gen(function*() {
    const { producer } = yield* record
    const claim: Producer<A> = yield* producer(name)
    const written: Sink.Sink<void, A, never, ProduceError<A> | WriterConflict> = Sink.forEach(claim.produceAsync<A>)
    return written
  }))
