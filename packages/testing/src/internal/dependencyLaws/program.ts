/** Random programs: a graph of executions, how each of their attempts is to end, and what else is done to them. */
import type { Completion } from "@sluice/core"
import { Effect, Option } from "effect"
import type { Chance } from "../faults/chance.ts"
import type { FaultOptions } from "../flows/faulting.ts"
import type { End } from "./steps.ts"

export interface Planned {
  readonly executionId: string
  readonly groups: ReadonlyArray<Completion.EdgeGroup>
  /** How its attempts end; the last goes for all that follow. */
  readonly outcomes: ReadonlyArray<End>
}
/** Done once all that can happen has happened. */
export type Step =
  | { readonly _tag: "Release"; readonly executionId: string }
  | { readonly _tag: "Replay"; readonly executionId: string }
  | { readonly _tag: "Cancel"; readonly executionId: string }
  | { readonly _tag: "AddEdge"; readonly executionId: string; readonly upstream: string; readonly group: number }
export interface Program {
  /** Each after all of its upstreams. */
  readonly executions: ReadonlyArray<Planned>
  /** Of whose work nobody makes an end before they are released. */
  readonly held: ReadonlyArray<string>
  readonly steps: ReadonlyArray<Step>
}

const nameOf = (index: number): string => `e${index}`

export const programOf = (chance: Chance): Program => {
  const size = chance.of([5, 20, 20, 60, 60, 60, 150, 500])
  const reach = chance.of([1, 3, 20, size])
  const success = chance.of([0.5, 0.9, 0.99, 1])
  const holds = chance.of([0, 0.05, 0.2])
  const any = () => nameOf(chance.below(size))
  const outcome = (): End =>
    chance.happens(success) ? "succeeded" : chance.of(["failed", "cancelled", "expired"] as const)
  const groupBefore = (index: number): Completion.EdgeGroup => {
    const count = chance.happens(0.02) ? 0 : 1 + chance.below(chance.of([1, 4, 12]))
    const upstreams = new Set(
      Array.from({ length: count }, () => nameOf(index - 1 - chance.below(Math.min(index, reach))))
    )
    const policy = chance.of(["allOf", "anyOf", { quorum: 1 + chance.below(Math.max(1, upstreams.size)) }] as const)
    return { policy, upstreams: [...upstreams] }
  }
  const step = (): Step => {
    const executionId = any()
    const kind = chance.below(6)
    if (kind === 0) return { _tag: "Cancel", executionId }
    if (kind === 1) return { _tag: "AddEdge", executionId, upstream: any(), group: chance.below(2) }
    return kind === 2 ? { _tag: "Release", executionId } : { _tag: "Replay", executionId }
  }
  const executions = Array.from({ length: size }, (_, index) => ({
    executionId: nameOf(index),
    groups: index === 0 || chance.happens(0.1)
      ? []
      : Array.from({ length: 1 + chance.below(chance.of([1, 1, 3])) }, () => groupBefore(index)),
    outcomes: Array.from({ length: 3 }, outcome)
  }))
  const held = executions.flatMap(({ executionId }) => chance.happens(holds) ? [executionId] : [])
  const releases = held.flatMap((executionId): ReadonlyArray<Step> =>
    chance.happens(0.5) ? [{ _tag: "Release", executionId }] : []
  )
  return {
    executions,
    held,
    steps: [
      ...Array.from({ length: chance.below(5) }, step),
      ...releases.slice(0, 4),
      ...Array.from({ length: 2 }, step)
    ]
  }
}
export const outcomeOf = ({ outcomes }: Planned, attempt: number): End =>
  outcomes[Math.min(attempt, outcomes.length) - 1]!

/** Any share of the notifications, up to all of them. */
export const untold = (chance: Chance): FaultOptions => ({
  drop: chance.bias(),
  gap: chance.of([0, 0, 0.1, 1]),
  repeat: chance.bias(),
  reorder: chance.bias(),
  forge: chance.bias(),
  failSubscribe: chance.of([0, 0, 0.5, 1])
})

/** Takes a step, and answers whether that was allowed. */
export const take = (
  step: Step,
  { changed = () => undefined, release, store }: {
    readonly store: Completion.FlowStore
    /** Whether it was held. */
    readonly release: (executionId: string) => boolean
    /** Is told how an execution is that was replayed or has an edge more. */
    readonly changed?: (execution: Completion.Execution) => void
  }
): Effect.Effect<boolean> => {
  const { executionId } = step
  const changing = (verb: Effect.Effect<Completion.Execution, Completion.FlowError | Completion.StoreError>) =>
    verb.pipe(
      Effect.map((execution) => {
        changed(execution)
        return true
      }),
      Effect.catchTag("FlowError", () => Effect.succeed(false)),
      Effect.orDie
    )
  switch (step._tag) {
    case "Release":
      return Effect.sync(() => release(executionId))
    case "Replay":
      return changing(store.replay(executionId))
    case "AddEdge":
      return changing(store.addEdge(step))
    case "Cancel":
      return Effect.orDie(Effect.gen(function*() {
        const { attempt } = Option.getOrThrow(yield* store.get(executionId))
        return yield* store.complete({ executionId, attempt, outcome: "cancelled" })
      }))
  }
}
