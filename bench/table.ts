/** Results as an aligned table: a block for each match, a line for each contestant. */
import type { Case } from "./contestant.ts"
import type { Result } from "./measure.ts"

/** Cases are printed as they come in, so the widths are taken from all that will run. */
export const tableOf = (cases: ReadonlyArray<Case>) => {
  const contestants = cases.flatMap(({ matches }) => matches.flatMap(({ others, ours }) => [ours, ...others]))
  const caseWidth = Math.max("case".length, ...cases.map(({ name }) => name.length))
  const nameWidth = Math.max("contestant".length, ...contestants.map(({ name }) => name.length))
  const row = (name: string, contestant: string, cpu: string, wall: string, ratio: string, range: string): string =>
    `${name.padEnd(caseWidth)}  ${contestant.padEnd(nameWidth)}  ${cpu.padStart(8)}  ${wall.padStart(8)}  ${
      ratio.padStart(13)
    }  ${range.padStart(13)}`.trimEnd()
  return {
    header: [
      row("", "", "ns/message", "", "", ""),
      row("case", "contestant", "CPU", "wall", "ratio to ours", "min..max")
    ],
    block: (results: ReadonlyArray<Result>): ReadonlyArray<string> =>
      results.flatMap((result, index) => [
        ...(result.match === results[index - 1]?.match ? [] : [`  ${result.match}`]),
        row(
          result.case,
          result.contestant,
          nanos(result.cpu.median),
          nanos(result.wall.median),
          result.ours ? "ours" : result.ratio.median.toFixed(2),
          result.ours ? "" : `${result.ratio.min.toFixed(2)}..${result.ratio.max.toFixed(2)}`
        )
      ])
  }
}

const nanos = (value: number): string => value.toFixed(value < 100 ? 1 : 0)
