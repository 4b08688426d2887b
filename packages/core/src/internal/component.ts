/** What a component declares to the topology, and what the topology keeps of it while it runs. */
import { type Cause, type Clock, Context, Effect, Latch, Layer, Schedule, type Scope } from "effect"
import { Assembly, type Emits, type Handling } from "../Component.ts"
import { BufferClosed } from "../Producer.ts"
import { Lagged, RecordClosed } from "../Reader.ts"
import type { RecordClass } from "../Record.ts"
import { effectOf, wrongAnswer } from "./answer.ts"
import { assertPositive } from "./capacity.ts"
import type { Cursor, Position } from "./cursor.ts"
import { ForeignCursor } from "./foreignCursor.ts"
import type { Member } from "./graph.ts"
import { lastingContext } from "./lasting.ts"
import { Latency } from "./latency.ts"
import type { Attributes } from "./metrics.ts"
import { cursorOf } from "./reader.ts"
import { type Claim, definitionOf, type RecordRuntime, runtimeOf } from "./recordRuntime.ts"
import { orWarn, sayWarning } from "./say.ts"
import { declares } from "./sharing.ts"
import { Throttle } from "./throttle.ts"
import { withoutStack } from "./withoutStack.ts"

type AnyRecord = RecordRuntime<any>

export interface ComponentSpec {
  readonly name: string
  readonly kind: Exclude<Member["kind"], "Record">
  readonly reads: ReadonlyArray<AnyRecord>
  /** By what name it reads each of them; only a join has names for them. */
  readonly inputs: ReadonlyArray<string> | undefined
  /** As they were declared: the same record may be there twice. */
  readonly writes: ReadonlyArray<AnyRecord>
  /** Keys of records that it was declared with by another definition than the one in the context. */
  readonly misread: ReadonlyArray<string>
  readonly restart: Schedule.Schedule<unknown, unknown> | undefined
  readonly onLag: ((lagged: Lagged) => Effect.Effect<void>) | undefined
  /** How many fibers share its readers, each supervised for itself. */
  readonly slots: number
  /** One run of one slot: until its inputs have ended, or `running.stop` is open. */
  readonly attempt: (running: Running, slot: Slot) => Effect.Effect<void, unknown, any>
  /** The services that its handler was built with: an attempt runs with them, and with nothing else. */
  readonly context: Context.Context<never>
  /** The consumer group in which it reads its one record, and in which nobody else of the topology may. */
  readonly group: string | undefined
  /** Only where it reads its one record in a way of its own: opened once the topology has been checked, instead of a reader. */
  readonly open: Effect.Effect<Own, unknown, Scope.Scope> | undefined
}
/** What a component that reads in a way of its own tells of itself. */
export interface Own {
  readonly position: Position
  /** Whether no later attempt can succeed: the component has failed for good, whatever its restart schedule says. */
  readonly isFinal: (cause: Cause.Cause<unknown>) => boolean
  /** Registers what it tells besides the numbers of every component. */
  readonly metrics: (attributes: Attributes) => Effect.Effect<void, never, Scope.Scope>
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
  readonly inputs?: ReadonlyArray<string>
  readonly writes: ReadonlyArray<RecordClass.Any>
  readonly restart?: Schedule.Schedule<unknown, unknown>
  readonly onLag?: (lagged: Lagged) => Effect.Effect<void>
  readonly slots?: number
  readonly attempt: (running: Running, slot: Slot) => Effect.Effect<void, unknown, any>
  readonly group?: string
  readonly open?: Effect.Effect<Own, unknown, Scope.Scope>
}

/** The Layer of a component: finds its records, keeps the services that its handler was built with, and declares it. */
export const declare = (options: Declaration): Layer.Layer<never, never, any> =>
  Layer.effectDiscard(declareEffect(options))

/** What `declare` makes a Layer of, for a component that needs something of its own first. */
export const declareEffect = (options: Declaration): Effect.Effect<void, never, any> =>
  Effect.gen(function*() {
    yield* declares
    const slots = options.slots ?? 1
    assertPositive(`component "${options.name}"`, "concurrency", slots)
    const context = Context.omit(Assembly)((yield* lastingContext) as Context.Context<Assembly>)
    const builder = (yield* Assembly) as unknown as Builder
    const misread: Array<string> = []
    const runtimes = Effect.forEach((record: RecordClass.Any) =>
      Effect.map(record, (service) => {
        const runtime = runtimeOf(record.key, service as object)
        if (runtime.definition !== definitionOf(record)) misread.push(record.key)
        return runtime
      })
    )
    builder.specs.push({
      name: options.name,
      kind: options.kind,
      reads: yield* runtimes(options.reads),
      inputs: options.inputs,
      writes: yield* runtimes(options.writes),
      misread,
      restart: options.restart,
      onLag: options.onLag,
      slots,
      attempt: options.attempt,
      context,
      group: options.group,
      open: options.open
    })
  })

/** The emitter of a component whose `writes` are the records of `emits`, in their order. */
export const emitterOf = (emits: Emits, running: Running): any =>
  Object.fromEntries(Object.keys(emits).map((name, index) => [name, running.claims[index]]))

/** A handler of a component's has answered with what is no Effect. */
export const notAnEffect = (component: string, option: string, answer: unknown): TypeError =>
  option === "handleUnsafe"
    ? wrongAnswer(
      `component "${component}": \`handleUnsafe\``,
      answer,
      "nothing, since that is never run (`handle` is for what answers with an Effect)"
    )
    : wrongAnswer(`component "${component}": \`${option}\``, answer)

