/** The arithmetic underneath, as plain functions. */
import { assert, describe, it, vi } from "@effect/vitest"
import { Option, Schema } from "effect"
import { Backlog } from "../src/internal/backlog.ts"
import { codecOf } from "../src/internal/codec.ts"
import { Empty, Overrun } from "../src/internal/cursor.ts"
import { cyclesOf, drawingOf, type Member } from "../src/internal/graph.ts"
import { Latency } from "../src/internal/latency.ts"
import { Ring, RingPosition } from "../src/internal/ring.ts"

describe("Ring", () => {
  it("holds exactly its capacity, whatever the capacity", () => {
    for (const capacity of [1, 2, 3, 1000]) {
      const ring = new Ring<number>(capacity)
      const position = new RingPosition(ring)
      for (let value = 0; value < capacity; value++) ring.push(value)
      for (let value = 0; value < capacity; value++) assert.strictEqual(position.take(), value)
      assert.strictEqual(position.take(), Empty)
    }
  })
  it("an overrun is told once, with its exact size, and goes on at the oldest held", () => {
    const ring = new Ring<number>(3)
    const position = new RingPosition(ring)
    for (let value = 0; value < 10; value++) ring.push(value)
    assert.strictEqual(position.pending(), 10)
    assert.strictEqual(position.take(), Overrun)
    assert.strictEqual(position.missed, 7)
    assert.deepStrictEqual([position.take(), position.take(), position.take(), position.take()], [7, 8, 9, Empty])
  })
  it("many are taken as they would be one by one, across the end of the slots and at any position", () => {
    for (const capacity of [1, 2, 3, 7]) {
      const ring = new Ring<number>(capacity)
      const [single, many] = [new RingPosition(ring), new RingPosition(ring)]
      let next = 0
      for (let round = 0; round < 200; round++) {
        for (let count = round % (capacity + 1); count > 0; count--) ring.push(next++)
        assert.isFalse(many.isOverrun())
        while (many.pending() > 0) {
          const values = many.takeMany(1 + round % 3)
          assert.deepStrictEqual(values, values.map(() => single.take()))
        }
        assert.strictEqual(single.take(), Empty)
        assert.strictEqual(many.taken(), next)
      }
    }
  })
  it("counts beyond small integers, with exact lag", () => {
    const ring = new Ring<number>(4)
    ring.lap = 2 ** 31 - 4
    const position = new RingPosition(ring)
    for (let value = 0; value < 10; value++) ring.push(value)
    assert.strictEqual(ring.head(), 2 ** 31 + 6)
    assert.deepStrictEqual([position.take(), position.missed, position.take()], [Overrun, 6, 6])
  })
  it("a position starts at the next value", () => {
    const ring = new Ring<number>(3)
    ring.push(0)
    const position = new RingPosition(ring)
    ring.push(1)
    assert.deepStrictEqual([position.take(), position.take()], [1, Empty])
  })
})

describe("Backlog", () => {
  it("keeps a value until the slowest position has passed it", () => {
    const backlog = new Backlog<number>(2)
    const [fast, slow] = [backlog.open(), backlog.open()]
    backlog.put(1)
    backlog.put(2)
    assert.deepStrictEqual([backlog.take(fast), backlog.take(fast)], [1, 2])
    assert.isTrue(backlog.isFull())
    assert.strictEqual(backlog.take(slow), 1)
    assert.strictEqual(backlog.held(), 1)
    backlog.close(slow)
    assert.strictEqual(backlog.held(), 0)
  })
  it("what the last position left is kept for the next", () => {
    const backlog = new Backlog<number>(3)
    const first = backlog.open()
    for (const value of [1, 2, 3]) backlog.put(value)
    assert.strictEqual(backlog.take(first), 1)
    backlog.close(first)
    const second = backlog.open()
    assert.deepStrictEqual([backlog.take(second), backlog.take(second), backlog.take(second)], [2, 3, Empty])
  })
  it("lets go of what everyone has passed, once a reader has caught up", () => {
    const backlog = new Backlog<object>(2)
    const position = backlog.open()
    backlog.put({})
    backlog.take(position)
    assert.strictEqual(backlog.take(position), Empty)
    assert.deepStrictEqual(Reflect.get(backlog, "slots"), [undefined])
  })
})

