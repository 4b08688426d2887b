/** What a store of flows must do, as a plain function over plain values, and random programs for it, by seed. */
import type { EdgePolicy, Execution, FlowError, FlowStore, NewExecution, Outcome } from "@sluice/core/Completion"
import { Chance } from "../../../testing/src/internal/faults/chance.ts"

/** `by` is the attempt of the upstream by which the edge was settled. */
interface Edge {
  readonly upstream: string
  readonly settled: { readonly by: number; readonly succeeded: boolean } | undefined
}
interface Group {
  readonly policy: EdgePolicy
  readonly edges: ReadonlyArray<Edge>
}
interface Entry extends Execution {
  readonly groups: ReadonlyArray<Group>
}
/** Executions in the order in which they came to their states, and all completions. */
export interface Model {
  readonly executions: ReadonlyArray<Entry>
  readonly completions: ReadonlyArray<string>
}
export const empty: Model = { executions: [], completions: [] }

export type Step =
  | { readonly _tag: "Add"; readonly execution: NewExecution & { readonly executionId: string } }
  | { readonly _tag: "AddEdge"; readonly edge: Parameters<FlowStore["addEdge"]>[0] }
  | { readonly _tag: "Complete"; readonly end: Parameters<FlowStore["complete"]>[0] }
  | { readonly _tag: "Promote" | "Replay"; readonly executionId: string }
export type Told = { readonly refused: FlowError["reason"] } | { readonly value: unknown }

export const hasEnded = ({ state }: { readonly state: Execution["state"] }) => state !== "blocked" && state !== "ready"
export const find = (model: Model, id: string) => model.executions.find(({ executionId }) => executionId === id)
export const shown = ({ attempt, executionId, flowId, namespace, state, tags }: Entry): Execution => ({
  executionId,
  flowId,
  namespace,
  tags,
  attempt,
  state
})
/** Those that have ended and have edges to settle. */
export const unsettled = (model: Model) =>
  model.executions.filter((entry) =>
    hasEnded(entry) &&
    model.executions.some(({ groups }) =>
      groups.some(({ edges }) => edges.some(({ settled, upstream }) => !settled && upstream === entry.executionId))
    )
  ).map(({ executionId }) => executionId)

const standing = ({ edges, policy }: Group): "open" | "satisfied" | "impossible" => {
  const good = edges.filter(({ settled }) => settled?.succeeded === true).length
  const bad = edges.filter(({ settled }) => settled?.succeeded === false).length
  if (policy === "allOf") return bad > 0 ? "impossible" : good === edges.length ? "satisfied" : "open"
  const needed = policy === "anyOf" ? 1 : policy.quorum
  return good >= needed ? "satisfied" : edges.length - bad < needed ? "impossible" : "open"
}
const settledBy = (upstream: Entry): Edge["settled"] =>
  hasEnded(upstream) ? { by: upstream.attempt, succeeded: upstream.state === "succeeded" } : undefined
const mapEdges = (entry: Entry, change: (edge: Edge) => Edge): Entry => ({
  ...entry,
  groups: entry.groups.map((group) => ({ ...group, edges: group.edges.map(change) }))
})
const replaced = (model: Model, entry: Entry): Model => ({
  ...model,
  executions: model.executions.map((other) => other.executionId === entry.executionId ? entry : other)
})
const moved = (model: Model, entry: Entry, state: Entry["state"]): Model => ({
  executions: [
    ...model.executions.filter(({ executionId }) => executionId !== entry.executionId),
    { ...entry, state }
  ],
  completions: hasEnded({ state })
    ? [...model.completions, `${entry.executionId}/${entry.attempt} ${state}`]
    : model.completions
})
/** Moves one that is blocked on to where its groups put it. */
const judged = (model: Model, id: string): Model => {
  const entry = find(model, id)!
  const all = entry.groups.map(standing)
  if (entry.state !== "blocked") return model
  if (all.includes("impossible")) return moved(model, entry, "skipped")
  return all.every((one) => one === "satisfied") ? moved(model, entry, "ready") : model
}
const waitsFor = (model: Model, id: string, above: string): boolean =>
  id === above
  || find(model, id)!.groups.some(({ edges }) => edges.some(({ upstream }) => waitsFor(model, upstream, above)))

