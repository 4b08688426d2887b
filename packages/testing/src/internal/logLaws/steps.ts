/** The steps that the checks of logs have in common, and the answers that they expect. */
import { CommitOutOfRange, type From, type Group, type Log, StaleEpoch } from "@sluice/core/Log"
import { BufferClosed, BufferFull, Lagged, type Reader, RecordClosed } from "@sluice/core"
import { Cause, Effect, Exit, Option, type Scope } from "effect"
import { range } from "../bufferLaws/steps.ts"
import { Mismatch, outcome, render, same, valueOf } from "../trial.ts"

export type Numbers = Log<number>
/** A sequence and its value. */
export type Pair = readonly [sequence: bigint, value: number]

export const noAttempts: ReadonlyMap<bigint, number> = new Map()

/** Stores `from` up to `to`, without it, one after the other. */
export const put = Effect.fnUntraced(function*(log: Numbers, from: number, to: number) {
  for (const value of range(from, to)) yield* valueOf(`produceAsync(${value})`, log.produceAsync(value))
})

/** `read`, without times and bytes. */
export const pairs = (log: Numbers, from: bigint, max: number) =>
  Effect.map(
    log.read(from, max),
    (entries) => entries.map(({ sequence, value }): Pair => [sequence, Option.getOrElse(value, () => Number.NaN)])
  )

/** The pairs of values that were stored under their own sequence. */
export const own = (from: number, to: number): ReadonlyArray<Pair> =>
  range(from, to).map((value) => [BigInt(value), value])

/** Everything from `from` to the head, in as many reads as it takes. */
export const readAll = Effect.fnUntraced(function*(log: Numbers, from: bigint) {
  const head = yield* valueOf("head", log.head)
  const read: Array<Pair> = []
  while (from + BigInt(read.length) < head) {
    const next = yield* valueOf(`read`, pairs(log, from + BigInt(read.length), 7))
    if (next.length === 0) return yield* new Mismatch({ expected: "read to answer with something", seen: "nothing" })
    read.push(...next)
  }
  return read
})

/** Between which sequences values are kept. */
export const spans = Effect.fnUntraced(function*(what: string, log: Numbers, oldest: number, head: number) {
  yield* same(`oldest ${what}`, yield* valueOf("oldest", log.oldest), BigInt(oldest))
  yield* same(`head ${what}`, yield* valueOf("head", log.head), BigInt(head))
})

/** An effect for the life of the check's scope, which has to succeed; not under a fiber of its own. */
const attempt = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, Mismatch, R> =>
  Effect.flatMap(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? Effect.succeed(exit.value)
      : Effect.fail(new Mismatch({ expected: `${what} to succeed`, seen: render(exit) })))

export const acquire = (
  log: Numbers,
  group: string,
  from: From = "oldest"
): Effect.Effect<Group, Mismatch, Scope.Scope> => attempt(`acquire of ${group}`, log.acquire(group, { from }))

export const subscribeFrom = (
  log: Numbers,
  from: From
): Effect.Effect<Reader.Reader<number>, Mismatch, Scope.Scope> => attempt("subscribeFrom", log.subscribeFrom(from))

export const commit = (group: Group, through: number | bigint, attempts = noAttempts) =>
  group.commit({ through: BigInt(through), attempts })

/** The groups that there are, by name, with what they have committed. */
export const listed = (log: Numbers) =>
  Effect.map(
    valueOf("groups", log.groups),
    (groups) => groups.map(({ committed, name }) => [name, committed] as const).toSorted(([a], [b]) => a < b ? -1 : 1)
  )

/** An effect dies, without help. */
export const dies = Effect.fnUntraced(function*<A, E, R>(what: string, effect: Effect.Effect<A, E, R>) {
  const exit = yield* outcome(what, effect)
  if (Exit.isSuccess(exit) || !Cause.hasDies(exit.cause)) {
    return yield* new Mismatch({ expected: `${what} to die`, seen: render(exit) })
  }
})

export const full = (log: Numbers, value: number) => Exit.fail(new BufferFull({ record: log.record, value }))
export const refused = (log: Numbers, value: number) => Exit.fail(new BufferClosed({ record: log.record, value }))
export const lagged = (log: Numbers, missed: number) => new Lagged({ record: log.record, missed })
export const ended = (log: Numbers) => new RecordClosed({ record: log.record })
export const stale = (log: Numbers, group: string, { epoch }: Group) =>
  Exit.fail(new StaleEpoch({ record: log.record, group, epoch }))
export const outOfRange = (log: Numbers, group: string, through: number, committed: number, head: number) =>
  Exit.fail(
    new CommitOutOfRange({
      record: log.record,
      group,
      through: BigInt(through),
      committed: BigInt(committed),
      head: BigInt(head)
    })
  )
