/**
 * The engine: what is ready waits in a record, a consumer runs it, the store says how it ended, and a completion makes ready
 * what waited for it. The store is the only thing that has to be right: whatever is lost between is found by the reconciler
 * and by looking again.
 */
import { Completion, Consumer, Source, Topology } from "@sluice/core"
import { SqliteFlows } from "@sluice/disk"
import {
  Clock,
  Console,
  Context,
  Data,
  Deferred,
  Effect,
  FileSystem,
  Layer,
  Option,
  Queue,
  Schedule,
  Stream
} from "effect"
import { join } from "node:path"
import { groupsOf, type Plan, type Step } from "./plan.ts"
import * as records from "./records.ts"
import { Ready } from "./records.ts"
import * as steps from "./steps.ts"

export interface Options {
  /** Where the flow's progress and the logs of its steps are kept. */
  readonly directory: string
  readonly parallel: number
  /** Which of the steps that have ended run anew. */
  readonly anew: "none" | "failed" | "all"
}

export class Engine extends Context.Service<Engine, {
  /** How every step has ended. Returns once all have. */
  readonly ended: Effect.Effect<ReadonlyMap<string, Completion.Outcome>>
}>()("flows/Engine") {}

export const layer = (plan: Plan, options: Options) =>
  Layer.unwrap(Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    yield* files.makeDirectory(join(options.directory, "logs"), { recursive: true })
    const started = yield* records.started
    const { backend, store } = yield* SqliteFlows.make({ file: join(options.directory, "flows.db") })
    yield* endOrphans(plan, store, started)
    yield* load(plan, store, options.anew)
    return Layer.provide(running({ plan, store, backend, started, ...options }), Ready.layer)
  })).pipe(Layer.provide(records.journal(options.directory)))

type Started = Effect.Success<typeof records.started>
interface Running extends Options {
  readonly plan: Plan
  readonly store: Completion.FlowStore
  readonly backend: Completion.CompletionBackend
  readonly started: Started
}

/** Adds what the store does not have yet. A step that it has goes on as it is. */
const load = Effect.fn("engine.load")(function*(plan: Plan, store: Completion.FlowStore, anew: Options["anew"]) {
  for (const step of plan.steps.values()) {
    const known = yield* store.get(idOf(plan, step.id))
    if (Option.isNone(known)) {
      const groups = groupsOf(step).map(({ policy, upstreams }) => ({
        policy,
        upstreams: upstreams.map((upstream) => idOf(plan, upstream))
      }))
      yield* store.add({ executionId: idOf(plan, step.id), flowId: plan.name, groups })
    } else if (
      isOutcome(known.value.state) && (anew === "all" || (anew === "failed" && known.value.state !== "succeeded"))
    ) {
      yield* store.replay(known.value.executionId)
    }
  }
})
const idOf = (plan: Plan, step: string): string => `${plan.name}/${step}`
const stepOf = (plan: Plan, executionId: string): Step | undefined =>
  plan.steps.get(executionId.slice(plan.name.length + 1))
const isOutcome = (state: Completion.Execution["state"]): state is Completion.Outcome =>
  state !== "blocked" && state !== "ready"

const all = (store: Completion.FlowStore, state: Completion.Execution["state"], flowId: string) =>
  Stream.paginate(
    Option.none<string>(),
    (after) =>
      Effect.map(store.list({ state, flowId, after, limit: 100 }), ({ executions, next }) =>
        [executions, Option.map(next, Option.some)] as const)
  )

