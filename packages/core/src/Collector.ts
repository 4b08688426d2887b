/**
 * An acknowledging consumer group over a log. What was fetched and what was acknowledged are two positions: batches may be
 * settled in any order, the watermark moves over what is settled without a gap, and only the watermark is committed.
 *
 * At least once: every value that `produceAsync` returned for is handed out until it is acknowledged, rejected or dropped
 * as asked, across failures, restarts and crashes, as far as the log's durability reaches. A value may be handed out
 * again that was handled: after a crash delivery resumes at committed + 1. At most twice `maxReadAhead` values are.
 */
import { Cause, Context, Duration, Effect, Exit, Layer, Option, type Schedule, Scope, Stream } from "effect"
import type { Batch, DeadLetter, Progress } from "./Batch.ts"
import { type Assembly, type Handled, Interceptor, type Supervised } from "./Component.ts"
import { type AckError, CollectorCore, type PutAside, type Settings } from "./internal/collector.ts"
import { effectOf } from "./internal/answer.ts"
import { declareEffect, defaultRestart, isA, type Running, type Slot } from "./internal/component.ts"
import { logOf } from "./internal/logKey.ts"
import { numberOf } from "./internal/metrics.ts"
import { brief, render } from "./internal/render.ts"
import { runtimeOf } from "./internal/recordRuntime.ts"
import type { Delivery } from "./internal/window.ts"
import { type From, LogFailed, type LogOf, StaleEpoch } from "./Log.ts"
import type { WriterConflict } from "./Producer.ts"
import type { RecordClass } from "./Record.ts"

export { AckOutOfOrder, AckOutOfRange, AlreadyAcked, type Batch, type DeadLetter, type Progress } from "./Batch.ts"

export interface CollectorOptions {
  /** Several groups on one record each see every value; a group has one holder at a time, who may have many workers. */
  readonly group: string
  /** Where a group that is new begins. Default "oldest". */
  readonly from?: From
  /**
   * At most `max` values (default 256) and `bytesMax` bytes as stored (default: any number; a larger value goes alone). A
   * batch that is not full waits `within` for more values (default 0: what is ready goes).
   */
  readonly batch?: { readonly max?: number; readonly bytesMax?: number; readonly within?: Duration.Input }
  /** fetched − watermark. Default 1,024 values. Where it is reached, nothing is fetched until the watermark moves. */
  readonly maxReadAhead?: number
  /** Batches handed out at once. Default 16. Where it is reached, `take` waits. */
  readonly maxInFlight?: number
  /**
   * How often a value is handed out before it goes to `deadLetter`, which must be given. A batch of several values is
   * divided before its last attempt, so that only those go that fail for themselves. Default: without end.
   */
  readonly maxAttempts?: number
  /**
   * How long a batch that failed or was released waits for its next attempt. A schedule that ends or dies goes on
   * with delays that double from 100 ms to 30 s, none of them shorter than its last. Default: exponential from 100 ms, capped
   * at 30 s, with jitter.
   */
  readonly retry?: Schedule.Schedule<unknown, unknown>
  /**
   * "strict": nothing is handed out while an earlier batch waits for its next attempt, and an ack or rejection by hand
   * ahead of an earlier batch fails with `AckOutOfOrder`. Default "any".
   */
  readonly order?: "any" | "strict"
  /**
   * Progress is committed after `acks` settled batches, or `within` after the first of them, whichever is first. Default
   * `{ acks: 1, within: 0 }`: at once, and what is settled during a commit shares the next. A commit that fails is tried
   * again, from 100 ms up to 30 s apart, whether or not it took effect: a watermark committed twice is committed once.
   */
  readonly commitEvery?: { readonly acks: number; readonly within: Duration.Input }
  /** How long the watermark may stand still while values are held, before a warning names the sequence. Default 30 seconds. */
  readonly stallAfter?: Duration.Input
}
/**
 * Where values go that failed `maxAttempts` times, were rejected or do not decode: into a record, stored before the
 * watermark passes them, or nowhere, counted and logged. A letter that cannot be stored is tried again without end.
 * Without it, what is rejected by hand is dropped, counted and logged; a value that does not decode is never passed.
 */
export type DeadLetterOption<DS, DK extends string, D> =
  | { readonly record: RecordClass<DS, DK, D>; readonly as: (letter: DeadLetter) => NoInfer<D> }
  | "drop"

