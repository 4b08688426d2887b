/** Results as tables, for a terminal and for a page: the contestants of each match, and a line for each target. */
import type { Result } from "./measure.ts"
import type { Verdict } from "./targets.ts"

type Row = ReadonlyArray<string>

/** All matches of a case, and under them what its targets say. */
export const blockOf = (results: ReadonlyArray<Result>, verdicts: ReadonlyArray<Verdict>): ReadonlyArray<string> =>
  [
    ...titlesOf(results).flatMap((title) => ["", ...aligned(matchRows(title, results))]),
    ...verdicts.length === 0 ? [] : ["", ...aligned([["targets", ...marks], ...verdicts.map(targetRow)])]
  ].map((line) => line === "" ? line : `  ${line}`)

/** One line for each target of each case. */
export const summaryOf = (verdicts: ReadonlyArray<Verdict>): ReadonlyArray<string> =>
  verdicts.length === 0 ? ["no targets"] : [
    ...aligned([["targets", ...marks], ...verdicts.map((verdict) => withCase(verdict, ", "))]),
    "",
    (["stretch", "pass", "gate", "nothing"] as const)
      .map((reached) => ({ reached, count: verdicts.filter((verdict) => verdict.reached === reached).length }))
      .filter(({ count }) => count > 0)
      .map(({ count, reached }) => `${count} ${words[reached]}`)
      .join(", ")
  ]

/**
 * A page with what stands between `<!-- bench: name -->` and `<!-- /bench -->` replaced: by the tables of the case of
 * that name, where it was run, or by those of all targets where the name is `targets`.
 */
export const filled = (
  page: string,
  results: ReadonlyArray<Result>,
  verdicts: ReadonlyArray<Verdict>,
  caption: string
): string =>
  page.replaceAll(
    /(<!-- bench: (\S+) -->\n)[^]*?(<!-- \/bench -->)/g,
    (all, begin: string, name: string, end: string) => {
      const own = results.filter((result) => result.case === name)
      const tables = name === "targets"
        ? [markdown([["figure", ...marks], ...verdicts.map((verdict) => withCase(verdict, ": "))])]
        : titlesOf(own).map((title) => markdown(matchRows(title, own)))
      return tables.length === 0 ? all : `${begin}\n${tables.join("\n\n")}\n\n${caption}.\n\n${end}`
    }
  )

const titlesOf = (
  results: ReadonlyArray<Result>
): ReadonlyArray<string> => [...new Set(results.map(({ match }) => match))]

/** Of one contestant alone there is no ratio; its range is that of its first figure. */
const matchRows = (title: string, results: ReadonlyArray<Result>): ReadonlyArray<Row> => {
  const own = results.filter(({ match }) => match === title)
  const compared = own.length > 1
  return [
    [
      title,
      ...own[0]!.figures.map(({ name, unit }) => `${name} ${unit}`),
      ...compared ? ["ratio to ours"] : [],
      "min..max"
    ],
    ...own.map(({ contestant, figures, ours, ratio }) => [
      contestant,
      ...figures.map(({ median }) => figure(median)),
      ...!compared
        ? [range(figures[0]!)]
        : ours
        ? ["ours", ""]
        : ratio === null
        ? ["", ""]
        : [figure(ratio.median), range(ratio)]
    ])
  ]
}
const range = ({ max, min }: { readonly max: number; readonly min: number }): string => `${figure(min)}..${figure(max)}`

const marks: Row = ["measured", "pass", "stretch", "gate", "reached"]
const words = { stretch: "stretch", pass: "pass", gate: "behind the pass", nothing: "FAILED" }
const targetRow = ({ bound, gate, match, measured, pass, reached, stretch, what }: Verdict): Row => {
  const sign = bound === "at least" ? "≥" : "≤"
  return [
    `${match}: ${what}`,
    figure(measured),
    `${sign} ${figure(pass)}`,
    stretch === null ? "" : `${sign} ${figure(stretch)}`,
    `${sign} ${figure(gate)}`,
    words[reached]
  ]
}
const withCase = (verdict: Verdict, joint: string): Row => {
  const [what, ...others] = targetRow(verdict)
  return [`${verdict.case}${joint}${what}`, ...others]
}

/** Three or four digits that matter, and no exponent. */
export const figure = (value: number): string => {
  const size = Math.abs(value)
  if (!Number.isFinite(value)) return "none"
  if (size >= 100) return Math.round(value).toLocaleString("en")
  if (size >= 10) return value.toFixed(1)
  if (size >= 0.1 || size === 0) return value.toFixed(2)
  return value.toFixed(1 - Math.floor(Math.log10(size)))
}

/** The first column is text, the others numbers; the first row is the head. */
const aligned = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row.map((cell, column) => column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))
      .join("  ").trimEnd()
  )
}
const markdown = ([head, ...rows]: ReadonlyArray<Row>): string =>
  [head!, head!.map((_, column) => column === 0 ? "---" : "---:"), ...rows]
    .map((row) => `| ${row.join(" | ")} |`)
    .join("\n")
