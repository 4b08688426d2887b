/**
 * Each case is measured in a process of its own, so that what one taught the compiler does not tell on the next, and on
 * one core: a process that moves between cores pays for cold caches in some rounds and not in others. Node cannot pin
 * itself, so the benchmark starts itself again for each case, under `taskset` where there is one (Linux).
 */
import { spawn, spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import type { Result, Settings } from "./measure.ts"

export interface Job {
  readonly case: string
  /** Only what targets look at. */
  readonly quick: boolean
  readonly settings: Settings
}
export type Answer = { readonly results: ReadonlyArray<Result> } | { readonly failed: string }

const variable = "SLUICE_BENCH_JOB"

/** What this process was started for; undefined in the one that the user started. */
export const jobOfThisProcess = (): Job | undefined => {
  const text = process.env[variable]
  return text === undefined ? undefined : JSON.parse(text)
}
/** Answers the process that gave the job, and ends, whatever a contestant may have left open. */
export const answer = (message: Answer): void => void process.send!(message, () => process.exit())

/** Measures in a process of its own: what it prints goes to stderr. */
export const measureApart = (job: Job, core: Core | undefined): Promise<Answer> =>
  new Promise((resolve) => {
    const command = [...core?.command ?? [], process.execPath, ...process.execArgv, process.argv[1]!]
    const child = spawn(command[0]!, command.slice(1), {
      stdio: ["ignore", 2, 2, "ipc"],
      env: { ...process.env, [variable]: JSON.stringify(job) }
    })
    child.once("message", (message) => resolve(message as Answer))
    child.once("error", ({ message }) => resolve({ failed: `${job.case}: ${message}` }))
    child.once("exit", (code, signal) => resolve({ failed: `${job.case}: its process ended with ${signal ?? code}` }))
  })

export interface Core {
  readonly name: string
  /** What goes before a command that is to run on it. */
  readonly command: ReadonlyArray<string>
}
/**
 * The last allowed core, since the first is where the system's own work tends to be. Undefined where none can be had;
 * without `pin`, where this process is not confined to one from outside.
 */
export const coreFor = (pin: boolean): Core | undefined => {
  const allowed = allowedCores()
  const name = /\d+$/.exec(allowed)?.[0]
  if (name === undefined) return undefined
  if (name === allowed) return { name, command: [] }
  const command = ["taskset", "-c", name]
  return pin && spawnSync("taskset", ["-c", name, "true"]).status === 0 ? { name, command } : undefined
}
const allowedCores = (): string => {
  try {
    return /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? ""
  } catch {
    return ""
  }
}
