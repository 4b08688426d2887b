/**
 * `pnpm bench:durable opening`: how long a journal takes to open after a SIGKILL, with ten times the values. A process fills
 * each directory, to the middle of a segment, and kills itself; then others open it, in turn, and kill themselves.
 */
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { inFlight, itemsOf } from "./ground.ts"
import * as Sluice from "./peers/sluice.ts"

const help = `Usage: pnpm bench:durable opening [options]

Opens a journal after SIGKILL with so many values and with a tenth of them.

Options:
  --values <n>  default 10000000, which takes 1.5 GB below the system's folder for temporary files
  --rounds <n>  default 9
  --help        this text

Exit code: 0; 1 where the median is more than 1.2 times that of the tenth; 2 for a command line that makes no sense.`

const ratioMax = 1.2
const segmentBytes = 64 * 1024 * 1024
const retention = { bytes: 1e12 }

/** In a process of its own: so many values, and more until the last segment is half full. */
const fill = (directory: string, values: number) =>
  Effect.gen(function*() {
    const journal = yield* Sluice.journal(directory, { segmentBytes })
    const { store } = yield* Sluice.open(journal, Sluice.Items, retention)
    const items = itemsOf(20_000, 100)
    for (let left = values; left > 0; left -= items.length) yield* inFlight(store, items.slice(0, left), 1000)
    const { rollovers } = journal.stats()
    while (journal.stats().rollovers === rollovers) yield* inFlight(store, items, 1000)
    for (let left = segmentBytes / 2; left > 0; left -= items.length * 120) yield* inFlight(store, items, 1000)
    process.kill(process.pid, "SIGKILL")
  })

/** In a process of its own: prints how many milliseconds it took and how many values there are. */
const open = (directory: string) =>
  Effect.gen(function*() {
    const began = performance.now()
    const log = yield* Sluice.logOf(yield* Sluice.journal(directory, { segmentBytes }), retention)
    const took = performance.now() - began
    process.stdout.write(`${took} ${yield* log.head}\n`, () => process.kill(process.pid, "SIGKILL"))
    return yield* Effect.never
  })

const inProcess = (...args: ReadonlyArray<string>): string =>
  spawnSync(process.execPath, [import.meta.filename, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    encoding: "utf8"
  })
    .stdout
const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const measure = (values: number, rounds: number): number => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-opening-"))
  const sizes = [values / 10, values].map((count) => ({
    count,
    directory: join(folder, String(count)),
    took: [] as Array<number>
  }))
  try {
    for (const { count, directory } of sizes) inProcess("fill", directory, String(count))
    for (let round = -1; round < rounds; round++) {
      for (const size of sizes) {
        const [took = Number.NaN, head = 0] = inProcess("open", size.directory).split(" ").map(Number)
        if (!(head >= size.count)) throw new Error(`${size.directory} has ${head} of ${size.count} values`)
        if (round >= 0) size.took.push(took)
      }
    }
    for (const { count, directory, took } of sizes) {
      const held = execFileSync("du", ["-sm", directory], { encoding: "utf8" }).split("\t")[0]
      console.log(
        `${count} values, ${held} MiB: opened in ${median(took).toFixed(1)} ms (median of ${rounds}, `
          + `${Math.min(...took).toFixed(1)} to ${Math.max(...took).toFixed(1)})`
      )
    }
    return median(sizes[1]!.took) / median(sizes[0]!.took)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Answers the exit code. */
export const main = async (args: ReadonlyArray<string>): Promise<number> => {
  let values: number
  let rounds: number
  try {
    const options = parseArgs({
      // `pnpm bench:durable opening -- --rounds 3` hands the dashes on.
      args: args.filter((arg) => arg !== "--"),
      options: {
        values: { type: "string", default: "10000000" },
        rounds: { type: "string", default: "9" },
        help: { type: "boolean", default: false }
      }
    }).values
    if (options.help) {
      console.log(help)
      return 0
    }
    if (![options.values, options.rounds].every((text) => /^[1-9]\d*$/.test(text))) {
      throw new Error("expected positive integers")
    }
    values = Number(options.values)
    rounds = Number(options.rounds)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 2
  }
  const ratio = measure(values, rounds)
  const verdict = `ten times the values take ${ratio.toFixed(2)} times as long; at most ${ratioMax}`
  if (ratio <= ratioMax) console.log(`passed: ${verdict}`)
  else console.error(`FAILED: ${verdict}`)
  return ratio <= ratioMax ? 0 : 1
}

// `import.meta.main`, where Node 22 should do as well
if (process.argv[1] === import.meta.filename) {
  const [what, directory = "", count] = process.argv.slice(2)
  if (what === "fill") await Effect.runPromise(Effect.scoped(fill(directory, Number(count))))
  else if (what === "open") await Effect.runPromise(Effect.scoped(open(directory)))
  else process.exitCode = await main(process.argv.slice(2))
}
