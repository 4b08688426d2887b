/**
 * Another process on a SQLite log, as a child of a test: says each thing that it has done on a line of its own.
 *
 * - `append FILE`: appends 0, 1, 2, ... for as long as it lives, and says each number once it is stored.
 * - `handle FILE SINK UNTIL PAUSE`: handles what a group has not committed, by appending it to `SINK`, and commits each. Before
 *   it commits `PAUSE` it says "paused" and waits for a line. Says "stale" where it is fenced, "done" after `UNTIL`.
 */
import type { Engine } from "@sluice/core/Engine"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { appendFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { append, openRecord } from "./files.ts"

const self = import.meta.filename

/** Starts a program, which is killed at the end of the scope at the latest. */
export const startProgram = (program: string, ...args: ReadonlyArray<string | number>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [program, ...args.map(String)], { stdio: ["pipe", "pipe", "inherit"] })
      const lines: Array<string> = []
      createInterface({ input: child.stdout }).on("line", (line) => lines.push(line))
      return { child, lines, hasEnded: () => child.exitCode !== null || child.signalCode !== null }
    }),
    ({ child }) => Effect.sync(() => void child.kill("SIGKILL"))
  )

export const start = (...args: ReadonlyArray<string | number>) => startProgram(self, ...args)

export const say = (line: string | number) => void process.stdout.write(`${line}\n`)

const appendForEver = (engine: Engine) =>
  Effect.callback<never>(() => {
    let next = 0
    const one = () => {
      const value = next++
      engine.append(Buffer.from(String(value)), (failure) => {
        say(failure === undefined ? value : String(failure.cause))
        one()
      })
    }
    for (let ahead = 0; ahead < 100; ahead++) one()
  })

const handle = Effect.fnUntraced(function*(engine: Engine, sink: string, last: number, pause: number) {
  const hold = yield* engine.acquire("group", "oldest")
  say("acquired")
  for (let next = hold.committed + 1; next <= last; next++) {
    const [value] = yield* engine.read(next, 1)
    appendFileSync(sink, `${Buffer.from(value!.bytes).toString()}\n`)
    if (next === pause) {
      say("paused")
      yield* Effect.callback<void>((resume) => void process.stdin.once("data", () => resume(Effect.void)))
      process.stdin.unref()
    }
    const { _tag } = yield* engine.commit(hold, next, new Map())
    if (_tag !== "Committed") return say(_tag === "Stale" ? "stale" : `at ${next}: ${_tag}`)
  }
  say("done")
})

if (process.argv[1] === self) {
  const [, , what, file, ...rest] = process.argv
  const run = Effect.flatMap(openRecord(file!), (engine) =>
    what === "append"
      ? Effect.andThen(append(engine, []), appendForEver(engine))
      : handle(engine, rest[0]!, Number(rest[1]), Number(rest[2])))
  await Effect.runPromise(Effect.scoped(run))
}
