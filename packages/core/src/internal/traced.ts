/** A value and the span that was open where it was produced, so that its handler's span can link to it. */
import type { Tracer } from "effect"

export class Traced<out A> {
  readonly value: A
  readonly span: Tracer.AnySpan
  constructor(value: A, span: Tracer.AnySpan) {
    this.value = value
    this.span = span
  }
}
