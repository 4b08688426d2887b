/**
 * How a record's values wait for their readers. One contract for every kind: what it holds, what happens when it is
 * full, and what a reader that falls behind is told differ; closing, interruption and statistics do not.
 *
 * | kind | holds | when full | a reader that falls behind | several readers |
 * | --- | --- | --- | --- | --- |
 * | `SpmcRing` | the last `capacity` values | overwrites the oldest | is told exactly how many it missed | each sees every value |
 * | `SingleLatest` | the newest value | overwrites | skips to the newest, counted | each sees the newest |
 * | `Mailbox` | one value until taken | overwrites, counted | cannot | compete |
 * | `Bounded` | values until every reader has read them | refuses, or lets the producer wait | cannot | each sees every value |
 * | `Queue`, `PubSub` | as Effect's own | as their strategy says | is not counted | compete; each |
 *
 * Closing is two-sided: after `close` every produce answers `BufferClosed`, and readers first receive what is still
 * held, then fail with `RecordClosed`, for ever.
 */
import { Clock, Effect, Exit, Option, PubSub, Queue, type Scheduler, Schema, type Scope } from "effect"
import { assertCapacity } from "./internal/capacity.ts"
import { PolledCursor } from "./internal/polledCursor.ts"
import { readerOf } from "./internal/reader.ts"
import type { Store } from "./internal/store.ts"
import { StoreBuffer } from "./internal/storeBuffer.ts"
import { Bounded } from "./internal/stores/Bounded.ts"
import { FromPubSub } from "./internal/stores/FromPubSub.ts"
import { FromQueue } from "./internal/stores/FromQueue.ts"
import { Mailbox } from "./internal/stores/Mailbox.ts"
import { SingleLatest } from "./internal/stores/SingleLatest.ts"
import { SpmcRing } from "./internal/stores/SpmcRing.ts"
import { Verbs } from "./internal/verbs.ts"
import { type Waits, whileWaiting } from "./internal/waits.ts"
import type { Produced, ProduceError, Producer } from "./Producer.ts"
import type { Reader, RecvError } from "./Reader.ts"

const Capacity = Schema.Int.check(Schema.isGreaterThan(0))
const Strategy = Schema.Literals(["suspend", "dropping", "sliding"])

/** The kinds that need nothing but memory. Capacities count values and are exact: a ring of 1000 holds 1000. */
export const BufferConfig = Schema.Union([
  Schema.Struct({ kind: Schema.tag("SpmcRing"), capacity: Capacity }),
  Schema.Struct({ kind: Schema.tag("SingleLatest") }),
  Schema.Struct({ kind: Schema.tag("Mailbox") }),
  Schema.Struct({ kind: Schema.tag("Bounded"), capacity: Capacity }),
  // Effect's own, with Effect's semantics: no lag count, and what their strategy says when full
  Schema.Struct({ kind: Schema.tag("Queue"), capacity: Capacity, strategy: Strategy }),
  Schema.Struct({ kind: Schema.tag("PubSub"), capacity: Capacity, strategy: Strategy })
]).pipe(Schema.toTaggedUnion("kind"))
export type BufferConfig = typeof BufferConfig.Type

/** Plain integers, incremented on the hot path and read on demand. */
export const BufferStats = Schema.Struct({
  /** In values; null where the kind has no limit of its own. */
  capacity: Schema.NullOr(Schema.Int),
  held: Schema.Int,
  produced: Schema.Int,
  /** Refused to a fire-and-forget `produce`, dropped by a `dropping` strategy, or produced after the close. */
  dropped: Schema.Int,
  failed: Schema.Int,
  /** Overwritten in a slot before anyone had it (latest, mailbox, sliding). Ring overwrites are counted per reader, as lag. */
  overwritten: Schema.Int
})
export type BufferStats = typeof BufferStats.Type

/** What every buffer is, ours or a user's. */
export interface Buffer<in out A> extends Producer<A> {
  readonly kind: string
  /** A new reader, for the life of the scope. */
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  /** The newest value held; of `Queue` and `PubSub` the newest produced through the record. Takes nothing. */
  readonly latest: Effect.Effect<Option.Option<A>>
  readonly stats: () => BufferStats
  /** Idempotent. */
  readonly close: Effect.Effect<void>
}