export const apply = (model: Model, step: Step): { readonly model: Model; readonly told: Told } => {
  const refused = (reason: FlowError["reason"]) => ({ model, told: { refused: reason } })
  const answer = (model: Model, id: string) => ({ model, told: { value: shown(find(model, id)!) } })
  switch (step._tag) {
    case "Add": {
      const { executionId, flowId = null, groups = [], namespace = "", tags = {} } = step.execution
      if (find(model, executionId)) return refused("duplicate")
      for (const { policy, upstreams } of groups) {
        if (typeof policy === "object" && !(Number.isInteger(policy.quorum) && policy.quorum > 0)) {
          return refused("invalid")
        }
        if (upstreams.some((id) => !find(model, id))) return refused("unknown")
        if (new Set(upstreams).size < upstreams.length) return refused("invalid")
      }
      const entry: Entry = {
        executionId,
        flowId,
        namespace,
        tags,
        attempt: 1,
        state: "blocked",
        groups: groups.map(({ policy, upstreams }) => ({
          policy,
          edges: upstreams.map((upstream) => ({ upstream, settled: settledBy(find(model, upstream)!) }))
        }))
      }
      return answer(judged({ ...model, executions: [...model.executions, entry] }, executionId), executionId)
    }
    case "AddEdge": {
      const { executionId, group, upstream } = step.edge
      const entry = find(model, executionId)
      if (!entry) return refused("unknown")
      if (entry.state !== "blocked") return refused("notBlocked")
      const chosen = entry.groups[group]
      if (!chosen) return refused("invalid")
      const above = find(model, upstream)
      if (!above) return refused("unknown")
      if (chosen.edges.some((edge) => edge.upstream === upstream)) return refused("invalid")
      if (waitsFor(model, upstream, executionId)) return refused("cycle")
      const edges = [...chosen.edges, { upstream, settled: settledBy(above) }]
      const groups = entry.groups.map((other) => other === chosen ? { ...chosen, edges } : other)
      return answer(judged(replaced(model, { ...entry, groups }), executionId), executionId)
    }
    case "Complete": {
      const { attempt, executionId, outcome } = step.end
      const entry = find(model, executionId)
      if (!entry) return refused("unknown")
      if (entry.attempt !== attempt) return refused("stale")
      if (hasEnded(entry)) return { model, told: { value: false } }
      return { model: moved(model, entry, outcome), told: { value: true } }
    }
    case "Promote": {
      const entry = find(model, step.executionId)
      const result = { promoted: Array<string>(), skipped: Array<string>() }
      if (!entry || !hasEnded(entry)) return { model, told: { value: result } }
      const settled = settledBy(entry)
      const marked: Model = {
        ...model,
        executions: model.executions.map((other) =>
          mapEdges(other, (edge) => edge.upstream !== entry.executionId || edge.settled ? edge : { ...edge, settled })
        )
      }
      // The order among them is the order in which they were added, which the names of a program have.
      const order = marked.executions.map(({ executionId }) => executionId).toSorted((a, b) => Number(a) - Number(b))
      const after = order.reduce((model, id) => {
        const before = find(model, id)!.state
        const next = judged(model, id)
        const { state } = find(next, id)!
        if (state !== before) (state === "ready" ? result.promoted : result.skipped).push(id)
        return next
      }, marked)
      return { model: after, told: { value: result } }
    }
    case "Replay": {
      const entry = find(model, step.executionId)
      if (!entry) return refused("unknown")
      if (!hasEnded(entry)) return refused("notTerminal")
      const again = mapEdges({ ...entry, attempt: entry.attempt + 1 }, (edge) => ({
        ...edge,
        settled: settledBy(find(model, edge.upstream)!)
      }))
      const waiting = moved(model, again, "blocked")
      const recalled: Model = {
        ...waiting,
        executions: waiting.executions.map((other) =>
          other.state !== "blocked" || other.executionId === entry.executionId ?
            other :
            mapEdges(other, (edge) => edge.upstream === entry.executionId ? { ...edge, settled: undefined } : edge)
        )
      }
      return answer(judged(recalled, entry.executionId), entry.executionId)
    }
  }
}

const outcomes: ReadonlyArray<Exclude<Outcome, "skipped">> = ["succeeded", "failed", "cancelled", "expired"]
/** The next step of a program: mostly what the store will do, at times what it must refuse. Names are numbers. */
export const nextStep = (chance: Chance, model: Model): Step => {
  const count = model.executions.length
  const some = () => String(chance.below(count + (chance.happens(0.03) ? 2 : 0)))
  const kinds = ["Add", "Add", "AddEdge", "Complete", "Complete", "Complete", "Promote", "Promote", "Replay"] as const
  switch (count < 3 ? "Add" : chance.of(kinds)) {
    case "Add": {
      const groups = Array.from({ length: chance.of([0, 1, 1, 1, 2, 3]) }, () => ({
        policy: chance.of<EdgePolicy>(["allOf", "allOf", "anyOf", {
          quorum: chance.happens(0.05) ? 0 : 1 + chance.below(3)
        }]),
        upstreams: Array.from(
          new Set(Array.from({ length: Math.min(count, chance.of([0, 1, 1, 2, 3, 4])) }, some))
        ).concat(chance.happens(0.02) && count > 0 ? ["0", "0"] : [])
      }))
      const id = chance.happens(0.03) ? some() : String(count)
      return {
        _tag: "Add",
        execution: {
          executionId: Number(id) > count ? String(count) : id,
          groups,
          ...chance.happens(0.5) ? { flowId: chance.of(["a", "b"]), namespace: chance.of(["x", "y"]) } : {},
          ...chance.happens(0.3) ? { tags: { colour: chance.of(["red", "green"]) } } : {}
        }
      }
    }
    case "AddEdge": {
      const blocked = model.executions.filter(({ state }) => state === "blocked")
      const executionId = blocked.length > 0 && chance.happens(0.8) ? chance.of(blocked).executionId : some()
      return { _tag: "AddEdge", edge: { executionId, upstream: some(), group: chance.of([0, 0, 0, 1, 2]) } }
    }
    case "Complete": {
      const open = model.executions.filter((entry) => !hasEnded(entry))
      const executionId = open.length > 0 && chance.happens(0.8) ? chance.of(open).executionId : some()
      const attempt = (find(model, executionId)?.attempt ?? 1) + (chance.happens(0.1) ? chance.of([-1, 1]) : 0)
      const outcome = chance.happens(0.7) ? "succeeded" as const : chance.of(outcomes)
      return { _tag: "Complete", end: { executionId, attempt, outcome } }
    }
    case "Promote": {
      const due = unsettled(model)
      return { _tag: "Promote", executionId: due.length > 0 && chance.happens(0.8) ? chance.of(due) : some() }
    }
    case "Replay":
      return { _tag: "Replay", executionId: some() }
  }
}
