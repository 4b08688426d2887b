/**
 * How a case is measured. Every round runs each contestant once, in an order shuffled anew, so that what drifts (clock
 * speed, heat, the neighbours) falls on all of them; the first rounds warm the compiler and are thrown away. A round
 * costs what the process spent: CPU time, so that waiting costs nothing and the garbage collector is not free, and wall
 * time beside it. Absolute figures drift between runs; what holds is a ratio within a round, and the median of those.
 */
import { Effect, References } from "effect"
import type { Case, Contestant } from "./contestant.ts"
import type { FigureCase, FigureMatch, Gauge } from "./figures.ts"
import { WrongDelivery } from "./workload.ts"

export interface Settings {
  readonly rounds: number
  readonly warmUpRounds: number
  readonly seed: number
  /** Of each case's work, how much is done: 1 is all. */
  readonly share: number
}
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}
export interface Figure extends Spread {
  readonly name: string
  readonly unit: string
}
export interface Result {
  readonly case: string
  readonly match: string
  readonly contestant: string
  readonly ours: boolean
  readonly figures: ReadonlyArray<Figure>
  /** Its first figure for each one of ours, round by round; null where ours was 0. */
  readonly ratio: Spread | null
}

/**
 * Fails at the first round in which something was not delivered as it was sent. `onRound` is told before each round,
 * those that are thrown away included.
 */
export const measure = (
  each: Case | FigureCase,
  settings: Settings,
  onRound: (round: number, rounds: number) => void = () => {}
): Effect.Effect<ReadonlyArray<Result>, WrongDelivery> =>
  Effect.gen(function*() {
    const { matches, name, roundsMax = settings.rounds } = gauged(each, settings.share)
    const random = generator(settings.seed)
    // One may stand in several matches, and is run once a round all the same.
    const gauges = [...new Set(matches.flatMap(({ others, ours }) => [ours, ...others]))]
    const readings = new Map<Gauge, Array<ReadonlyArray<number>>>(gauges.map((gauge) => [gauge, []]))
    const all = settings.warmUpRounds + Math.min(roundsMax, settings.rounds)
    for (let round = 0; round < all; round++) {
      onRound(round + 1, all)
      for (const gauge of shuffled(gauges, random)) {
        const figures = yield* Effect.scoped(gauge.read(settings.share)).pipe(
          Effect.timeoutOrElse({
            duration: "60 seconds",
            orElse: () => Effect.fail(new WrongDelivery({ message: "hangs" }))
          }),
          Effect.provideService(References.MinimumLogLevel, "None"),
          Effect.mapError(({ message }) => new WrongDelivery({ message: `${name}, ${gauge.name}: ${message}` }))
        )
        if (round >= settings.warmUpRounds) readings.get(gauge)!.push(figures)
      }
    }
    return matches.flatMap((match) => resultsOf(name, match, readings))
  })

/** A timed case in the general form: its figures are nanoseconds per message, and are compared by CPU time. */
export const gauged = (each: Case | FigureCase, share: number): FigureCase => {
  if (!("laps" in each)) return each
  const laps = Math.ceil(each.laps * share)
  const gauges = new Map<Contestant, Gauge>()
  const gaugeOf = (contestant: Contestant): Gauge => {
    const gauge = gauges.get(contestant)
      ?? { name: contestant.name, read: () => roundOf(contestant, each.messages, laps) }
    gauges.set(contestant, gauge)
    return gauge
  }
  return {
    name: each.name,
    about: `${each.about}; ${laps} laps of ${each.messages} messages a round`,
    matches: each.matches.map((match) => ({
      ...match,
      columns: timedColumns,
      ours: gaugeOf(match.ours),
      others: match.others.map(gaugeOf)
    }))
  }
}
const timedColumns = [{ name: "CPU", unit: "ns/message" }, { name: "wall", unit: "ns/message" }]

/**
 * One contestant, once: built, run in, measured, checked and taken down. What was just built costs several times as much
 * for its first hundred thousand values, until compiled code and caches are back; that lap is checked but not timed.
 */
export const roundOf = (
  contestant: Contestant,
  messages: number,
  laps: number
): Effect.Effect<ReadonlyArray<number>, WrongDelivery> => {
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
    return [cpu * 1e3 / all, wall * 1e6 / all]
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: "30 seconds",
      orElse: () => Effect.fail(new WrongDelivery({ message: `hangs: ${progress()}` }))
    })
  )
}

/** Lets what was started come to where it waits, and what was left over show. */
export const settle = Effect.callback<void>((resume) => {
  let turns = 8
  const turn = () => --turns === 0 ? resume(Effect.void) : setImmediate(turn)
  turn()
})

const resultsOf = (
  name: string,
  match: FigureMatch,
  readings: ReadonlyMap<Gauge, ReadonlyArray<ReadonlyArray<number>>>
): ReadonlyArray<Result> => {
  const reference = readings.get(match.ours)!.map(([first]) => first!)
  return [match.ours, ...match.others].map((gauge) => {
    const own = readings.get(gauge)!
    return {
      case: name,
      match: match.title,
      contestant: gauge.name,
      ours: gauge === match.ours,
      figures: match.columns.map((column, index) => ({ ...column, ...spreadOf(own.map((each) => each[index]!)) })),
      ratio: reference.includes(0) ? null : spreadOf(own.map(([first], round) => first! / reference[round]!))
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
