/**
 * A buffer that does what the one inside it does and writes down what happens to it: which verb was called with which
 * value, what became of that, and what readers received.
 *
 * ```ts
 * const App = Topology.layer(components).pipe(
 *   Layer.provideMerge(Recorder.layer(Alert, Buffer.bounded({ capacity: 16 })))
 * )
 * const test = Effect.gen(function*() {
 *   const alerts = yield* Recorder.of(Alert)
 *   assert.deepStrictEqual(yield* alerts.awaitProduced(2), ["frost", "fire"])
 * })
 * ```
 *
 * It keeps every value for as long as it lives: it is for tests.
 */
import type { Buffer, Reader, Record } from "@sluice/core"
import { Context, Effect, Layer, Option, Scheduler, Schema, type Scope } from "effect"
import { settle } from "./Blocked.ts"
import { type Event, Tape } from "./internal/tape.ts"

export type { Event, Outcome } from "./internal/tape.ts"

/** What was written down so far. */
export interface Recorder<out A> {
  /** All of it, in the order in which verbs were called and values were received; what waits still is `Waiting`. */
  readonly events: Effect.Effect<ReadonlyArray<Event<A>>>
  /** The values that went in, in the order in which their producers were told so. */
  readonly produced: Effect.Effect<ReadonlyArray<A>>
  /** The values that readers received, whichever reader: `events` tells them apart. */
  readonly received: Effect.Effect<ReadonlyArray<A>>
  /**
   * Waits until `total` values have gone in since the recorder was made, then until all has settled, and answers as
   * `produced` does: one too many shows. Fails if the record is closed before; otherwise it waits for as long as it takes.
   */
  readonly awaitProduced: (total: number) => Effect.Effect<ReadonlyArray<A>, ClosedEarly>
}

/** The record was closed with fewer values than were awaited. */
export class ClosedEarly extends Schema.TaggedError<ClosedEarly>()("ClosedEarly", {
  record: Schema.String,
  awaited: Schema.Int,
  produced: Schema.Int
}) {
  override get message(): string {
    return `record "${this.record}" was closed after ${this.produced} value(s), and ${this.awaited} are awaited`
  }
}

/**
 * A recorder and the backing it writes down, for one record: behave as those of `inner` do, errors and needs included.
 * Name the type of the values where `inner` is for any: `Recorder.make<number>(Buffer.mailbox)`. A reader of it offers
 * `Reader` alone, so a component counts nothing as conflated on it.
 */
export const make = <A, E = never, R = never>(
  inner: Buffer.BackingOf<A, E, R>
): Effect.Effect<Recorder<A> & { readonly backing: Buffer.BackingOf<A, E, R> }> =>
  Effect.sync(() => {
    const tape = new Tape<A>()
    return {
      events: Effect.sync(() => tape.events()),
      produced: Effect.sync(() => tape.produced()),
      received: Effect.sync(() => tape.received()),
      awaitProduced: (total) =>
        tape.changes.until(() => tape.hasEnough(total) ? true : undefined).pipe(
          Effect.andThen(settle),
          Effect.flatMap(() => {
            const produced = tape.produced()
            return produced.length >= total
              ? Effect.succeed(produced)
              : Effect.fail(new ClosedEarly({ record: tape.record, awaited: total, produced: produced.length }))
          })
        ),
      backing: { make: (record) => Effect.map(inner.make(record), (buffer) => recorded(buffer, tape)) }
    }
  })

/** That the buffer of the record `Self` is recorded. */
export interface Recorded<in out Self> {
  readonly "~@sluice/testing/Recorded": Self
}
const recorderOf = <Self, A>(key: string): Context.Service<Recorded<Self>, Recorder<A>> =>
  Context.Service<Recorded<Self>, Recorder<A>>(`@sluice/testing/Recorded/${key}`)

/** Provides a record on a recorded buffer, and the recorder, which `of` answers with. */
export const layer = <Self, Key extends string, A, E = never, R = never>(
  record: Record.RecordClass<Self, Key, A>,
  inner: Buffer.BackingOf<NoInfer<A>, E, R>
): Layer.Layer<Self | Recorded<Self>, E, Exclude<R, Scope.Scope>> =>
  Layer.unwrap(Effect.map(make(inner), (recorder) =>
    Layer.merge(
      record.layerBuffer(recorder.backing),
      Layer.succeed(recorderOf<Self, A>(record.key), recorder)
    )))

/** The recorder of a record that `layer` provides. */
export const of = <Self, Key extends string, A>(
  record: Record.RecordClass<Self, Key, A>
): Effect.Effect<Recorder<A>, never, Recorded<Self>> => recorderOf<Self, A>(record.key)

const recorded = <A>(inner: Buffer.Buffer<A>, tape: Tape<A>): Buffer.Buffer<A> => {
  tape.record = inner.record
  const refused = () => inner.stats().dropped + inner.stats().failed
  let readers = 0
  return {
    record: inner.record,
    get kind() {
      return inner.kind
    },
    produce: (value) =>
      Effect.suspend(() => {
        const before = refused()
        return tape.around("produce", value, inner.produce(value), () => refused() > before ? "Dropped" : "Accepted")
        // In one go, so that what was refused meanwhile is this value.
      }).pipe(Effect.provideService(Scheduler.PreventSchedulerYield, true)),
    tryProduce: (value) => tape.around("tryProduce", value, inner.tryProduce(value)),
    produceAsync: (value) => tape.around("produceAsync", value, inner.produceAsync(value)),
    produceUnsafe: (value) => {
      const answer = tape.call("produceUnsafe", value)
      const produced = inner.produceUnsafe(value)
      answer(produced)
      return produced
    },
    subscribe: Effect.map(inner.subscribe, (reader) => recordedReader(reader, tape, ++readers)),
    latest: inner.latest,
    stats: inner.stats,
    close: Effect.tap(inner.close, () => Effect.sync(() => tape.close()))
  }
}

/**
 * `map` and `mapError` see what was taken and hand it on in the step that took it, so no interrupt comes between; `tap`
 * or `onExit` would take a step more, and lose a value there.
 */
const recordedReader = <A>(inner: Reader.Reader<A>, tape: Tape<A>, reader: number): Reader.Reader<A> => {
  const record = <B>(take: Effect.Effect<B, Reader.RecvError>, values: (taken: B) => ReadonlyArray<A>) =>
    withBudget(take.pipe(
      Effect.map((taken) => {
        for (const value of values(taken)) tape.write({ _tag: "Received", reader, value })
        return taken
      }),
      Effect.mapError((error) => {
        if (error._tag === "Lagged") tape.write({ _tag: "Lagged", reader, missed: error.missed })
        return error
      })
    ))
  return {
    recv: record(inner.recv, (value) => [value]),
    tryRecv: record(inner.tryRecv, Option.toArray),
    recvBatch: (max) => record(inner.recvBatch(max), (values) => values),
    pending: inner.pending
  }
}

/** At the end of a fiber's budget even `map` is followed by a yield, where an interrupt can come: yields before it. */
const withBudget = <A, E>(take: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.withFiber((fiber) =>
    fiber.currentOpCount > fiber.cache.maxOpsBeforeYield - 32 ? Effect.andThen(Effect.yieldNow, take) : take
  )