/** `instanceof` for whatever somebody's code has failed with: a revoked proxy is of no class, and throws when it is asked. */
export const isA = <A>(value: unknown, of: abstract new(...args: any) => A): value is A => {
  try {
    return value instanceof of
  } catch {
    return false
  }
}

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
    (error): error is BufferClosed<unknown> => isA(error, BufferClosed) && error.record === running.claims[0]!.record,
    ({ record }) => {
      slot.abandon()
      return sayWarning(`component "${running.spec.name}" ends: its record "${record}" takes no more values`)
    }
  )

/** A component's reader of one record. */
export class Input {
  readonly record: AnyRecord
  readonly cursor: Cursor<any>
  /** By what name a join reads it. */
  readonly name: string | null
  /** What it left behind when the component was over. */
  left = 0
  private readonly component: string
  private readonly onLag: ((lagged: Lagged) => Effect.Effect<void>) | undefined
  private readonly throttle = new Throttle()
  private warnedOf = 0
  private lastPending = 0

  constructor(record: AnyRecord, cursor: Cursor<any>, spec: ComponentSpec, name: string | null) {
    this.record = record
    this.cursor = cursor
    this.name = name
    this.component = spec.name
    this.onLag = spec.onLag
  }
  static attach(record: AnyRecord, spec: ComponentSpec, index: number): Effect.Effect<Input, never, Scope.Scope> {
    return Effect.flatMap(record.subscribe, (reader) =>
      Effect.map(Effect.context<never>(), (context) => {
        const cursor = cursorOf(reader) ?? new ForeignCursor(reader, context)
        return new Input(record, cursor, spec, spec.inputs?.[index] ?? null)
      }))
  }
  /** How much is ready for it. A buffer of somebody's own that cannot say it is taken at what it said last. */
  pending(): number {
    try {
      return this.lastPending = this.record.countOr(this.lastPending, this.cursor.pending(), "`pending`")
    } catch (cause) {
      this.record.complain("a reader of its buffer cannot say how much is ready", cause)
      return this.lastPending
    }
  }
  /** Whether nothing is ready for it, as far as can be said at once: see `known`. */
  isIdle(): boolean {
    return this.cursor instanceof ForeignCursor ? this.cursor.isIdle() : this.pending() === 0
  }
  /** What `pending` needs where a buffer of somebody's own takes a turn to say it. */
  get known(): Effect.Effect<void> | undefined {
    return this.cursor instanceof ForeignCursor ? this.cursor.known : undefined
  }
  /** What was missed since the last warning, if anything. */
  readonly warn: Effect.Effect<void> = Effect.suspend(() => {
    const { lagged } = this.cursor.counts()
    const since = lagged - this.warnedOf
    if (since === 0) return Effect.void
    this.warnedOf = lagged
    return sayWarning(
      `component "${this.component}" falls behind on record "${this.record.key}": `
        + `missed ${since} value(s) since the last warning, ${lagged} in all`
    )
  })
  /** After the cursor said `Overrun`. Lag is never fatal, whatever becomes of `onLag`. */
  lagged(): Effect.Effect<void> {
    const { onLag } = this
    const missed = this.cursor.missed
    const warn = this.throttle.run(() => this.warn)
    if (onLag === undefined) return warn
    const lagged = withoutStack(() => new Lagged({ record: this.record.key, missed }))
    return Effect.andThen(
      warn,
      orWarn(
        `onLag of component "${this.component}"`,
        () => effectOf(`component "${this.component}": \`onLag\``, onLag(lagged))
      )
    )
  }
}

/** A component that runs, or has run. */
export class Running {
  readonly spec: ComponentSpec
  readonly scope: Scope.Closeable
  readonly slots: ReadonlyArray<Slot>
  readonly latency = new Latency()
  inputs: ReadonlyArray<Input> = []
  /** For each of `spec.writes`, in their order: for the same record the same claim. */
  claims: ReadonlyArray<Claim<any>> = []
  own: Own | undefined
  outcome: "Done" | "Failed" | "Interrupted" | undefined
  /** The topology ends it: its fibers are interrupted, and none of their failures is an attempt's. */
  isEnding = false
  restarts = 0
  lastCause: string | null = null
  /** Open once the topology drains: sources stop, backoffs end. */
  readonly stop: Latch.Latch
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
    let sum = 0
    for (const slot of this.slots) sum += slot[field]
    return sum
  }
  /** Whether no later attempt can succeed. */
  isFinal(cause: Cause.Cause<unknown>): boolean {
    return this.own?.isFinal(cause) === true
      || cause.reasons.some((reason) =>
        reason._tag === "Fail" && isA(reason.error, RecordClosed) && reason.error.cause !== undefined
      )
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
    this.began = this.clock.monotonicTimeNanosUnsafe()
    return this.handled + 1
  }
  /** Of what was begun; nothing where none was handled since. */
  endSample(): void {
    if (this.began === undefined) return
    if (this.handled > this.nextSample) {
      this.nextSample = this.handled + (this.handled < 64 ? 0 : 511)
      this.running.latency.add(Number(this.clock.monotonicTimeNanosUnsafe() - this.began) / 1e6)
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
