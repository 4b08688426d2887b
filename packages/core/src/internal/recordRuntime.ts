/** What stands behind a record's service: its buffer, and the claims of those who write it. */
import { Effect, Latch, type Option, type Scope } from "effect"
import type { Buffer } from "../Buffer.ts"
import type { Produced, ProduceError, Producer, TryProduceError } from "../Producer.ts"
import { WriterConflict } from "../Producer.ts"
import type { Reader } from "../Reader.ts"
import { step } from "./step.ts"
import { Verbs, type Waits } from "./verbs.ts"

export interface RecordOptions<in A> {
  readonly writers: "one" | "many"
  /** Throws on a value that does not fit the schema. */
  readonly validate: ((value: A) => void) | undefined
}

const TypeId = "~@sluice/core/RecordRuntime"

export class RecordRuntime<in out A> {
  readonly [TypeId] = TypeId
  readonly key: string
  readonly buffer: Buffer<A>
  readonly options: RecordOptions<A>
  readonly claims = new Set<Claim<A>>()
  /** Open while no producer waits in `produceAsync` under a claim. */
  readonly nobodyWaits = Latch.makeUnsafe(true)
  private waiting = 0
  /** Open once the record is closed by `close`. */
  readonly closing = Latch.makeUnsafe(false)
  /** The topology that runs components on this record, if any. */
  topology: object | undefined
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  readonly latest: Effect.Effect<Option.Option<A>>
  readonly close: Effect.Effect<void>
  private readonly verbs: Verbs<A>

  constructor(key: string, buffer: Buffer<A>, options: RecordOptions<A>) {
    this.key = key
    this.buffer = buffer
    this.options = options
    this.subscribe = buffer.subscribe
    this.latest = buffer.latest
    this.close = Effect.ensuring(buffer.close, this.closing.open)
    this.verbs = buffer instanceof Verbs ? buffer : new ForeignVerbs(buffer)
  }
  /** `change` more producers wait in `produceAsync`. */
  wait(change: number): void {
    this.waiting += change
    if (this.waiting > 0) this.nobodyWaits.closeUnsafe()
    else this.nobodyWaits.openUnsafe()
  }
  /** Claims the record for `name`, or says who holds it. */
  claim(name: string): Claim<A> | WriterConflict {
    if (this.options.writers === "one") {
      for (const held of this.claims) {
        return new WriterConflict({ record: this.key, holder: held.name, claimant: name })
      }
    }
    const claim = new Claim(name, this, this.verbs)
    this.claims.add(claim)
    return claim
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

/** One writer's hold on a record. Released, it answers as closed. */
export class Claim<in out A> implements Producer<A>, Waits {
  readonly record: string
  readonly name: string
  private readonly owner: RecordRuntime<A>
  private readonly verbs: Verbs<A>
  private readonly sink: Verbs<A>["sink"]
  /** How many fibers wait in `produceAsync`. */
  private waiting = 0
  private released = false
  /** Neither released, nor is there anything to validate. */
  private open: boolean
  private readonly validate: ((value: A) => void) | undefined

  constructor(name: string, owner: RecordRuntime<A>, verbs: Verbs<A>) {
    this.record = owner.key
    this.name = name
    this.owner = owner
    this.validate = owner.options.validate
    this.open = this.validate === undefined
    this.verbs = verbs
    this.sink = verbs.sink
  }
  readonly produce = (value: A): Effect.Effect<void> =>
    step((fiber) => this.admits(value) ? this.verbs.decideProduce(value, fiber) : this.verbs.drop())
  readonly tryProduce = <B extends A>(value: B): Effect.Effect<void, TryProduceError<B>> =>
    step((fiber) => this.admits(value) ? this.verbs.decideTryProduce(value, fiber) : this.verbs.refuse(value))
  readonly produceAsync = <B extends A>(value: B): Effect.Effect<void, ProduceError<B>> =>
    step((fiber) => this.admits(value) ? this.verbs.decideCounted(value, fiber, this) : this.verbs.refuse(value))
  readonly produceUnsafe = (value: A): Produced => this.open || this.admits(value) ? this.sink.push(value) : "Closed"

  /** Those that wait under a claim that was released are waited for by nobody. */
  release(): void {
    if (this.released) return
    this.released = true
    this.open = false
    this.owner.claims.delete(this)
    this.owner.wait(-this.waiting)
  }
  readonly waited = Effect.sync(() => this.wait(-1))
  wait(change: -1 | 1): void {
    this.waiting += change
    if (!this.released) this.owner.wait(change)
  }
  private admits(value: A): boolean {
    if (this.released) return false
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
  decideProduceAsync<B extends A>(value: B): Effect.Effect<void, ProduceError<B>> {
    return this.buffer.produceAsync(value)
  }
}
