/**
 * Feeds a handler from a cursor. While the handler answers with nothing to run (`undefined`, or `Effect.void` itself)
 * the loop goes on inline; the fiber runs only the effects that need it. After 2,048 values it yields, so that a reader
 * that never runs dry starves nobody. The instance is itself the argument of `Effect.whileLoop`.
 */
import { Effect } from "effect"
import type { Input, Slot } from "./component.ts"
import { type Cursor, Empty, Ended, Overrun } from "./cursor.ts"
import { pollInto } from "./reader.ts"

const budget = 2048

export class HandlerLoop {
  private readonly slot: Slot
  private readonly input: Input
  private readonly cursor: Cursor<unknown>
  private readonly handler: (valueOrBatch: unknown) => Effect.Effect<void, unknown, any> | undefined
  /** 0: one value at a time. */
  private readonly batchMax: number
  private ended = false
  private left = budget

  constructor(
    slot: Slot,
    input: Input,
    handler: (valueOrBatch: unknown) => Effect.Effect<void, unknown, any> | undefined,
    batchMax: number
  ) {
    this.slot = slot
    this.input = input
    this.cursor = input.cursor
    this.handler = handler
    this.batchMax = batchMax
  }
  static run(loop: HandlerLoop): Effect.Effect<void, unknown, any> {
    return Effect.whileLoop(loop)
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
        return this.cursor.wait
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
  /** After each effect of `body`: what the handler held, if it was the handler's, is handled. */
  step(): void {
    this.slot.end()
  }
  private one(value: unknown): Effect.Effect<void, unknown, any> | undefined {
    this.slot.begin(1)
    return this.handler(value)
  }
  private batch(first: unknown): Effect.Effect<void, unknown, any> | undefined {
    const values = [first]
    pollInto(this.cursor, values, this.batchMax)
    this.slot.begin(values.length)
    return this.handler(values)
  }
}
