/**
 * Programs of flows on SQLite whose process is killed on the way of their completions, by a seed. This process adds the
 * executions, replays, cancels and releases them, and looks at what the file has come to, which has to be what everything
 * in turn comes to. Each change of a state leaves a witness in the file, by a trigger, in the transaction that made it.
 */
import type { Completion } from "@sluice/core"
import { SqliteFlows } from "@sluice/disk"
import { Effect, Stream } from "effect"
import assert from "node:assert/strict"
import { mkdtemp, rm } from "node:fs/promises"
import { DatabaseSync } from "node:sqlite"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { audit } from "../../../packages/disk/test/support/flows.ts"
import { type Outlook, outlooks } from "../../../packages/testing/src/internal/dependencyLaws/oracle.ts"
import { programOf, take, untold } from "../../../packages/testing/src/internal/dependencyLaws/program.ts"
import { Chance } from "../../../packages/testing/src/internal/faults/chance.ts"
import { type Running, startProcess } from "../process.ts"
import { type Break, isPlace, type Task } from "./task.ts"

export interface Options {
  readonly programs: number
  readonly seed: number
  /** What is wrong with the processes on purpose. Default: nothing. */
  readonly broken?: Break
  /** How long a file may stay as it is, and not be as it has to, in milliseconds. Default 30,000. */
  readonly patience?: number
  readonly onProgram?: () => void
}
export interface Tally {
  readonly programs: number
  readonly executions: number
  readonly completions: number
  /** Processes killed, by where. */
  readonly killed: ReadonlyMap<string, number>
}

/** Rejects with the seed of a program and what was wrong, and leaves its file unless something was to be wrong. */
export const crashFlows = async (options: Options): Promise<Tally> => {
  const { broken, onProgram, patience = 30_000, programs } = options
  const directory = await mkdtemp(join(tmpdir(), "sluice-crash-flows-"))
  const seeds = new Chance(options.seed)
  const killed = new Map<string, number>()
  let executions = 0
  let completions = 0
  try {
    for (let count = 0; count < programs; count++) {
      const seed = seeds.seed()
      const file = join(directory, `${seed}.db`)
      const run = Effect.scoped(finishes({ seed, file, broken, patience, killed }))
      const last = await Effect.runPromise(run).catch((error: unknown) => {
        const what = error instanceof Error ? error.message : String(error)
        throw new Error(`program ${seed}: ${what}; the file is ${file}`, { cause: error })
      })
      executions += Object.keys(last.states).length
      completions += last.ended.length
      onProgram?.()
    }
    await rm(directory, { recursive: true })
  } finally {
    if (broken !== undefined) await rm(directory, { recursive: true, force: true })
  }
  return { programs, executions, completions, killed }
}

interface Run {
  /** Of the program and of its kills. */
  readonly seed: number
  readonly file: string
  readonly broken: Break | undefined
  readonly patience: number
  readonly killed: Map<string, number>
}

/** One program from its beginning to its end, which it answers with. */
const finishes = Effect.fnUntraced(function*(run: Run) {
  const { file, patience, seed } = run
  const program = programOf(new Chance(seed))
  const expected = outlooks(program)
  const { backend, store } = yield* SqliteFlows.make({ file, pollInterval: 20 })
  const witness = yield* Effect.acquireRelease(Effect.sync(() => new Witness(file)), ({ close }) => Effect.sync(close))
  const told: Array<string> = []
  yield* Effect.forkScoped(
    Stream.runForEach(
      yield* backend.subscribe(),
      (signal) =>
        Effect.sync(() => void told.push(signal._tag === "Gap" ? `a gap: ${signal.reason}` : render(signal.payload)))
    )
  )
  const held = new Set(program.held)
  const app = yield* appOf(run, program.executions.length, held)

  const release = (executionId: string) => {
    const isHeld = held.delete(executionId)
    if (isHeld) app.release(executionId)
    return isHeld
  }
  const comesTo = Effect.fnUntraced(function*(outlook: Outlook, when: string) {
    let isSame = false
    let version = -1
    let since = performance.now()
    while (!isSame && performance.now() - since < patience) {
      yield* app.isWell
      if (version !== (version = witness.version)) {
        since = performance.now()
        const { states } = witness
        isSame = Object.entries(outlook.states).every(([id, state]) => states.get(id) === state)
      }
      yield* Effect.sleep(5)
    }
    witness.agrees(outlook, when)
  })

  for (const { executionId, groups } of program.executions) yield* store.add({ executionId, groups })
  yield* comesTo(expected[0]!, "after the beginning")
  for (const [index, step] of program.steps.entries()) {
    const when = `after step ${index}, ${JSON.stringify(step)}`
    const outlook = expected[index + 1]!
    assert.equal(yield* take(step, { store, release }), outlook.allowed, `whether it is allowed ${when}`)
    yield* comesTo(outlook, when)
  }
  yield* app.finish
  const last = expected.at(-1)!
  witness.agrees(last, "in the end")
  audit(file, true)
  for (let looks = 1000; told.length < last.ended.length && looks > 0; looks--) yield* Effect.sleep(10)
  assert.deepEqual(told.toSorted(), last.ended, "what was told to who listened all the time")
  assert.deepEqual(told, witness.completions, "the order in which it was told")
  return last
})

