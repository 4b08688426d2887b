/** What it costs to hear that something finished and to promote what waited for it, beside as many transactions alone. */
import { Completion, Topology } from "@sluice/core"
import { SqliteFlows } from "@sluice/disk"
import { Deferred, Effect, Layer, type Scope } from "effect"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import type { FigureCase, Gauge } from "../../figures.ts"
import { percentiles } from "../../stopwatch.ts"
import type { WrongDelivery } from "../../workload.ts"
import { failing, temporary, timed } from "../ground.ts"

const atOnce = 64
const chainLength = 10

const open = Effect.gen(function*() {
  const directory = yield* temporary
  return yield* SqliteFlows.make({ file: join(directory, "flows.db") })
})
/** With a listener that has attached; `onPromoted` is called for each execution that became ready. */
const listening = (
  { backend, store }: Effect.Success<typeof open>,
  onPromoted: (executionId: string) => Effect.Effect<unknown, unknown>
): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const attached = yield* Deferred.make<void>()
    const parts = Layer.merge(
      Completion.listener({
        name: "listening",
        concurrency: atOnce,
        backend: {
          capabilities: backend.capabilities,
          subscribe: (options) => Effect.tap(backend.subscribe(options), () => Deferred.succeed(attached, undefined))
        },
        store: {
          unsettled: store.unsettled,
          promote: (id) =>
            Effect.tap(store.promote(id), ({ promoted }) => Effect.forEach(promoted, onPromoted).pipe(Effect.orDie))
        }
      }),
      Completion.reconciler({ name: "reconciling", store, every: "1 hour" })
    )
    yield* Layer.build(Topology.layer(parts, { metrics: false, onShutdown: () => Effect.void }))
    yield* Deferred.await(attached)
  })
const ids = (count: number, kind: string) => Array.from({ length: count }, (_, index) => `${kind} ${index}`)
const all = <A, E>(of: ReadonlyArray<A>, work: (a: A) => Effect.Effect<unknown, E>) =>
  Effect.forEach(of, work, { concurrency: atOnce, discard: true })

const rate = (millis: number, count: number): ReadonlyArray<number> => [millis * 1e3 / count, count * 1e3 / millis]

const promotions: Gauge = {
  name: "Sluice: complete, hear, promote",
  read: (share) =>
    Effect.gen(function*() {
      const flows = yield* open
      const { store } = flows
      const upstreams = ids(Math.ceil(2000 * share), "up")
      yield* all(upstreams, (executionId) => store.add({ executionId }))
      yield* all(upstreams, (id) =>
        store.add({ executionId: `below ${id}`, groups: [{ policy: "allOf", upstreams: [id] }] }))
      const over = yield* Deferred.make<void>()
      let left = upstreams.length
      yield* listening(flows, () =>
        --left === 0 ? Deferred.succeed(over, undefined) : Effect.void)
      const millis = yield* timed(Effect.andThen(
        all(upstreams, (executionId) => store.complete({ executionId, attempt: 1, outcome: "succeeded" })),
        Deferred.await(over)
      ))
      return rate(millis, upstreams.length)
    }).pipe(failing)
}
const transactions: Gauge = {
  name: "two verbs of the store",
  read: (share) =>
    Effect.gen(function*() {
      const { store } = yield* open
      const executions = ids(Math.ceil(2000 * share), "alone")
      const millis = yield* timed(Effect.andThen(
        all(executions, (executionId) => store.add({ executionId })),
        all(executions, (executionId) => store.complete({ executionId, attempt: 1, outcome: "succeeded" }))
      ))
      return rate(millis, executions.length)
    }).pipe(failing)
}
/** What one writes without a library: no edges, no policies, nobody who is told. */
const byHand: Gauge = {
  name: "two transactions of SQLite by hand, one by one",
  read: (share) =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(join(directory, "jobs.db"))),
        (database) => Effect.sync(() => database.close())
      )
      database.exec(`
        PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        CREATE TABLE job (id TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
        CREATE TABLE ended (sequence INTEGER PRIMARY KEY, job TEXT NOT NULL) STRICT;`)
      const insert = database.prepare("INSERT INTO job VALUES (?, 'blocked')")
      const jobs = ids(Math.ceil(2000 * share), "job")
      database.exec("BEGIN")
      for (const id of jobs) insert.run(id)
      database.exec("COMMIT")
      const move = database.prepare("UPDATE job SET state = ? WHERE id = ?")
      const tell = database.prepare("INSERT INTO ended (job) VALUES (?)")
      const millis = yield* timed(Effect.sync(() => {
        for (const id of jobs) {
          database.exec("BEGIN IMMEDIATE")
          move.run("succeeded", id)
          tell.run(id)
          database.exec("COMMIT")
          database.exec("BEGIN IMMEDIATE")
          move.run("ready", id)
          database.exec("COMMIT")
        }
      }))
      return rate(millis, jobs.length)
    }).pipe(failing)
}

