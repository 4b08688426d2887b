/** A value and the span that was open where it was produced, so that its handler's span can link to it. */
import type { Fiber, Tracer } from "effect"

export class Traced<out A> {
  readonly value: A
  readonly span: Tracer.AnySpan
  constructor(value: A, span: Tracer.AnySpan) {
    this.value = value
    this.span = span
  }
}

/** `value` as a store keeps it: with the fiber's span, where it has one. */
export const traced = <A>(value: A, fiber: Fiber.Fiber<unknown, unknown>): A => {
  const { span } = fiber.cache
  return span === undefined ? value : new Traced(value, span) as A
}
