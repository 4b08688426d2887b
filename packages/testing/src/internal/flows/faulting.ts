/** Faults between flows and whoever uses them: chance decides, by a seed, what becomes of each signal and of each call. */
import { Completion } from "@sluice/core"
import { Effect, Option, Stream } from "effect"
import { Chance } from "../faults/chance.ts"

export interface FaultOptions {
  /** 0 unless given. */
  readonly seed?: number
  /** Completions that are not told. */
  readonly drop?: number
  /** Of those that are not told, how many leave a `Gap("reconnected")`. */
  readonly gap?: number
  /** Completions that are told twice, the second time at once or after later ones. */
  readonly repeat?: number
  /** Completions that are held back until some later ones were told; eight at most, which are lost where none comes. */
  readonly reorder?: number
  /**
   * Completions before which another is told that never was: of an execution that nobody knows, of one that has not ended,
   * or with another attempt and outcome.
   */
  readonly forge?: number
  /** Subscriptions that fail with `unavailable`. */
  readonly failSubscribe?: number
  /** Calls of the store that fail without having done anything. */
  readonly failBefore?: number
  /** Calls of the store that fail although they have done what they were asked for. */
  readonly failAfter?: number
}
/** How often each has happened. */
export type FaultCounters = { readonly [fault in Exclude<keyof FaultOptions, "seed">]: number }
type Fault = keyof FaultCounters

const heldMax = 8

export class Faulting {
  readonly counters: { [fault in Fault]: number } = {
    drop: 0,
    gap: 0,
    repeat: 0,
    reorder: 0,
    forge: 0,
    failSubscribe: 0,
    failBefore: 0,
    failAfter: 0
  }
  private rates: { readonly [fault in Fault]?: number | undefined } = {}
  private readonly chance: Chance
  private readonly inner: { readonly store: Completion.FlowStore; readonly backend: Completion.CompletionBackend }
  constructor(inner: Faulting["inner"], { seed = 0, ...rates }: FaultOptions) {
    this.inner = inner
    this.chance = new Chance(seed)
    this.adjust(rates)
  }

  adjust(rates: Omit<FaultOptions, "seed">): void {
    for (const [fault, rate] of Object.entries(rates)) {
      if (rate >= 0 && rate <= 1) continue
      throw new RangeError(`Flows.faulty: \`${fault}\` must be from 0 to 1, got ${rate}`)
    }
    this.rates = { ...this.rates, ...rates }
  }
  private happens(fault: Fault, chance = this.chance): boolean {
    if (!chance.happens(this.rates[fault] ?? 0)) return false
    this.counters[fault]++
    return true
  }

  // ---- the store

  get store(): Completion.FlowStore {
    const { store } = this.inner
    return {
      add: (execution) => this.call("add", store.add(execution)),
      addEdge: (edge) => this.call("addEdge", store.addEdge(edge)),
      complete: (end) => this.call("complete", store.complete(end)),
      replay: (executionId) => this.call("replay", store.replay(executionId)),
      promote: (executionId) => this.call("promote", store.promote(executionId)),
      unsettled: (page) => this.call("unsettled", store.unsettled(page)),
      get: (executionId) => this.call("get", store.get(executionId)),
      list: (page) => this.call("list", store.list(page))
    }
  }
  private call<A, E>(verb: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E | Completion.StoreError> {
    const failed = (when: string) =>
      Effect.fail(new Completion.StoreError({ cause: new Error(`simulated: ${verb} failed ${when} it took effect`) }))
    return Effect.suspend((): Effect.Effect<A, E | Completion.StoreError> => {
      if (this.happens("failBefore")) return Effect.andThen(this.some, failed("before"))
      return Effect.andThen(
        this.some,
        Effect.flatMap(
          effect,
          (answer) =>
            Effect.andThen(
              this.some,
              Effect.suspend(() => this.happens("failAfter") ? failed("after") : Effect.succeed(answer))
            )
        )
      )
    })
  }
  /** A few turns, so that calls overtake each other. */
  private readonly some: Effect.Effect<void> = Effect.suspend(() => {
    let turns = this.chance.below(3)
    return Effect.whileLoop({ while: () => turns-- > 0, body: () => Effect.yieldNow, step: () => undefined })
  })

  // ---- the notifications

  get backend(): Completion.CompletionBackend {
    const { backend } = this.inner
    return {
      capabilities: backend.capabilities,
      subscribe: (options) =>
        Effect.suspend(() =>
          this.happens("failSubscribe")
            ? Effect.fail(
              new Completion.SubscribeError({ reason: "unavailable", cause: new Error("simulated: nobody answers") })
            )
            : Effect.map(backend.subscribe(options), (signals) => this.altered(signals))
        )
    }
  }
  private altered(signals: Stream.Stream<Completion.Signal>): Stream.Stream<Completion.Signal> {
    const chance = new Chance(this.chance.seed())
    const held: Array<Completion.Signal> = []
    return signals.pipe(
      Stream.mapEffect((signal) =>
        Effect.map(this.forged(signal, chance), (forged) => {
          const told: Array<Completion.Signal> = [...forged]
          if (signal._tag === "Gap") told.push(signal)
          else if (this.happens("drop", chance)) {
            if (this.happens("gap", chance)) {
              told.push({ _tag: "Gap", since: signal.payload.producedAt, reason: "reconnected" })
            }
          } else {
            if (this.happens("repeat", chance)) (chance.happens(0.5) ? held : told).push(signal)
            if (this.happens("reorder", chance)) held.push(signal)
            else told.push(signal)
          }
          while (held.length > heldMax || held.length > 0 && chance.happens(0.4)) {
            told.push(...held.splice(chance.below(held.length), 1))
          }
          return told
        })
      ),
      Stream.flattenIterable
    )
  }
  private forged(signal: Completion.Signal, chance: Chance): Effect.Effect<ReadonlyArray<Completion.Signal>> {
    if (signal._tag === "Gap" || !this.happens("forge", chance)) return Effect.succeed([])
    const { payload } = signal
    const lie = (other: Partial<Completion.CompletionPayload>): ReadonlyArray<Completion.Signal> => [{
      _tag: "Completion",
      payload: new Completion.CompletionPayload({
        ...payload,
        completionId: `forged-${chance.seed()}`,
        outcome: chance.of(Completion.Outcome.literals),
        ...other
      }),
      cursor: Option.none()
    }]
    const ofNobody = () => lie({ executionId: `nobody-${chance.seed()}` })
    const kind = chance.below(3)
    if (kind === 0) return Effect.succeed(ofNobody())
    if (kind === 1) return Effect.succeed(lie({ attempt: payload.attempt + 1 + chance.below(3) }))
    const state = chance.of(["blocked", "ready"] as const)
    return this.inner.store.list({ state, after: Option.none(), limit: 16 }).pipe(
      Effect.map(({ executions }) => executions.length === 0 ? ofNobody() : lie(pick(chance.of(executions)))),
      // What cannot be read cannot be lied about.
      Effect.catch(() => Effect.sync(ofNobody))
    )
  }
}

const pick = ({ attempt, executionId, flowId, namespace, tags }: Completion.Execution) => ({
  executionId,
  attempt,
  flowId,
  namespace,
  tags
})
