/**
 * `pnpm bench`: what a message costs through Sluice and through what else there is, measured side by side. Fails where a
 * contestant loses a value, and where a figure is further behind its target than noise explains.
 */
import { Effect } from "effect"
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism, cpus, loadavg } from "node:os"
import { dirname } from "node:path"
import { parseArgs } from "node:util"
import { cases } from "./cases/index.ts"
import { answer, type Core, coreFor, type Job, jobOfThisProcess, measureApart } from "./child.ts"
import type { FigureCase } from "./figures.ts"
import { gauged, measure, type Result, type Settings } from "./measure.ts"
import { plotOf } from "./plot.ts"
import * as soak from "./soak.ts"
import { blockOf, filled, summaryOf } from "./table.ts"
import { faultsOf, targeted, type Verdict, verdictsOf } from "./targets.ts"

const help = `Usage: pnpm bench [case...] [options]
       pnpm bench:quick [case...] the same with --quick: under three minutes in all
       pnpm bench soak [--help]   ten seconds of ten thousand messages a second, without lag

Cases (all by default):
${cases.map(({ about, name }) => `  ${name.padEnd(16)} ${about}`).join("\n")}

Options:
  --quick            ours and those that targets name, and no others; less work, and a case that fails is run again
  --rounds <n>       timed rounds; default 15, quick 9
  --seed <n>         the seed of the order within the rounds; default: the time
  --no-pin           do not run on one core only
  --json             results as JSON on stdout, and nothing else there
  --svg <file>       draw what a message costs
  --markdown <file>  write the tables into this page, where it says <!-- bench: targets --> or names a case so
  --from <file>      run nothing: show and draw what --json printed into this file
  --help             this text

Exit code: 0; 1 where a value was lost or a figure is beyond its gate; 2 for a command line that makes no sense.`

interface Command {
  readonly chosen: typeof cases
  readonly quick: boolean
  readonly settings: Settings
  readonly pin: boolean
  readonly json: boolean
  readonly svg: string | undefined
  readonly markdown: string | undefined
  readonly from: Report | undefined
}

