/**
 * `pnpm bench`: what a message costs through Sluice and through Effect's Queue and PubSub, measured side by side in one
 * process. Fails where a contestant loses a value, and where the core is behind PubSub on one to four.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { availableParallelism, cpus, loadavg } from "node:os"
import { parseArgs } from "node:util"
import { cases } from "./cases/index.ts"
import type { Case } from "./contestant.ts"
import { lapsOf, measure, type Result, type Settings } from "./measure.ts"
import { pinnedTo, runPinned } from "./pin.ts"
import * as soak from "./soak.ts"
import { tableOf } from "./table.ts"

const help = `Usage: pnpm bench [case...] [options]
       pnpm bench soak [--help]   ten seconds of ten thousand messages a second, without lag

Cases (all by default):
${cases.map(({ about, name }) => `  ${name.padEnd(14)} ${about}`).join("\n")}

Options:
  --quick        fewer rounds and laps: under two minutes in all
  --rounds <n>   timed rounds; default 15, quick 5
  --seed <n>     the seed of the order within the rounds; default: the time
  --no-pin       do not run on one core only
  --json         results as JSON on stdout, and nothing else there
  --help         this text

Exit code: 0; 1 where a value was lost or a gate failed; 2 for a command line that makes no sense.`

interface Command {
  readonly chosen: ReadonlyArray<Case>
  readonly settings: Settings
  readonly json: boolean
  readonly pin: boolean
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
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return "help"
  const unknown = positionals.filter((name) => !cases.some((each) => each.name === name))
  if (unknown.length > 0) {
    throw new Error(`no case named ${unknown.join(", ")}; there are ${cases.map(({ name }) => name).join(", ")}`)
  }
  return {
    chosen: positionals.length === 0 ? cases : cases.filter(({ name }) => positionals.includes(name)),
    settings: {
      rounds: integer("rounds", values.rounds, values.quick ? 5 : 15),
      warmUpRounds: values.quick ? 2 : 3,
      seed: integer("seed", values.seed, Date.now() % 2 ** 31),
      share: values.quick ? 0.4 : 1
    },
    json: values.json,
    pin: !values["no-pin"]
  }
}

const integer = (name: string, text: string | undefined, fallback: number): number => {
  if (text === undefined) return fallback
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name} takes a positive integer, got "${text}"`)
  return Number(text)
}

/** What must be known to compare two runs. */
const conditionsOf = ({ settings }: Command) => ({
  node: process.version,
  effect: (JSON.parse(
    readFileSync(createRequire(import.meta.url).resolve("effect/package.json"), "utf8")
  ) as { readonly version: string }).version,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  pinnedTo: pinnedTo ?? null,
  loadAverage: loadavg().map((value) => Math.round(value * 100) / 100),
  ...settings
})
type Conditions = ReturnType<typeof conditionsOf>

const describe = (conditions: Conditions): ReadonlyArray<string> => [
  `node ${conditions.node}, effect ${conditions.effect}; ${conditions.cores} cores of ${conditions.cpu}, `
  + (conditions.pinnedTo === null
    ? `not pinned to one (${availableParallelism()} usable)`
    : `pinned to core ${conditions.pinnedTo} by taskset`),
  `load average ${conditions.loadAverage.join(" ")}; ${conditions.rounds} rounds after ${conditions.warmUpRounds} `
  + `thrown away, order shuffled with seed ${conditions.seed}`,
  "medians over the rounds; the ratio is that of CPU time within a round: above 1 costs more than ours"
]

/** What a gate says about the results; only where its case was run. */
const gatesOf = (chosen: ReadonlyArray<Case>, results: ReadonlyArray<Result>) =>
  chosen.flatMap(({ gate, name }) =>
    gate === undefined ? [] : results
      .filter((result) => result.case === name && result.contestant === gate.contestant)
      .map(({ ratio }) => {
        const passed = ratio.median >= gate.atLeast
        return {
          case: name,
          ...gate,
          ratio: ratio.median,
          passed,
          line: `gate ${passed ? "passed" : "FAILED"}: on ${name}, ${gate.contestant} costs ${
            ratio.median.toFixed(2)
          } times ours; at least ${gate.atLeast} is asked`
        }
      })
  )

const run = (command: Command): Effect.Effect<number> =>
  Effect.gen(function*() {
    const { chosen, json, settings } = command
    const print = json ? () => {} : (lines: ReadonlyArray<string>) => console.log(lines.join("\n"))
    const conditions = conditionsOf(command)
    const began = performance.now()
    const table = tableOf(chosen)
    print([...describe(conditions), "", ...table.header])
    const results: Array<Result> = []
    for (const each of chosen) {
      const block = yield* measure(each, settings)
      results.push(...block)
      const laps = lapsOf(each, settings)
      print([
        "",
        `${each.name}: ${each.about}; ${laps} laps of ${each.messages} messages a round`,
        ...table.block(block)
      ])
    }
    const gates = gatesOf(chosen, results)
    const seconds = Math.round((performance.now() - began) / 100) / 10
    if (json) console.log(JSON.stringify({ conditions: { ...conditions, seconds }, results, gates }, null, 2))
    print(["", `${seconds} s, load average ${loadavg()[0]!.toFixed(2)} at the end`, ...gates.map(({ line }) => line)])
    const failed = gates.filter(({ passed }) => !passed)
    if (json) { for (const { line } of failed) console.error(line) }
    return failed.length > 0 ? 1 : 0
  }).pipe(Effect.catch((wrong) =>
    Effect.sync(() => {
      console.error(`FAILED: ${wrong.message}`)
      return 1
    })
  ))

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
  const pinned = command.pin && pinnedTo === undefined ? runPinned() : undefined
  return pinned ?? Effect.runPromise(run(command))
}

process.exitCode = await main()