const member = (kind: Member["kind"], name: string, reads: Array<string>, writes: Array<string>): Member => ({
  name,
  kind,
  reads,
  writes
})

describe("the graph", () => {
  it("every group that feeds itself is told once, from a record back to it", () => {
    const cycles = cyclesOf([
      member("Source", "s", [], ["a"]),
      member("Transform", "t", ["a"], ["b"]),
      member("Consumer", "c", ["b"], ["a"]),
      member("Consumer", "self", ["x"], ["x"]),
      member("Consumer", "end", ["b"], ["z"])
    ])
    assert.deepStrictEqual(cycles.map((path) => [...path]).toSorted(), [["a", "t", "b", "c", "a"], ["x", "self", "x"]])
  })
  it("a diamond is no cycle", () => {
    assert.deepStrictEqual(
      cyclesOf([
        member("Transform", "l", ["a"], ["b"]),
        member("Transform", "r", ["a"], ["c"]),
        member("Transform", "j", ["b", "c"], ["d"])
      ]),
      []
    )
  })
  it("is drawn as Mermaid and DOT, records apart from components", () => {
    const { dot, edges, mermaid } = drawingOf([
      member("Source", "sensor", [], ["plant/Reading"]),
      member("Consumer", "alarms", ["plant/Reading"], [])
    ])
    assert.deepStrictEqual(edges, [
      { from: "sensor", to: "plant/Reading" },
      { from: "plant/Reading", to: "alarms" }
    ])
    assert.include(mermaid, "[(\"plant/Reading\")]")
    assert.include(mermaid, "([\"sensor\"])")
    assert.match(dot, /^digraph "topology"/)
    assert.include(dot, "[shape=cylinder, label=\"plant/Reading\"]")
    assert.include(dot, "[shape=box, label=\"alarms\"]")
  })
})

describe("a codec", () => {
  const utf8 = (...parts: ReadonlyArray<string | number>) =>
    Uint8Array.from(parts.flatMap((part) => typeof part === "number" ? [part] : [...new TextEncoder().encode(part)]))
  /** As it is on Node, and where there is no Buffer. */
  const codecs = () => {
    const make = () => codecOf({ schema: Schema.String })
    vi.stubGlobal("Buffer", undefined)
    const bare = make()
    vi.unstubAllGlobals()
    return [make(), bare]
  }
  it("decodes no bytes that are not UTF-8, rather than a text that nobody wrote", () => {
    const wrong = [[0xff], [0xc3], [0xe2, 0x82], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]]
    for (const codec of codecs()) {
      for (const bytes of wrong) {
        assert.deepStrictEqual(codec.decode(0, utf8("\"a", ...bytes, "b\"")), Option.none(), String(bytes))
      }
    }
  })
  it("gives back every text, also one that has the character by which wrong bytes are replaced", () => {
    for (const codec of codecs()) {
      for (const text of ["", "tea", "\uFFFD", "a\uFFFDb€𝄞", "\u0000\u007f\u0080\uffff"]) {
        const { buffer, byteLength } = utf8("[", JSON.stringify(text), "]")
        // A view of what an engine has read.
        assert.deepStrictEqual(codec.decode(0, new Uint8Array(buffer, 1, byteLength - 2)), Option.some(text))
        assert.deepStrictEqual(codec.decode(0, codec.encode(text)), Option.some(text))
      }
    }
  })
})

describe("Latency", () => {
  it("p50 and p99 by nearest rank over the newest 256 samples, max over all", () => {
    const latency = new Latency()
    assert.deepStrictEqual(latency.summary(), { p50: 0, p99: 0, max: 0 })
    latency.add(1000)
    for (let sample = 1; sample <= 256; sample++) latency.add(sample)
    assert.deepStrictEqual(latency.summary(), { p50: 128, p99: 254, max: 1000 })
  })
})
