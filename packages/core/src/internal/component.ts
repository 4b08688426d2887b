/** What a component declares to the topology, and what the topology keeps of it while it runs. */
import { type Cause, type Clock, Context, Effect, Latch, Layer, Schedule, Scope } from "effect"
import { Assembly, type Emits, type Handling } from "../Component.ts"
import { BufferClosed } from "../Producer.ts"
import { Lagged } from "../Reader.ts"
import type { RecordClass } from "../Record.ts"
import { assertPositive } from "./capacity.ts"
import type { Cursor, Position } from "./cursor.ts"
import { ForeignCursor } from "./foreignCursor.ts"
import type { Member } from "./graph.ts"
import { Latency } from "./latency.ts"
import { cursorOf } from "./reader.ts"
import { type Claim, type RecordRuntime, runtimeOf } from "./recordRuntime.ts"
import { Throttle } from "./throttle.ts"
import { withoutStack } from "./withoutStack.ts"

type AnyRecord = RecordRuntime<any>

export interface ComponentSpec {
  readonly name: string
  readonly kind: Exclude<Member["kind"], "Record">
  readonly reads: ReadonlyArray<AnyRecord>
  readonly writes: ReadonlyArray<AnyRecord>
  readonly restart: Schedule.Schedule<unknown, unknown> | undefined
  readonly onLag: ((lagged: Lagged) => Effect.Effect<void>) | undefined
  /** How many fibers share its readers, each supervised for itself. */
  readonly slots: number
  /** One run of one slot: until its inputs have ended, or `running.stop` is open. */
  readonly attempt: (running: Running, slot: Slot) => Effect.Effect<void, unknown>
  /** Only where it reads the one record in a way of its own, without a reader. */
  readonly position?: Position
  /** Whether no later attempt can succeed: the component has failed for good, whatever its restart schedule says. */
  readonly isFinal?: (cause: Cause.Cause<unknown>) => boolean
  /** Registers what it tells besides the numbers of every component. */
  readonly metrics?: Effect.Effect<void, never, Scope.Scope>
}

/** The default of `restart`. */
export const defaultRestart: Schedule.Schedule<unknown, unknown> = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("30 seconds")
]).pipe(Schedule.jittered)

/** Collects what components declare while their layers build. */
export class Builder {
  readonly specs: Array<ComponentSpec> = []
}

export interface Declaration {
  readonly name: string
  readonly kind: ComponentSpec["kind"]
  readonly reads: ReadonlyArray<RecordClass.Any>
  readonly writes: ReadonlyArray<RecordClass.Any>
  readonly restart?: Schedule.Schedule<unknown, unknown>
  readonly onLag?: (lagged: Lagged) => Effect.Effect<void>
  readonly slots?: number
  readonly attempt: (running: Running, slot: Slot) => Effect.Effect<void, unknown, any>
  readonly own?: Pick<ComponentSpec, "position" | "isFinal" | "metrics">
}

/**
 * The Layer of a component: finds its records, keeps the services that its handler was built with, and declares it. The
 * build's own Scope is not among them: what a handler opened in it would stay open until shutdown.
 */
export const declare = (options: Declaration): Layer.Layer<never, never, any> =>
  Layer.effectDiscard(declareEffect(options))

/** What `declare` makes a Layer of, for a component that acquires something of its own first. */
export const declareEffect = (options: Declaration): Effect.Effect<void, never, any> =>
  Effect.gen(function*() {
    const slots = options.slots ?? 1
    assertPositive(`component "${options.name}"`, "concurrency", slots)
    const context = Context.omit(Scope.Scope, Assembly, Layer.CurrentMemoMap)(
      yield* Effect.context<Scope.Scope | Assembly | Layer.CurrentMemoMap>()
    )
    const builder = (yield* Assembly) as unknown as Builder
    const runtimes = Effect.forEach((record: RecordClass.Any) =>
      Effect.map(record, (service) => runtimeOf(record.key, service as object))
    )
    builder.specs.push({
      name: options.name,
      kind: options.kind,
      reads: yield* runtimes(options.reads),
      writes: yield* runtimes(options.writes),
      restart: options.restart,
      onLag: options.onLag,
      slots,
      attempt: (running, slot) =>
        Effect.provideContext(options.attempt(running, slot), context) as Effect.Effect<void, unknown>,
      ...options.own
    })
  })

/** The emitter of a component whose `writes` are the records of `emits`, in their order. */
export const emitterOf = (emits: Emits, running: Running): any =>
  Object.fromEntries(Object.keys(emits).map((name, index) => [name, running.claims[index]]))

/**
 * A component writes the one record that it claims. Where that is closed under it, no attempt can ever succeed: the
 * component is over, and what it held is abandoned.
 */
export const endWhenClosed = <R>(
  write: Effect.Effect<void, unknown, R>,
  running: Running,
  slot: Slot
): Effect.Effect<void, unknown, R> =>
  Effect.catchIf(
    write,
    (error): error is BufferClosed<unknown> =>
      error instanceof BufferClosed && error.record === running.claims[0]!.record,
    ({ record }) => {
      slot.abandon()
      return Effect.logWarning(`component "${running.spec.name}" ends: its record "${record}" was closed`)
    }
  )

