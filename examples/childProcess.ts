/** Runs an example as its user would: as a process of its own, whose lines a test waits for. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"

export interface Ended {
  readonly code: number | null
  readonly stdout: ReadonlyArray<string>
  readonly stderr: string
}

export const run = (file: string, ...args: ReadonlyArray<string>): Promise<Ended> => start(file, args).ended

export const start = (
  file: string,
  args: ReadonlyArray<string> = [],
  environment: { readonly [name: string]: string } = {}
) => {
  const { FORCE_COLOR: _, ...inherited } = process.env
  // Node 22 has SQLite, and calls it experimental.
  const quiet = "--disable-warning=ExperimentalWarning"
  const child = spawn(process.execPath, [quiet, join(import.meta.dirname, file), ...args], {
    env: { ...inherited, NO_COLOR: "1", ...environment }
  })
  const stdout: Array<string> = []
  let stderr = ""
  let waitedFor = 0
  const lines = createInterface({ input: child.stdout }).on("line", (line) => stdout.push(line))
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
  const ended = once(child, "close").then(([code]): Ended => ({ code, stdout, stderr }))
  return {
    ended,
    /** The match of a line after the one that was waited for last; fails when the process ends without one. */
    line: (pattern: RegExp): Promise<RegExpExecArray> =>
      new Promise((resolve, reject) => {
        const check = () => {
          const found = stdout.findIndex((line, index) => index >= waitedFor && pattern.test(line))
          if (found === -1) return
          waitedFor = found + 1
          lines.off("line", check)
          resolve(pattern.exec(stdout[found]!)!)
        }
        lines.on("line", check)
        void ended.then(() => reject(new Error(`no line matches ${pattern}:\n${stdout.join("\n")}\n${stderr}`)))
        check()
      }),
    type: (text: string) => void child.stdin.write(text),
    signal: (signal: NodeJS.Signals) => void child.kill(signal),
    /** As the end of `| head` does. */
    stopReading: () => void child.stdout.destroy()
  }
}
