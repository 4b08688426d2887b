/** Steps as child processes, each the leader of a process group of its own, and the end of those that a killed engine left. */
import { Deferred, Effect, FileSystem, Option, Stream } from "effect"
import { ChildProcess, ChildProcessSpawner } from "effect/process"
import { join } from "node:path"
import type { Step } from "./plan.ts"

/**
 * Waits for a line before it becomes the command, so that nothing runs that is not known to be there: where the engine dies
 * first its end of the pipe closes, and this one ends. The command's words are arguments, which no shell reads.
 */
const gate = "read -r _ && exec \"$@\" < /dev/null"
const wordsOf = (step: Step): ReadonlyArray<string> => "run" in step ? step.run : ["/bin/sh", "-c", step.shell]

/** Runs a step to its end, once `started` has returned, and answers its exit code. What it says is in `log`. */
export const run = Effect.fn("steps.run")(function*<E>(
  step: Step,
  log: string,
  started: (process: { readonly pid: number; readonly since: string }) => Effect.Effect<void, E>
) {
  const files = yield* FileSystem.FileSystem
  const go = yield* Deferred.make<Uint8Array>()
  const child = yield* ChildProcess.make("/bin/sh", ["-c", gate, "sh", ...wordsOf(step)], {
    detached: true,
    env: step.env ?? {},
    extendEnv: true,
    stdin: Stream.fromEffect(Deferred.await(go))
  })
  yield* started({ pid: child.pid, since: Option.getOrElse(yield* since(child.pid), () => "") })
  yield* Deferred.succeed(go, new TextEncoder().encode("\n"))
  yield* Stream.run(child.all, files.sink(log, { flag: "a" }))
  return Number(yield* child.exitCode)
}, Effect.scoped)

/** When a process began, as the system says it; none where there is no such process. */
const since = Effect.fnUntraced(function*(pid: number) {
  if (process.platform === "linux") {
    const files = yield* FileSystem.FileSystem
    const stat = yield* Effect.option(files.readFileString(`/proc/${pid}/stat`))
    // The 22nd field; the second is a name in parentheses, which may hold anything.
    return Option.map(stat, (text) => text.slice(text.lastIndexOf(")") + 2).split(" ")[19]!)
  }
  const { string } = yield* ChildProcessSpawner.ChildProcessSpawner
  const said = yield* string(
    ChildProcess.make("ps", ["-o", "lstart=", "-p", String(pid)], { env: { LC_ALL: "C" }, extendEnv: true })
  )
  return said.trim() === "" ? Option.none<string>() : Option.some(said.trim())
})

/** Ends the process group of a step that was started before, and waits until it is gone. Answers whether there was one. */
export const endOrphan = Effect.fn("steps.endOrphan")(
  function*(orphan: { readonly pid: number; readonly since: string }) {
    const found = yield* since(orphan.pid)
    if (Option.isNone(found) || found.value !== orphan.since) return false
    signalGroup(orphan.pid, "SIGKILL")
    yield* Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), Effect.sync(() => signalGroup(orphan.pid, 0))), {
      while: (isThere) => isThere
    })
    return true
  }
)
const signalGroup = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    return process.kill(-pid, signal)
  } catch {
    return false
  }
}

export const logOf = (directory: string, step: string): string => join(directory, "logs", `${step}.log`)
