/**
 * A reader's place in a log over an engine. What the tail has is taken with plain calls; a reader that is behind it asks
 * the engine for many values at a time, in a fiber of its own, so that an interrupted take has taken nothing.
 */
import { Cause, Data, Effect, type Fiber, Option, Schedule } from "effect"
import { type Counts, Empty, Ended, Overrun, type Polled } from "./cursor.ts"
import { effectFrom } from "./answer.ts"
import type { Engine } from "./engine.ts"
import type { Gate } from "./gate.ts"
import { PumpedCursor } from "./store.ts"
import type { Tail } from "./tail.ts"

/** What a place needs of the log that it is in. */
export interface CursorHost<A> {
  readonly gate: Gate
  readonly closed: boolean
  readonly engine: Engine
  readonly tail: Tail<A> | undefined
  readonly readMax: number
  /** The engine is gone, and nothing can be asked of it. */
  readonly stopped: boolean
  /** The sequence of the first value that readers do not see yet. */
  visible(): number
  decode(version: number, bytes: Uint8Array): Option.Option<A>
  /** Runs it beside everything else, until it ends or the log's scope closes. */
  run(fetching: Effect.Effect<void>): Fiber.Fiber<void>
  /** A value does not decode, and is passed over. */
  passOver(sequence: number): void
  cannotRead(cause: unknown): void
}

/** Doubles up to 5 seconds, for as long as it takes. */
const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("5 seconds")])

export class EngineCursor<A> extends PumpedCursor<A> {
  private readonly host: CursorHost<A>
  private position: number
  private received = 0
  private lagged = 0
  /** What the engine has answered, from sequence `fetchedFrom` on. */
  private fetched: ReadonlyArray<Option.Option<A>> = []
  private fetchedFrom = 0
  private fetching: Fiber.Fiber<void> | undefined

  constructor(host: CursorHost<A>, position: number) {
    super(host)
    this.host = host
    this.position = position
  }
  override poll(): Polled<A> {
    if (this.detached) return Ended
    const taken = this.take()
    return taken === Empty && this.host.closed && this.available() === 0 ? Ended : taken
  }
  take(): Polled<A> {
    const { engine, tail } = this.host
    const oldest = engine.oldest()
    if (this.position < oldest) {
      this.missed = oldest - this.position
      this.lagged += this.missed
      this.position = oldest
      return Overrun
    }
    while (this.position < this.host.visible()) {
      if (tail?.has(this.position)) {
        this.received++
        return tail.at(this.position++)
      }
      const value = this.fetched[this.position - this.fetchedFrom]
      if (value === undefined) {
        if (this.host.stopped) return Ended
        this.fetch()
        return Empty
      }
      this.position++
      if (Option.isSome(value)) {
        this.received++
        return value.value
      }
      this.lagged++
      this.host.passOver(this.position - 1)
    }
    return Empty
  }
  override isFetching(): boolean {
    return this.fetching !== undefined && !this.detached
  }
  available(): number {
    return Math.max(0, this.host.visible() - this.position)
  }
  counts(): Counts {
    return { received: this.received, lagged: this.lagged, conflated: 0 }
  }
  override close(): void {
    this.fetching?.interruptUnsafe()
    super.close()
  }
  /** Whether `poll` answers with something, or asks for it. */
  protected override readonly isReady = (): boolean => {
    if (this.detached || this.position < this.host.engine.oldest()) return true
    if (this.available() === 0) return this.host.closed
    return this.fetching === undefined || this.host.tail?.has(this.position) === true
      || this.fetched[this.position - this.fetchedFrom] !== undefined
  }

  private fetch(): void {
    if (this.fetching !== undefined) return
    const { host, position } = this
    const isKept = () => position >= host.engine.oldest()
    // First a turn: a poll runs nobody's code.
    const fetching = Effect.andThen(
      Effect.yieldNow,
      Effect.suspend(() =>
        isKept()
          ? effectFrom(
            "`read` of the engine",
            () => host.engine.read(position, Math.min(host.readMax, host.visible() - position))
          )
          : Effect.succeed([])
      )
    ).pipe(
      Effect.flatMap((stored) => {
        if (stored[0]?.sequence !== position && isKept()) return Effect.fail(new NothingRead({ sequence: position }))
        this.fetched = stored.map(({ bytes, version }) => host.decode(version, bytes))
        this.fetchedFrom = position
        return Effect.void
      }),
      Effect.sandbox,
      Effect.tapError((cause) => Effect.sync(() => host.cannotRead(Cause.squash(cause)))),
      // An interrupt from within, too: where the log ends it, nothing is tried any more.
      Effect.retry(backoff),
      Effect.ignore
    )
    const fiber = host.run(fetching)
    this.fetching = fiber
    // Whatever ends it: who waits looks again, and asks again.
    fiber.addObserver(() => {
      this.fetching = undefined
      host.gate.signal()
    })
  }
}

/** An engine that was asked for a value which it keeps has answered without it. */
export class NothingRead extends Data.TaggedError("NothingRead")<{ readonly sequence: number }> {
  override get message(): string {
    return `the engine keeps sequence ${this.sequence} and answered a read from there without it`
  }
}
