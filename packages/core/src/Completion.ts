/**
 * Hearing that work elsewhere has finished, and promoting what waited for it.
 *
 * A completion says that an execution has reached a terminal state. There is no publish: the store that changes the state
 * makes the completion in the same transaction, and a backend tells of it. What a backend tells is a hint, which may be
 * lost, repeated, reordered or late: `listener` reads the store again and promotes, and `reconciler` goes through what is
 * unsettled, at its start, on a timer and at once after a gap. Together they never lose a promotion.
 */
import { Cause, Context, Duration, Effect, Fiber, Layer, Option, Schema, type Scope, Stream } from "effect"
import type { Assembly, Supervised } from "./Component.ts"
import { effectFrom } from "./internal/answer.ts"
import { assertPositive } from "./internal/capacity.ts"
import { declareEffect, type Running, type Slot } from "./internal/component.ts"
import { render } from "./internal/render.ts"
import { sayWarning } from "./internal/say.ts"
import { Throttle } from "./internal/throttle.ts"
import { Wakes } from "./internal/wakes.ts"

// ---- hearing of completions

/** How an execution ended. Only `succeeded` satisfies an edge. */
export const Outcome = Schema.Literals(["succeeded", "failed", "cancelled", "expired", "skipped"])
export type Outcome = typeof Outcome.Type

export class CompletionPayload extends Schema.Class<CompletionPayload>("@sluice/core/CompletionPayload")({
  /** Of this completion: an execution that is replayed has another one. */
  completionId: Schema.String,
  executionId: Schema.String,
  /** Which attempt has ended, from 1. */
  attempt: Schema.Int,
  flowId: Schema.NullOr(Schema.String),
  outcome: Outcome,
  /** In milliseconds since the epoch. */
  producedAt: Schema.Int,
  namespace: Schema.String,
  tags: Schema.Record(Schema.String, Schema.String)
}) {}

/** Opaque; of use only to the kind of backend that gave it. */
export type Cursor = string & { readonly "~@sluice/core/Cursor": never }

/** Completions that match all of what is given. */
export interface Filter {
  readonly namespace?: string
  readonly tag?: readonly [key: string, value: string]
}

/**
 * A `Gap` says that completions may have been missed since `since`, in milliseconds since the epoch: while the backend
 * was `reconnected`, because this subscriber `lagged` and its buffer was full, or because the history that its cursor asks for
 * has expired.
 */
export type Signal =
  | { readonly _tag: "Completion"; readonly payload: CompletionPayload; readonly cursor: Option.Option<Cursor> }
  | { readonly _tag: "Gap"; readonly since: number; readonly reason: "reconnected" | "lagged" | "cursorExpired" }

