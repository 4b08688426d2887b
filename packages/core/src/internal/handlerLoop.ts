/**
 * Feeds a handler from a cursor. While the handler answers with nothing to run (`undefined`, `Effect.void` itself, or an
 * effect of one of our producers, which is decided on the spot) the loop goes on inline; the fiber runs only the effects
 * that need it. The loop goes on in the wake-up itself, and resumes its fiber with the first effect that needs one. After
 * 2,048 values it yields, so that a reader that never runs dry starves nobody. The instance is itself the argument of
 * `Effect.whileLoop`.
 */
import { Effect, type Fiber, type Tracer } from "effect"
import type { Handling, Intercept } from "../Component.ts"
import type { Input, Slot } from "./component.ts"
import { type Cursor, Empty, Ended, Overrun } from "./cursor.ts"
import { Pump } from "./gate.ts"
import { settled } from "./step.ts"

const budget = 2048

type Handled = Effect.Effect<void, unknown, any> | undefined

export class HandlerLoop extends Pump {
  private readonly slot: Slot
  private readonly input: Input
  private readonly cursor: Cursor<unknown>
  private readonly handler: (valueOrBatch: unknown) => Handled
  /** 0: one value at a time. */
  private readonly batchMax: number
  private readonly wait: Effect.Effect<void>
  private intercept: Intercept | undefined
  private owner!: Fiber.Fiber<unknown, unknown>
  private ended = false
  private inlineLeft = budget

  constructor(
    slot: Slot,
    input: Input,
    handler: (valueOrBatch: unknown) => Handled,
    batchMax: number
  ) {
    super()
    this.slot = slot
    this.input = input
    this.cursor = input.cursor
    this.handler = handler
    this.batchMax = batchMax
    this.wait = this.cursor.pump?.(this) ?? this.cursor.wait(Effect.void)
  }
  /** Until the record has ended, or the handler fails. */
  run(intercept: Intercept | undefined): Effect.Effect<void, unknown, any> {
    return Effect.withFiber((fiber) => {
      this.owner = fiber
      this.intercept = intercept
      return Effect.whileLoop(this)
    })
  }

  while(): boolean {
    return !this.ended
  }
  body(): Effect.Effect<void, unknown, any> {
    const woken = this.parked
    while (this.inlineLeft-- > 0) {
      const polled = this.cursor.poll()
      if (polled === Empty) {
        this.inlineLeft = budget
        this.slot.idle()
        return this.wait
      }
      if (polled === Ended) {
        this.ended = true
        return Effect.void
      }
      if (polled === Overrun) return this.input.lagged()
      const effect = settled(this.batchMax === 0 ? this.one(polled) : this.batch(polled), this.owner)
      if (effect !== undefined) return effect
      // What it did interrupted the fiber that it would go on in.
      if (woken && !this.parked) return this.wait
      this.slot.end()
    }
    this.inlineLeft = budget
    return Effect.yieldNow
  }
  /** `body` without the fiber: nothing once it has caught up, else what the fiber goes on with. */
  pump(): Effect.Effect<void, unknown, any> | undefined {
    try {
      const effect = this.body()
      return effect === this.wait ? undefined : effect
    } catch (error) {
      return Effect.die(error)
    }
  }
  /** After each effect of `body`: what the handler held, if it was the handler's, is handled. */
  step(): void {
    this.slot.end()
  }
  private one(value: unknown): Handled {
    const { span } = this.cursor
    this.slot.begin(1)
    const effect = this.intercept === undefined ? this.handler(value) : this.intercepted(value, [value])
    return span === undefined ? effect : this.linked(effect, [span])
  }
  private batch(first: unknown): Handled {
    const values: [unknown, ...Array<unknown>] = [first]
    const spans = this.cursor.span === undefined ? [] : [this.cursor.span]
    while (values.length < this.batchMax) {
      const polled = this.cursor.poll()
      // An end is said again by the next poll; a lag can only come first, since nothing is pushed in between.
      if (polled === Empty || polled === Ended || polled === Overrun) break
      values.push(polled)
      if (this.cursor.span !== undefined) spans.push(this.cursor.span)
    }
    this.slot.begin(values.length)
    const effect = this.intercept === undefined ? this.handler(values) : this.intercepted(values, values)
    return spans.length === 0 ? effect : this.linked(effect, spans)
  }
  private intercepted(valueOrBatch: unknown, values: Handling["values"]): Handled {
    return this.intercept!(
      this.slot.handling(this.input.record.key, values),
      Effect.suspend(() => this.handler(valueOrBatch) ?? Effect.void)
    )
  }
  /** In a span of its own that links to those that were open where its values were produced. */
  private linked(effect: Handled, spans: ReadonlyArray<Tracer.AnySpan>): Handled {
    if (effect === undefined || effect === Effect.void) return effect
    return Effect.withSpan(effect, "Consumer.handle", {
      root: true,
      kind: "consumer",
      attributes: { component: this.slot.component, record: this.input.record.key },
      links: Array.from(new Set(spans), (span) => ({ span, attributes: {} }))
    })
  }
}
