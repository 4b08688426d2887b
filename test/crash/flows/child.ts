/**
 * The process that is killed: `node child.ts <task in JSON>`. It works on what is ready in a file of flows, and promotes what
 * waited, while notifications and calls fail. It counts the places that it passes on the way of each completion, and at the
 * one that its task names it says so and kills itself. Otherwise it ends with its input.
 */
import { Completion, Topology } from "@sluice/core"
import { SqliteFlows } from "@sluice/disk"
import { Flows } from "@sluice/testing"
import { Effect, Fiber, Layer, Option, Queue, Schedule, Stream } from "effect"
import { writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { createInterface } from "node:readline"
import { outcomeOf, programOf } from "../../../packages/testing/src/internal/dependencyLaws/program.ts"
import { Chance } from "../../../packages/testing/src/internal/faults/chance.ts"
import { brokenStore } from "./broken.ts"
import type { Place, Task } from "./task.ts"

const task: Task = JSON.parse(process.argv[2]!)
const { broken, concurrency, faults, file, killAt, killWithin, page } = task
const program = programOf(new Chance(task.program))
const plan = new Map(program.executions.map((planned) => [planned.executionId, planned]))
const held = new Set(task.held)

let passed = 0
const pass = (place: Place): void => {
  if (++passed !== killAt) return
  if (place.startsWith("within")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, killWithin)
  // At once, so that it is out before the process is gone.
  writeSync(1, `${place}\n`)
  process.kill(process.pid, "SIGKILL")
}
const passing = <A, E>(verb: "complete" | "promote", effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function*() {
    pass(`before ${verb}`)
    // It is sent to the worker at once.
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    pass(`within ${verb}`)
    const answer = yield* Fiber.join(fiber)
    pass(`after ${verb}`)
    return answer
  })

const watched = ({ backend, store }: Flows.Flows): Flows.Flows => ({
  store: {
    ...store,
    complete: (end) => passing("complete", store.complete(end)),
    promote: (executionId) => passing("promote", store.promote(executionId))
  },
  backend: {
    ...backend,
    subscribe: (options) =>
      Effect.map(backend.subscribe(options), Stream.tap(() => Effect.sync(() => pass("at a notification"))))
  }
})

const main = Effect.gen(function*() {
  const opened = yield* SqliteFlows.make({ file, pollInterval: 10 })
  const store = broken === undefined ? opened.store : brokenStore(broken, opened.store, file, pass)
  const flows = Flows.faulty(watched({ backend: opened.backend, store }), faults)
  const wake = yield* Queue.sliding<void>(1)
  const promote = (executionId: string) =>
    Effect.tap(flows.store.promote(executionId), ({ promoted }) =>
      Effect.sync(() => {
        if (promoted.length > 0) Queue.offerUnsafe(wake, undefined)
      }))
  const promoting = {
    backend: flows.backend,
    store: { ...flows.store, promote },
    restart: Schedule.spaced("20 millis")
  }
  const listener = Completion.listener({ name: "listener", ...promoting, concurrency })
  const reconciler = Completion.reconciler({ name: "reconciler", ...promoting, page, every: "50 millis" })
  yield* Layer.build(Topology.layer(broken === "forgetsWhatItMissed" ? listener : Layer.merge(listener, reconciler)))

  const ready = Stream.paginate(Option.none<string>(), (after) =>
    Effect.map(
      store.list({ state: "ready", after, limit: 100 }),
      ({ executions, next }) => [executions, Option.map(next, Option.some)] as const
    ))
  const finish = ({ attempt, executionId }: Completion.Execution) =>
    Effect.catchTag(
      flows.store.complete({ executionId, attempt, outcome: outcomeOf(plan.get(executionId)!, attempt) }),
      "StoreError",
      // It is still ready the next time, or it has ended.
      () => Effect.void
    )
  const work = ready.pipe(
    Stream.filter(({ executionId }) => !held.has(executionId)),
    Stream.mapEffect(finish, { concurrency: 3, unordered: true }),
    Stream.runDrain,
    Effect.andThen(Effect.timeoutOption(Queue.take(wake), "20 millis")),
    Effect.forever
  )
  const input = Effect.callback<void>((resume) => {
    createInterface({ input: process.stdin })
      .on("line", (executionId) => held.delete(executionId))
      .on("close", () => resume(Effect.void))
  })
  yield* Effect.raceFirst(work, input)
})

flushCompileCache()
await Effect.runPromise(Effect.scoped(main))