/** `unavailable`: not attached within `connectTimeout`. The other two: this backend cannot do what was asked, now or ever. */
export class SubscribeError extends Schema.TaggedError<SubscribeError>()("SubscribeError", {
  reason: Schema.Literals(["unavailable", "filterUnsupported", "resumeUnsupported"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    const what = {
      unavailable: "the backend could not be reached",
      filterUnsupported:
        "this backend cannot filter as asked: subscribe without the filter and drop what is not wanted",
      resumeUnsupported:
        "this backend cannot resume from that cursor: subscribe from the tail, and let a reconciler find "
        + "what was missed"
    }
    return `cannot subscribe to completions: ${what[this.reason]}. ${render(this.cause)}`
  }
}

export interface SubscribeOptions {
  readonly filter?: Filter
  /** Default: `"tail"`, what completes from now on. A cursor resumes exactly after the completion that it came with. */
  readonly from?: Cursor | "tail"
  /** Default 10 seconds. */
  readonly connectTimeout?: Duration.Input
}

export interface CompletionBackend {
  readonly capabilities: { readonly resume: boolean; readonly filters: boolean }
  /**
   * Returns once attached: what completes from then on is told, or a `Gap`. Each call is a subscription of its own, with a
   * bounded buffer of its own: one that is slow gets `Gap("lagged")`, and slows nobody. The stream never fails and never ends
   * while its scope is open: the backend reconnects by itself, and says so by a `Gap`.
   */
  readonly subscribe: (
    options?: SubscribeOptions
  ) => Effect.Effect<Stream.Stream<Signal>, SubscribeError, Scope.Scope>
}
export class Completions extends Context.Service<Completions, CompletionBackend>()("@sluice/core/Completions") {}

/** The completions alone. What a gap missed is missing: to act on all of them use `listener` and `reconciler`. */
export const completions = (
  options?: SubscribeOptions
): Stream.Stream<CompletionPayload, SubscribeError, Completions> =>
  Stream.unwrap(Effect.flatMap(Completions, ({ subscribe }) => subscribe(options))).pipe(
    Stream.filter((signal) => signal._tag === "Completion"),
    Stream.map(({ payload }) => payload)
  )

// ---- what waits for completions

/** The store could not read or write. Nothing is known to have changed. */
export class StoreError extends Schema.TaggedError<StoreError>()("StoreError", { cause: Schema.Defect() }) {
  override get message(): string {
    return `the store of executions failed: ${render(this.cause)}`
  }
}

/** What became of the executions that waited. */
export interface Promotion {
  /** Ready now: all their edge groups are satisfied. */
  readonly promoted: ReadonlyArray<string>
  /** Ended as `skipped`, with a completion of their own: an edge group can no longer be satisfied. */
  readonly skipped: ReadonlyArray<string>
}

/** All that `listener` and `reconciler` need. Both verbs may be called at any time, by anyone, and by several at once. */
export interface DependencyStore {
  /**
   * Settles what waits for an execution. Reads it again and does nothing unless it is terminal at its current attempt. Each
   * edge is settled once, in the same transaction as the promotion, so that repeating it changes nothing and answers with
   * nothing. An execution that is not known is not there to wait for: nothing.
   */
  readonly promote: (executionId: string) => Effect.Effect<Promotion, StoreError>
  /**
   * Executions that ended and may still have edges to settle, in the order in which they ended, `limit` at most; `next` is
   * where to go on, None at the end. Some that have nothing to settle may be among them.
   */
  readonly unsettled: (
    page: { readonly after: Option.Option<string>; readonly limit: number }
  ) => Effect.Effect<
    { readonly executions: ReadonlyArray<string>; readonly next: Option.Option<string> },
    StoreError
  >
}
export class Dependencies extends Context.Service<Dependencies, DependencyStore>()("@sluice/core/Dependencies") {}

// ---- flows

/**
 * When a group of edges is satisfied: once all of its upstreams have succeeded, one of them, or `quorum` of them. It can no
 * longer be once one of them, all of them, or too many have ended in any other way. A group without edges: `allOf` is
 * satisfied, the others cannot be.
 */
export type EdgePolicy = "allOf" | "anyOf" | { readonly quorum: number }
export interface EdgeGroup {
  readonly policy: EdgePolicy
  /** Executions that the store has; each once. */
  readonly upstreams: ReadonlyArray<string>
}

export interface NewExecution {
  readonly executionId: string
  readonly flowId?: string | undefined
  /** Default: `""`. */
  readonly namespace?: string | undefined
  readonly tags?: { readonly [key: string]: string } | undefined
  /** It is ready once all of them are satisfied, and at once where there is none. They have numbers in this order, from 0. */
  readonly groups?: ReadonlyArray<EdgeGroup> | undefined
}
export interface Execution {
  readonly executionId: string
  readonly flowId: string | null
  readonly namespace: string
  readonly tags: { readonly [key: string]: string }
  /** From 1; one more with each replay. */
  readonly attempt: number
  readonly state: "blocked" | "ready" | Outcome
}

/** A verb of a flow store does not fit what the store has. It has changed nothing. */
export class FlowError extends Schema.TaggedError<FlowError>()("FlowError", {
  reason: Schema.Literals(["unknown", "duplicate", "stale", "notTerminal", "notBlocked", "invalid", "cycle"]),
  /** For which the verb was called, also where it is another one that does not fit. */
  executionId: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `execution "${this.executionId}": ${this.detail}`
  }
}

/**
 * A store of executions and of the edges between them. Each verb is one transaction: all of it is there, with the
 * completions that it made, or nothing.
 */
export interface FlowStore extends DependencyStore {
  /**
   * Adds an execution with what it waits for, and answers with it: ready, blocked, or skipped where a group can no longer be
   * satisfied. Fails with `FlowError`: `duplicate`; `unknown`, an upstream is not there; `invalid`, a quorum that is no
   * positive integer, an upstream twice in a group, or a text that the store cannot keep as it is.
   */
  readonly add: (execution: NewExecution) => Effect.Effect<Execution, FlowError | StoreError>
  /**
   * One more upstream for a group of an execution that is still `blocked`, and answers with it. An upstream that has ended is
   * settled at once. Fails with `unknown`, `notBlocked`, `invalid` for a group that it does not have or an upstream that it has
   * already, and `cycle` where the upstream waits for the execution itself, or would after a replay: by edges of any state.
   */
  readonly addEdge: (
    edge: { readonly executionId: string; readonly upstream: string; readonly group: number }
  ) => Effect.Effect<Execution, FlowError | StoreError>
  /**
   * Ends an attempt: the terminal state, and the completion that tells of it. Answers whether it did: false where this attempt
   * has ended already, with whatever outcome. Fails with `unknown`, and with `stale` where it is not the current attempt.
   */
  readonly complete: (
    end: { readonly executionId: string; readonly attempt: number; readonly outcome: Exclude<Outcome, "skipped"> }
  ) => Effect.Effect<boolean, FlowError | StoreError>
  /**
   * A terminal execution anew, under the next attempt, and answers with it: its groups are judged by how its upstreams are now.
   * What waits for it and is still blocked waits for the new attempt; what was promoted, or has ended, stays as it is. Fails
   * with `unknown` and `notTerminal`.
   */
  readonly replay: (executionId: string) => Effect.Effect<Execution, FlowError | StoreError>
  readonly get: (executionId: string) => Effect.Effect<Option.Option<Execution>, StoreError>
  /** Executions in a state, in the order in which they came to it, `limit` at most. */
  readonly list: (
    page: {
      readonly state: Execution["state"]
      readonly flowId?: string
      readonly after: Option.Option<string>
      readonly limit: number
    }
  ) => Effect.Effect<
    { readonly executions: ReadonlyArray<Execution>; readonly next: Option.Option<string> },
    StoreError
  >
}

// ---- components

type Attempt = (running: Running, slot: Slot) => Effect.Effect<void, unknown>
const component = (
  { name, restart, store }: Supervised & { readonly store?: DependencyStore | undefined },
  kind: "Listener" | "Reconciler",
  make: (store: DependencyStore) => Effect.Effect<Attempt, never, any>
): Layer.Layer<never, never, any> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const attempt = yield* make(store ?? (yield* Dependencies))
    yield* declareEffect({ name, ...(restart === undefined ? {} : { restart }), kind, reads: [], writes: [], attempt })
  }))
