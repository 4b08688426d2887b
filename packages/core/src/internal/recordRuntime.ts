/** What stands behind a record's service: its buffer, its readers, and the claims of those who write it. */
import { Clock, Context, Effect, Exit, Latch, Option, type Scope } from "effect"
import type { Buffer, RecordInfo } from "../Buffer.ts"
import type { Produced, ProduceError, Producer, TryProduceError } from "../Producer.ts"
import { WriterConflict } from "../Producer.ts"
import type { Reader } from "../Reader.ts"
import { atMost } from "./atMost.ts"
import { logKeyPrefix } from "./logKey.ts"
import { render } from "./render.ts"
import { sayWarning } from "./say.ts"
import { step } from "./step.ts"
import { storeOf } from "./store.ts"
import { Throttle } from "./throttle.ts"
import { Verbs } from "./verbs.ts"
import { type Refusable, type Waits, whileWaiting } from "./waits.ts"

type Stats = ReturnType<Buffer<any>["stats"]>

export interface RecordOptions<in A> {
  readonly writers: "one" | "many"
  /** Throws on a value that does not fit the schema. */
  readonly validate: ((value: A) => void) | undefined
}

const TypeId = "~@sluice/core/RecordRuntime"
/** Where a record class keeps what it was defined with: of two of one key it says which is which. */
export const DefinitionTypeId = "~@sluice/core/RecordDefinition"
export const definitionOf = (record: object): RecordInfo<any> | undefined => (record as any)[DefinitionTypeId]
/** How long the layer of a record waits for the close of its buffer, in milliseconds. */
const closeWithin = 5000

export class RecordRuntime<in out A> {
  readonly [TypeId] = TypeId
  readonly key: string
  /** What the record's class was defined with: of two definitions of one key it says which one this is. */
  readonly definition: RecordInfo<A>
  readonly buffer: Buffer<A>
  readonly options: RecordOptions<A>
  readonly claims = new Set<Claim<A>>()
  /** Open while no producer waits in `produceAsync` under a claim. */
  readonly nobodyWaits = Latch.makeUnsafe(true)
  waiting = 0
  /** Open once the record is closed by `close`. */
  readonly closing = Latch.makeUnsafe(false)
  /** The topology that runs components on this record, if any. */
  topology: object | undefined
  /** How many readers it has, of components and others. */
  readers = 0
  /** Every claim answers as closed from now on. Those that wait already are let in. */
  refuses = false
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  readonly latest: Effect.Effect<Option.Option<A>>
  readonly close: Effect.Effect<void>
  private readonly verbs: Verbs<A>
  private lastStats: Stats = { capacity: null, held: 0, produced: 0, dropped: 0, failed: 0, overwritten: 0 }
  private readonly complaints = new Throttle()
  private readonly context: Context.Context<never>
  private isCloseBegun = false

