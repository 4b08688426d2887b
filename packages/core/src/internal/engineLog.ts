/** The contract of a log over an engine: sequences outside are bigints, and failures are `LogFailed`. */
import { Effect, Exit, Option, Scope } from "effect"
import type { RecordInfo } from "../Buffer.ts"
import {
  CommitOutOfRange,
  type Durability,
  type Entry,
  type From,
  type Group,
  type Log,
  LogFailed,
  StaleEpoch
} from "../Log.ts"
import { BufferFailed, type ProduceError } from "../Producer.ts"
import { Lagged, type Reader, RecordClosed } from "../Reader.ts"
import { effectFrom } from "./answer.ts"
import { acquireInterruptibly, atMost } from "./atMost.ts"
import { codecOf } from "./codec.ts"
import type { Engine, Stored } from "./engine.ts"
import { NothingRead } from "./engineCursor.ts"
import { type Encoded, EngineStore, type EngineStoreOptions, Writing } from "./engineStore.ts"
import type { Hold } from "./groupTable.ts"
import type { Place } from "./logState.ts"
import { misread, placeOf } from "./place.ts"
import { readerOf } from "./reader.ts"
import { render, squash, wellFormed } from "./render.ts"
import { sayWarning } from "./say.ts"
import { type AnyFiber, step, waiting } from "./step.ts"
import { StoreBuffer } from "./storeBuffer.ts"
import { Throttle } from "./throttle.ts"
import type { Waits } from "./waits.ts"
import { withoutStack } from "./withoutStack.ts"

/** How long the end of a hold waits for its engine, in milliseconds. */
const releaseWithin = 1000

export const makeLog = <A>(
  record: RecordInfo<A>,
  engine: Engine,
  options: Pick<EngineStoreOptions<A>, "tailMax" | "readMax">
): Effect.Effect<Log<A>, LogFailed, Scope.Scope> =>
  Effect.withFiber((fiber) => {
    const store = new EngineStore({ record: record.key, engine, codec: codecOf(record), ...options }, fiber)
    const log = new EngineLog(record.key, store)
    return Effect.acquireRelease(Effect.as(log.open, log), () => Effect.sync(() => store.stop()))
  })

class EngineLog<in out A> extends StoreBuffer<A> implements Log<A> {
  readonly durability: Durability
  private readonly log: EngineStore<A>
  private readonly engine: Engine
  private readonly misfits = new Throttle()
  /** The newest value as it was when the log was opened, or last looked at. */
  private newest: { readonly sequence: number; readonly value: Option.Option<A> } | undefined
  private readonly refreshed: Effect.Effect<void, LogFailed>
  readonly oldest: Effect.Effect<bigint, LogFailed>
  readonly head: Effect.Effect<bigint, LogFailed>
  readonly groups: Log<A>["groups"]
  override readonly latest: Effect.Effect<Option.Option<A>>
  override readonly close: Effect.Effect<void>