/** One hold on a group. After its scope has closed every verb fails with `StaleEpoch`. */
export interface Collector<out A> {
  /**
   * The next batch; waits for it. The exit of the Scope settles it, unless it was settled by hand before: success
   * acknowledges; failure, defect and interruption give it back, for another attempt. Fails with `StaleEpoch`, for ever,
   * once another holder has committed or been found; with `LogFailed` where the log cannot be read or a commit that must
   * come first fails, and can be called again; and with a `LogFailed` of `RecordClosed` where the record is closed and
   * everything in it is settled. Interrupted, it has taken nothing.
   */
  readonly take: Effect.Effect<Batch<A>, StaleEpoch | LogFailed, Scope.Scope>
  /**
   * Batches to be settled by hand. What is not settled when the stream ends is given back. It ends when the record is
   * closed and everything in it is settled.
   */
  readonly stream: Stream.Stream<Batch<A>, StaleEpoch | LogFailed>
  readonly ack: (batch: Batch<unknown>) => Effect.Effect<void, AckError>
  /**
   * Acknowledges, and returns once the watermark has passed the batch and that is committed: so it waits for earlier
   * batches. With `LogFailed` or interrupted the batch stays acknowledged, and its commit is tried again by itself.
   */
  readonly ackDurable: (batch: Batch<unknown>) => Effect.Effect<void, AckError | LogFailed>
  /** Gives the batch back, to be handed out again after `delay` (default: what `retry` says), as another attempt. */
  readonly release: (
    batch: Batch<unknown>,
    options?: { readonly delay?: Duration.Input }
  ) => Effect.Effect<void, AckError>
  /**
   * Puts the values aside as dead letters and returns once they are stored. With `LogFailed` or interrupted the batch stays
   * rejected, and storing it is tried again by itself.
   */
  readonly reject: (batch: Batch<unknown>, reason: string) => Effect.Effect<void, AckError | LogFailed>
  /** Commits what is settled now, and answers with the sequence through which progress is stored. */
  readonly flush: Effect.Effect<bigint, StaleEpoch | LogFailed>
  readonly progress: Effect.Effect<Progress>
}

/**
 * Acquires the group for the life of the scope: whoever held it before is fenced, unless this one is refused. Its series have
 * the attribute `instance` where there is another one of the same group and record in the process.
 */
export const make: {
  <Self, Key extends string, A>(
    record: RecordClass<Self, Key, A>,
    options: CollectorOptions & { readonly deadLetter?: "drop" }
  ): Effect.Effect<Collector<A>, LogFailed, Self | LogOf<Self> | Scope.Scope>
  /** Claims the record of the dead letters as "collector <group>". */
  <Self, Key extends string, A, DS, DK extends string, D>(
    record: RecordClass<Self, Key, A>,
    options: CollectorOptions & { readonly deadLetter: DeadLetterOption<DS, DK, D> }
  ): Effect.Effect<Collector<A>, LogFailed | WriterConflict, Self | LogOf<Self> | Scope.Scope | DS>
} = <A>(
  record: RecordClass<any, string, A>,
  options: CollectorOptions & { readonly deadLetter?: DeadLetterOption<any, string, any> }
): Effect.Effect<Collector<A>, any, any> =>
  wholly(Effect.gen(function*() {
    const settings = settingsOf(record.key, options)
    const log = yield* logOf<any, A>(record.key)
    // Before the group is acquired: what is refused fences nobody.
    const putAside = yield* putAsideOf(options)
    const core = yield* CollectorCore.open(log, settings)
    yield* core.start(putAside)
    const number = yield* numberOf(`collector ${record.key} ${options.group}`)
    yield* core.metrics(number === 1 ? {} : { instance: String(number) })
    return {
      take: take(core),
      stream: stream(core),
      ack: core.ack,
      ackDurable: core.ackDurable,
      release: core.release,
      reject: core.reject,
      flush: core.flush,
      progress: core.progress
    }
  }))

/** In a scope of its own, which closes at once where it fails: what it had taken by then is given back. */
const wholly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const scope = yield* Scope.fork(yield* Effect.scope)
      return yield* Effect.onError(restore(Scope.provide(effect, scope)), () => Scope.close(scope, Exit.void))
    })
  ) as Effect.Effect<A, E, R | Scope.Scope>

const putAsideOf = (options: { readonly group: string; readonly deadLetter?: DeadLetterOption<any, any, any> }) =>
  Effect.gen(function*() {
    const { deadLetter } = options
    if (deadLetter === undefined || deadLetter === "drop") return deadLetter
    const service = yield* deadLetter.record
    const claim = yield* service.producer(`collector ${options.group}`)
    const putAside: PutAside = (letter) => claim.produceAsync(deadLetter.as(letter))
    return putAside
  })

