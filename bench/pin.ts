/**
 * One core for the whole run: a process that moves between cores pays for cold caches in some rounds and not in others.
 * Node cannot pin itself, so the benchmark runs itself again under `taskset`, where there is one (Linux).
 */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

const variable = "SLUICE_BENCH_CORE"

/** The core that this process was pinned to. */
export const pinnedTo: string | undefined = process.env[variable]

/** Runs this very command again on one core and answers its exit code; undefined where that is not possible. */
export const runPinned = (): number | undefined => {
  const core = lastAllowedCore()
  if (core === undefined || spawnSync("taskset", ["-c", core, "true"]).status !== 0) return undefined
  const run = spawnSync("taskset", ["-c", core, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: "inherit",
    env: { ...process.env, [variable]: core }
  })
  return run.status ?? 1
}

/** The last one: the first is where the system's own work tends to be. */
const lastAllowedCore = (): string | undefined => {
  try {
    return /^Cpus_allowed_list:.*?(\d+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]
  } catch {
    return undefined
  }
}