  constructor(record: string, log: EngineStore<A>) {
    super(record, log)
    const { engine } = log
    this.log = log
    this.engine = engine
    this.durability = engine.durability
    this.refreshed = engine.refresh === undefined ? Effect.void : this.told("refresh", () => engine.refresh!)
    this.oldest = Effect.map(this.refreshed, () => BigInt(engine.oldest()))
    this.head = Effect.map(this.refreshed, () => BigInt(engine.head()))
    this.groups = Effect.map(
      this.told("groups", () => engine.groups),
      (groups) => groups.map((group) => ({ ...group, committed: BigInt(group.committed) }))
    )
    this.latest = step(() => {
      const newest = log.latest()
      if (Option.isSome(newest)) return Exit.succeed(newest)
      return Effect.catchCause(this.look, () => Effect.sync(() => this.newest?.value ?? Option.none()))
    })
    this.close = Effect.suspend(() => {
      if (log.closing) return log.over.await
      log.close()
      return Effect.andThen(
        Effect.uninterruptible(effectFrom("`close` of the engine", () => engine.close)),
        log.over.await
      )
    })
  }
  /** Reads the newest value, so that there is one from the start. */
  get open(): Effect.Effect<void, LogFailed> {
    return Effect.asVoid(this.told("read", () => this.look))
  }
  override readonly stats = () => ({
    capacity: Number.isFinite(this.log.capacity) ? this.log.capacity : null,
    held: this.log.held(),
    produced: this.log.produced,
    dropped: this.dropped,
    failed: this.log.failed,
    overwritten: 0
  })
  override decideProduce(value: A): Effect.Effect<void> {
    const { log } = this
    if (log.closing) return this.drop()
    if (log.isBusy()) return this.dropFull()
    const encoded = this.encoded(value)
    if (encoded instanceof Misfit) {
      return this.misfits.run(() =>
        sayWarning(
          `record "${this.record}": \`produce\` drops values that do not encode: ${log.failed} failed so far. ${
            render(encoded.cause)
          }`
        )
      )
    }
    log.store(value, encoded)
    return Exit.void
  }
  override decideProduceAsync<B extends A>(
    value: B,
    _: AnyFiber,
    waits: Waits | undefined
  ): Effect.Effect<void, ProduceError<B>> {
    const { log, record } = this
    if (log.closing) return this.refuse(value)
    const encoded = this.encoded(value)
    if (encoded instanceof Misfit) {
      const { cause } = encoded
      return Exit.fail(withoutStack(() => new BufferFailed({ record, value, cause })))
    }
    return waiting<void, ProduceError<B>>(new Writing<A>(log, value, encoded, waits))
  }
  private encoded(value: A): Encoded | Misfit {
    try {
      return this.log.encode(value)
    } catch (cause) {
      this.log.failed++
      return new Misfit(cause)
    }
  }

  readonly read = (
    from: bigint,
    max: number
  ): Effect.Effect<ReadonlyArray<Entry<A>>, Lagged | RecordClosed | LogFailed> => {
    const { engine, log, record } = this
    const misused = misread(this.record, from, max)
    if (misused !== undefined) return misused
    type Entries = Effect.Effect<ReadonlyArray<Entry<A>>, Lagged | RecordClosed | LogFailed>
    const first = Number(from)
    const lag = (): Exit.Exit<never, Lagged> =>
      Exit.fail(withoutStack(() => new Lagged({ record, missed: engine.oldest() - first })))
    const entries: Entries = step((): Entries => {
      if (first < engine.oldest()) return lag()
      if (first < engine.head()) return fetched
      return log.closed ? Exit.fail(new RecordClosed({ record })) : log.waitFor(first, entries)
    })
    // What is kept when it is asked for may expire before the answer.
    const failed = (cause: unknown): Effect.Effect<never, Lagged | LogFailed> =>
      Effect.suspend((): Effect.Effect<never, Lagged | LogFailed> =>
        first < engine.oldest() ? lag() : Effect.fail(new LogFailed({ record, cause }))
      )
    const fetched: Entries = Effect.matchEffect(effectFrom("`read` of the engine", () => engine.read(first, max)), {
      onFailure: failed,
      onSuccess: (stored) =>
        stored[0]?.sequence === first
          ? Effect.succeed(stored.map((one) => this.entryOf(one)))
          : Effect.andThen(this.refreshed, failed(new NothingRead({ sequence: first })))
    })
    return entries
  }
  readonly subscribeFrom = (from: From): Effect.Effect<Reader<A>, LogFailed, Scope.Scope> =>
    Effect.flatMap(placeOf(this.record, "subscribeFrom", from), (place) => this.sequenceOf(place)).pipe(
      Effect.flatMap((sequence) =>
        Effect.acquireRelease(
          Effect.sync(() => this.log.openAt(sequence)),
          (cursor) => Effect.sync(() => cursor.close())
        )
      ),
      Effect.map((cursor) => readerOf(this.record, cursor))
    )
  readonly acquire = (group: string, options: { readonly from: From }): Effect.Effect<Group, LogFailed, Scope.Scope> =>
    Effect.flatMap(placeOf(this.record, "acquire", options.from), (place) =>
      acquireInterruptibly(
        this.told("acquire", () => this.engine.acquire(group, place)),
        (hold) => this.release(hold)
      )).pipe(Effect.map((hold) => this.groupOf(hold)))
  /** An engine that does not answer keeps nobody: the hold is then given back as a crash gives it back. */
  private release(hold: Hold): Effect.Effect<void> {
    return Effect.flatMap(
      atMost(releaseWithin, effectFrom("`release` of the engine", () => this.engine.release(hold))),
      (exit) => {
        const what = `the release of group "${hold.group}" of record "${this.record}"`
        if (Option.isNone(exit)) return sayWarning(`${what} has not returned within a second, and is left behind`)
        return Exit.isFailure(exit.value) ? sayWarning(`${what} failed`, exit.value.cause) : Effect.void
      }
    )
  }
  readonly removeGroup = (group: string): Effect.Effect<void, LogFailed> =>
    this.told("removeGroup", () => this.engine.removeGroup(group))

