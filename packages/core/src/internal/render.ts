/** Whatever was thrown, failed with or answered, as text for a message: no value makes it throw. */
import { Cause } from "effect"

/** As `String` would, but an object without a text of its own as JSON, and what cannot be printed as words that say so. */
export const render = (value: unknown): string =>
  firstOf(
    () => {
      const text = String(value)
      return typeof text === "string" && text !== "[object Object]" ? text : undefined
    },
    () => JSON.stringify(value),
    () => Object.prototype.toString.call(value)
  ) ?? "a value that cannot be printed"

/** What a value is, for a message that asks for another: `a Promise`, `undefined`, `the number 3`. */
export const describe = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (typeof value !== "object") {
    return typeof value === "function"
      ? "a function"
      : `the ${typeof value} ${render(value)}`
  }
  const name = firstOf(() => {
    const { constructor } = value as { readonly constructor?: { readonly name?: unknown } }
    return typeof constructor?.name === "string" && constructor.name !== "" ? constructor.name : undefined
  })
  return name === undefined ? "an object" : `${/^[AEIOU]/.test(name) ? "an" : "a"} ${name}`
}

/** What a cause has to say, a line for each reason, without stacks: those are in the log. */
export const brief = (cause: Cause.Cause<unknown>): string =>
  firstOf(
    () => Cause.prettyErrors(cause).map(({ message, name }) => `${name}: ${message}`).join("\n"),
    () => cause.reasons.map(told).join("\n")
  ) ?? noCause

/** The cause itself where it can be printed, else one that says what was in it: a logger is never given another. */
export const printable = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  firstOf(() => Cause.pretty(cause)) !== undefined
    ? cause
    : Cause.fail(new Error(firstOf(() => cause.reasons.map(told).join("; ")) ?? noCause))

/** What a cause failed with. One of another version of effect, which JavaScript lets in, is none. */
export const squash = (cause: Cause.Cause<unknown>): unknown => {
  try {
    return Cause.squash(cause)
  } catch {
    return new TypeError(noCause)
  }
}
/** The cause itself, unless it is none. */
export const wellFormed = (cause: Cause.Cause<unknown>): Cause.Cause<unknown> =>
  Array.isArray((cause as { readonly reasons?: unknown } | undefined)?.reasons)
    ? cause
    : Cause.die(new TypeError(noCause))

const noCause = "a failure without a Cause, such as one that another version of effect has made"

const told = (reason: Cause.Reason<unknown>): string =>
  reason._tag === "Fail" ? render(reason.error) : reason._tag === "Die" ? render(reason.defect) : "interrupted"

const firstOf = (...ways: ReadonlyArray<() => string | undefined>): string | undefined => {
  for (const way of ways) {
    try {
      const text = way()
      if (typeof text === "string") return text
    } catch {
      // The next way.
    }
  }
  return undefined
}