const render = (
  { attempt, executionId, outcome }: Pick<Completion.CompletionPayload, "attempt" | "executionId" | "outcome">
) => `${executionId}/${attempt} ${outcome}`

/** The process that works on the program: another one after each that was killed. */
const appOf = Effect.fnUntraced(
  function*({ broken, file, killed, seed }: Run, size: number, held: ReadonlySet<string>) {
    const chance = new Chance(seed + 1)
    let kills = 1 + chance.below(5)
    let running: Running
    let fault: string | undefined
    let isFinishing = false
    const taskOf = (): Task => ({
      file,
      program: seed,
      held: [...held],
      // Few places on most runs, so that the next process meets what the last one left.
      killAt: kills-- > 0 ? 1 + Math.floor(chance.next() ** 3 * 6 * size) : undefined,
      killWithin: chance.next() * 4,
      concurrency: chance.of([1, 3, 16]),
      page: chance.of([1, 7, 100]),
      faults: {
        seed: chance.seed(),
        ...untold(chance),
        failBefore: chance.of([0, 0, 0.1, 0.3]),
        failAfter: chance.of([0, 0, 0.1, 0.3])
      },
      broken
    })
    const next = async (): Promise<void> => {
      running = startProcess(new URL("./child.ts", import.meta.url), [JSON.stringify(taskOf())])
      const earlyKill = kills > 0 && chance.happens(0.1) ? setTimeout(running.kill, 400 * chance.next()) : undefined
      let where: string = "by the clock"
      for await (const line of running.lines) if (isPlace(line)) where = line
      clearTimeout(earlyKill)
      const { code, errors, signal } = await running.ended
      if (signal === "SIGKILL" && errors === "") {
        killed.set(where, (killed.get(where) ?? 0) + 1)
        if (!isFinishing) return next()
      } else if (!isFinishing || code !== 0 || errors !== "") {
        fault = `a process ended by itself: ${code ?? signal}, ${errors}`
      }
    }
    const all = next()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isFinishing = true
        running.kill()
      })
    )
    const isWell = Effect.suspend(() => fault === undefined ? Effect.void : Effect.die(new Error(fault)))
    return {
      isWell,
      release: (executionId: string) => running.tell(executionId),
      /** Lets the process come to its end. */
      finish: Effect.suspend(() => {
        isFinishing = true
        running.finish()
        return Effect.andThen(Effect.promise(() => all), isWell)
      })
    }
  }
)

/** What is in the file, with all changes of a state that there have been. */
class Witness {
  private readonly database: DatabaseSync
  constructor(file: string) {
    this.database = new DatabaseSync(file, { timeout: 30_000 })
    this.database.exec(`
      CREATE TABLE witness (id TEXT NOT NULL, state TEXT NOT NULL);
      CREATE TRIGGER witnessed AFTER UPDATE OF state ON executions BEGIN
        INSERT INTO witness VALUES (NEW.id, NEW.state);
      END`)
  }
  readonly close = (): void => this.database.close()
  /** Another one once somebody has written. */
  get version(): number {
    return Number(this.database.prepare("PRAGMA data_version").get()!["data_version"])
  }
  get states(): ReadonlyMap<string, string> {
    const rows = this.database.prepare("SELECT id, state || '/' || attempt AS state FROM executions").all()
    return new Map(rows.map(({ id, state }) => [String(id), String(state)]))
  }
  get completions(): ReadonlyArray<string> {
    const rows = this.database.prepare(
      `SELECT id || '/' || completions.attempt || ' ' || outcome AS completion
       FROM completions JOIN executions ON key = execution ORDER BY sequence`
    )
    return rows.all().map(({ completion }) => String(completion))
  }
  private counts(state: "ready" | "skipped"): ReadonlyMap<string, number> {
    const rows = this.database.prepare("SELECT id, count(*) AS count FROM witness WHERE state = ? GROUP BY id").all(
      state
    )
    return new Map(rows.map(({ count, id }) => [String(id), Number(count)]))
  }
  /** Throws with the first few that differ. */
  agrees(outlook: Outlook, when: string): void {
    const same = <A>(what: string, seen: ReadonlyMap<string, A>, expected: { readonly [id: string]: A }, none?: A) => {
      const wrong = Object.keys(expected).flatMap((id) => {
        const is = seen.get(id) ?? none
        return is === expected[id] ? [] : [`${id} is ${is}, expected ${expected[id]}`]
      })
      assert.ok(wrong.length === 0, `${what} ${when}: ${wrong.slice(0, 5).join("; ")}`)
    }
    same("states", this.states, outlook.states)
    for (const state of ["ready", "skipped"] as const) {
      same(`how often each has become ${state}`, this.counts(state), outlook[state], 0)
    }
    assert.deepEqual(this.completions.toSorted(), outlook.ended, `completions ${when}`)
  }
}
