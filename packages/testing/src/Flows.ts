/**
 * A store of executions in memory with its completions, for tests of what waits for work elsewhere, and what goes wrong
 * between the two: notifications that are dropped, repeated, reordered or forged, and a store that fails.
 *
 * ```ts
 * const flows = Flows.memory()
 * const App = Topology.layer(
 *   Layer.merge(Completion.listener({ name: "listener" }), Completion.reconciler({ name: "reconciler" }))
 * ).pipe(Layer.provide(Flows.layer(Flows.faulty(flows, { seed: 7, drop: 0.5, failBefore: 0.1 }))))
 * ```
 *
 * The test adds and completes executions by `flows.store`, which does not fail; the application has the faults. It is the
 * reference for `DependencyLaws` and `CompletionLaws`, and plain enough to read: nothing outlives the process.
 */
import { Completion } from "@sluice/core"
import { Clock, Context, Effect, Layer, Option } from "effect"
import { type FaultCounters, Faulting, type FaultOptions } from "./internal/flows/faulting.ts"
import { Outbox } from "./internal/flows/outbox.ts"
import { FlowState } from "./internal/flows/state.ts"

export type { FaultCounters, FaultOptions }

/** A store of executions and who tells of their ends. */
export interface Flows {
  readonly store: Completion.FlowStore
  readonly backend: Completion.CompletionBackend
}
export interface MemoryOptions {
  /** How many completions are kept for cursors to go back to. Default 10,000. */
  readonly history?: number
  /** How many completions each subscriber may leave unread before it gets `Gap("lagged")`. Default 1,024. */
  readonly buffer?: number
  /** What the backend is able to do. Default: all of it. */
  readonly capabilities?: Partial<Completion.CompletionBackend["capabilities"]>
}
export interface MemoryFlows extends Flows {
  /** The history: the last completions in the order of their commits, whoever has been told of them. */
  readonly completions: Effect.Effect<ReadonlyArray<Completion.CompletionPayload>>
}
export interface FaultyFlows extends Flows {
  /** Other faults from now on. Those that are not given stay as they are. */
  readonly adjust: (options: Omit<FaultOptions, "seed">) => void
  readonly counters: FaultCounters
}

let made = 0

/**
 * A new store that has nothing in it, and its backend. `promote` settles the edges from one execution; a skip that it makes is
 * a completion of its own, whose edges the next `promote` settles. `addEdge` refuses a way back to the execution even where
 * that has ended meanwhile, since a replay would wait on itself.
 */
export const memory = (options: MemoryOptions = {}): MemoryFlows => {
  const limits = { history: options.history ?? 10_000, buffer: options.buffer ?? 1024 }
  for (const [option, value] of Object.entries(limits)) {
    if (Number.isSafeInteger(value) && value > 0) continue
    throw new RangeError(`Flows.memory: \`${option}\` must be a positive integer, got ${value}`)
  }
  const capabilities = { resume: true, filters: true, ...options.capabilities }
  const outbox = new Outbox(`memory-${++made}`, limits)
  let now = 0
  const state = new FlowState(({ attempt, executionId, flowId, namespace, state, tags }) =>
    outbox.append(
      new Completion.CompletionPayload({
        completionId: `${executionId}/${attempt}`,
        executionId,
        attempt,
        flowId,
        outcome: state as Completion.Outcome,
        producedAt: now,
        namespace,
        tags
      })
    )
  )
  /** All of a verb in one step, which nothing can come between. */
  const verb = <A>(run: () => A | Completion.FlowError) =>
    Clock.clockWith((clock): Effect.Effect<A, Completion.FlowError> => {
      now = clock.currentTimeMillisUnsafe()
      const answer = run()
      return answer instanceof Completion.FlowError ? Effect.fail(answer) : Effect.succeed(answer)
    })
  return {
    store: {
      add: (execution) => verb(() => state.add(execution)),
      addEdge: (edge) => verb(() => state.addEdge(edge)),
      complete: (end) => verb(() => state.complete(end)),
      replay: (executionId) => verb(() => state.replay(executionId)),
      promote: (executionId) =>
        Clock.clockWith((clock) => {
          now = clock.currentTimeMillisUnsafe()
          return Effect.succeed(state.promote(executionId))
        }),
      unsettled: (page) => Effect.sync(() => state.unsettled(page)),
      get: (executionId) => Effect.sync(() => state.get(executionId)),
      list: (page) => Effect.sync(() => state.list(page))
    },
    backend: {
      capabilities,
      subscribe: ({ filter = {}, from = "tail" } = {}) => {
        const refuse = (reason: "filterUnsupported" | "resumeUnsupported", cause: string) =>
          Effect.fail(new Completion.SubscribeError({ reason, cause: new Error(cause) }))
        if (!capabilities.filters && (filter.namespace !== undefined || filter.tag !== undefined)) {
          return refuse("filterUnsupported", "it was made without filters")
        }
        if (!capabilities.resume && from !== "tail") return refuse("resumeUnsupported", "it was made without resuming")
        return Effect.suspend(() =>
          Option.match(outbox.attach(filter, from), {
            onNone: () => refuse("resumeUnsupported", "the cursor is of another backend"),
            onSome: (subscriber) =>
              Effect.acquireRelease(
                Effect.succeed(subscriber.signals),
                () => Effect.sync(() => outbox.detach(subscriber))
              )
          })
        )
      }
    },
    completions: Effect.sync(() => outbox.completions)
  }
}

/**
 * The same flows with faults between them and the application, by a seed: what a share of the completions meets on its way to
 * each subscriber, and a share of the store's calls. The shares are independent, each from 0, its default, to 1.
 */
export const faulty = (flows: Flows, options: FaultOptions = {}): FaultyFlows => {
  const faulting = new Faulting(flows, options)
  return {
    store: faulting.store,
    backend: faulting.backend,
    adjust: (options) => faulting.adjust(options),
    get counters() {
      return { ...faulting.counters }
    }
  }
}

/** What `Completion.listener` and `Completion.reconciler` ask for. */
export const layer = ({ backend, store }: Flows): Layer.Layer<Completion.Completions | Completion.Dependencies> =>
  Layer.succeedContext(
    Context.empty().pipe(
      Context.add(Completion.Completions, backend),
      Context.add(Completion.Dependencies, store)
    )
  )
