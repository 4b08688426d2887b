/**
 * Feeds a handler from a cursor. While the handler answers with nothing to run (`undefined`, `Effect.void` itself, or an
 * effect of one of our producers, which is decided on the spot) the loop goes on inline; the fiber runs only the effects
 * that need it. The loop goes on in the wake-up itself, and resumes its fiber with the first effect that needs one. After
 * 2,048 values it yields, so that a reader that never runs dry starves nobody. The instance is itself the argument of
 * `Effect.whileLoop`.
 */
import { Effect, type Tracer } from "effect"
import type { Handling, Intercept } from "../Component.ts"
import { type Input, notAnEffect, type Slot } from "./component.ts"
import { type Cursor, Empty, Ended, Overrun, type Taker } from "./cursor.ts"
import { Pump } from "./gate.ts"
import { closedOf } from "./reader.ts"
import { PumpedCursor } from "./store.ts"
import { type AnyFiber, settled } from "./step.ts"

/** How many values are handled before the fiber yields. */
const inline = 2048

type Handled = Effect.Effect<void, unknown, any> | undefined

export class HandlerLoop extends Pump implements Taker<unknown> {
  private readonly slot: Slot
  private readonly input: Input
  private readonly cursor: Cursor<unknown>
  private readonly handler: (valueOrBatch: unknown) => Handled
  /** What the handler is in the component's options. */
  private readonly option: "handle" | "handleBatch" | "handleUnsafe"
  /** Of `handleUnsafe`, unless something stands around it. */
  private answersNothing = false
  /** 0: one value at a time. */
  private readonly batchMax: number
  private readonly wait: Effect.Effect<void>
  private owner!: AnyFiber
  private intercept: Intercept | undefined
  private ended = false
  /** What `slot.handled` is when the fiber yields, and when the cursor is to stop. */
  private yieldAt = inline
  private stopAt = 0
  /** What the last value or batch left for the fiber. */
  private rest: Handled

  constructor(
    slot: Slot,
    input: Input,
    option: "handle" | "handleBatch" | "handleUnsafe",
    handler: (valueOrBatch: unknown) => Handled,
    batchMax: number
  ) {
    super()
    this.slot = slot
    this.input = input
    this.cursor = input.cursor
    this.option = option
    this.handler = handler
    this.batchMax = batchMax
    this.wait = this.cursor instanceof PumpedCursor ? this.cursor.pump(this) : this.cursor.wait(Effect.void)
  }
  /** Until the record has ended, or the handler fails. */
  run(intercept: Intercept | undefined): Effect.Effect<void, unknown, any> {
    return Effect.withFiber((fiber) => {
      this.owner = fiber
      this.intercept = intercept
      this.answersNothing = this.option === "handleUnsafe" && intercept === undefined
      return Effect.whileLoop(this)
    })
  }

  while(): boolean {
    return !this.ended
  }
  body(): Effect.Effect<void, unknown, any> {
    const { slot } = this
    this.interrupted = false
    while (slot.handled < this.stopAt || this.goesOn()) {
      const fed = this.batchMax === 0 ? this.cursor.feed(this) : this.batch()
      const { rest } = this
      if (rest !== undefined) {
        this.rest = undefined
        return rest
      }
      if (this.interrupted) return this.wait
      slot.endSample()
      if (fed === Empty) {
        // What was to be timed has not come: it is timed from when it does.
        this.stopAt = 0
        this.yieldAt = slot.handled + inline
        slot.idle()
        return this.wait
      }
      if (fed === Overrun) return this.input.lagged()
      if (fed === Ended) {
        if (this.cursor.failure !== undefined) return Effect.fail(closedOf(this.input.record.key, this.cursor))
        this.ended = true
        return Effect.void
      }
    }
    this.yieldAt = slot.handled + inline
    return Effect.yieldNow
  }
  /** Whether it is not yet time to yield; if so, until when the cursor may go on: the end of a sample, or the next one. */
  private goesOn(): boolean {
    if (this.slot.handled >= this.yieldAt) return false
    this.stopAt = Math.min(this.yieldAt, this.slot.beginSample())
    return true
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
    this.slot.end(this.slot.inFlight)
    this.slot.endSample()
  }
  /** A value from the cursor. */
  takes(value: unknown, span: Tracer.AnySpan | undefined): boolean {
    this.slot.inFlight = 1
    const handled = this.intercept === undefined ? this.handler(value) : this.intercepted(value, [value])
    return this.isHandled(span === undefined ? handled : this.linked(handled, [span]), 1)
  }
  /** As `cursor.feed`, with all that is ready at once. */
  private batch(): ReturnType<typeof this.cursor.feed> {
    const spans: Array<Tracer.AnySpan> = []
    const values = this.cursor.takeBatch(this.batchMax, spans)
    if (values === Empty || values === Overrun || values === Ended) return values
    this.slot.inFlight = values.length
    const handled = this.intercept === undefined ? this.handler(values) : this.intercepted(values, values)
    this.isHandled(spans.length === 0 ? handled : this.linked(handled, spans), values.length)
    return undefined
  }
  /** Whether nothing is left of what the handler answered with, and the cursor may go on. */
  private isHandled(handled: Handled, values: number): boolean {
    if (handled !== undefined) {
      if (this.answersNothing) throw notAnEffect(this.slot.component, this.option, handled)
      this.rest = settled(handled, this.owner)
      if (this.rest !== undefined) {
        // What was decided on the spot is an Effect of ours.
        if (this.rest === handled) this.assertEffect(handled)
        return false
      }
    } else if (!this.answersNothing) this.assertEffect(handled)
    // What the handler did may have interrupted the fiber that waits, and what it held is abandoned.
    if (this.interrupted) return false
    const { slot } = this
    slot.inFlight = 0
    slot.handled += values
    return slot.handled < this.stopAt
  }
  private assertEffect(handled: unknown): void {
    if (!Effect.isEffect(handled)) throw notAnEffect(this.slot.component, this.option, handled)
  }
  private intercepted(valueOrBatch: unknown, values: Handling["values"]): Handled {
    return this.intercept!(
      this.slot.handling(this.input.record.key, values),
      Effect.suspend(() => {
        const handled = this.handler(valueOrBatch)
        if (this.option === "handleUnsafe" && handled === undefined) return Effect.void
        return Effect.isEffect(handled)
          ? handled
          : Effect.die(notAnEffect(this.slot.component, this.option, handled))
      })
    )
  }
  /** In a span of its own that links to those that were open where its values were produced. */
  private linked(effect: Handled, spans: ReadonlyArray<Tracer.AnySpan>): Handled {
    if (effect === undefined || effect === Effect.void || !Effect.isEffect(effect)) return effect
    return Effect.withSpan(effect, "Consumer.handle", {
      root: true,
      kind: "consumer",
      attributes: { component: this.slot.component, record: this.input.record.key },
      links: Array.from(new Set(spans), (span) => ({ span, attributes: {} }))
    })
  }
}
