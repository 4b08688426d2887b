/** `pnpm crash`: kills processes that have a journal, or flows, again and again, and checks what they leave. */
import { parseArgs } from "node:util"
import { crashFlows } from "./flows/programs.ts"
import { crash } from "./journal/rounds.ts"

const help = `Usage: pnpm crash [journal | flows] [options]

Kills a process at moments chosen by chance, and checks what it left.

journal (default): it produces into a journal and handles what that holds. After each kill everything acknowledged is there,
in order, once; nothing is half there; the collector goes on after what it committed; what kills its handler's process
becomes a dead letter.
flows: it completes executions of a random graph in SQLite, and promotes what waits for them. It is killed between the steps
of both, started again, and comes to where everything in turn comes to, with each promotion and completion made once.

Options:
  --rounds <n>  how many processes of a journal to kill, or graphs to finish; default 50
  --seed <n>    of chance; default a new one
  --lanes <n>   at the same time, which share the rounds; default 2
  --help        this text

Exit code: 0; 1 where something was wrong; 2 for a command line that makes no sense.`

const parse = (args: ReadonlyArray<string>) => {
  const { positionals, values } = parseArgs({
    // `pnpm crash -- --rounds 100` hands the dashes on.
    args: args.filter((arg) => arg !== "--"),
    allowPositionals: true,
    options: {
      rounds: { type: "string", default: "50" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      lanes: { type: "string", default: "2" },
      help: { type: "boolean", default: false }
    }
  })
  const integer = (name: "rounds" | "seed" | "lanes"): number => {
    if (!/^\d+$/.test(values[name])) throw new Error(`--${name} takes an integer, got "${values[name]}"`)
    return Number(values[name])
  }
  const [what = "journal", ...others] = positionals
  if (what !== "journal" && what !== "flows" || others.length > 0) {
    throw new Error(`it crashes "journal" or "flows", got "${positionals.join(" ")}"`)
  }
  const command = { what, rounds: integer("rounds"), seed: integer("seed"), lanes: integer("lanes") } as const
  if (command.lanes === 0) throw new Error("--lanes takes a positive integer")
  return values.help ? "help" as const : command
}

interface Lane {
  readonly rounds: number
  readonly seed: number
  readonly onRound: () => void
}
const sum = <A>(tallies: ReadonlyArray<A>, of: (tally: A) => number) =>
  tallies.reduce((sum, tally) => sum + of(tally), 0)

const journals = async (lanes: ReadonlyArray<Lane>): Promise<string> => {
  const tallies = await Promise.all(lanes.map(crash))
  return `${sum(tallies, ({ rounds }) => rounds)} processes killed; of ${
    sum(tallies, ({ acknowledged }) => acknowledged)
  } values acknowledged none was lost, ${sum(tallies, ({ stored }) => stored)} are stored, each once; ${
    sum(tallies, ({ handled }) => handled)
  } handled; ${sum(tallies, ({ letters }) => letters)} put aside, with all ${
    sum(tallies, ({ poison }) => poison)
  } that kill their handler`
}
const flows = async (lanes: ReadonlyArray<Lane>): Promise<string> => {
  const tallies = await Promise.all(
    lanes.map(({ onRound, rounds, seed }) => crashFlows({ programs: rounds, seed, onProgram: onRound }))
  )
  const killed = new Map<string, number>()
  for (const tally of tallies) {
    for (const [where, count] of tally.killed) killed.set(where, (killed.get(where) ?? 0) + count)
  }
  return `${sum(tallies, ({ programs }) => programs)} graphs of ${
    sum(tallies, ({ executions }) => executions)
  } executions finished as they had to, with ${sum(tallies, ({ completions }) => completions)} completions; killed: ${
    Array.from(killed, ([where, count]) => `${count} ${where}`).join(", ")
  }`
}

const main = async (args: ReadonlyArray<string>): Promise<number> => {
  let command: ReturnType<typeof parse>
  try {
    command = parse(args)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 2
  }
  if (command === "help") {
    console.log(help)
    return 0
  }
  const { lanes, rounds, seed, what } = command
  const began = performance.now()
  let count = 0
  let hasFailed = false
  const onRound = () => {
    if (hasFailed) throw new Error("another one has failed")
    if (++count % 10 === 0 && process.stderr.isTTY) process.stderr.write(`\r${count} of ${rounds} rounds`)
  }
  console.log(`${what}: ${rounds} rounds, ${lanes} at a time, seed ${seed}`)
  try {
    const all = Array.from({ length: lanes }, (_, lane) => ({
      rounds: Math.floor((rounds + lane) / lanes),
      seed: seed + lane,
      onRound
    }))
    const passed = await (what === "journal" ? journals : flows)(all)
    console.log(`passed: ${passed}; ${((performance.now() - began) / 1000).toFixed(0)} s`)
    return 0
  } catch (error) {
    hasFailed = true
    console.error(`FAILED: ${error instanceof Error ? error.message : error}`)
    return 1
  }
}

process.exitCode = await main(process.argv.slice(2))
