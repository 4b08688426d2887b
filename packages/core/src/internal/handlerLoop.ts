/**
 * Feeds a handler from a cursor. While the handler answers with nothing to run (`undefined`, or `Effect.void` itself)
 * the loop goes on inline; the fiber runs only the effects that need it. After 2,048 values it yields, so that a reader
 * that never runs dry starves nobody. A plain handler is run in the wake-up itself, without resuming the fiber. The
 * instance is itself the argument of `Effect.whileLoop`.
 */
import { Effect, type Tracer } from "effect"
import type { Handling, Intercept } from "../Component.ts"
import type { Input, Slot } from "./component.ts"
import { type Cursor, Empty, Ended, Overrun } from "./cursor.ts"

const budget = 2048

type Handled = Effect.Effect<void, unknown, any> | undefined

export class HandlerLoop {
  private readonly slot: Slot
  private readonly input: Input
  private readonly cursor: Cursor<unknown>
  private readonly handler: (valueOrBatch: unknown) => Handled
  /** 0: one value at a time. */
  private readonly batchMax: number
  private readonly parked: Effect.Effect<void, unknown, any>
  private intercept: Intercept | undefined
  private ended = false
  private left = budget

  /** `plain`: the handler is a plain function, and need not run in the fiber. */
  constructor(
    slot: Slot,
    input: Input,
    handler: (valueOrBatch: unknown) => Handled,
    batchMax: number,
    plain = false
  ) {
    this.slot = slot
    this.input = input
    this.cursor = input.cursor
    this.handler = handler
    this.batchMax = batchMax
    this.parked = plain && this.cursor.pump !== undefined ? this.cursor.pump(this.pump) : this.cursor.wait
  }
  /** Until the record has ended, or the handler fails. */
  run(intercept: Intercept | undefined): Effect.Effect<void, unknown, any> {
    this.intercept = intercept
    return Effect.whileLoop(this)
  }

  while(): boolean {
    return !this.ended
  }
  body(): Effect.Effect<void, unknown, any> {
    while (this.left-- > 0) {
      const polled = this.cursor.poll()
      if (polled === Empty) {
        this.left = budget
        this.slot.idle()
        return this.parked
      }
      if (polled === Ended) {
        this.ended = true
        return Effect.void
      }
      if (polled === Overrun) return this.input.lagged()
      const effect = this.batchMax === 0 ? this.one(polled) : this.batch(polled)
      if (effect !== undefined && effect !== Effect.void) return effect
      this.slot.end()
    }
    this.left = budget
    return Effect.yieldNow
  }
  /** `body` without the fiber: nothing once it has caught up, else what the fiber goes on with. */
  private readonly pump = (): Effect.Effect<void, unknown, any> | undefined => {
    try {
      const effect = this.body()
      return effect === this.parked ? undefined : effect
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
