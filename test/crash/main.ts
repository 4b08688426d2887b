/** `pnpm crash`: kills processes that write a journal, again and again, and checks what they left. */
import { parseArgs } from "node:util"
import { crash, type Tally } from "./rounds.ts"

const help = `Usage: pnpm crash [options]

Kills a process that produces into a journal and handles what it holds, at moments chosen by chance, and checks after each
what it left: everything acknowledged, in order, once; nothing half there; the collector goes on after what it committed;
what kills its handler's process becomes a dead letter.

Options:
  --rounds <n>  how many processes to kill; default 50
  --seed <n>    of chance; default a new one
  --lanes <n>   directories at the same time, which share the rounds; default 2
  --help        this text

Exit code: 0; 1 where something was wrong; 2 for a command line that makes no sense.`

const parse = (args: ReadonlyArray<string>) => {
  const { values } = parseArgs({
    // `pnpm crash -- --rounds 100` hands the dashes on.
    args: args.filter((arg) => arg !== "--"),
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
  const command = { rounds: integer("rounds"), seed: integer("seed"), lanes: integer("lanes") }
  if (command.lanes === 0) throw new Error("--lanes takes a positive integer")
  return values.help ? "help" as const : command
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
  const { lanes, rounds, seed } = command
  const began = performance.now()
  let count = 0
  let hasFailed = false
  const onRound = () => {
    if (hasFailed) throw new Error("another one has failed")
    if (++count % 10 === 0 && process.stderr.isTTY) process.stderr.write(`\r${count} of ${rounds} rounds`)
  }
  console.log(`${rounds} rounds in ${lanes} directories, seed ${seed}`)
  try {
    const tallies = await Promise.all(
      Array.from(
        { length: lanes },
        (_, lane) => crash({ rounds: Math.floor((rounds + lane) / lanes), seed: seed + lane, onRound })
      )
    )
    const sum = (of: (tally: Tally) => number) => tallies.reduce((sum, tally) => sum + of(tally), 0)
    console.log(
      `passed: ${sum((tally) => tally.rounds)} processes killed; of ${sum((tally) => tally.acknowledged)} values `
        + `acknowledged none was lost, ${sum((tally) => tally.stored)} are stored, each once; ${
          sum((tally) => tally.handled)
        } handled; ${sum((tally) => tally.letters)} put aside, with all ${
          sum((tally) => tally.poison)
        } that kill their handler; ${((performance.now() - began) / 1000).toFixed(0)} s`
    )
    return 0
  } catch (error) {
    hasFailed = true
    console.error(`FAILED: ${error instanceof Error ? error.message : error}`)
    return 1
  }
}

process.exitCode = await main(process.argv.slice(2))