const parse = (args: ReadonlyArray<string>): Command | "help" => {
  const { positionals, values } = parseArgs({
    // `pnpm bench -- --quick` hands the dashes on.
    args: args.filter((arg) => arg !== "--"),
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      seed: { type: "string" },
      "no-pin": { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      svg: { type: "string" },
      markdown: { type: "string" },
      from: { type: "string" },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return "help"
  const unknown = positionals.filter((name) => !cases.some((each) => each.name === name))
  if (unknown.length > 0) {
    throw new Error(`no case named ${unknown.join(", ")}; there are ${cases.map(({ name }) => name).join(", ")}`)
  }
  // Now, rather than after twelve minutes.
  if (values.svg !== undefined) accessSync(dirname(values.svg), constants.W_OK)
  if (values.markdown !== undefined) accessSync(values.markdown, constants.R_OK | constants.W_OK)
  return {
    chosen: positionals.length === 0 ? cases : cases.filter(({ name }) => positionals.includes(name)),
    quick: values.quick,
    settings: {
      rounds: integer("rounds", values.rounds, values.quick ? 9 : 15),
      warmUpRounds: 3,
      seed: integer("seed", values.seed, Date.now() % 2 ** 31),
      share: values.quick ? 0.6 : 1
    },
    pin: !values["no-pin"],
    json: values.json,
    svg: values.svg,
    markdown: values.markdown,
    from: values.from === undefined ? undefined : reportIn(values.from)
  }
}

const reportIn = (file: string): Report => {
  const report = JSON.parse(readFileSync(file, "utf8"))
  if (report.conditions === undefined || report.results === undefined || report.verdicts === undefined) {
    throw new Error(`${file} is not what --json prints`)
  }
  return report
}

const integer = (name: string, text: string | undefined, fallback: number): number => {
  if (text === undefined) return fallback
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name} takes a positive integer, got "${text}"`)
  return Number(text)
}

/** What must be known to compare two runs. */
const conditionsOf = ({ quick, settings }: Command, core: Core | undefined) => ({
  date: new Date().toISOString().slice(0, 10),
  node: process.version,
  effect: (JSON.parse(
    readFileSync(createRequire(import.meta.url).resolve("effect/package.json"), "utf8")
  ) as { readonly version: string }).version,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  core: core?.name ?? null,
  loadAverage: loadavg().map((value) => Math.round(value * 100) / 100),
  quick,
  ...settings
})
type Conditions = ReturnType<typeof conditionsOf>

/** A run, as `--json` prints it. */
export interface Report {
  readonly conditions: Conditions & { readonly seconds: number }
  readonly results: ReadonlyArray<Result>
  readonly verdicts: ReadonlyArray<Verdict>
}

const describe = (conditions: Conditions): ReadonlyArray<string> => [
  `node ${conditions.node}, effect ${conditions.effect}; ${conditions.cores} cores of ${conditions.cpu}, `
  + (conditions.core === null
    ? `not pinned to one (${availableParallelism()} usable)`
    : `pinned to core ${conditions.core}`),
  `load average ${conditions.loadAverage.join(" ")}; ${conditions.rounds} rounds after ${conditions.warmUpRounds} `
  + `thrown away, order shuffled with seed ${conditions.seed}; each case in a process of its own`,
  "medians over the rounds; a ratio is that of the first figure within a round: above 1 costs more than ours"
]
const captionOf = ({ core, cpu, date, effect, node, rounds }: Conditions): string =>
  `${date}; node ${node}, effect ${effect}; ${cpu}${core === null ? "" : ", one core"}; medians of ${rounds} rounds`

/** A case as it is run: of a quick run, what targets look at, which may be nothing. */
const prepared = (each: (typeof cases)[number], quick: boolean, share: number): FigureCase | undefined => {
  const kept = quick ? targeted(each) : each
  return kept === undefined ? undefined : gauged(kept, share)
}

/** Runs all that was asked for, and prints each case as it is done. */
const run = async (command: Command, print: (lines: ReadonlyArray<string>) => void): Promise<Report> => {
  const { chosen, pin, quick, settings } = command
  const core = coreFor(pin)
  const conditions = conditionsOf(command, core)
  const began = performance.now()
  const results: Array<Result> = []
  const verdicts: Array<Verdict> = []
  print(describe(conditions))
  for (const each of chosen) {
    const block = prepared(each, quick, settings.share)
    if (block === undefined) {
      print(["", `${each.name}: left out of a quick run, as it has no targets`])
      continue
    }
    const once = async (settings: Settings) => {
      const measured = await measureApart({ case: each.name, quick, settings }, core)
      if ("failed" in measured) throw new Failed(measured.failed)
      const judged = verdictsOf(block, measured.results)
      print(["", `${block.name}: ${block.about}`, ...blockOf(measured.results, judged)])
      return { judged, results: measured.results }
    }
    let { judged, results: own } = await once(settings)
    if (quick && judged.some(({ reached }) => reached === "nothing")) {
      print(["", `${each.name} is beyond a gate; machines are noisy, so it is run once more, and that counts:`])
      ;({ judged, results: own } = await once({ ...settings, seed: settings.seed + 1 }))
    }
    results.push(...own)
    verdicts.push(...judged)
  }
  const seconds = Math.round((performance.now() - began) / 100) / 10
  print(["", `${seconds} s, load average ${loadavg()[0]!.toFixed(2)} at the end`])
  return { conditions: { ...conditions, seconds }, results, verdicts }
}
class Failed extends Error {}

/** The same lines from a report. */
const show = ({ conditions, results, verdicts }: Report, print: (lines: ReadonlyArray<string>) => void): void => {
  print(describe(conditions))
  for (const name of new Set(results.map((result) => result.case))) {
    const own = results.filter((result) => result.case === name)
    print(["", name, ...blockOf(own, verdicts.filter((verdict) => verdict.case === name))])
  }
}

const main = async (): Promise<number> => {
  const [first, ...rest] = process.argv.slice(2)
  if (first === "soak") return soak.main(rest)
  let command: Command | "help"
  try {
    command = parse(process.argv.slice(2))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 2
  }
  if (command === "help") {
    console.log(help)
    return 0
  }
  const { from, json, markdown, svg } = command
  const print = json ? () => {} : (lines: ReadonlyArray<string>) => console.log(lines.join("\n"))
  try {
    const faults = faultsOf(cases.map((each) => gauged(each, 1)))
    if (faults.length > 0) throw new Failed(faults.join("\n"))
    if (from !== undefined) show(from, print)
    const report = from ?? await run(command, print)
    const { conditions, results, verdicts } = report
    print(["", ...summaryOf(verdicts)])
    if (json) console.log(JSON.stringify(report, null, 2))
    if (svg !== undefined) writeFileSync(svg, plotOf(results, verdicts, captionOf(conditions)))
    if (markdown !== undefined) {
      writeFileSync(markdown, filled(readFileSync(markdown, "utf8"), results, verdicts, captionOf(conditions)))
    }
    const failed = verdicts.filter(({ reached }) => reached === "nothing")
    for (const line of failed.length === 0 || !json ? [] : summaryOf(failed)) console.error(line)
    return failed.length > 0 ? 1 : 0
  } catch (error) {
    if (!(error instanceof Failed)) throw error
    console.error(`FAILED: ${error.message}`)
    return 1
  }
}

/** In the process of one case. */
const serve = async (job: Job): Promise<void> => {
  const each = cases.find(({ name }) => name === job.case)!
  const terminal = process.stderr.isTTY
  const clear = () => terminal && process.stderr.write("\r\x1b[2K")
  const measured = Effect.match(
    measure((job.quick ? targeted(each) : each)!, job.settings, (round, rounds) => {
      clear()
      if (terminal) process.stderr.write(`${job.case}: round ${round} of ${rounds}`)
    }),
    { onFailure: ({ message }) => ({ failed: message }), onSuccess: (results) => ({ results }) }
  )
  const message = await Effect.runPromise(measured)
  clear()
  answer(message)
}

const job = jobOfThisProcess()
if (job === undefined) process.exitCode = await main()
else await serve(job)
