/** Random sequences of everything that can happen to the state of a log in memory, each step compared with a plain model. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import type { Hold } from "../src/internal/groupTable.ts"
import { LogState, type Place } from "../src/internal/logState.ts"

const Which = Schema.Literals([0, 1, 2])
const Small = Schema.Literals([-3, -2, -1, 0, 1, 2, 3])
const Step = Schema.Union([
  Schema.Struct({ op: Schema.tag("append"), count: Schema.Literals([1, 2, 5]) }),
  Schema.Struct({ op: Schema.tag("elapse"), millis: Schema.Literals([-7, 1, 9, 10, 25]) }),
  Schema.Struct({
    op: Schema.tag("acquire"),
    which: Which,
    place: Schema.Literals(["head", "oldest", "sequence", "time"]),
    offset: Small
  }),
  Schema.Struct({ op: Schema.tag("release"), hold: Schema.Literals([0, 1, 2, 3]) }),
  Schema.Struct({ op: Schema.tag("commit"), hold: Schema.Literals([0, 1, 2, 3]), offset: Small }),
  Schema.Struct({ op: Schema.tag("remove"), which: Which }),
  Schema.Struct({ op: Schema.tag("list") })
])
type Step = typeof Step.Type

const idle = 20

/** Everything that was ever appended, and groups that are only looked at. */
class Model {
  readonly at: Array<number> = []
  readonly groups = new Map<string, {
    holder: Hold | undefined
    committed: number
    attempts: ReadonlyArray<readonly [number, number]>
    idleSince: number
  }>()
  epochs = 0
  readonly capacity: number
  readonly keeps: boolean
  constructor(capacity: number, keeps: boolean) {
    this.capacity = capacity
    this.keeps = keeps
  }
  oldest(): number {
    return Math.max(0, this.at.length - this.capacity)
  }
  isFull(): boolean {
    const overwritten = this.at.length - this.capacity
    return this.keeps && overwritten >= 0 && [...this.groups.values()].some(({ committed }) => committed < overwritten)
  }
  expire(now: number): void {
    for (const [name, { holder, idleSince }] of this.groups) {
      if (holder === undefined && now >= idleSince + idle) this.groups.delete(name)
    }
  }
  sequenceOf(place: Place): number {
    if (place === "head") return this.at.length
    if (place === "oldest") return this.oldest()
    if ("sequence" in place) return place.sequence > this.at.length ? this.at.length : place.sequence
    const found = this.at.findIndex((at, sequence) => sequence >= this.oldest() && at >= place.time)
    return found === -1 ? this.at.length : found
  }
}

describe.each(casesOf("log state model", { budget: 1000, full: 10_000 }))("seed $seed", ({ runs, seed }) => {
  it.effect.prop(
    "the state of a log does what its model does",
    {
      capacity: Schema.Literals([1, 2, 3, 7]),
      keeps: Schema.Boolean,
      steps: Arbitrary.array(Arbitrary.schema(Step), { minLength: 1, maxLength: 60 })
    },
    ({ capacity, keeps, steps }) => Effect.sync(() => follow(capacity, keeps, steps)),
    { arbitrary: { runs, seed, size: 60 }, timeout: 600_000 }
  )
})

const follow = (capacity: number, keeps: boolean, steps: ReadonlyArray<Step>): void => {
  const state = new LogState<number>({ capacity, expiresUnacknowledged: !keeps, groupIdleTimeout: idle })
  const model = new Model(capacity, keeps)
  const holds: Array<Hold> = []
  let now = 1000
  for (const step of steps) {
    switch (step.op) {
      case "append": {
        for (let count = 0; count < step.count && !model.isFull(); count++) {
          state.append(model.at.length, now)
          model.at.push(Math.max(now, model.at.at(-1) ?? now))
        }
        break
      }
      case "elapse": {
        now += step.millis
        break
      }
      case "acquire": {
        model.expire(now)
        const place = step.place === "sequence"
          ? { sequence: Math.max(0, model.at.length + 2 * step.offset) }
          : step.place === "time"
          ? { time: now + 10 * step.offset }
          : step.place
        const name = `group ${step.which}`
        const known = model.groups.get(name)
        const committed = known?.committed ?? model.sequenceOf(place) - 1
        const hold = state.acquire(name, place, now)
        assert.deepStrictEqual({ ...hold, attempts: [...hold.attempts] }, {
          group: name,
          epoch: ++model.epochs,
          committed,
          attempts: known?.attempts ?? []
        })
        model.groups.set(name, { holder: hold, committed, attempts: known?.attempts ?? [], idleSince: now })
        holds.push(hold)
        break
      }
      case "release": {
        const hold = holds[step.hold]
        if (hold === undefined) break
        const group = model.groups.get(hold.group)
        if (group?.holder === hold) {
          group.holder = undefined
          group.idleSince = now
        }
        state.release(hold, now)
        break
      }
      case "commit": {
        const hold = holds.at(-1 - step.hold)
        if (hold === undefined) break
        const group = model.groups.get(hold.group)
        const isHolder = group?.holder === hold
        const through = (isHolder ? group!.committed : hold.committed) + step.offset
        const attempts = [through - 1, through, through + 1, through + 2, model.at.length].map((sequence) =>
          [sequence, 2] as const
        )
        const expected = !isHolder
          ? "Stale"
          : through < group!.committed || through >= model.at.length
          ? "OutOfRange"
          : "Committed"
        assert.strictEqual(state.commit(hold, through, attempts), expected)
        if (expected === "Committed") {
          group!.committed = through
          group!.attempts = [...new Map(attempts)].filter(([sequence]) =>
            sequence > through && sequence < model.at.length
          )
        }
        break
      }
      case "list":
        break
      case "remove": {
        model.groups.delete(`group ${step.which}`)
        state.removeGroup(`group ${step.which}`)
        break
      }
    }
    // As an append would, once it finds no room.
    if (step.op === "append" && state.isFull()) {
      assert.isTrue(model.isFull())
      const blockers = [...model.groups].filter(([, { committed }]) => committed < model.oldest()).map(([name]) => name)
      assert.deepStrictEqual(state.blockers(), blockers)
      const gone = state.expireGroups(now)
      const before = model.groups.size
      model.expire(now)
      assert.strictEqual(gone, model.groups.size < before)
    }
    assert.strictEqual(state.isFull(), model.isFull())
    const released = [...model.groups.values()].filter(({ holder }) => holder === undefined)
    assert.strictEqual(state.nextExpiry(), Math.min(...released.map(({ idleSince }) => idleSince + idle)))
    assert.strictEqual(state.head(), model.at.length)
    assert.strictEqual(state.oldest(), model.oldest())
    for (let sequence = model.oldest(); sequence < model.at.length; sequence++) {
      assert.deepStrictEqual([state.valueAt(sequence), state.timeAt(sequence)], [sequence, model.at[sequence]])
    }
    if (step.op === "list") {
      model.expire(now)
      assert.deepStrictEqual(
        state.list(now),
        [...model.groups].map(([name, { committed, holder, idleSince }]) => ({
          name,
          committed,
          idleSince: holder === undefined ? idleSince : now
        }))
      )
    }
  }
}
