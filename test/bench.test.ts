/** What the benchmark says about its figures: pure functions, no clock. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { cases } from "../bench/cases/index.ts"
import type { FigureCase, FigureMatch, Limit } from "../bench/figures.ts"
import { gauged, measure, type Result } from "../bench/measure.ts"
import { plotOf } from "../bench/plot.ts"
import { blockOf, figure, filled, summaryOf } from "../bench/table.ts"
import { faultsOf, targeted, verdictsOf } from "../bench/targets.ts"

const settings = { rounds: 3, warmUpRounds: 1, seed: 1, share: 1 }
/** Reads what it is told to, and then the same again. */
const gauge = (name: string, ...readings: ReadonlyArray<number>) => {
  let round = 0
  return { name, read: () => Effect.sync(() => [readings[Math.min(round++, readings.length - 1)]!]) }
}
const match = (changes: Partial<FigureMatch> = {}): FigureMatch => ({
  title: "match",
  columns: [{ name: "CPU", unit: "ns/message" }],
  ours: gauge("ours", 1000, 10, 20, 10),
  others: [gauge("other", 1, 20, 60, 50), gauge("bystander", 7)],
  ...changes
})
const figureCase = (changes?: Partial<FigureMatch>): FigureCase => ({
  name: "case",
  about: "made up",
  matches: [match(changes)]
})
const limit = (bound: Limit["bound"], pass: number, stretch?: number): Limit => ({
  figure: "CPU",
  bound,
  pass,
  ...stretch === undefined ? {} : { stretch }
})
const reached = (each: FigureCase) =>
  Effect.map(measure(each, settings), (results) => verdictsOf(each, results).map(({ reached }) => reached))

describe("measuring", () => {
  it.effect("takes medians over the rounds, and ratios within them, without the rounds that warm up", () =>
    Effect.gen(function*() {
      const [ours, other] = yield* measure(figureCase(), settings)
      assert.deepInclude(ours!.figures[0], { name: "CPU", unit: "ns/message", median: 10, min: 10, max: 20 })
      assert.deepStrictEqual(other!.ratio, { median: 3, min: 2, max: 5 })
    }))
  it.effect("has no ratio to what cost nothing", () =>
    Effect.gen(function*() {
      const [, other] = yield* measure(figureCase({ ours: gauge("ours", 0) }), settings)
      assert.isNull(other!.ratio)
    }))
})

describe("a target", () => {
  it.effect("is reached at its stretch, its pass or its gate, or not at all", () =>
    Effect.gen(function*() {
      const target = (pass: number, stretch: number, gate?: number) => ({
        contestant: "other",
        pass,
        stretch,
        ...gate === undefined ? {} : { gate }
      })
      const targets = [target(2, 3), target(3, 4), target(3.5, 4), target(3.6, 4), target(3.6, 4, 3)]
      assert.deepStrictEqual(yield* reached(figureCase({ targets })), ["stretch", "pass", "gate", "nothing", "gate"])
    }))
  it.effect("can be a limit to a figure of ours, upwards or downwards", () =>
    Effect.gen(function*() {
      const limits = [
        limit("at most", 12, 10),
        limit("at most", 10),
        limit("at most", 9),
        limit("at most", 8),
        limit("at least", 9, 10),
        limit("at least", 11),
        limit("at least", 12)
      ]
      assert.deepStrictEqual(
        yield* reached(figureCase({ limits })),
        ["stretch", "pass", "gate", "nothing", "stretch", "gate", "nothing"]
      )
    }))
  it("that names nobody is told before anything runs, as is whatever else cannot be told apart by name", () => {
    const each = figureCase({
      others: [gauge("ours", 1)],
      targets: [{ contestant: "nobody", pass: 1, stretch: 1 }],
      limits: [{ figure: "wall", bound: "at most", pass: 1 }]
    })
    assert.deepStrictEqual(faultsOf([each, { ...each, matches: [match(), match()] }]), [
      "two cases are named \"case\"",
      "case, match: two contestants are named \"ours\"",
      "case, match: a target names \"nobody\", which is none of the others here",
      "case, match: a limit is set to \"wall\", which is not measured here",
      "case: two matches are titled \"match\""
    ])
  })
  it("names somebody in every case there is", () => {
    assert.deepStrictEqual(faultsOf(cases.map((each) => gauged(each, 1))), [])
  })
  it("decides who takes part in a quick run", () => {
    const each = figureCase({ targets: [{ contestant: "other", pass: 1, stretch: 1 }] })
    assert.deepStrictEqual(targeted(each)!.matches[0]!.others.map(({ name }) => name), ["other"])
    assert.isUndefined(targeted(figureCase()))
  })
})

describe("what is shown", () => {
  const shown = (use: (results: ReadonlyArray<Result>, verdicts: ReturnType<typeof verdictsOf>) => void) => {
    const each = figureCase({ targets: [{ contestant: "other", pass: 2, stretch: 4 }] })
    return Effect.map(measure(each, settings), (results) => use(results, verdictsOf(each, results)))
  }

  it.effect("is a table for each match and a line for each target", () =>
    shown((results, verdicts) => {
      assert.deepStrictEqual(blockOf(results, verdicts), [
        "",
        "  match      CPU ns/message  ratio to ours    min..max",
        "  ours                 10.0           ours",
        "  other                50.0           3.00  2.00..5.00",
        "  bystander            7.00           0.70  0.35..0.70",
        "",
        "  targets       measured    pass  stretch    gate  reached",
        "  match: other      3.00  ≥ 2.00   ≥ 4.00  ≥ 1.70     pass"
      ])
      assert.strictEqual(summaryOf(verdicts).at(-1), "1 pass")
    }))
  it.effect("replaces what a page has between its marks, and leaves cases that were not run as they are", () =>
    shown((results, verdicts) => {
      const marked = (name: string, text: string) => `<!-- bench: ${name} -->\n${text}<!-- /bench -->\n`
      const page = filled(
        `a\n${marked("targets", "old\n")}b\n${marked("other", "kept\n")}${marked("case", "")}`,
        results,
        verdicts,
        "today"
      )
      const table =
        "| figure | measured | pass | stretch | gate | reached |\n| --- | ---: | ---: | ---: | ---: | ---: |\n"
        + "| case: match: other | 3.00 | ≥ 2.00 | ≥ 4.00 | ≥ 1.70 | pass |"
      assert.isTrue(
        page.startsWith(`a\n${marked("targets", `\n${table}\n\ntoday.\n\n`)}b\n${marked("other", "kept\n")}`)
      )
      assert.include(page, "| other | 50.0 | 3.00 | 2.00..5.00 |")
    }))
  it.effect("is drawn: ours, those that targets name, and nobody else", () =>
    shown((results, verdicts) => {
      const svg = plotOf(results, verdicts, "today & here")
      assert.deepStrictEqual(Array.from(svg.matchAll(/class="(?:us|name)" [^>]*>([^<]*)/g), ([, text]) => text), [
        "ours",
        "10.0",
        "other",
        "50.0"
      ])
      assert.include(svg, "today &amp; here")
    }))
  it("has the digits that matter", () => {
    assert.deepStrictEqual(
      [0, 0.00123, 0.5, 9.876, 98.76, 1234567.8, NaN].map(figure),
      ["0.00", "0.0012", "0.50", "9.88", "98.8", "1,234,568", "none"]
    )
  })
})