  /** `context` has the clock and the loggers that it goes by. */
  constructor(
    definition: RecordInfo<A>,
    buffer: Buffer<A>,
    options: RecordOptions<A>,
    context: Context.Context<never> = Context.empty()
  ) {
    this.context = context
    this.key = definition.key
    this.definition = definition
    this.buffer = buffer
    this.options = options
    // It counts before it has subscribed: a record is not without readers while one is on its way.
    this.subscribe = Effect.andThen(
      Effect.acquireRelease(Effect.sync(() => this.readers++), () => Effect.sync(() => this.readers--)),
      buffer.subscribe
    )
    this.latest = buffer.latest
    this.close = Effect.suspend(() => {
      this.isCloseBegun = true
      return Effect.ensuring(buffer.close, this.closing.open)
    })
    this.verbs = buffer instanceof Verbs ? buffer : new ForeignVerbs(buffer)
  }
  get isClosed(): boolean {
    return this.closing.isOpen() || storeOf(this.buffer)?.closed === true
  }
  /** The statistics of the buffer, which may be somebody's own: what it cannot say is told, and is what it said before. */
  stats(): Stats {
    const before = this.lastStats
    let said: Stats
    try {
      said = this.buffer.stats()
    } catch (cause) {
      this.complain("its buffer has no statistics", cause)
      return before
    }
    const countOf = (field: Exclude<keyof Stats, "capacity">) =>
      this.countOr(before[field], said[field], `\`${field}\``)
    const { capacity } = said
    return this.lastStats = {
      capacity: capacity === null || Number.isSafeInteger(capacity) ? capacity : null,
      held: countOf("held"),
      produced: countOf("produced"),
      dropped: countOf("dropped"),
      failed: countOf("failed"),
      overwritten: countOf("overwritten")
    }
  }
  /** `said`, or `otherwise` where that is no count. */
  countOr(otherwise: number, said: number, what: string): number {
    if (Number.isSafeInteger(said) && said >= 0) return said
    this.complain(`${what} of its buffer is no count`, said)
    return otherwise
  }
  /** At most once a second. */
  complain(what: string, cause: unknown): void {
    if (!this.complaints.isDue(Context.get(this.context, Clock.Clock))) return
    Effect.runForkWith(this.context)(sayWarning(`record "${this.key}": ${what}: ${render(cause)}`))
  }
  /** The end of its layer: closes it, unless that has begun before, and waits for it no longer than may be. */
  readonly end: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isCloseBegun) return Effect.void
    return Effect.flatMap(atMost(closeWithin, this.close), (exit) =>
      Option.isNone(exit)
        ? sayWarning(
          `the close of record "${this.key}" has not returned within ${closeWithin / 1000} s, and is left behind`
        )
        : Exit.isFailure(exit.value)
        ? sayWarning(`the close of record "${this.key}" failed`, exit.value.cause)
        : Effect.void)
  })
  /** `change` more producers wait in `produceAsync`. */
  wait(change: number): void {
    this.waiting += change
    if (this.waiting > 0) this.nobodyWaits.closeUnsafe()
    else this.nobodyWaits.openUnsafe()
  }
  /** Lets those in that wait now, and answers whoever comes as closed. */
  refuse(): void {
    this.refuses = true
    for (const claim of this.claims) claim.refuse()
  }
  /** Claims the record for `name`, or says who holds it. */
  claim(name: string): Claim<A> | WriterConflict {
    const conflict = this.conflict(name)
    if (conflict !== undefined) return conflict
    const claim = new Claim(name, this, this.verbs)
    this.claims.add(claim)
    return claim
  }
  /** Why `name` cannot claim it. */
  conflict(name: string): WriterConflict | undefined {
    if (this.options.writers === "many") return undefined
    for (const held of this.claims) {
      return new WriterConflict({ record: this.key, holder: held.name, claimant: name })
    }
    return undefined
  }
  readonly producer = Effect.fn("Record.producer")({ self: this }, function*(name: string) {
    return yield* Effect.acquireRelease(
      Effect.suspend(() => {
        const claim = this.claim(name)
        return claim instanceof WriterConflict ? Effect.fail(claim) : Effect.succeed(claim)
      }),
      (claim) => Effect.sync(() => claim.release())
    )
  }) as (name: string) => Effect.Effect<Producer<A>, WriterConflict, Scope.Scope>
}

/** The record behind a service. A record that was put together by hand is none, and cannot be part of a topology. */
export const runtimeOf = (key: string, record: object): RecordRuntime<any> => {
  if (TypeId in record) return record as RecordRuntime<any>
  throw new TypeError(
    `record "${key}": the service in the context was not made by a layer of the record. Provide ${key}.layer, `
      + `.layerConfig, .layerBuffer or .layerLog; a fake buffer goes behind .layerBuffer(Buffer.make(...))`
  )
}

/**
 * A context without the records in it: what goes on for thousands of them is not to copy thousands of services each time,
 * as an Effect does that is provided with a context, and each finalizer.
 */
