/**
 * How a case is measured. Every round runs each contestant once, in an order shuffled anew, so that what drifts (clock
 * speed, heat, the neighbours) falls on all of them; the first rounds warm the compiler and are thrown away. A round
 * costs what the process spent: CPU time, so that waiting costs nothing and the garbage collector is not free, and wall
 * time beside it. Absolute figures drift between runs; what holds is a ratio within a round, and the median of those.
 */
import { Effect, References } from "effect"
import type { Case, Contestant, Match } from "./contestant.ts"
import { WrongDelivery } from "./workload.ts"

export interface Settings {
  readonly rounds: number
  readonly warmUpRounds: number
  readonly seed: number
  /** Of each case's laps, how many are run: 1 is all. */
  readonly share: number
}
/** Nanoseconds per message. */
export interface Sample {
  readonly cpu: number
  readonly wall: number
}
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}
export interface Result {
  readonly case: string
  readonly match: string
  readonly contestant: string
  readonly ours: boolean
  readonly cpu: Spread
  readonly wall: Spread
  /** What it costs for each nanosecond of CPU that ours costs, round by round. */
  readonly ratio: Spread
}

/** Fails at the first round in which something was not delivered as it was sent. */
export const measure = (workload: Case, settings: Settings): Effect.Effect<ReadonlyArray<Result>, WrongDelivery> =>
  Effect.gen(function*() {
    const random = generator(settings.seed)
    const contestants = workload.matches.flatMap(({ others, ours }) => [ours, ...others])
    const samples = new Map<Contestant, Array<Sample>>(contestants.map((contestant) => [contestant, []]))
    for (let round = -settings.warmUpRounds; round < settings.rounds; round++) {
      for (const contestant of shuffled(contestants, random)) {
        const sample = yield* roundOf(contestant, workload.messages, lapsOf(workload, settings)).pipe(
          Effect.mapError(({ message }) =>
            new WrongDelivery({ message: `${workload.name}, ${contestant.name}: ${message}` })
          )
        )
        if (round >= 0) samples.get(contestant)!.push(sample)
      }
    }
    return workload.matches.flatMap((match) => resultsOf(workload, match, samples))
  })

/** The timed runs of the workload in a round. */
export const lapsOf = ({ laps }: Case, { share }: Settings): number => Math.ceil(laps * share)

/**
 * One contestant, once: built, run in, measured, checked and taken down. What was just built costs several times as much
 * for its first hundred thousand values, until compiled code and caches are back; that lap is checked but not timed.
 */
const roundOf = (contestant: Contestant, messages: number, laps: number): Effect.Effect<Sample, WrongDelivery> => {
  let progress = () => "it was still being built"
  return Effect.gen(function*() {
    const lap = yield* contestant.open(messages)
    progress = lap.progress
    yield* settle
    let cpu = 0
    let wall = 0
    for (let count = 0; count <= laps; count++) {
      const wallBefore = performance.now()
      const cpuBefore = process.cpuUsage()
      yield* lap.run
      const used = process.cpuUsage(cpuBefore)
      const elapsed = performance.now() - wallBefore
      if (count > 0) {
        wall += elapsed
        cpu += used.user + used.system
      }
      yield* settle
      yield* lap.check
    }
    const all = messages * laps
    return { cpu: cpu * 1e3 / all, wall: wall * 1e6 / all }
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: "30 seconds",
      orElse: () => Effect.fail(new WrongDelivery({ message: `hangs: ${progress()}` }))
    }),
    Effect.provideService(References.MinimumLogLevel, "None")
  )
}

/** Lets what was started come to where it waits, and what was left over show. */
const settle = Effect.callback<void>((resume) => {
  let turns = 8
  const turn = () => --turns === 0 ? resume(Effect.void) : setImmediate(turn)
  turn()
})

const resultsOf = (workload: Case, match: Match, samples: Map<Contestant, Array<Sample>>): ReadonlyArray<Result> => {
  const reference = samples.get(match.ours)!
  return [match.ours, ...match.others].map((contestant) => {
    const own = samples.get(contestant)!
    return {
      case: workload.name,
      match: match.title,
      contestant: contestant.name,
      ours: contestant === match.ours,
      cpu: spreadOf(own.map(({ cpu }) => cpu)),
      wall: spreadOf(own.map(({ wall }) => wall)),
      ratio: spreadOf(own.map(({ cpu }, round) => cpu / reference[round]!.cpu))
    }
  })
}

const spreadOf = (values: ReadonlyArray<number>): Spread => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return {
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    min: sorted[0]!,
    max: sorted.at(-1)!
  }
}

/** Fisher and Yates. */
const shuffled = <A>(values: ReadonlyArray<A>, random: () => number): ReadonlyArray<A> => {
  const result = [...values]
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1))
    const value = result[last]!
    result[last] = result[other]!
    result[other] = value
  }
  return result
}

/** mulberry32: enough to shuffle, and the same on every machine. */
const generator = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}
