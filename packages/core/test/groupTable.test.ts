/** The groups of an engine with one writer process; what a log does with them is in `logState.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Engine } from "@sluice/core"

const make = (groupIdleTimeout = 100) => new Engine.GroupTable({ groupIdleTimeout })

describe("a table of groups", () => {
  it("that is restored goes on where the one before it was, with nobody holding anything", () => {
    const before = make()
    const hold = before.acquire("a", 3, 10)
    before.commit(hold, 4, [[6, 2]], 9)
    const after = make()
    for (const [name, state] of before.entries()) after.restore(name, { ...state, idleSince: 50 })
    assert.deepStrictEqual(after.get("a"), {
      epoch: 1,
      held: false,
      committed: 4,
      attempts: new Map([[6, 2]]),
      idleSince: 50
    })
    assert.deepStrictEqual(after.commit(hold, 5, [], 9), { _tag: "Stale" })
    assert.isFalse(after.release(hold, 60))
    assert.deepStrictEqual(after.acquire("a", 0, 60), {
      group: "a",
      epoch: 2,
      committed: 4,
      attempts: new Map([[6, 2]])
    })
  })

  it("names the groups whose time is over when it removes them, and no others", () => {
    const table = make()
    table.release(table.acquire("idle", 0, 0), 10)
    table.release(table.acquire("later", 0, 0), 11)
    table.acquire("held", 0, 0)
    assert.strictEqual(table.nextExpiry(), 110)
    assert.deepStrictEqual(table.expire(109), [])
    assert.deepStrictEqual(table.list(110).map(({ idleSince, name }) => [name, idleSince]), [
      ["idle", 10],
      ["later", 11],
      ["held", 110]
    ])
    assert.deepStrictEqual(table.expire(110), ["idle"])
    assert.deepStrictEqual(table.expire(1000), ["later"])
    assert.strictEqual(table.nextExpiry(), Infinity)
  })

  it("knows who keeps what", () => {
    const table = make()
    assert.strictEqual(table.lowest(), Infinity)
    table.acquire("a", 3, 0)
    table.acquire("b", 5, 0)
    assert.strictEqual(table.lowest(), 2)
    assert.deepStrictEqual([2, 3, 4, 5].map((sequence) => table.holding(sequence)), [[], ["a"], ["a"], ["a", "b"]])
    assert.isTrue(table.remove("a"))
    assert.isFalse(table.remove("a"))
    assert.strictEqual(table.lowest(), 4)
  })

  it("refuses a commit out of range by saying where the group stands", () => {
    const table = make()
    const hold = table.acquire("a", 3, 0)
    for (const through of [1, 9, Number.NaN]) {
      assert.deepStrictEqual(table.commit(hold, through, [], 9), { _tag: "OutOfRange", committed: 2, head: 9 })
    }
  })
})
