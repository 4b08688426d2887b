/**
 * What the results must show. A target or limit has three marks: `stretch`, which we would like to see, `pass`, which is
 * promised, and the gate a little beyond it, where the run fails.
 */
import type { Case, Target } from "./contestant.ts"
import type { FigureCase, FigureMatch, Limit } from "./figures.ts"
import type { Result } from "./measure.ts"

/** What became of one target or limit. */
export interface Verdict {
  readonly case: string
  readonly match: string
  /** What was looked at: the ratio to ours of a contestant, or a figure of ours. */
  readonly what: string
  readonly bound: Limit["bound"]
  readonly measured: number
  readonly pass: number
  readonly stretch: number | null
  readonly gate: number
  readonly reached: "stretch" | "pass" | "gate" | "nothing"
}

/** How much worse than its pass a figure may be before it fails the run, where a target does not say. */
const room = 0.85

export const verdictsOf = ({ matches, name }: FigureCase, results: ReadonlyArray<Result>): ReadonlyArray<Verdict> =>
  matches.flatMap((match) => {
    const own = results.filter((result) => result.case === name && result.match === match.title)
    const verdict = (what: string, measured: number, limit: Omit<Limit, "figure">): Verdict => {
      const { bound, gate = bound === "at least" ? limit.pass * room : limit.pass / room, pass, stretch = null } = limit
      const reaches = (mark: number) => bound === "at least" ? measured >= mark : measured <= mark
      return {
        case: name,
        match: match.title,
        what,
        bound,
        measured,
        pass,
        stretch,
        gate,
        reached: stretch !== null && reaches(stretch)
          ? "stretch"
          : reaches(pass)
          ? "pass"
          : reaches(gate)
          ? "gate"
          : "nothing"
      }
    }
    return [
      ...(match.targets ?? []).map((target) =>
        verdict(
          target.contestant,
          own.find(({ contestant }) => contestant === target.contestant)?.ratio?.median ?? NaN,
          { bound: "at least", ...target }
        )
      ),
      ...(match.limits ?? []).map((limit) => {
        const { median, unit } = own.find(({ ours }) => ours)!.figures.find(({ name }) => name === limit.figure)!
        return verdict(`${limit.figure} ${unit}`, median, limit)
      })
    ]
  })

/** What is left of a case when only what its targets and limits look at is run; undefined where that is nothing. */
export const targeted = <Each extends Case | FigureCase>(each: Each): Each | undefined => {
  const matches = (each.matches as ReadonlyArray<FigureMatch>)
    .filter(({ limits = [], targets = [] }) => limits.length + targets.length > 0)
    .map((match) => ({ ...match, others: match.others.filter(({ name }) => isTarget(match.targets, name)) }))
  return matches.length === 0 ? undefined : { ...each, matches }
}
const isTarget = (targets: ReadonlyArray<Target> = [], name: string): boolean =>
  targets.some(({ contestant }) => contestant === name)

/** What is wrong with the cases themselves: results are found by their names, and so are those whom targets name. */
export const faultsOf = (cases: ReadonlyArray<FigureCase>): ReadonlyArray<string> => [
  ...repeated(cases.map(({ name }) => name)).map((name) => `two cases are named "${name}"`),
  ...cases.flatMap(({ matches, name }) => [
    ...repeated(matches.map(({ title }) => title)).map((title) => `${name}: two matches are titled "${title}"`),
    ...matches.flatMap(({ columns, limits = [], others, ours, targets = [], title }) =>
      [
        ...repeated([ours, ...others].map(({ name }) => name)).map((name) => `two contestants are named "${name}"`),
        ...targets.filter(({ contestant }) => !others.some(({ name }) => name === contestant)).map(({ contestant }) =>
          `a target names "${contestant}", which is none of the others here`
        ),
        ...limits.filter(({ figure }) => !columns.some(({ name }) => name === figure)).map(({ figure }) =>
          `a limit is set to "${figure}", which is not measured here`
        )
      ].map((fault) => `${name}, ${title}: ${fault}`)
    )
  ])
]
const repeated = (names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.filter((name, index) => names.indexOf(name) !== index)
