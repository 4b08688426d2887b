/**
 * Random interleavings of all that a collector does with its window, each step compared with a table of sequences; and by
 * name what they seldom come to.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import { type Delivery, type Item, Piece, Window, type WindowOptions } from "../src/internal/window.ts"

const Which = Schema.Literals([0, 1, 2, 3, 4, 5])
const Step = Schema.Union([
  Schema.Struct({ op: Schema.tag("push"), count: Schema.Literals([1, 2, 5, 20]), unreadable: Schema.Boolean }),
  Schema.Struct({ op: Schema.tag("next"), interrupted: Schema.Boolean }),
  Schema.Struct({ op: Schema.tag("next"), interrupted: Schema.Literal(false) }),
  Schema.Struct({ op: Schema.tag("ack"), which: Which }),
  Schema.Struct({ op: Schema.tag("ack"), which: Which }),
  Schema.Struct({
    op: Schema.tag("release"),
    which: Which,
    delay: Schema.Literals([0, 3, 10]),
    counts: Schema.Boolean
  }),
  Schema.Struct({ op: Schema.tag("reject"), which: Which }),
  Schema.Struct({ op: Schema.tag("putAside") }),
  Schema.Struct({ op: Schema.tag("commit"), stored: Schema.Boolean, told: Schema.Boolean }),
  Schema.Struct({ op: Schema.tag("pass"), time: Schema.Literals([1, 5, 20]) }),
  Schema.Struct({ op: Schema.tag("misuse"), which: Which }),
  Schema.Struct({ op: Schema.tag("crash") })
])
type Step = typeof Step.Type
const Shape = Schema.Struct({
  batchMax: Schema.Literals([1, 3]),
  batchWithin: Schema.Literals([0, 7]),
  maxReadAhead: Schema.Literals([1, 4, 10]),
  maxInFlight: Schema.Literals([1, 3]),
  maxAttempts: Schema.Literals([1, 2, 3, 1000]),
  order: Schema.Literals(["any", "strict"]),
  remembersAttempts: Schema.Boolean
})

/** One sequence, as plainly as it can be said. */
interface Row {
  status: "Fetched" | "Out" | "Rejecting" | "Settled"
  tried: number
  /** Its next attempt is to be committed before anyone sees it; and once it is out, has been. */
  marked: boolean
  due: number
  since: number
  readable: boolean
}

class Table {
  readonly shape: typeof Shape.Type
  rows: Array<Row> = []
  /** Of the group, as its engine has it. */
  stored = { through: -1, attempts: new Map<number, number>() }
  /** How often each sequence was handed out for an attempt that counted, over all crashes. */
  readonly tries = new Map<number, number>()
  readonly out: Array<{ readonly piece: Piece<number>; readonly delivery: Delivery }> = []
  readonly past: Array<Delivery & { readonly uncounted: boolean }> = []
  now = 0
  constructor(shape: typeof Shape.Type) {
    this.shape = shape
  }
  window(): Window<number> {
    const options: WindowOptions = {
      ...this.shape,
      batchBytesMax: Infinity,
      committed: this.stored.through,
      attempts: this.stored.attempts
    }
    return new Window<number>(options)
  }
  get watermark(): number {
    let sequence = 0
    while (this.rows[sequence]?.status === "Settled") sequence++
    return sequence - 1
  }
  in(status: Row["status"]): ReadonlyArray<number> {
    return this.rows.flatMap((row, sequence) => row.status === status ? [sequence] : [])
  }
}

