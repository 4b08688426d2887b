/**
 * The four verbs as decisions taken inside one step, so that whoever stands between a producer and the buffer (a claim)
 * adds no step of its own.
 */
import { type Effect, Exit } from "effect"
import type { Produced, ProduceError, Producer, TryProduceError } from "../Producer.ts"
import { BufferClosed, BufferFull } from "../Producer.ts"
import { sayWarning } from "./say.ts"
import { type AnyFiber, step } from "./step.ts"
import { Throttle } from "./throttle.ts"
import type { Waits } from "./waits.ts"
import { withoutStack } from "./withoutStack.ts"

export abstract class Verbs<in A> implements Producer<A> {
  readonly record: string
  dropped = 0
  failed = 0
  private readonly fullness = new Throttle()

  constructor(record: string) {
    this.record = record
  }
  readonly produce = (value: A): Effect.Effect<void> => step((fiber) => this.decideProduce(value, fiber))
  readonly tryProduce = <B extends A>(value: B): Effect.Effect<void, TryProduceError<B>> =>
    step((fiber) => this.decideTryProduce(value, fiber))
  readonly produceAsync = <B extends A>(value: B): Effect.Effect<void, ProduceError<B>> =>
    step((fiber) => this.decideProduceAsync(value, fiber, undefined))
  abstract readonly produceUnsafe: (value: A) => Produced
  /** Where `produceUnsafe` ends, for those that stand before it. */
  abstract readonly sink: { push(value: A): Produced }

  abstract decideProduce(value: A, fiber: AnyFiber): Effect.Effect<void>
  /** `waits` is told while it waits. */
  abstract decideProduceAsync<B extends A>(
    value: B,
    fiber: AnyFiber,
    waits: Waits | undefined
  ): Effect.Effect<void, ProduceError<B>>
  /** Never waits. */
  protected abstract push(value: A, fiber: AnyFiber): Produced
  decideTryProduce<B extends A>(value: B, fiber: AnyFiber): Effect.Effect<void, TryProduceError<B>> {
    const produced = this.push(value, fiber)
    if (produced === "Accepted") return Exit.void
    if (produced === "Closed") return this.refuse(value)
    return Exit.fail(withoutStack(() => new BufferFull({ record: this.record, value })))
  }
  refuse<B extends A>(value: B): Exit.Exit<never, BufferClosed<B>> {
    return Exit.fail(withoutStack(() => new BufferClosed({ record: this.record, value })))
  }
  drop(): Exit.Exit<void> {
    this.dropped++
    return Exit.void
  }
  dropFull(): Effect.Effect<void> {
    this.dropped++
    return this.fullness.run(() =>
      sayWarning(
        `record "${this.record}" is full and \`produce\` drops values: ${this.dropped} so far. `
          + `Use \`tryProduce\` or \`produceAsync\` where they matter`
      )
    )
  }
}
