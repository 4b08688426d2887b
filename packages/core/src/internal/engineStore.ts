/**
 * The log over an engine, underneath: takes values into the engine's queue, remembers the newest of those that are stored,
 * and tells readers of them.
 *
 * Where this process alone appends, the order of the engine's answers gives each stored value its sequence, so that
 * readers that keep up get the values as they were produced and ask the engine for nothing. Where others append too,
 * every value is read from the engine.
 */
import { Cause, Clock, Effect, Exit, type Fiber, Latch, Option, type Scope } from "effect"
import { BufferClosed, BufferFailed, type Produced } from "../Producer.ts"
import type { Codec } from "./codec.ts"
import type { Cursor } from "./cursor.ts"
import type { Engine } from "./engine.ts"
import { type CursorHost, EngineCursor } from "./engineCursor.ts"
import { microtask } from "./microtask.ts"
import { RefusingStore, Waiter } from "./refusingStore.ts"
import { render } from "./render.ts"
import { sayWarning } from "./say.ts"
import type { AnyFiber } from "./step.ts"
import { Tail } from "./tail.ts"
import { Throttle } from "./throttle.ts"
import type { Waits } from "./waits.ts"
import { withoutStack } from "./withoutStack.ts"

/** A text for an engine that takes it, else bytes. */
export type Encoded = Uint8Array | string

export interface EngineStoreOptions<A> {
  readonly record: string
  readonly engine: Engine
  readonly codec: Codec<A>
  /** How many of the newest values to remember. */
  readonly tailMax: number
  /** How many values a reader that is behind them asks for at a time. */
  readonly readMax: number
}

export class EngineStore<A> extends RefusingStore<A> implements CursorHost<A> {
  readonly record: string
  readonly engine: Engine
  readonly tail: Tail<A> | undefined
  readonly readMax: number
  /** Taken into the engine's queue, without those that it then failed to store. */
  produced = 0
  /** Not stored, whether or not anyone could be told. */
  failed = 0
  /** Takes no more values. It is closed once all that were taken are stored, or not. */
  closing = false
  /** Open once it is closed. */
  readonly over = Latch.makeUnsafe(false)
  override readonly subscribe: Effect.Effect<Cursor<A>, never, Scope.Scope>
  stopped = false
  private readonly codec: Codec<A>
  private inFlight = 0
  onArrived: () => void = () => {}
  private undecoded = 0
  private readonly fetching = new Set<Fiber.Fiber<void>>()
  private readonly lost = new Throttle()
  private readonly passed = new Throttle()
  private readonly unread = new Throttle()
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>

  /** `fiber` is whose clock and loggers it goes by. */
  constructor({ codec, engine, readMax, record, tailMax }: EngineStoreOptions<A>, fiber: AnyFiber) {
    const clock = fiber.getRef(Clock.Clock)
    super(fiber.currentDispatcher, clock)
    this.clock = clock
    this.fork = Effect.runForkWith(fiber.context)
    this.record = record
    this.engine = engine
    this.codec = codec
    this.readMax = readMax
    this.tail = engine.refresh === undefined ? new Tail(tailMax, engine.head()) : undefined
    const refreshed = Effect.catchCause(
      engine.refresh ?? Effect.void,
      (cause) => Effect.sync(() => this.cannotRead(Cause.squash(cause)))
    )
    this.subscribe = Effect.map(refreshed, () => this.open())
    engine.listen({ advanced: () => this.gate.signal(), roomMade: () => this.roomMade() })
  }
  get kind(): string {
    return this.engine.kind
  }
  get capacity(): number {
    return this.engine.capacity
  }
  override get keepsSpans(): boolean {
    return false
  }
  held(): number {
    return this.engine.head() - this.engine.oldest()
  }
  blockers(): ReadonlyArray<string> {
    return this.engine.blockers()
  }
  visible(): number {
    return this.tail?.head ?? this.engine.head()
  }
  latest(): Option.Option<A> {
    const newest = this.engine.head() - 1
    return this.tail?.has(newest) && newest >= this.engine.oldest() ? Option.some(this.tail.at(newest)) : Option.none()
  }
  open(): Cursor<A> {
    return this.openAt(this.engine.head())
  }
  openAt(sequence: number): Cursor<A> {
    return new EngineCursor(this, sequence)
  }
  /** Goes on with `next` once there is `sequence` or it has expired, or the log is closed. */
  waitFor<B, E, R>(sequence: number, next: Effect.Effect<B, E, R>): Effect.Effect<B, E, R> {
    const { engine } = this
    return this.gate.wait(() => this.closed || engine.head() > sequence || engine.oldest() > sequence, next)
  }