const follow = (shape: typeof Shape.Type, steps: ReadonlyArray<Step>): void => {
  const table = new Table(shape)
  let window = table.window()
  const { maxAttempts, maxInFlight, order } = shape
  let last = { committed: -1, watermark: -1, fetched: -1 }
  const each = (delivery: Delivery, change: (row: Row) => void): void => {
    for (let sequence = delivery.first; sequence <= delivery.last; sequence++) change(table.rows[sequence]!)
  }
  const drop = (which: number, uncounted = false) => {
    const [dropped] = table.out.splice(which, 1)
    table.past.push({ ...dropped!.delivery, uncounted })
    return dropped!
  }
  const rejectable = (row: Row) => row.tried >= maxAttempts

  const run = (step: Step): void => {
    switch (step.op) {
      case "push": {
        const count = Math.min(step.count, window.room())
        const items = Array.from({ length: count }, (_, index): Item<number> => {
          const sequence = window.fetched + 1 + index
          const readable = !(step.unreadable && index === 0)
          const tried = table.stored.through < sequence ? table.stored.attempts.get(sequence) ?? 0 : 0
          table.rows[sequence] = { status: "Fetched", tried, marked: false, due: 0, since: table.now, readable }
          if (!readable || tried >= maxAttempts) table.rows[sequence]!.status = "Rejecting"
          return { sequence, at: table.now, size: 1, unreadable: readable ? undefined : "unreadable", entry: sequence }
        })
        window.push(items, table.now)
        return
      }
      case "next":
        return next(step.interrupted)
      case "ack": {
        const found = table.out[step.which]
        if (found === undefined) return
        const oldest = found.delivery.first === table.watermark + 1
        const answer = window.findInOrder(found.delivery)
        if (order === "strict" && !oldest) return assert.strictEqual(answer, "AckOutOfOrder")
        assert.strictEqual(answer, found.piece)
        window.ack(found.piece, table.now)
        drop(step.which)
        return each(found.delivery, (row) => row.status = "Settled")
      }
      case "release": {
        const found = table.out[step.which]
        if (found === undefined) return
        window.release(found.piece, table.now + step.delay, step.counts, "released")
        drop(step.which, !step.counts)
        for (let sequence = found.delivery.first; sequence <= found.delivery.last; sequence++) {
          if (!step.counts) table.tries.set(sequence, table.tries.get(sequence)! - 1)
        }
        return each(found.delivery, (row) => {
          if (!step.counts) row.tried--
          row.marked = false
          row.due = table.now + step.delay
          row.status = step.counts && rejectable(row) ? "Rejecting" : "Fetched"
        })
      }
      case "reject": {
        const found = table.out[step.which]
        if (found === undefined) return
        window.rejectInFlight(found.piece, "rejected")
        drop(step.which)
        return each(found.delivery, (row) => row.status = "Rejecting")
      }
      case "putAside": {
        const piece = window.takeRejected()
        const waiting = table.in("Rejecting")
        if (piece === undefined) return assert.deepStrictEqual(waiting, [])
        assert.isTrue(piece.items.every(({ sequence }) => waiting.includes(sequence)))
        window.putAside(piece, table.now)
        return each({ first: piece.first, last: piece.last, attempt: 0 }, (row) => row.status = "Settled")
      }
      case "commit":
        return commit(step.stored, step.told)
      case "pass":
        table.now += step.time
        return
      case "misuse":
        return misuse(step.which)
      case "crash":
        // Attempts that were not counted are forgotten with whoever had them.
        table.rows.length = table.stored.through + 1
        table.out.length = table.past.length = 0
        window = table.window()
        last = { committed: table.stored.through, watermark: table.stored.through, fetched: table.stored.through }
    }
  }
  const commit = (stored: boolean, told: boolean): void => {
    const uncommitted = window.uncommitted()
    assert.strictEqual(uncommitted.through, table.watermark)
    for (const [sequence, row] of table.rows.entries()) {
      if (sequence <= table.watermark) continue
      const isForgotten = row.status === "Settled" || (row.status === "Out" && row.tried === 1 && !row.marked)
      const isAhead = row.status === "Fetched" && row.marked
      const kept = uncommitted.attempts.get(sequence) ?? 0
      assert.strictEqual(kept, isForgotten ? 0 : row.tried + (isAhead ? 1 : 0), `attempts of ${sequence}`)
    }
    for (const [sequence, tried] of table.stored.attempts) {
      if (sequence > window.fetched) assert.strictEqual(uncommitted.attempts.get(sequence), tried)
    }
    if (stored) table.stored = { through: uncommitted.through, attempts: new Map(uncommitted.attempts) }
    if (stored && told) {
      window.commit(uncommitted)
      assert.isFalse(window.isDirty())
    }
  }
  const next = (interrupted: boolean): void => {
    let found = window.next(table.now)
    if (found === "Commit") {
      const { attempts } = window.uncommitted()
      for (const sequence of table.in("Fetched")) {
        table.rows[sequence]!.marked = (attempts.get(sequence) ?? 0) > table.rows[sequence]!.tried
      }
      if (interrupted) return
      commit(true, true)
      found = window.next(table.now)
    }
    const held = table.in("Fetched")
    const due = held.filter((sequence) => table.rows[sequence]!.due <= table.now)
    if (table.out.length >= maxInFlight) return assert.isUndefined(found)
    if (!(found instanceof Piece)) {
      if (order === "any") {
        assert.deepStrictEqual(due.filter((sequence) => table.rows[sequence]!.tried > 0), [], "due, and not handed out")
      } else if (held.length > 0) {
        assert.isTrue(
          table.rows[held[0]!]!.due > table.now || shape.batchWithin > 0,
          "next in order, and not handed out"
        )
      }
      if (held.length > 0) {
        const waiting = held.map((sequence) => table.rows[sequence]!)
        const times = waiting.map(({ due, since }) => Math.max(due, due === 0 ? since + shape.batchWithin : 0))
        assert.isTrue(typeof found === "number" && found > table.now, `held ${held}, but nothing to wait for`)
        if (order === "any") assert.strictEqual(found, Math.min(...times))
      }
      return
    }
    const sequences = found.items.map(({ sequence }) => sequence)
    assert.deepStrictEqual(sequences, sequences.map((_, index) => sequences[0]! + index))
    assert.isAtMost(sequences.length, shape.batchMax)
    for (const sequence of sequences) {
      assert.isTrue(due.includes(sequence), `${sequence} is handed out and not due`)
      const row = table.rows[sequence]!
      row.tried++
      row.status = "Out"
      assert.strictEqual(found.attempt, row.tried)
      table.tries.set(sequence, (table.tries.get(sequence) ?? 0) + 1)
      // One crash during a first attempt goes unseen.
      if (shape.remembersAttempts) {
        assert.isAtMost(table.tries.get(sequence)!, maxAttempts + 1, `attempts of ${sequence}, crashes included`)
      }
    }
    if (found.attempt === maxAttempts && maxAttempts > 1) assert.strictEqual(sequences.length, 1)
    if (order === "strict") assert.strictEqual(sequences[0], held[0])
    else {
      const again = due.filter((sequence) =>
        table.rows[sequence]!.status === "Out" ? table.rows[sequence]!.tried > 1 : table.rows[sequence]!.tried > 0
      )
      if (again.length > 0) assert.strictEqual(sequences[0], again[0], "what was given back goes first")
    }
    table.out.push({ piece: found, delivery: { first: found.first, last: found.last, attempt: found.attempt } })
  }
  const misuse = (which: number): void => {
    const before = JSON.stringify(window.uncommitted())
    const past = table.past.at(-1 - which)
    if (
      past !== undefined &&
      !table.out.some(({ delivery }) => delivery.first === past.first && delivery.attempt === past.attempt)
    ) {
      // One that was given back uncounted is as if it had not been.
      const found = window.find(past)
      assert.isTrue(found === "AlreadyAcked" || (past.uncounted && found === "AckOutOfRange"), String(found))
      window.inProgress(past, table.now)
    }
    const beyond = { first: window.fetched, last: window.fetched + 1, attempt: 1 }
    assert.strictEqual(window.find(beyond), "AckOutOfRange")
    assert.strictEqual(window.find({ first: 1, last: 0, attempt: 1 }), "AckOutOfRange")
    const found = table.out[which]
    if (found !== undefined) {
      const { attempt, first, last } = found.delivery
      assert.strictEqual(window.find({ first, last, attempt: attempt + 1 }), "AckOutOfRange")
      if (attempt > 1) assert.strictEqual(window.find({ first, last, attempt: attempt - 1 }), "AlreadyAcked")
      if (first < last) assert.strictEqual(window.find({ first, last: last - 1, attempt }), "AckOutOfRange")
      if (first < last) assert.strictEqual(window.find({ first: first + 1, last, attempt }), "AckOutOfRange")
    }
    assert.strictEqual(JSON.stringify(window.uncommitted()), before)
  }

  for (const step of steps) {
    run(step)
    const { committed, fetched, watermark } = window
    assert.isTrue(committed <= watermark && watermark <= fetched, `${committed} ≤ ${watermark} ≤ ${fetched}`)
    assert.isTrue(committed >= last.committed && watermark >= last.watermark && fetched >= last.fetched, "went back")
    assert.isAtMost(fetched - watermark, shape.maxReadAhead)
    last = { committed, watermark, fetched }
    assert.strictEqual(watermark, table.watermark)
    assert.strictEqual(fetched, table.rows.length - 1)
    assert.strictEqual(window.inFlight, table.out.length)
    assert.strictEqual(window.blocking()?.sequence, watermark === fetched ? undefined : watermark + 1)
    const highest = table.rows.findLastIndex(({ status }) => status === "Settled")
    const holes = table.rows.filter(({ status }, sequence) => status !== "Settled" && sequence < highest).length
    assert.strictEqual(window.holes(), holes)
  }
  // However it came, all of it can be finished.
  for (let turn = 0; turn < 1000 && window.watermark < window.fetched; turn++) {
    run({ op: "pass", time: 20 })
    run({ op: "next", interrupted: false })
    table.out.sort((a, b) => a.delivery.first - b.delivery.first)
    for (let left = table.out.length; left > 0; left--) {
      if (order === "any" || table.out[0]!.delivery.first === table.watermark + 1) run({ op: "ack", which: 0 })
    }
    run({ op: "putAside" })
    run({ op: "commit", stored: true, told: true })
  }
  assert.strictEqual(window.watermark, window.fetched, "something is stuck")
  assert.strictEqual(window.inFlight, 0)
}

