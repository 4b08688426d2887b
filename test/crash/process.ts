/** A process of ours that will be killed: a program with arguments, what it says, and how it ends. */
import { spawn } from "node:child_process"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** All that it wrote to its error output. */
  readonly errors: string
}
export interface Running {
  readonly lines: AsyncIterable<string>
  readonly ended: Promise<Ended>
  readonly kill: () => void
  /** Writes a line to its input. */
  readonly tell: (line: string) => void
  /** Ends its input. */
  readonly finish: () => void
}

/** One starts faster than the one before, by what that has compiled. */
export const startProcess = (program: URL, args: ReadonlyArray<string>): Running => {
  // Node 22 has SQLite, and calls it experimental.
  const quiet = "--disable-warning=ExperimentalWarning"
  const child = spawn(process.execPath, [quiet, fileURLToPath(program), ...args], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), "sluice-crash-compiled") }
  })
  let errors = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => void (errors += text))
  // It may be gone already.
  child.stdin.on("error", () => undefined)
  return {
    lines: createInterface({ input: child.stdout }),
    ended: new Promise((resolve) => child.once("close", (code, signal) => resolve({ code, signal, errors }))),
    kill: () => void child.kill("SIGKILL"),
    tell: (line) => void child.stdin.write(`${line}\n`),
    finish: () => void child.stdin.end()
  }
}