  /** Whether a value has to wait, or to be refused. */
  isBusy(): boolean {
    return this.waiters.size > 0 || this.engine.isFull()
  }
  isFull(): boolean {
    return this.engine.isFull()
  }
  /** Its groups are the engine's, which others may acquire, in this process or in the next. */
  override orphan(): boolean {
    return false
  }
  encode(value: A): Encoded {
    return this.engine.appendText === undefined ? this.codec.encode(value) : this.codec.encodeText(value)
  }
  decode(version: number, bytes: Uint8Array): Option.Option<A> {
    return this.codec.decode(version, bytes)
  }
  /** Throws where the value does not encode. */
  push(value: A): Produced {
    if (this.closing) return "Closed"
    if (this.isBusy()) return "Full"
    this.put(value)
    return "Accepted"
  }
  put(value: A): void {
    let encoded: Encoded
    try {
      encoded = this.encode(value)
    } catch (cause) {
      throw new TypeError(`record "${this.record}": a value does not encode: ${render(cause)}`, { cause })
    }
    this.store(value, encoded)
  }
  /** Only where it is not busy: nobody waits for the answer. */
  store(value: A, encoded: Encoded): void {
    this.append(encoded, (failure) => {
      this.answered(value, failure)
      if (failure !== undefined) this.lose(failure.cause)
    })
  }
  append(encoded: Encoded, done: (failure?: { readonly cause: unknown }) => void): void {
    this.inFlight++
    this.produced++
    try {
      if (typeof encoded === "string") this.engine.appendText!(encoded, done)
      else this.engine.append(encoded, done)
    } catch (cause) {
      // An engine that throws has not taken it. In a later turn, as its answer would be.
      microtask(() => done({ cause }))
    }
  }
  /** The engine has stored `value`, or has failed to. */
  answered(value: A, failure: { readonly cause: unknown } | undefined): void {
    this.inFlight--
    if (failure !== undefined) {
      this.failed++
      this.produced--
    } else {
      const { tail } = this
      if (tail !== undefined) {
        tail.push(value)
        // Whoever appends beside us has to say so by `refresh`; the tail must not be wrong for ever where it does not.
        if (this.inFlight === 0 && tail.head !== this.engine.head()) tail.restart(this.engine.head())
      }
      if (this.gate.idle) this.gate.signal()
    }
    if (this.inFlight > 0) return
    if (this.closing) this.end()
    this.onArrived()
  }
  onItsWay(): number {
    return this.inFlight
  }
  override close(): void {
    if (this.closing) return
    this.closing = true
    this.refuseWaiters()
    if (this.inFlight === 0) this.end()
  }
  private end(): void {
    this.gate.close()
    this.over.openUnsafe()
  }

  run(fetching: Effect.Effect<void>): Fiber.Fiber<void> {
    const fiber = this.fork(fetching)
    this.fetching.add(fiber)
    fiber.addObserver(() => this.fetching.delete(fiber))
    return fiber
  }
  stop(): void {
    this.stopped = true
    for (const fiber of this.fetching) fiber.interruptUnsafe()
  }
  /** A value that was accepted is not stored, and whoever produced it cannot be told. */
  lose(cause: unknown): void {
    this.warn(
      this.lost,
      () => `could not store values that were accepted: ${this.failed} failed so far. ${render(cause)}`
    )
  }
  passOver(sequence: number): void {
    this.undecoded++
    this.warn(
      this.passed,
      () =>
        `has stored values that do not decode, which readers pass over: ${this.undecoded} so far, the last one is sequence `
        + `${sequence}. Raise its version and give it a migration, or read them with \`read\``
    )
  }
  cannotRead(cause: unknown): void {
    this.warn(this.unread, () => `cannot be read now, and its readers wait: ${render(cause)}`)
  }
  private warn(throttle: Throttle, what: () => string): void {
    if (throttle.isDue(this.clock)) {
      this.fork(sayWarning(`record "${this.record}" ${what()}`))
    }
  }
}

/** A producer that waits until its value is stored, and for room before that. */
export class Writing<A> extends Waiter<A> {
  private readonly engineStore: EngineStore<A>
  private readonly encoded: Encoded
  private gone = false

  constructor(store: EngineStore<A>, value: A, encoded: Encoded, waits: Waits | undefined) {
    super(store, value, waits)
    this.engineStore = store
    this.encoded = encoded
  }
  override enter(): void {
    this.engineStore.append(this.encoded, (failure) => this.done(failure))
  }
  /** It goes on waiting, for the engine's answer. */
  override entered(): void {}
  override refused(): void {
    this.resume(this.refusal)
  }
  private get refusal(): Exit.Exit<never, BufferClosed<A>> {
    const { engineStore: { record }, value } = this
    return Exit.fail(withoutStack(() => new BufferClosed({ record, value })))
  }
  protected override begin(fiber: AnyFiber): Effect.Effect<void, BufferClosed<A>> {
    const { engineStore: store } = this
    if (store.closing) return this.refusal
    if (store.isBusy()) this.join()
    else {
      this.enter()
      this.counts()
    }
    return this.suspend(fiber)
  }
  private done(failure: { readonly cause: unknown } | undefined): void {
    const { engineStore: store, value } = this
    store.answered(value, failure)
    if (failure === undefined) this.resume(Exit.void)
    else if (this.gone) store.lose(failure.cause)
    else {
      const { cause } = failure
      this.resume(Exit.fail(withoutStack(() => new BufferFailed({ record: store.record, value, cause }))))
    }
  }
  protected override left(): void {
    this.gone = true
    super.left()
  }
}