/** Promotes, and goes on where it could not: `unable` says so. */
const promoting = (
  store: DependencyStore,
  executionId: string,
  slot: Slot,
  unable: (cause: Cause.Cause<StoreError>) => Effect.Effect<void>
): Effect.Effect<Promotion> =>
  Effect.suspend(() => {
    slot.begin(1)
    // In a fiber of its own: one whose promotion ends its fiber keeps nothing that comes after it from its turn.
    const promoting = Effect.flatMap(
      Effect.forkChild(effectFrom("`promote` of the store", () => store.promote(executionId)), {
        startImmediately: true
      }),
      (fiber) => Effect.flatten(Fiber.await(fiber))
    )
    return Effect.matchCauseEffect(promoting, {
      onSuccess: (promotion) => {
        slot.end(1)
        return Effect.succeed(promotion)
      },
      onFailure: (cause) => {
        slot.end(1)
        return Effect.as(unable(cause), nothing)
      }
    })
  })
const nothing: Promotion = { promoted: [], skipped: [] }

interface ListenerOptions extends Supervised {
  /** Promotions at the same time. Default 16. */
  readonly concurrency?: number
}
interface ReconcilerOptions extends Supervised {
  /** Default 30 seconds. */
  readonly every?: Duration.Input
  /** Executions asked for at a time. Default 100. */
  readonly page?: number
  /** Promotions of a page at the same time. Default 16. */
  readonly concurrency?: number
}
/**
 * A component that promotes what waited, as soon as a completion is heard. A backend that is down delays nothing but
 * itself: the component restarts as `restart` says until it has subscribed. A promotion that fails is told in the log and
 * left to the reconciler, as is what a gap missed, and what ended before it had subscribed: the reconcilers of the same
 * store in this process run at once. A drain ends the promotions under way, and leaves what is still unread to the next
 * start.
 */