/** A component's reader of one record. */
export class Input {
  readonly record: AnyRecord
  readonly cursor: Cursor<any>
  /** What it left behind when the component was over. */
  left = 0
  private readonly component: string
  private readonly onLag: ((lagged: Lagged) => Effect.Effect<void>) | undefined
  private readonly throttle = new Throttle()
  private warnedOf = 0

  private constructor(record: AnyRecord, cursor: Cursor<any>, spec: ComponentSpec) {
    this.record = record
    this.cursor = cursor
    this.component = spec.name
    this.onLag = spec.onLag
  }
  static attach(record: AnyRecord, spec: ComponentSpec): Effect.Effect<Input, never, Scope.Scope> {
    if (spec.position !== undefined) {
      // It reads for itself: of its cursor only what a Position has is ever asked.
      return Effect.succeed(new Input(record, spec.position as Cursor<any>, spec))
    }
    return Effect.map(
      record.subscribe,
      (reader) => new Input(record, cursorOf(reader) ?? new ForeignCursor(reader), spec)
    )
  }
  /** What was missed since the last warning, if anything. */
  readonly warn: Effect.Effect<void> = Effect.suspend(() => {
    const { lagged } = this.cursor.counts()
    const since = lagged - this.warnedOf
    if (since === 0) return Effect.void
    this.warnedOf = lagged
    return Effect.logWarning(
      `component "${this.component}" falls behind on record "${this.record.key}": `
        + `missed ${since} value(s) since the last warning, ${lagged} in all`
    )
  })
  /** After the cursor said `Overrun`. */
  lagged(): Effect.Effect<void> {
    const missed = this.cursor.missed
    const warn = this.throttle.run(() => this.warn)
    return this.onLag === undefined
      ? warn
      : Effect.andThen(warn, this.onLag(withoutStack(() => new Lagged({ record: this.record.key, missed }))))
  }
}

/** A component that runs, or has run. */
export class Running {
  readonly spec: ComponentSpec
  readonly scope: Scope.Closeable
  readonly slots: ReadonlyArray<Slot>
  readonly latency = new Latency()
  inputs: ReadonlyArray<Input> = []
  claims: ReadonlyArray<Claim<any>> = []
  outcome: "Done" | "Failed" | "Interrupted" | undefined
  restarts = 0
  lastCause: string | null = null
  /** Open once the topology drains: sources stop, backoffs end. */
  readonly stop: Latch.Latch
  /** Open once the component is over and has given up its readers and claims. */
  readonly over = Latch.makeUnsafe(false)
  /** Told when a slot has nothing to do. */
  readonly onIdle: () => void

  constructor(spec: ComponentSpec, options: {
    readonly scope: Scope.Closeable
    readonly clock: Clock.Clock
    readonly stop: Latch.Latch
    readonly onIdle: () => void
  }) {
    this.spec = spec
    this.scope = options.scope
    this.stop = options.stop
    this.onIdle = options.onIdle
    this.slots = Array.from({ length: spec.slots }, (_, index) => new Slot(this, index, options.clock))
  }
  /** Over all slots. */
  total(field: "handled" | "abandoned" | "inFlight"): number {
    return this.slots.reduce((sum, slot) => sum + slot[field], 0)
  }
}

/** One of the fibers of a component: what it holds, and what became of it. */
export class Slot {
  private readonly running: Running
  private readonly clock: Clock.Clock
  private readonly index: number
  /** Which run this is, from 1. */
  attempt = 0
  state: "Starting" | "Running" | "Restarting" = "Starting"
  /** Values that the handler holds now. */
  inFlight = 0
  handled = 0
  abandoned = 0
  private began: bigint | undefined
  /** What `handled` is when a value is timed again. */
  private nextSample = 0

  constructor(running: Running, index: number, clock: Clock.Clock) {
    this.running = running
    this.index = index
    this.clock = clock
  }
  get component(): string {
    return this.running.spec.name
  }
  /** What an interceptor is told of `values` of `record`. */
  handling(record: string, values: Handling["values"]): Handling {
    return { component: this.running.spec.name, record, values, slot: this.index, attempt: this.attempt }
  }
  /** The handler gets `values` more values. */
  begin(values: number): void {
    this.inFlight += values
    if (this.handled >= this.nextSample) this.beginSample()
  }
  /** The handler is done with `values` of what it held. */
  end(values: number): void {
    this.handled += values
    this.inFlight -= values
    this.endSample()
  }
  /** Times what is handled next, if it is time for that, and answers what `handled` will be at the end of it. */
  beginSample(): number {
    if (this.handled < this.nextSample) return this.nextSample
    this.nextSample = this.handled
    this.began = this.clock.currentTimeNanosUnsafe()
    return this.handled + 1
  }
  /** Of what was begun; nothing where none was handled since. */
  endSample(): void {
    if (this.began === undefined) return
    if (this.handled > this.nextSample) {
      this.nextSample = this.handled + (this.handled < 64 ? 0 : 511)
      this.running.latency.add(Number(this.clock.currentTimeNanosUnsafe() - this.began) / 1e6)
    }
    this.began = undefined
  }
  /** The handler failed, died or was interrupted with what it held. */
  abandon(): void {
    this.abandoned += this.inFlight
    this.inFlight = 0
    this.began = undefined
  }
  idle(): void {
    this.running.onIdle()
  }
}
