/** A log against a model of it that is as plain as it can be said, under random sequences of all that can happen to it. */
import { Lagged } from "@sluice/core"
import { CommitOutOfRange, type From, type Group, StaleEpoch } from "@sluice/core/Log"
import { Cause, Effect, Exit, type Fiber, Random, Scope } from "effect"
import { range } from "../bufferLaws/steps.ts"
import { answers, ends, exitOf, Mismatch, outcome, pass, render, same, settle, start, valueOf } from "../trial.ts"
import { always, type Law, law, limited, type Subject } from "./law.ts"
import { alteredGroup } from "./sabotage.ts"
import { acquire, commit, ended, full, listed, type Numbers, type Pair, pairs, refused, spans } from "./steps.ts"

interface Hold {
  readonly name: string
  readonly group: Group
  readonly scope: Scope.Closeable
}
interface ModelGroup {
  committed: number
  attempts: ReadonlyArray<readonly [bigint, number]>
  /** Whoever may commit. */
  holder: Hold | undefined
}

/** What must be the case once everything has come to rest. */
class Model {
  readonly accepted: Array<number> = []
  readonly groups = new Map<string, ModelGroup>()
  /** Producers that wait, in order. */
  waiting: Array<{ readonly value: number; readonly fiber: Fiber.Fiber<unknown, unknown> }> = []
  reads: Array<
    { readonly from: number; readonly max: number; readonly fiber: Fiber.Fiber<ReadonlyArray<Pair>, unknown> }
  > = []
  epoch = -1n
  readonly capacity: number
  constructor(capacity: number) {
    this.capacity = capacity
  }
  get head(): number {
    return this.accepted.length
  }
  get oldest(): number {
    return Math.max(0, this.head - this.capacity)
  }
  isFull(): boolean {
    return Array.from(this.groups.values()).some(({ committed }) => committed < this.head - this.capacity)
  }
  entries(from: number, to: number): ReadonlyArray<Pair> {
    return range(from, to).map((sequence) => [BigInt(sequence), this.accepted[sequence]!])
  }
}

const names = ["a", "b", "c"]