/** What a backing is told of its record: see `Record.Service`. */
export interface RecordInfo<in out A> {
  readonly key: string
  readonly schema: Schema.Codec<A, any>
  /** Of the schema. Default 0. */
  readonly version?: number
  /** How values that were stored under an earlier version are decoded. Default: not at all. */
  readonly migrations?: Migrations<A>
}
/** By version: the schema of the values stored under it, which ends in the record's type of today. */
export interface Migrations<in out A> {
  readonly [version: number]: Schema.Codec<A, any>
}
/** Makes the buffer of a record of `A`; its errors and needs become those of the record's Layer. */
export interface BackingOf<in out A, out E = never, out R = never> {
  readonly make: (record: RecordInfo<A>) => Effect.Effect<Buffer<A>, E, R | Scope.Scope>
}
/** A backing for records of any type. */
export interface Backing<out E = never, out R = never> {
  readonly make: <A>(record: RecordInfo<A>) => Effect.Effect<Buffer<A>, E, R | Scope.Scope>
}

/** The backing that a config names. A capacity that is not a positive integer dies, naming the record. */
export const fromConfig = (config: BufferConfig): Backing => ({
  make: (record) =>
    Effect.suspend(() => {
      assertCapacity(record.key, config)
      return BufferConfig.match(config, {
        SpmcRing: ({ capacity }) => gated(record, (dispatcher) => new SpmcRing(capacity, dispatcher)),
        SingleLatest: () => gated(record, (dispatcher) => new SingleLatest(dispatcher)),
        Mailbox: () => gated(record, (dispatcher) => new Mailbox(dispatcher)),
        Bounded: ({ capacity }) => gated(record, (dispatcher, clock) => new Bounded(capacity, dispatcher, clock)),
        Queue: (options) =>
          Effect.flatMap(Queue.make<any, any>(options), (queue) =>
            gated(record, (dispatcher) => new FromQueue(queue, dispatcher, true))),
        PubSub: ({ capacity, strategy }) =>
          Effect.flatMap(pubsubs[strategy](capacity), (pubsub) =>
            fromPubSub(pubsub).make(record))
      }) as Effect.Effect<Buffer<any>>
    })
})
const pubsubs = {
  suspend: (capacity: number) => PubSub.bounded<any>(capacity),
  dropping: (capacity: number) => PubSub.dropping<any>(capacity),
  sliding: (capacity: number) => PubSub.sliding<any>(capacity)
}

/** The last `capacity` values. */
export const spmcRing = (options: { readonly capacity: number }): Backing =>
  fromConfig({ kind: "SpmcRing", ...options })
/** The newest value, once per change. */
export const singleLatest: Backing = fromConfig({ kind: "SingleLatest" })
/** One value until it is taken. */
export const mailbox: Backing = fromConfig({ kind: "Mailbox" })
/** At most `capacity` values, kept until every reader has read them. */
export const bounded = (options: { readonly capacity: number }): Backing => fromConfig({ kind: "Bounded", ...options })

/** The application's own; closing the record does not shut it down. Its shutting down ends the record's readers. */
export const fromPubSub = <A>(pubsub: PubSub.PubSub<A>): BackingOf<A> => ({
  make: (record) => gated(record, (dispatcher) => new FromPubSub(pubsub, dispatcher))
})
/**
 * The application's own; closing the record does not shut it down. Its end or shutdown ends the record's readers; so
 * does its failure, with which they are told `RecordClosed`, and components that read it have failed for good. A queue of capacity 0 holds nothing that could be waited for, and dies when the record is built.
 */
export const fromQueue = <A, E>(queue: Queue.Queue<A, E>): BackingOf<A> => ({
  make: (record) =>
    queue.capacity > 0
      ? gated(record, (dispatcher) => new FromQueue(queue, dispatcher, false))
      : Effect.die(
        new RangeError(
          `record "${record.key}": a queue of capacity 0 cannot stand behind a record; give it a capacity of at least 1`
        )
      )
})

/**
 * A user's own buffer from its `push`: `tryPush` and `pushAsync` default to it, as for any buffer that overwrites.
 * `produce`, `tryProduce` and `produceUnsafe` call `tryPush`, which alone can say that the buffer is full; what it
 * refuses to `produce` is dropped and counted. `produceAsync` calls `pushAsync`. After `close` none of them is called
 * any more. Readers are as honest as `subscribe` makes them: see `makeReader`, and `BufferLaws` in `@sluice/testing`.
 */