export const listener: {
  (
    options: ListenerOptions & {
      /** Default: `Completions` from the context. */
      readonly backend: CompletionBackend
      /** Default: `Dependencies` from the context. */
      readonly store: DependencyStore
    }
  ): Layer.Layer<never, never, Assembly>
  (
    options: ListenerOptions & { readonly backend: CompletionBackend; readonly store?: undefined }
  ): Layer.Layer<never, never, Assembly | Dependencies>
  (
    options: ListenerOptions & { readonly backend?: undefined; readonly store: DependencyStore }
  ): Layer.Layer<never, never, Assembly | Completions>
  (
    options: ListenerOptions & { readonly backend?: undefined; readonly store?: undefined }
  ): Layer.Layer<never, never, Assembly | Completions | Dependencies>
} = (
  options: ListenerOptions & {
    readonly backend?: CompletionBackend | undefined
    readonly store?: DependencyStore | undefined
  }
): Layer.Layer<never, never, any> =>
  component(options, "Listener", (store) =>
    Effect.gen(function*() {
      const { concurrency = 16, name } = options
      assertPositive(`component "${name}"`, "concurrency", concurrency)
      const backend = options.backend ?? (yield* Completions)
      const failing = new Throttle()
      const { wake } = Wakes.of(store)
      return (running, slot) =>
        Effect.scoped(Effect.gen(function*() {
          // A backend that is down must not hold up a drain.
          const signals = yield* Effect.raceFirst(
            Effect.as(running.stop.await, undefined),
            Effect.suspend(() =>
              running.stop.isOpen()
                ? Effect.undefined
                : effectFrom("`subscribe` of the backend", () => backend.subscribe())
            )
          )
          if (signals === undefined) return
          // What ended before it was attached, nobody tells it.
          yield* wake
          const handle = (signal: Signal): Effect.Effect<void> => {
            if (running.stop.isOpen()) return Effect.void
            if (signal._tag === "Gap") return wake
            return Effect.asVoid(promoting(store, signal.payload.executionId, slot, (cause) =>
              Effect.andThen(
                failing.run(() =>
                  sayWarning(`listener "${name}" could not promote; a reconciler has to find it`, cause)
                ),
                wake
              )))
          }
          yield* signals.pipe(
            Stream.interruptWhen(running.stop.await),
            Stream.mapEffect(handle, { concurrency, unordered: true }),
            Stream.runDrain
          )
          if (!running.stop.isOpen()) {
            throw new Error(`listener "${name}": the backend's stream ended; it must not while its scope is open`)
          }
        }))
    }))

/**
 * A component that goes through all that is unsettled and promotes it: at its start, then each time `every` has passed
 * since it was through, and at once where it has skipped something, which others may wait for, or where a listener of the
 * same store in this process has subscribed, met a gap, or could not promote. What fails to promote is told in the log and
 * passed over until the next time, so that nothing keeps what comes after it from its turn.
 */
export const reconciler: {
  (
    options: ReconcilerOptions & {
      /** Default: `Dependencies` from the context. */
      readonly store: DependencyStore
    }
  ): Layer.Layer<never, never, Assembly>
  (options: ReconcilerOptions & { readonly store?: undefined }): Layer.Layer<never, never, Assembly | Dependencies>
} = (
  options: ReconcilerOptions & { readonly store?: DependencyStore | undefined }
): Layer.Layer<never, never, any> =>
  component(options, "Reconciler", (store) =>
    Effect.sync(() => {
      const { concurrency = 16, every = "30 seconds", name, page = 100 } = options
      assertPositive(`component "${name}"`, "page", page)
      assertPositive(`component "${name}"`, "concurrency", concurrency)
      const interval = Duration.fromInputUnsafe(every)
      if (!(Duration.toMillis(interval) > 0)) {
        throw new RangeError(`component "${name}": \`every\` must be positive, got ${Duration.format(interval)}`)
      }
      const pause = Effect.sleep(interval)
      const failing = new Throttle()
      return (running, slot) => {
        let hasSkipped = false
        const promote = (executionId: string) =>
          running.stop.isOpen() ? Effect.void : Effect.map(
            promoting(store, executionId, slot, (cause) =>
              failing.run(() =>
                sayWarning(`reconciler "${name}" could not promote what waits for "${executionId}"`, cause)
              )),
            ({ skipped }) => void (hasSkipped ||= skipped.length > 0)
          )
        const through = Effect.gen(function*() {
          hasSkipped = false
          let after = Option.none<string>()
          do {
            const { executions, next } = yield* effectFrom(
              "`unsettled` of the store",
              () => store.unsettled({ after, limit: page })
            )
            yield* Effect.forEach(executions, promote, { concurrency, discard: true })
            after = next
          } while (Option.isSome(after) && !running.stop.isOpen())
        })
        const wakes = Wakes.of(store)
        return Effect.gen(function*() {
          while (!running.stop.isOpen()) {
            // What wakes it while it is at work may be about what it has passed.
            const woken = wakes.next
            yield* through
            // What was skipped has ended, and others may wait for it.
            if (hasSkipped) continue
            yield* Effect.raceFirst(Effect.raceFirst(pause, woken), running.stop.await)
          }
        })
      }
    }))
