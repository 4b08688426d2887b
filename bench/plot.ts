/** The timed results as an SVG: a bar for what a message costs, on a logarithmic scale, in light and in dark. */
import type { Result } from "./measure.ts"
import { figure } from "./table.ts"
import type { Verdict } from "./targets.ts"

const width = 960
const margin = 24
const labelWidth = 436
const valueWidth = 56
const rowHeight = 18
const groupHeight = 34
const top = 112
const left = margin + labelWidth
const right = width - margin - valueWidth

/** Ours against ours: a table says it better. */
const leftOut = ["thousand-records", "statistics", "handlers"]

/**
 * Of each match ours and those that targets name; of a case without targets its first match, whole. `caption` says where
 * and how it was measured.
 */
export const plotOf = (
  results: ReadonlyArray<Result>,
  verdicts: ReadonlyArray<Verdict>,
  caption: string
): string => {
  const drawn = results.filter((result) => result.figures[0]!.unit === "ns/message" && !leftOut.includes(result.case))
  const groups = groupsOf(drawn, verdicts)
  const costs = groups.flatMap(({ bars }) => bars.map(cost))
  const from = Math.floor(Math.log10(Math.min(...costs)))
  const to = Math.ceil(Math.log10(Math.max(...costs)))
  const x = (value: number) => left + (Math.log10(value) - from) / (to - from) * (right - left)
  const ticks = Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index))
  const body: Array<string> = []
  let y = top
  for (const { bars, name, title } of groups) {
    y += groupHeight
    body.push(
      `<text x="${margin}" y="${y - 9}"><tspan class="case">${escaped(name)}</tspan> ${escaped(title)}</text>`
    )
    for (const bar of bars) {
      const kind = kindOf(bar)
      const end = x(cost(bar))
      const middle = y + rowHeight / 2 + 4
      body.push(
        `<text class="${bar.ours ? "us" : "name"}" x="${margin + 12}" y="${middle}"${squeezed(bar.contestant)}>${
          escaped(bar.contestant)
        }</text>`,
        `<rect class="${kind}" x="${left}" y="${y + 2.5}" width="${px(end - left)}" height="${rowHeight - 5}"/>`,
        `<text class="${bar.ours ? "us" : "name"}" x="${px(end + 5)}" y="${middle}">${figure(cost(bar))}</text>`
      )
      y += rowHeight
    }
  }
  const bottom = y + 10
  const height = bottom + 64
  const legend = [
    ["ours", "Sluice", 0],
    ["alike", "Sluice, another way", 76],
    ["other", "others", 234],
    ["floor", "floors: the least that such work can cost", 312]
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" \
role="img" aria-labelledby="title">
<title id="title">What a message costs through Sluice and through others, in nanoseconds of CPU time</title>
<style>
  svg { color-scheme: light dark }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif }
  .title { font-size: 18px; font-weight: 600 }
  .case, .us { font-weight: 600 }
  .floor { fill: none; stroke-dasharray: 3 2 }
${colors(light)}
  @media (prefers-color-scheme: dark) {
${colors(dark)}
  }
</style>
<rect class="back" width="${width}" height="${height}"/>
<text class="title" x="${margin}" y="34">What a message costs</text>
<text x="${margin}" y="56">CPU time in nanoseconds per message, on a logarithmic scale; shorter is better</text>
${
    legend.map(([kind, label, at]) =>
      `<rect class="${kind}" x="${margin + Number(at)}" y="70" width="14" height="12"/>`
      + `<text x="${margin + Number(at) + 20}" y="80.5">${label}</text>`
    ).join("\n")
  }
${
    ticks.map((tick) =>
      `<line class="grid" x1="${px(x(tick))}" x2="${px(x(tick))}" y1="${top}" y2="${bottom}"/>`
      + [top - 6, bottom + 16].map((at) =>
        `<text text-anchor="middle" x="${px(x(tick))}" y="${at}">${tick.toLocaleString("en")} ns</text>`
      ).join("")
    ).join("\n")
  }
${body.join("\n")}
<text x="${margin}" y="${height - 20}">${escaped(caption)}</text>
</svg>
`
}

const groupsOf = (results: ReadonlyArray<Result>, verdicts: ReadonlyArray<Verdict>) =>
  unique(results.map((result) => result.case)).flatMap((name) => {
    const own = results.filter((result) => result.case === name)
    const targets = verdicts.filter((verdict) => verdict.case === name)
    const titles = unique((targets.length === 0 ? own.slice(0, 1) : targets).map(({ match }) => match))
    return titles.map((title) => ({
      name,
      title,
      bars: own.filter(({ contestant, match, ours }) =>
        match === title
        && (ours || targets.length === 0 || targets.some(({ match, what }) => match === title && what === contestant))
      )
    }))
  })
const kindOf = ({ contestant, ours }: Result): string =>
  ours ? "ours" : contestant.startsWith("Sluice") ? "alike" : contestant.startsWith("floor: ") ? "floor" : "other"
/** The longest names, by a guess at the width of a letter. */
const squeezed = (label: string): string =>
  label.length * 6.8 > labelWidth - 20 ? ` textLength="${labelWidth - 20}" lengthAdjust="spacingAndGlyphs"` : ""
const unique = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> => [...new Set(values)]
const cost = ({ figures }: Result): number => figures[0]!.median
const px = (value: number): string => value.toFixed(1)
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")

interface Palette {
  readonly back: string
  readonly text: string
  readonly soft: string
  readonly grid: string
  readonly ours: string
  readonly alike: string
  readonly other: string
}
const light: Palette = {
  back: "#ffffff",
  text: "#1f2328",
  soft: "#59636e",
  grid: "#d8dee4",
  ours: "#0969da",
  alike: "#80b6f0",
  other: "#9aa4af"
}
const dark: Palette = {
  back: "#0d1117",
  text: "#e6edf3",
  soft: "#9198a1",
  grid: "#2b323b",
  ours: "#4493f8",
  alike: "#2b5a94",
  other: "#656c76"
}
const colors = ({ alike, back, grid, ours, other, soft, text }: Palette): string =>
  `  text { fill: ${soft} }
  .title, .case, .us { fill: ${text} }
  .back { fill: ${back} }
  .grid { stroke: ${grid} }
  .ours { fill: ${ours} }
  .alike { fill: ${alike} }
  .other { fill: ${other} }
  .floor { fill: none; stroke: ${other} }`