describe("a window", () => {
  const windowOf = (options: Partial<WindowOptions> = {}) =>
    new Window<number>({
      committed: -1,
      attempts: new Map(),
      batchMax: 1,
      batchBytesMax: Infinity,
      batchWithin: 0,
      maxReadAhead: 2,
      maxInFlight: 10,
      maxAttempts: 5,
      order: "any",
      remembersAttempts: true,
      ...options
    })
  const push = (window: Window<number>, count: number) => {
    const items = Array.from({ length: count }, (_, index): Item<number> => {
      const sequence = window.fetched + 1 + index
      return { sequence, at: 0, size: 1, unreadable: undefined, entry: sequence }
    })
    window.push(items, 0)
  }
  const commit = (window: Window<number>) => {
    const uncommitted = window.uncommitted()
    window.commit(uncommitted)
    return uncommitted.attempts
  }
  /** The next batch, which needs no commit. */
  const next = (window: Window<number>) => {
    const found = window.next(0)
    return found instanceof Piece ? found : assert.fail(`not handed out: ${found}`)
  }
  /** One that has gone on until an earlier holder cannot have had what it fetches. */
  const beyondEarlierHolders = () => {
    const window = windowOf()
    for (let sequence = 0; sequence < 10; sequence++) {
      push(window, 1)
      if (sequence < 4) {
        assert.strictEqual(window.next(0), "Commit")
        commit(window)
      }
      window.ack(next(window), 0)
      commit(window)
    }
    return window
  }

  it("hands out at once what cannot become fuller because there is no room for more", () => {
    const window = windowOf({ batchMax: 10, batchWithin: 1000, maxReadAhead: 3, remembersAttempts: false })
    push(window, 2)
    assert.strictEqual(window.next(0), 1000)
    push(window, 1)
    assert.strictEqual(window.room(), 0)
    assert.strictEqual(next(window).items.length, 3)
  })

  it("does not remember a first attempt that was not stored before, and any that was", () => {
    const window = beyondEarlierHolders()
    push(window, 1)
    const first = next(window)
    assert.deepStrictEqual([first.attempt, commit(window)], [1, new Map()])
    // It has ended by itself, and so it counts.
    window.release(first, 0, true, "no")
    assert.deepStrictEqual(commit(window), new Map([[10, 1]]))
    assert.strictEqual(window.next(0), "Commit")
    assert.deepStrictEqual(commit(window), new Map([[10, 2]]))
    assert.strictEqual(next(window).attempt, 2)
    assert.deepStrictEqual(commit(window), new Map([[10, 2]]))
    // What an earlier holder may have had is stored at its first.
    const another = windowOf()
    push(another, 1)
    assert.strictEqual(another.next(0), "Commit")
    commit(another)
    assert.deepStrictEqual([next(another).attempt, commit(another)], [1, new Map([[0, 1]])])
  })

  it("hands out nothing fresh ahead of what waits for its attempt to be stored", () => {
    const window = beyondEarlierHolders()
    push(window, 2)
    window.release(next(window), 0, true, "no")
    // Two ask for a batch, and neither has stored anything yet.
    assert.deepStrictEqual([window.next(0), window.next(0)], ["Commit", "Commit"])
    commit(window)
    assert.deepStrictEqual([next(window), next(window)].map(({ attempt, first }) => [first, attempt]), [[10, 2], [
      11,
      1
    ]])
  })

  it("has something to commit once it has skipped what has expired", () => {
    const window = windowOf()
    window.skipTo(5, 0)
    assert.isTrue(window.isDirty())
    assert.strictEqual(window.uncommitted().through, 4)
    commit(window)
    assert.isFalse(window.isDirty())
  })

  it("that gives back what nobody has finished has something to commit: it was nobody's attempt", () => {
    for (const isInHand of [true, false]) {
      const window = windowOf()
      push(window, 1)
      assert.strictEqual(window.next(0), "Commit")
      assert.deepStrictEqual(commit(window), new Map([[0, 1]]))
      if (isInHand) next(window)
      assert.isFalse(window.isDirty())
      window.giveBackAll(0)
      assert.isTrue(window.isDirty())
      assert.deepStrictEqual(commit(window), new Map())
    }
  })
})

describe.each(casesOf("window model", { budget: 1000, full: 10_000 }))("seed $seed", ({ runs, seed }) => {
  it.prop(
    "a window does what its table says, and can always be finished",
    { shape: Shape, steps: Arbitrary.array(Arbitrary.schema(Step), { minLength: 1, maxLength: 80 }) },
    ({ shape, steps }) => follow(shape, steps),
    { arbitrary: { runs, seed, size: 80 }, timeout: 600_000 }
  )
})
