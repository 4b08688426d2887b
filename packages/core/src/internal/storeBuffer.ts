/** The Effects of the contract over a store, the same way for every kind of our own. */
import { Effect, Exit, Option, type Scope } from "effect"
import type { Produced, ProduceError } from "../Producer.ts"
import type { Reader } from "../Reader.ts"
import { readerOf } from "./reader.ts"
import type { AnyFiber } from "./step.ts"
import { type Store, StoreTypeId } from "./store.ts"
import { Traced } from "./traced.ts"
import { Verbs } from "./verbs.ts"
import type { Waits } from "./waits.ts"

export class StoreBuffer<in out A> extends Verbs<A> {
  readonly [StoreTypeId]: Store<A>
  protected readonly store: Store<A>
  readonly subscribe: Effect.Effect<Reader<A>, never, Scope.Scope>
  readonly latest: Effect.Effect<Option.Option<A>>
  readonly close: Effect.Effect<void>

  constructor(record: string, store: Store<A>) {
    super(record)
    this.store = store
    this[StoreTypeId] = store
    this.subscribe = Effect.acquireRelease(store.subscribe, (cursor) => Effect.sync(() => cursor.close())).pipe(
      Effect.map((cursor) => readerOf(record, cursor))
    )
    this.latest = Effect.sync(() =>
      Option.map(store.latest(), (value) => value instanceof Traced ? value.value : value)
    )
    this.close = Effect.sync(() => store.close())
  }
  get kind(): string {
    return this.store.kind
  }
  get sink(): Store<A> {
    return this.store
  }
  readonly produceUnsafe = (value: A): Produced => this.store.push(value)
  readonly stats = () => ({
    // Effect's unbounded ones say Infinity or the largest safe integer.
    capacity: this.store.capacity < Number.MAX_SAFE_INTEGER ? this.store.capacity : null,
    held: this.store.held(),
    produced: this.store.produced,
    dropped: this.dropped,
    failed: this.failed,
    overwritten: this.store.overwritten
  })
  protected push(value: A, fiber: AnyFiber): Produced {
    return this.store.push(this.stored(value, fiber))
  }
  private stored(value: A, fiber: AnyFiber): A {
    const { span } = fiber.cache
    if (span === undefined || !this.store.keepsSpans) return value
    this.store.hasSpans = true
    return new Traced(value, span) as A
  }
  decideProduce(value: A, fiber: AnyFiber): Effect.Effect<void> {
    const produced = this.push(value, fiber)
    if (produced === "Accepted") return Exit.void
    return produced === "Full" ? this.dropFull() : this.drop()
  }
  decideProduceAsync<B extends A>(
    value: B,
    fiber: AnyFiber,
    waits: Waits | undefined
  ): Effect.Effect<void, ProduceError<B>> {
    const stored = this.stored(value, fiber)
    const produced = this.store.push(stored)
    if (produced === "Accepted") return Exit.void
    if (produced === "Closed") return this.refuse(value)
    return Effect.flatMap(
      this.store.offer(stored, waits),
      (offered) => offered === "Accepted" ? Exit.void : offered === "Closed" ? this.refuse(value) : this.drop()
    )
  }
}