const take = <A>(core: CollectorCore<A>): Effect.Effect<Batch<A>, StaleEpoch | LogFailed, Scope.Scope> =>
  core.handOut((batch, delivery, fiber) => {
    const settle = Scope.addFinalizerExit(Context.getUnsafe(fiber.context, Scope.Scope), (exit) => {
      // Whoever took it was interrupted on the way out, in a race that it lost: nobody has seen the batch.
      const taker = fiber.pollUnsafe()
      return taker !== undefined && Exit.isFailure(taker) && Exit.hasInterrupts(taker)
        ? core.giveBack(delivery)
        : core.settle(delivery, exit)
    })
    Effect.runFork(settle)
    return batch
  }, core.whyOver)

const stream = <A>(core: CollectorCore<A>): Stream.Stream<Batch<A>, StaleEpoch | LogFailed> =>
  Stream.unwrap(Effect.gen(function*() {
    let out = new Set<Delivery>()
    yield* Effect.addFinalizer((exit) =>
      Effect.forEach(
        out,
        (delivery) => Exit.isSuccess(exit) ? core.giveBack(delivery) : core.settle(delivery, exit),
        { discard: true }
      )
    )
    const pull = core.handOut((batch, delivery) => {
      // Those settled by hand meanwhile are nobody's concern any more.
      out = new Set([...out].filter((delivery) => typeof core.window.find(delivery) !== "string"))
      out.add(delivery)
      return [batch] as const
    }, Cause.done())
    return Stream.fromPull(Effect.succeed(pull))
  }))

/**
 * A component whose handler's Exit is the acknowledgement. Success acknowledges; failure, defect and interruption give the
 * batch back, to be handed out again with `attempt + 1` ahead of what is new, after `retry`'s delay; meanwhile the worker
 * goes on with other batches. `restart` is for the collector itself: a log that cannot be read. A group that another
 * holder has acquired makes the component Failed with `StaleEpoch`, whatever `restart` says: handlers that still run are
 * interrupted.
 *
 * A drain fetches and hands out nothing new: what is in flight finishes, progress is committed, and what the log still
 * holds waits for the next run. A handler that the drain's deadline interrupts has not used an attempt.
 */
export const layer = <
  Self,
  Key extends string,
  A,
  H extends Effect.Effect<void, unknown, any>,
  DS = never,
  DK extends string = string,
  D = never
>(
  record: RecordClass<Self, Key, A>,
  options: Supervised & CollectorOptions & {
    /** How many batches are handled at once. Default 1. More than `maxInFlight` are not. */
    readonly concurrency?: number
    readonly deadLetter?: DeadLetterOption<DS, DK, D>
    readonly handle: (batch: Batch<A>) => H
  }
): Layer.Layer<never, LogFailed, Self | LogOf<Self> | Assembly | Handled<Effect.Services<H>> | DS> => {
  const { deadLetter, handle } = options
  const settings = settingsOf(record.key, options)
  return Layer.effectDiscard(Effect.gen(function*() {
    const log = yield* logOf<Self, A>(record.key)
    const closing = runtimeOf(record.key, yield* record).closing.await
    /** Opened, and its group acquired, once the topology has been checked. */
    let core: CollectorCore<A>
    const held = new Map<Slot, Delivery>()
    const putAside = (running: Running): PutAside =>
      deadLetter === undefined || deadLetter === "drop"
        ? deadLetter
        : (letter) => running.claims[0]!.produceAsync(deadLetter.as(letter))
    const start = (running: Running) => {
      core.onSettled = running.onIdle
      return Scope.provide(
        Effect.andThen(
          core.start(putAside(running)),
          // Not before its writers are over: one that waits for room in the log is let in.
          Effect.forkScoped(
            Effect.andThen(Effect.andThen(running.stop.await, closing), Effect.sync(() => core.drain()))
          )
        ),
        running.scope
      )
    }
    yield* declareEffect({
      name: options.name,
      ...(options.restart !== undefined && { restart: options.restart }),
      slots: options.concurrency ?? 1,
      kind: "Collector",
      reads: [record],
      writes: deadLetter === undefined || deadLetter === "drop" ? [] : [deadLetter.record],
      attempt: (running, slot) => Effect.andThen(start(running), work(core, running, slot, held, record.key, handle)),
      group: options.group,
      open: Effect.map(CollectorCore.open(log, settings), (opened) => {
        core = opened
        return {
          position: core.position,
          isFinal: (cause) => cause.reasons.some((reason) => reason._tag === "Fail" && isA(reason.error, StaleEpoch)),
          metrics: core.metrics
        }
      })
    })
  })) as Layer.Layer<never, LogFailed, any>
}