  private groupOf(hold: Hold): Group {
    const { record } = this
    const { group } = hold
    const epoch = BigInt(hold.epoch)
    return {
      epoch,
      committed: BigInt(hold.committed),
      attempts: new Map(Array.from(hold.attempts, ([sequence, count]) => [BigInt(sequence), count])),
      commit: ({ attempts, through }) =>
        Effect.flatMap(
          this.told("commit", () =>
            this.engine.commit(
              hold,
              Number(through),
              new Map(Array.from(attempts, ([sequence, count]) => [Number(sequence), count]))
            )),
          (committed): Effect.Effect<void, StaleEpoch | CommitOutOfRange> => {
            switch (committed._tag) {
              case "Committed":
                return Effect.void
              case "Stale":
                return Effect.fail(withoutStack(() => new StaleEpoch({ record, group, epoch })))
              case "OutOfRange": {
                const [at, head] = [BigInt(committed.committed), BigInt(committed.head)]
                return Effect.fail(new CommitOutOfRange({ record, group, through, committed: at, head }))
              }
            }
          }
        )
    }
  }
  private entryOf({ at, bytes, sequence, version }: Stored): Entry<A> {
    const { tail } = this.log
    const value = tail?.has(sequence) ? Option.some(tail.at(sequence)) : this.log.decode(version, bytes)
    return { sequence: BigInt(sequence), at, value, bytes }
  }
  /** Reads the newest value, unless it is the one that was read last. */
  private readonly look: Effect.Effect<Option.Option<A>, unknown> = Effect.suspend(() =>
    Effect.andThen(
      this.refreshed,
      Effect.suspend(() => {
        const sequence = this.engine.head() - 1
        if (sequence < this.engine.oldest()) return Effect.succeed(Option.none<A>())
        if (this.newest?.sequence === sequence) return Effect.succeed(this.newest.value)
        return Effect.map(this.engine.read(sequence, 1), ([stored]) => {
          const value = stored === undefined ? Option.none<A>() : this.entryOf(stored).value
          this.newest = { sequence, value }
          return value
        })
      })
    )
  )
  private sequenceOf(place: Place): Effect.Effect<number, LogFailed> {
    const { engine } = this
    if (typeof place === "object" && "time" in place) {
      return this.told("sequenceAt", () => engine.sequenceAt(place.time))
    }
    return Effect.map(this.refreshed, () =>
      place === "head"
        ? engine.head()
        : place === "oldest"
        ? engine.oldest()
        : Math.min(place.sequence, engine.head()))
  }
  /** What the engine answers to `call`, with its failures and its defects as `LogFailed`. */
  private told<B>(call: string, answer: () => Effect.Effect<B, unknown>): Effect.Effect<B, LogFailed> {
    return Effect.catchCause(effectFrom(`\`${call}\` of the engine`, answer), (cause) => {
      const failure = squash(wellFormed(cause))
      return Effect.fail(
        failure instanceof LogFailed ? failure : new LogFailed({ record: this.record, cause: failure })
      )
    })
  }
}

/** A value does not encode. */
class Misfit {
  readonly cause: unknown
  constructor(cause: unknown) {
    this.cause = cause
  }
}