const running = ({ backend, directory, parallel, plan, started, store }: Running) =>
  Layer.unwrap(Effect.gen(function*() {
    /** Something may be ready, or all over. */
    const changes = yield* Queue.sliding<void>(1)
    const ended = yield* Deferred.make<ReadonlyMap<string, Completion.Outcome>>()
    const telling: Completion.DependencyStore = {
      unsettled: store.unsettled,
      promote: (executionId) =>
        Effect.tap(store.promote(executionId), ({ skipped }) =>
          Effect.andThen(
            Effect.forEach(skipped, (id) => Console.log(`skipped  ${id.slice(plan.name.length + 1)}`), {
              discard: true
            }),
            Queue.offer(changes, undefined)
          ))
    }
    const given = new Set<string>()
    const look = Effect.gen(function*() {
      // In the order in which a step goes from one to the other, so that none is missed on its way.
      const blocked = yield* store.list({ state: "blocked", flowId: plan.name, after: Option.none(), limit: 1 })
      const ready = yield* Stream.runCollect(all(store, "ready", plan.name))
      if (blocked.executions.length === 0 && ready.length === 0) {
        yield* Deferred.succeed(ended, yield* outcomes(plan, store))
      }
      return ready.filter(({ attempt, executionId }) => {
        const key = `${attempt} ${executionId}`
        return stepOf(plan, executionId) !== undefined && !given.has(key) && given.add(key)
      }).map(({ attempt, executionId }) => ({ step: executionId.slice(plan.name.length + 1), attempt }))
    })
    const Finding = Source.layer(Ready, {
      name: "finding",
      stream: Stream.merge(Stream.fromQueue(changes), Stream.tick("500 millis")).pipe(
        Stream.mapEffect(() => look),
        Stream.flatMap(Stream.fromIterable)
      )
    })
    const Running = Consumer.layer(Ready, {
      name: "running",
      concurrency: parallel,
      handle: ({ attempt, step: id }) =>
        Effect.gen(function*() {
          const step = plan.steps.get(id)!
          const outcome = yield* tries(step, attempt, directory, started)
          yield* store.complete({ executionId: idOf(plan, id), attempt, outcome })
          yield* Queue.offer(changes, undefined)
          // What could not be run, or recorded, is ready still.
        }).pipe(Effect.onError(() => Effect.sync(() => given.delete(`${attempt} ${idOf(plan, id)}`))))
    })
    const Parts = Layer.mergeAll(
      Finding,
      Running,
      Completion.listener({ name: "listening", backend, store: telling }),
      Completion.reconciler({ name: "reconciling", store: telling, every: "5 seconds" })
    )
    // Ctrl-C ends what runs: the next start runs it again.
    return Topology.layer(Parts, { drainTimeout: "100 millis", onShutdown: () => Effect.void }).pipe(
      Layer.merge(Layer.succeed(Engine, { ended: Deferred.await(ended) }))
    )
  }))

const outcomes = Effect.fnUntraced(function*(plan: Plan, store: Completion.FlowStore) {
  const ends = new Map<string, Completion.Outcome>()
  for (const id of plan.steps.keys()) {
    const { state } = Option.getOrThrow(yield* store.get(idOf(plan, id)))
    if (isOutcome(state)) ends.set(id, state)
  }
  return ends
})

class StepFailed extends Data.TaggedError("StepFailed")<{ readonly code: number }> {}
const backoff = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced("25 seconds")])

/** Runs a step until it succeeds or has no try left. A try that a killed engine took with it does not count. */
const tries = Effect.fn("engine.tries")(function*(step: Step, attempt: number, directory: string, started: Started) {
  const log = steps.logOf(directory, step.id)
  const { retries = 0 } = step
  let count = 0
  const once = Effect.gen(function*() {
    const began = yield* Clock.monotonicTimeNanos
    yield* Console.log(`started  ${step.id}${count++ > 0 ? `, try ${count} of ${retries + 1}` : ""}`)
    const code = yield* steps.run(step, log, (process) => started.produceAsync({ step: step.id, attempt, ...process }))
    const took = `${(Number((yield* Clock.monotonicTimeNanos) - began) / 1e9).toFixed(1)} s`
    if (code === 0) return yield* Console.log(`done     ${step.id} in ${took}`)
    yield* Console.log(`failed   ${step.id} in ${took} with code ${code}; see ${log}`)
    return yield* new StepFailed({ code })
  })
  return yield* once.pipe(
    Effect.retry({ schedule: backoff, times: retries, while: (error) => error instanceof StepFailed }),
    Effect.as("succeeded" as const),
    Effect.catchTag("StepFailed", () => Effect.succeed("failed" as const))
  )
})

/** What an engine that was killed has left running of steps that are not over. */
const endOrphans = Effect.fn("engine.endOrphans")(function*(plan: Plan, store: Completion.FlowStore, started: Started) {
  const head = yield* started.head
  for (let from = yield* started.oldest; from < head;) {
    const entries = yield* started.read(from, 100)
    for (const { value } of entries) {
      if (Option.isNone(value)) continue
      const known = yield* store.get(idOf(plan, value.value.step))
      const isOver = Option.isNone(known) || isOutcome(known.value.state) || known.value.attempt !== value.value.attempt
      if (!isOver && (yield* steps.endOrphan(value.value))) {
        yield* Console.log(`ended    ${value.value.step}, which an engine that was killed had left`)
      }
    }
    from += BigInt(entries.length)
  }
})