/** One worker: until the drain, or the record has ended. */
const work = <A>(
  core: CollectorCore<A>,
  running: Running,
  slot: Slot,
  /** What each worker has in hand: one whose fiber was torn down, by what no Effect is, has settled nothing. */
  held: Map<Slot, Delivery>,
  record: string,
  handle: (batch: Batch<A>) => Effect.Effect<void, unknown, any>
): Effect.Effect<void, StaleEpoch | LogFailed, any> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const intercept = yield* Interceptor
      const left = held.get(slot)
      if (left !== undefined) {
        held.delete(slot)
        yield* core.settle(left, Exit.die(new Error(running.lastCause ?? "its worker ended")))
      }
      while (true) {
        const handed = yield* restore(core.handOut(
          (batch, delivery) => {
            held.set(slot, delivery)
            return { batch, delivery }
          },
          Effect.as(core.finished, undefined),
          () => slot.idle()
        ))
        if (handed === undefined) return
        const { batch, delivery } = handed
        slot.begin(batch.values.length)
        const handled = Effect.suspend(() => effectOf(`component "${slot.component}": \`handle\``, handle(batch)))
        const exit = yield* Effect.exit(restore(
          intercept === undefined ? handled : intercept(slot.handling(record, batch.values), handled) as typeof handled
        ))
        held.delete(slot)
        if (Exit.isSuccess(exit)) {
          yield* core.settle(delivery, exit)
          slot.end(batch.values.length)
          continue
        }
        slot.abandon()
        // Where the topology interrupts the worker, at the drain's deadline, the attempt was not the handler's to fail.
        if (running.isEnding) yield* core.giveBack(delivery)
        else {
          running.lastCause = brief(exit.cause)
          yield* core.settle(delivery, exit)
        }
      }
    })
  )

/**
 * Puts a dead letter back: reads the value at `sequence` from the log and appends it anew, so that it gets a sequence of
 * its own and every group of the record sees it. Fails with `LogFailed` where the log keeps the value no more, where it
 * does not decode, or where it cannot be appended.
 */
export const redrive = <Self, Key extends string, A>(
  record: RecordClass<Self, Key, A>,
  sequence: bigint
): Effect.Effect<void, LogFailed, Self | LogOf<Self>> =>
  Effect.gen(function*() {
    const failed = (cause: unknown) => new LogFailed({ record: record.key, cause })
    const log = yield* logOf<Self, A>(record.key)
    if (sequence < 0n || sequence >= (yield* log.head)) {
      return yield* failed(new RangeError(`there is no sequence ${sequence} to put back`))
    }
    const [entry] = yield* Effect.mapError(log.read(sequence, 1), (error) =>
      error._tag === "LogFailed" ? error : failed(error))
    if (entry === undefined || Option.isNone(entry.value)) {
      return yield* failed(new TypeError(`sequence ${sequence} does not decode: mend its bytes and produce the value`))
    }
    yield* Effect.mapError(log.produceAsync(entry.value.value), failed)
  })

const settingsOf = (
  record: string,
  options: CollectorOptions & { readonly deadLetter?: unknown }
): Settings => {
  const wrong = (field: string, must: string, got: unknown): never => {
    throw new RangeError(
      `collector of group "${options.group}" of record "${record}": \`${field}\` must be ${must}, got ${got}`
    )
  }
  const positive = (field: string, value: number | undefined, otherwise: number): number =>
    value === undefined
      ? otherwise
      : Number.isInteger(value) && value > 0
      ? value
      : wrong(field, "a positive integer", value)
  const millis = (field: string, value: Duration.Input | undefined, otherwise: number): number => {
    if (value === undefined) return otherwise
    const duration = Duration.fromInput(value)
    return Option.isSome(duration) ? Duration.toMillis(duration.value) : wrong(field, "a duration", render(value))
  }
  if (options.maxAttempts !== undefined && options.deadLetter === undefined) {
    wrong("deadLetter", `a record or "drop", since \`maxAttempts\` is ${options.maxAttempts}`, undefined)
  }
  return {
    record,
    group: options.group,
    from: options.from ?? "oldest",
    batchMax: positive("batch.max", options.batch?.max, 256),
    batchBytesMax: positive("batch.bytesMax", options.batch?.bytesMax, Infinity),
    batchWithin: millis("batch.within", options.batch?.within, 0),
    maxReadAhead: positive("maxReadAhead", options.maxReadAhead, 1024),
    maxInFlight: positive("maxInFlight", options.maxInFlight, 16),
    maxAttempts: positive("maxAttempts", options.maxAttempts, Infinity),
    order: options.order ?? "any",
    retry: options.retry ?? defaultRestart,
    commitAcks: positive("commitEvery.acks", options.commitEvery?.acks, 1),
    commitWithin: millis("commitEvery.within", options.commitEvery?.within, 0),
    stallAfter: millis("stallAfter", options.stallAfter, 30_000)
  }
}