export const withoutRecords = (context: Context.Context<never>): Context.Context<never> =>
  Context.makeUnsafe(
    new Map(
      Array.from(context.mapUnsafe).filter(([key, service]) =>
        !(key.startsWith(logKeyPrefix) || (typeof service === "object" && service !== null && TypeId in service))
      )
    )
  )

/** One writer's hold on a record. Released, it answers as closed, also those that wait under it. */
export class Claim<in out A> implements Producer<A>, Waits {
  readonly record: string
  readonly name: string
  private readonly owner: RecordRuntime<A>
  private readonly verbs: Verbs<A>
  private readonly sink: Verbs<A>["sink"]
  /** Those that wait in `produceAsync`. */
  private readonly waiting = new Set<Refusable>()
  private released = false
  /** Neither released nor refusing, nor is there anything to validate. */
  private open: boolean
  private readonly validate: ((value: A) => void) | undefined

  constructor(name: string, owner: RecordRuntime<A>, verbs: Verbs<A>) {
    this.record = owner.key
    this.name = name
    this.owner = owner
    this.validate = owner.options.validate
    this.open = this.validate === undefined && !owner.refuses
    this.verbs = verbs
    this.sink = verbs.sink
  }
  readonly produce = (value: A): Effect.Effect<void> =>
    step((fiber) => this.admits(value) ? this.verbs.decideProduce(value, fiber) : this.verbs.drop())
  readonly tryProduce = <B extends A>(value: B): Effect.Effect<void, TryProduceError<B>> =>
    step((fiber) => this.admits(value) ? this.verbs.decideTryProduce(value, fiber) : this.verbs.refuse(value))
  readonly produceAsync = <B extends A>(value: B): Effect.Effect<void, ProduceError<B>> =>
    step((fiber) => this.admits(value) ? this.verbs.decideProduceAsync(value, fiber, this) : this.verbs.refuse(value))
  readonly produceUnsafe = (value: A): Produced => this.open || this.admits(value) ? this.sink.push(value) : "Closed"

  /** Whether anybody waits under it. */
  get isWaiting(): boolean {
    return this.waiting.size > 0
  }
  release(): void {
    if (this.released) return
    this.released = true
    this.open = false
    this.owner.claims.delete(this)
    this.owner.wait(-this.waiting.size)
    for (const waiting of this.waiting) waiting.refuse()
  }
  /** Takes no more values, and lets those in that wait. */
  refuse(): void {
    this.open = false
  }
  enter(waiting: Refusable): void {
    this.waiting.add(waiting)
    if (!this.released) this.owner.wait(1)
  }
  leave(waiting: Refusable): void {
    if (this.waiting.delete(waiting) && !this.released) this.owner.wait(-1)
  }
  private admits(value: A): boolean {
    if (this.released || this.owner.refuses) return false
    if (this.validate !== undefined) this.validate(value)
    return true
  }
}

/** A buffer that someone wrote against the interface alone. */
class ForeignVerbs<in out A> extends Verbs<A> {
  private readonly buffer: Buffer<A>
  readonly sink: Verbs<A>["sink"]
  constructor(buffer: Buffer<A>) {
    super(buffer.record)
    this.buffer = buffer
    this.sink = { push: buffer.produceUnsafe }
  }
  readonly produceUnsafe = (value: A): Produced => this.buffer.produceUnsafe(value)
  protected push(value: A): Produced {
    return this.buffer.produceUnsafe(value)
  }
  override decideTryProduce<B extends A>(value: B): Effect.Effect<void, TryProduceError<B>> {
    return this.buffer.tryProduce(value)
  }
  decideProduce(value: A): Effect.Effect<void> {
    return this.buffer.produce(value)
  }
  decideProduceAsync<B extends A>(
    value: B,
    _: unknown,
    waits: Waits | undefined
  ): Effect.Effect<void, ProduceError<B>> {
    return whileWaiting(this.buffer.produceAsync(value), waits, this.refuse(value))
  }
}
