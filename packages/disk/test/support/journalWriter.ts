/**
 * Another process that writes a journal, as a child of a test: `node journalWriter.ts DIRECTORY PAUSE`. It appends numbered
 * values for as long as it lives, the next one `PAUSE` milliseconds after the last was stored, and says each number then.
 */
import { Record } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Effect, Layer, Schema } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"

/** The log keeps so many. */
export const kept = 200
export class Numbered extends Record.Service<Numbered>()("test/Numbered", {
  schema: Schema.Struct({ n: Schema.Int, fill: Schema.String })
}) {}
/** The value of sequence `n`, of up to 4 KB. */
export const numbered = (n: number) => ({ n, fill: String.fromCharCode(97 + n % 26).repeat((n * 611) % 4000) })
/** Small segments, so that one is begun, and an old one used again, all the time. */
export const journal = (directory: string) => Journal.layer({ directory, segmentBytes: 64 * 1024 })
export const log = DiskLog.backing({ retention: { count: kept } })

const self = import.meta.filename

/** Starts one, which is killed at the end of the scope at the latest. */
export const start = (directory: string, pause: number) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [self, directory, String(pause)], { stdio: ["ignore", "pipe", "inherit"] })
      const said: Array<number> = []
      createInterface({ input: child.stdout }).on("line", (line) => said.push(Number(line)))
      return { child, said, hasEnded: () => child.exitCode !== null || child.signalCode !== null }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

if (process.argv[1] === self) {
  const [, , directory, pause] = process.argv
  await Effect.runPromise(
    Effect.gen(function*() {
      const opened = yield* log.make(Numbered)
      for (let n = Number(yield* opened.head);; n++) {
        yield* opened.produceAsync(numbered(n))
        process.stdout.write(`${n}\n`)
        yield* Number(pause) > 0 ? Effect.sleep(Number(pause)) : Effect.yieldNow
      }
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(journal(directory!))))
  )
}