/** One sequence of steps, each settled and compared with the model, and a close at the end. */
const interleave = Effect.fnUntraced(function*(subject: Subject, steps: number) {
  const capacity = limited(subject.promises) ? 4 : Number.POSITIVE_INFINITY
  const log: Numbers = yield* subject.make({ capacity: Math.min(capacity, 1e6) })
  const model = new Model(capacity)
  const holds: Array<Hold> = []
  let nextValue = 100
  const pick = <A>(from: ReadonlyArray<A>) =>
    Effect.map(Random.nextIntBetween(0, Math.max(1, from.length)), (index) => from[index % Math.max(1, from.length)])
  const around = (center: number) => Effect.map(Random.nextIntBetween(-2, 4), (offset) => center + offset)

  /** Lets those in that there is room for, and looks whether everybody who should has been told. */
  const settled = Effect.fnUntraced(function*(what: string) {
    yield* settle
    while (model.waiting.length > 0 && !model.isFull()) {
      const { fiber, value } = model.waiting.shift()!
      model.accepted.push(value)
      yield* ends(`produceAsync(${value}), for which there is room after ${what}`, fiber, Exit.void)
    }
    for (const { fiber, value } of model.waiting) {
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) {
        return yield* new Mismatch({
          expected: `produceAsync(${value}) to wait after ${what}`,
          seen: render(exit)
        })
      }
    }
    const reads = model.reads
    model.reads = reads.filter(({ from }) => from >= model.head)
    for (const read of reads) {
      if (read.from < model.head) {
        yield* isRead(`after ${what}`, yield* exitOf(`read(${read.from}) after ${what}`, read.fiber), read)
      }
    }
    for (const { fiber, from } of model.reads) {
      yield* same(`whether read(${from}) has ended after ${what}`, fiber.pollUnsafe() !== undefined, false)
    }
    yield* spans(`after ${what}`, log, model.oldest, model.head)
    const groups = Array.from(model.groups, ([name, { committed }]) => [name, BigInt(committed)] as const)
    yield* same(`groups after ${what}`, yield* listed(log), groups.toSorted(([a], [b]) => a < b ? -1 : 1))
  })
  /** A read that was to answer has: with what is there, or with a lag that others caused before it did. */
  const isRead = (
    what: string,
    exit: Exit.Exit<ReadonlyArray<Pair>, unknown>,
    { from, max }: { readonly from: number; readonly max: number }
  ) => {
    if (Exit.isSuccess(exit)) {
      const count = Math.max(1, Math.min(exit.value.length, max, model.head - from))
      return same(`read(${from}, ${max}) ${what}`, exit.value, model.entries(from, from + count))
    }
    const error = exit.cause.reasons.find(Cause.isFailReason)?.error
    const honest = error instanceof Lagged && error.missed > 0 && from + error.missed <= model.oldest
    return same(`whether read(${from}) ${what} has a reason to say ${render(exit)}`, honest, true)
  }

  const ops: { readonly [name: string]: Effect.Effect<void, Mismatch, Scope.Scope> } = {
    produceAsync: Effect.gen(function*() {
      const value = nextValue++
      model.waiting.push({ value, fiber: yield* start(log.produceAsync(value)) })
    }),
    tryProduce: Effect.gen(function*() {
      const value = nextValue++
      if (model.waiting.length > 0 || model.isFull()) {
        return yield* answers("tryProduce", log.tryProduce(value), full(log, value))
      }
      yield* answers("tryProduce", log.tryProduce(value), Exit.void)
      model.accepted.push(value)
    }),
    acquire: Effect.gen(function*() {
      const name = (yield* pick(names))!
      const place = yield* around(model.head - 1)
      const from: From = (yield* pick<From>(["head", "oldest", { sequence: BigInt(Math.max(0, place)) }]))!
      const begins = from === "head"
        ? model.head
        : from === "oldest"
        ? model.oldest
        : Math.min(model.head, Math.max(0, place))
      const known = model.groups.get(name) ?? { committed: begins - 1, attempts: [], holder: undefined }
      const scope = yield* Scope.fork(yield* Effect.scope)
      const group = yield* Scope.provide(acquire(log, name, from), scope)
      yield* same("committed", group.committed, BigInt(known.committed))
      yield* same("attempts", Array.from(group.attempts), known.attempts)
      yield* same(`whether epoch ${group.epoch} is above ${model.epoch}`, group.epoch > model.epoch, true)
      known.holder = { name, group, scope }
      holds.push(known.holder)
      model.groups.set(name, known)
    }),
    commit: Effect.gen(function*() {
      const hold = yield* pick(holds.slice(-4))
      if (hold === undefined) return
      const { group, name } = hold
      const known = model.groups.get(name)
      const through = yield* around(known?.committed ?? 0)
      const attempts = [[BigInt(through + 1), 2], [BigInt(through + 2), 3]] as const
      const exit = yield* outcome("commit", commit(group, through, new Map(attempts)))
      const { record } = log
      if (known?.holder !== hold) {
        const error = new StaleEpoch({ record, group: name, epoch: group.epoch })
        return yield* same("commit of an earlier holder", exit, Exit.fail(error))
      }
      if (through < known.committed || through >= model.head) {
        const committed = BigInt(known.committed)
        const error = new CommitOutOfRange({
          record,
          group: name,
          through: BigInt(through),
          committed,
          head: BigInt(model.head)
        })
        return yield* same(`commit through ${through}`, exit, Exit.fail(error))
      }
      yield* same(`commit through ${through}`, exit, Exit.void)
      known.committed = through
      known.attempts = attempts.filter(([sequence]) => sequence < BigInt(model.head))
    }),
    release: Effect.gen(function*() {
      const hold = yield* pick(holds)
      if (hold === undefined) return
      yield* Scope.close(hold.scope, Exit.void)
      const known = model.groups.get(hold.name)
      if (known?.holder === hold) known.holder = undefined
    }),
    remove: Effect.gen(function*() {
      const name = (yield* pick(names))!
      yield* valueOf("removeGroup", log.removeGroup(name))
      model.groups.delete(name)
    }),
    read: Effect.gen(function*() {
      const from = Math.max(0, yield* around(yield* Effect.map(pick([model.oldest, model.head]), Number)))
      const max = yield* Random.nextIntBetween(1, 4)
      const fiber = yield* start(pairs(log, BigInt(from), max))
      if (from >= model.head) return void model.reads.push({ from, max, fiber })
      const exit = yield* exitOf("read", fiber)
      if (from < model.oldest) {
        return yield* same("read", exit, Exit.fail(new Lagged({ record: log.record, missed: model.oldest - from })))
      }
      yield* isRead("at once", exit, { from, max })
    }),
    interruptRead: Effect.gen(function*() {
      const read = yield* pick(model.reads)
      if (read === undefined) return
      model.reads = model.reads.filter((other) => other !== read)
      read.fiber.interruptUnsafe()
    }),
    interruptProducer: Effect.gen(function*() {
      const producer = yield* pick(model.waiting)
      if (producer === undefined) return
      model.waiting = model.waiting.filter((other) => other !== producer)
      producer.fiber.interruptUnsafe()
      yield* exitOf("an interrupted produceAsync", producer.fiber)
    }),
    // Some turns after there is room for it: it was let in, or it was not.
    interruptAsRoomIsMade: Effect.gen(function*() {
      const producer = model.waiting[0]
      if (producer === undefined) return
      for (const name of names) {
        yield* valueOf("removeGroup", log.removeGroup(name))
        model.groups.delete(name)
      }
      yield* pass(yield* Random.nextIntBetween(0, 4))
      producer.fiber.interruptUnsafe()
      yield* exitOf("an interrupted produceAsync", producer.fiber)
      yield* settle
      model.waiting.shift()
      const others = model.waiting.length
      const head = Number(yield* valueOf("head", log.head))
      if (head - model.head > others) model.accepted.push(producer.value)
    })
  }
  const weighted = Object.keys(ops).flatMap((name) => name.startsWith("interrupt") ? [name] : [name, name, name])
  for (let step = 0; step < steps; step++) {
    const name = (yield* pick([...weighted, "produceAsync", "produceAsync", "produceAsync"]))!
    yield* ops[name]!
    for (const { holder } of model.groups.values()) {
      if (holder !== undefined && holder.group.epoch > model.epoch) model.epoch = holder.group.epoch
    }
    yield* settled(`step ${step}, ${name}`)
  }
  yield* valueOf("close", log.close)
  for (const { fiber, value } of model.waiting) yield* ends("a producer at the close", fiber, refused(log, value))
  for (const { fiber } of model.reads) yield* ends("a read at the close", fiber, Exit.fail(ended(log)))
  for (const from of range(model.oldest, model.head)) {
    const read = yield* valueOf("read", pairs(log, BigInt(from), 1))
    yield* same("what is read after the close", read, model.entries(from, from + 1))
  }
})

/** The law, over these seeds. */
export const interleaved = (seeds: ReadonlyArray<number>, steps: number): Law =>
  law("under any interleaving of all this, a log does what its model does", {
    applies: always,
    check: (subject) =>
      Effect.forEach(
        seeds,
        (seed) =>
          Random.withSeed(Effect.scoped(interleave(subject, steps)), seed).pipe(
            Effect.mapError(({ expected, seen }) => new Mismatch({ expected, seen: `${seen}, with seed ${seed}` }))
          ),
        { discard: true }
      ),
    broken: alteredGroup((group) => ({
      commit: (progress) => Effect.catchTag(group.commit(progress), "StaleEpoch", () => Effect.void)
    }))
  })

export const interleaving: ReadonlyArray<Law> = [interleaved(range(0, 10), 40)]