export const make = <A>(options: {
  readonly record: string
  readonly kind: string
  readonly push: (value: A) => void
  readonly tryPush?: (value: A) => Produced
  readonly pushAsync?: <B extends A>(value: B) => Effect.Effect<void, ProduceError<B>>
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  readonly latest?: Effect.Effect<Option.Option<A>>
  /** For the statistics: how many values are held now. Default 0. One that throws is NaN, and a record's is what it said before. */
  readonly held?: () => number
  readonly close: Effect.Effect<void>
}): Buffer<A> => new CustomBuffer(options)

/**
 * A reader of one's own that keeps the contract: an interrupted `recv` has taken nothing, and fibers may share it. That
 * cannot be had from Effects put together, since a value that was taken and is returned as an Exit can be lost on the way.
 */
export const makeReader = <A>(options: {
  readonly record: string
  /**
   * Takes the next value; undefined where there is none now. It must not run anybody's fiber: whom it frees is resumed
   * in a later turn.
   */
  readonly poll: () => Exit.Exit<A, RecvError> | undefined
  /** Returns when `poll` may answer something; spurious returns are allowed. Every fiber that waits runs its own. */
  readonly wait: Effect.Effect<void>
  /** How many values are ready. */
  readonly pending: () => number
}): Reader<A> => readerOf(options.record, new PolledCursor(options))

const gated = <A>(
  record: RecordInfo<A>,
  make: (dispatcher: Scheduler.SchedulerDispatcher, clock: Clock.Clock) => Store<A>
): Effect.Effect<Buffer<A>> =>
  Effect.withFiber((fiber) =>
    Effect.succeed(new StoreBuffer(record.key, make(fiber.currentDispatcher, fiber.getRef(Clock.Clock))))
  )

type Options<A> = Parameters<typeof make<A>>[0]

class CustomBuffer<in out A> extends Verbs<A> implements Buffer<A> {
  private readonly options: Options<A>
  private readonly tryPush: (value: A) => Produced
  private produced = 0
  private closed = false
  readonly kind: string
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  readonly latest: Effect.Effect<Option.Option<A>>
  readonly close: Effect.Effect<void>

  constructor(options: Options<A>) {
    super(options.record)
    this.options = options
    this.tryPush = options.tryPush ?? ((value) => (options.push(value), "Accepted"))
    this.kind = options.kind
    this.subscribe = options.subscribe
    this.latest = options.latest ?? Effect.succeedNone
    this.close = Effect.suspend(() => {
      if (this.closed) return Effect.void
      this.closed = true
      return options.close
    })
  }
  readonly sink = { push: (value: A): Produced => this.produceUnsafe(value) }
  readonly produceUnsafe = (value: A): Produced => {
    if (this.closed) return "Closed"
    const produced = this.tryPush(value)
    if (produced === "Accepted") this.produced++
    return produced
  }
  readonly stats = (): BufferStats => ({
    capacity: null,
    held: this.held(),
    produced: this.produced,
    dropped: this.dropped,
    failed: this.failed,
    overwritten: 0
  })
  /** One that throws says no number, which a record tells of, and the rest is as it is. */
  private held(): number {
    try {
      return this.options.held?.() ?? 0
    } catch {
      return Number.NaN
    }
  }
  protected push(value: A): Produced {
    return this.produceUnsafe(value)
  }
  decideProduce(value: A): Effect.Effect<void> {
    const produced = this.produceUnsafe(value)
    if (produced === "Accepted") return Exit.void
    return produced === "Full" ? this.dropFull() : this.drop()
  }
  decideProduceAsync<B extends A>(
    value: B,
    _: unknown,
    waits: Waits | undefined
  ): Effect.Effect<void, ProduceError<B>> {
    if (this.closed) return this.refuse(value)
    const { push, pushAsync } = this.options
    if (pushAsync === undefined) {
      push(value)
      this.produced++
      return Exit.void
    }
    const pushing = Effect.matchEffect(pushAsync(value), {
      onSuccess: () => {
        this.produced++
        return Exit.void
      },
      onFailure: (error) => {
        if (error._tag === "BufferFailed") this.failed++
        return Exit.fail(error)
      }
    })
    return whileWaiting(pushing, waits, this.refuse(value))
  }
}
