/**
 * Workflows of Effect's that wait for executions to end. A workflow stores its token beside the name of what it waits for,
 * and then waits for a DurableDeferred. Who is to be woken is a store like any other: a listener wakes at once, and a
 * reconciler whoever was missed. A token is forgotten once it was woken, so that a crash in between wakes it twice, and
 * never not at all; the second time changes nothing.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Completion, Topology } from "@sluice/core"
import { SqliteFlows } from "@sluice/disk"
import { Console, Context, Effect, Fiber, FileSystem, Layer, Option, Schema } from "effect"
import { Activity, DurableDeferred, Workflow, WorkflowEngine } from "effect/workflow"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"

const Ended = DurableDeferred.make("Ended", { success: Completion.Outcome })

/** Who waits for what: as durable as the workflows are, so that both are there again after a restart. */
class Waiting extends Context.Service<Waiting, {
  /** Returns once it is stored. Repeating it changes nothing. */
  readonly add: (executionId: string, token: DurableDeferred.Token) => Effect.Effect<void, Completion.StoreError>
  readonly store: Completion.DependencyStore
}>()("workflow/Waiting") {}

const waitingIn = (file: string) =>
  Layer.effect(
    Waiting,
    Effect.gen(function*() {
      const { store: flows } = yield* SqliteFlows.SqliteFlows
      const engine = yield* WorkflowEngine.WorkflowEngine
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(file)),
        (database) => Effect.sync(() => database.close())
      )
      database.exec(
        "CREATE TABLE IF NOT EXISTS waiting (execution TEXT, token TEXT, PRIMARY KEY (execution, token)) STRICT"
      )
      const insert = database.prepare("INSERT OR IGNORE INTO waiting VALUES (?, ?)")
      const remove = database.prepare("DELETE FROM waiting WHERE execution = ? AND token = ?")
      const tokens = database.prepare("SELECT token FROM waiting WHERE execution = ?")
      const executions = database.prepare(
        "SELECT DISTINCT execution FROM waiting WHERE execution > ? ORDER BY execution LIMIT ?"
      )
      const run = <A>(run: () => A) => Effect.try({ try: run, catch: (cause) => new Completion.StoreError({ cause }) })

      const wake = Effect.fn("wake")(function*(executionId: string) {
        const execution = yield* flows.get(executionId)
        if (Option.isNone(execution)) return
        const { state } = execution.value
        if (state === "blocked" || state === "ready") return
        for (const { token: stored } of yield* run(() => tokens.all(executionId))) {
          const token = String(stored)
          yield* DurableDeferred.succeed(Ended, { token: DurableDeferred.Token.make(token), value: state })
          yield* run(() => remove.run(executionId, token))
        }
      })
      const store: Completion.DependencyStore = {
        promote: (executionId) =>
          wake(executionId).pipe(
            Effect.as({ promoted: [], skipped: [] }),
            Effect.provideService(WorkflowEngine.WorkflowEngine, engine)
          ),
        // All that anybody waits for: what has not ended is passed by.
        unsettled: ({ after, limit }) =>
          Effect.map(run(() => executions.all(Option.getOrElse(after, () => ""), limit)), (rows) => {
            const found = rows.map(({ execution }) => String(execution))
            return { executions: found, next: rows.length < limit ? Option.none() : Option.some(found.at(-1)!) }
          })
      }
      return {
        // What has ended by now is not told again.
        add: (executionId, token) =>
          Effect.andThen(run(() => insert.run(executionId, token)), Effect.asVoid(store.promote(executionId))),
        store
      }
    })
  )

const Release = Workflow.make("Release", {
  payload: { version: Schema.String, after: Schema.String },
  success: Schema.String,
  idempotencyKey: ({ version }) => version
})
const ReleaseLive = Release.toLayer(Effect.fn(function*({ after, version }) {
  const { add } = yield* Waiting
  const token = yield* DurableDeferred.token(Ended)
  yield* Activity.make({ name: "wait", execute: Effect.orDie(add(after, token)) })
  const outcome = yield* DurableDeferred.await(Ended)
  return outcome === "succeeded" ? `${version} is released` : `${version} is not released: "${after}" has ${outcome}`
}))

const Waking = Layer.unwrap(Effect.gen(function*() {
  const { store } = yield* Waiting
  return Topology.layer(
    Layer.mergeAll(
      Completion.listener({ name: "waking", store }),
      Completion.reconciler({ name: "finding", store })
    ),
    { onShutdown: () => Effect.void }
  )
}))

const program = Effect.gen(function*() {
  const { store } = yield* SqliteFlows.SqliteFlows
  for (const executionId of ["build 1", "build 2", "build 3"]) yield* store.add({ executionId })
  const end = (executionId: string, outcome: "succeeded" | "failed") =>
    store.complete({ executionId, attempt: 1, outcome })

  yield* end("build 1", "succeeded")
  const after = (build: number) => Release.execute({ version: `1.${build}`, after: `build ${build}` })
  yield* Console.log(yield* after(1))
  const both = yield* Effect.forkChild(Effect.all([after(2), after(3)], { concurrency: 2 }))
  yield* Effect.sleep("50 millis")
  yield* Console.log("two wait")
  yield* end("build 3", "failed")
  yield* end("build 2", "succeeded")
  for (const line of yield* Fiber.join(both)) yield* Console.log(line)
})

const App = Layer.unwrap(Effect.gen(function*() {
  const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped({ prefix: "sluice-workflow-" })
  return Layer.mergeAll(ReleaseLive, Waking).pipe(
    Layer.provideMerge(waitingIn(join(directory, "waiting.db"))),
    Layer.provideMerge(WorkflowEngine.layerMemory),
    Layer.provideMerge(SqliteFlows.layer({ file: join(directory, "flows.db") }))
  )
})).pipe(Layer.provide(NodeServices.layer))

NodeRuntime.runMain(Effect.provide(program, App))
