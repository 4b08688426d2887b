/** Whatever a program throws, fails with or answers is said in words, and no value makes that throw. */
import { assert, describe, it } from "@effect/vitest"
import { Cause } from "effect"
import { brief, describe as describeValue, printable, render } from "../src/internal/render.ts"

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}
const throwing = (field: string): object =>
  Object.defineProperty({}, field, {
    get() {
      throw new Error(`${field} must not be read`)
    }
  })
const circular = (): object => {
  const value: { self?: object } = {}
  value.self = value
  return value
}
/** By what they are, each with what is said of it. */
const odd: ReadonlyArray<readonly [name: string, value: unknown, said: string]> = [
  ["an object without a prototype", Object.assign(Object.create(null), { id: 7 }), "{\"id\":7}"],
  ["an object whose toString throws", {
    id: 7,
    toString() {
      throw new Error("no text")
    }
  }, "{\"id\":7}"],
  ["an object whose toString is a getter that throws", throwing("toString"), "{}"],
  ["an object whose toString answers with an object", { id: 7, toString: () => ({}) }, "{\"id\":7}"],
  ["an object whose toJSON throws", {
    toJSON() {
      throw new Error("no JSON")
    }
  }, "[object Object]"],
  ["an object whose toJSON answers with nothing", { toJSON: () => undefined }, "[object Object]"],
  ["an object that holds itself", circular(), "[object Object]"],
  ["a bigint in an object", { id: 7n }, "[object Object]"],
  [
    "an error whose message is a getter that throws",
    Object.defineProperty(new Error("hidden"), "message", {
      get() {
        throw new Error("no message")
      }
    }),
    "{}"
  ],
  ["a revoked proxy", revoked(), "a value that cannot be printed"],
  ["a symbol", Symbol("gone"), "Symbol(gone)"],
  ["a function", () => 1, "() => 1"],
  ["undefined", undefined, "undefined"],
  ["null", null, "null"],
  ["nothing at all", "", ""]
]

describe("render", () => {
  it.each(odd)("says of %s what it can, and does not throw", (_, value, said) => {
    assert.strictEqual(render(value), said)
  })

  it("gives a plain value as JSON, and an error and whatever has a text of its own as that", () => {
    assert.strictEqual(render({ code: "E1", tries: 3 }), "{\"code\":\"E1\",\"tries\":3}")
    assert.strictEqual(render(new TypeError("no such key")), "TypeError: no such key")
    assert.strictEqual(render({ toString: () => "key 7" }), "key 7")
    assert.strictEqual(render("as it is"), "as it is")
    assert.strictEqual(render([1, 2]), "1,2")
  })
})

describe("describe", () => {
  it("says what a value is, where an Effect was asked for", () => {
    assert.strictEqual(describeValue(Promise.resolve()), "a Promise")
    assert.strictEqual(describeValue(undefined), "undefined")
    assert.strictEqual(describeValue(null), "null")
    assert.strictEqual(describeValue(3), "the number 3")
    assert.strictEqual(describeValue("done"), "the string done")
    assert.strictEqual(describeValue(Symbol("s")), "the symbol Symbol(s)")
    assert.strictEqual(describeValue(() => {}), "a function")
    assert.strictEqual(describeValue({}), "an Object")
    assert.strictEqual(describeValue([]), "an Array")
    assert.strictEqual(describeValue(new Map()), "a Map")
    assert.strictEqual(describeValue(Object.create(null)), "an object")
  })

  it("does not throw for what throws when it is looked at", () => {
    assert.strictEqual(describeValue(revoked()), "an object")
    assert.strictEqual(describeValue(throwing("constructor")), "an object")
  })
})

describe("a cause", () => {
  it.each(odd)("of %s, as a failure and as a defect, is a text and can be logged", (_, value) => {
    const [fail, die] = [Cause.makeFailReason(value), Cause.makeDieReason(value)]
    for (const cause of [[fail], [die], [die, Cause.makeFailReason("and this")]].map(Cause.fromReasons)) {
      assert.isString(brief(cause))
      assert.isString(Cause.pretty(printable(cause)))
    }
  })

  it("that can be printed is logged itself, and said in one line for each reason, without a stack", () => {
    const cause = Cause.combine(Cause.die(new TypeError("first")), Cause.fail(new Error("second")))
    assert.strictEqual(printable(cause), cause)
    assert.strictEqual(brief(cause), "TypeError: first\nError: second")
  })

  it("that cannot be printed is logged as what is known of each of its reasons", () => {
    const cause = Cause.fromReasons([
      Cause.makeFailReason(revoked()),
      Cause.makeDieReason("what else"),
      Cause.makeInterruptReason(1)
    ])
    assert.include(
      Cause.pretty(printable(cause)),
      "a value that cannot be printed; what else; interrupted"
    )
    assert.strictEqual(brief(cause), "a value that cannot be printed\nwhat else\ninterrupted")
  })

  it("of an interrupt alone says that it was one", () => {
    assert.match(brief(Cause.interrupt(1)), /interrupt/i)
  })
})
