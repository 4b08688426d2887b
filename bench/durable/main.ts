/**
 * `pnpm bench:durable`: what it costs to store values and to work them off, beside the disk itself, embedded stores and
 * queues, measured side by side. Fails where a contestant loses a value, and where a figure is beyond its gate.
 */
import { Effect } from "effect"
import { cpus, loadavg, tmpdir } from "node:os"
import { parseArgs } from "node:util"
import { answer, type Job, jobOfThisProcess, measureApart } from "../child.ts"
import { measure } from "../measure.ts"
import { blockOf, summaryOf } from "../table.ts"
import { faultsOf, type Verdict, verdictsOf } from "../targets.ts"
import { cases } from "./cases/index.ts"
import * as opening from "./opening.ts"

const help = `Usage: pnpm bench:durable [options]
       pnpm bench:durable opening [--help]   how long a journal of ten million values takes to open

Cases:
${cases.map(({ case: { about, name } }) => `  ${name.padEnd(10)} ${about}`).join("\n")}

Options:
  --only <case>  one of them; may be given more than once
  --quick        fewer rounds and less work
  --rounds <n>   timed rounds; default 9, quick 5
  --seed <n>     the seed of the order within the rounds; default: the time
  --help         this text

Exit code: 0; 1 where a value was lost or a figure is beyond its gate; 2 for a command line that makes no sense.`

const parse = (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    args: args.filter((arg) => arg !== "--"),
    options: {
      only: { type: "string", multiple: true },
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      seed: { type: "string" },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return "help"
  const { only, quick, rounds = quick ? "5" : "9", seed = String(Date.now() % 2 ** 31) } = values
  const unknown = (only ?? []).filter((name) => !cases.some((each) => each.case.name === name))
  if (unknown.length > 0) {
    throw new Error(`no case named ${unknown.join(", ")}; there are ${cases.map((each) => each.case.name).join(", ")}`)
  }
  for (const [name, text] of Object.entries({ rounds, seed })) {
    if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name} takes a positive integer, got "${text}"`)
  }
  return {
    chosen: cases.filter((each) => only?.includes(each.case.name) ?? true),
    quick,
    settings: { rounds: Number(rounds), warmUpRounds: 2, seed: Number(seed), share: quick ? 0.5 : 1 }
  }
}

const main = async (): Promise<number> => {
  const [first, ...rest] = process.argv.slice(2)
  if (first === "opening") return opening.main(rest)
  let command: ReturnType<typeof parse>
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
  const { chosen, quick, settings } = command
  const faults = faultsOf(cases.map((each) => each.case))
  if (faults.length > 0) throw new Error(faults.join("\n"))
  console.log(
    `node ${process.version}; ${cpus().length} cores of ${
      cpus()[0]?.model ?? "unknown"
    }; files in ${tmpdir()}; load average ${
      loadavg()[0]!.toFixed(2)
    }\n${settings.rounds} rounds after ${settings.warmUpRounds} thrown away, order shuffled with seed ${settings.seed}; `
      + "medians; a ratio is within a round: above 1 costs more than ours"
  )
  const verdicts: Array<Verdict> = []
  for (const { case: each, missing } of chosen) {
    console.log(`\n${each.name}: ${each.about}`)
    for (const reason of missing) console.log(`  left out: ${reason}`)
    if (each.matches.length === 0) continue
    const measured = await measureApart({ case: each.name, quick, settings }, undefined)
    if ("failed" in measured) {
      console.error(`FAILED: ${measured.failed}`)
      return 1
    }
    const judged = verdictsOf(each, measured.results)
    console.log(blockOf(measured.results, judged).join("\n"))
    verdicts.push(...judged)
  }
  console.log(["", ...summaryOf(verdicts)].join("\n"))
  return verdicts.some(({ reached }) => reached === "nothing") ? 1 : 0
}

/** In the process of one case. */
const serve = async (job: Job): Promise<void> => {
  const each = cases.find((each) => each.case.name === job.case)!
  answer(
    await Effect.runPromise(Effect.match(measure(each.case, job.settings), {
      onFailure: ({ message }) => ({ failed: message }),
      onSuccess: (results) => ({ results })
    }))
  )
}

const job = jobOfThisProcess()
if (job === undefined) process.exitCode = await main()
else await serve(job)