const chains = (
  name: string,
  one: (flows: Effect.Success<typeof open>) => Effect.Effect<
    (chain: number) => Effect.Effect<number, unknown>,
    unknown,
    Scope.Scope
  >
): Gauge => ({
  name,
  read: (share): Effect.Effect<ReadonlyArray<number>, WrongDelivery, Scope.Scope> =>
    Effect.gen(function*() {
      const run = yield* one(yield* open)
      const times: Array<number> = []
      for (let chain = 0; chain < Math.ceil(60 * share); chain++) times.push(yield* run(chain))
      return percentiles(times, [0.5, 0.99])
    }).pipe(failing)
})
const link = (chain: number, index: number): string => `${chain}/${index}`
const chain = chains(`Sluice: a chain of ${chainLength}`, (flows) =>
  Effect.gen(function*() {
    const { store } = flows
    let over = yield* Deferred.make<void>()
    const complete = (executionId: string) => store.complete({ executionId, attempt: 1, outcome: "succeeded" })
    yield* listening(
      flows,
      (id) => id.endsWith(`/${chainLength - 1}`) ? Deferred.succeed(over, undefined) : complete(id)
    )
    return Effect.fnUntraced(function*(chain: number) {
      for (let index = 0; index < chainLength; index++) {
        const groups = index === 0 ? [] : [{ policy: "allOf" as const, upstreams: [link(chain, index - 1)] }]
        yield* store.add({ executionId: link(chain, index), groups })
      }
      over = yield* Deferred.make<void>()
      return yield* timed(Effect.andThen(complete(link(chain, 0)), Deferred.await(over)))
    })
  }))
const sequence = chains(
  `${2 * (chainLength - 1)} verbs of the store`,
  ({ store }) =>
    Effect.succeed(Effect.fnUntraced(function*(chain: number) {
      const links = Array.from({ length: chainLength - 1 }, (_, index) => link(chain, index))
      return yield* timed(
        Effect.forEach(
          links,
          (executionId) =>
            Effect.andThen(
              store.add({ executionId }),
              store.complete({ executionId, attempt: 1, outcome: "succeeded" })
            ),
          {
            discard: true
          }
        )
      )
    }))
)

export const completions: FigureCase = {
  name: "completions",
  about:
    "an execution is completed, heard of, and what waits for it is promoted: SQLite, each verb on disk when it answers",
  matches: [
    {
      title: `${atOnce} at a time`,
      columns: [{ name: "wall", unit: "µs/promotion" }, { name: "promotions", unit: "per s" }],
      ours: promotions,
      others: [transactions, byHand],
      targets: [
        { contestant: transactions.name, pass: 0.5, stretch: 0.9 },
        { contestant: byHand.name, pass: 1, stretch: 4 }
      ]
    },
    {
      title: `from the first to the last of ${chainLength}`,
      columns: ["p50", "p99"].map((name) => ({ name, unit: "ms" })),
      ours: chain,
      others: [sequence],
      targets: [{ contestant: sequence.name, pass: 0.5, stretch: 0.9 }]
    }
  ]
}
