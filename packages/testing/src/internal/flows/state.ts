/**
 * Executions and the edges between them, as plain state: each verb decides first and then changes all of it or nothing. What
 * it answers is a value or a `FlowError`; each attempt that ends is told to `onEnd` once, in the order of their ends.
 */
import { Completion } from "@sluice/core"
import { Option } from "effect"
import { type Edge, Group, isSettled, Node } from "./node.ts"

type State = Completion.Execution["state"]
type Page = { readonly after: Option.Option<string>; readonly limit: number }
/** What one verb changed. */
interface Settled {
  readonly promoted: Array<string>
  readonly skipped: Array<string>
}

const states = ["blocked", "ready", ...Completion.Outcome.literals] as const

export class FlowState {
  private readonly nodes = new Map<string, Node>()
  private readonly byState = new Map<State, Set<Node>>(states.map((state) => [state, new Set()]))
  /** Those that have ended with edges to settle, in the order of their ends. */
  private readonly unsettledNodes = new Set<Node>()
  private changes = 0
  private readonly onEnd: (execution: Completion.Execution) => void
  constructor(onEnd: (execution: Completion.Execution) => void) {
    this.onEnd = onEnd
  }

  add({ executionId, flowId, groups = [], namespace, tags }: Completion.NewExecution) {
    if (this.nodes.has(executionId)) return refuse("duplicate", executionId, "it is there already")
    for (const [index, { policy, upstreams }] of groups.entries()) {
      if (typeof policy === "object" && !(Number.isSafeInteger(policy.quorum) && policy.quorum > 0)) {
        return refuse("invalid", executionId, `the quorum of group ${index} is no positive integer: ${policy.quorum}`)
      }
      if (new Set(upstreams).size < upstreams.length) {
        return refuse("invalid", executionId, `group ${index} has an upstream twice`)
      }
      const missing = upstreams.find((upstream) => !this.nodes.has(upstream))
      if (missing !== undefined) return refuse("unknown", executionId, `its upstream "${missing}" is not there`)
    }
    const node = new Node({ executionId, flowId: flowId ?? null, namespace: namespace ?? "", tags: { ...tags } })
    this.nodes.set(executionId, node)
    for (const { policy, upstreams } of groups) {
      const group = new Group(policy)
      node.groups.push(group)
      for (const upstream of upstreams) this.link(node, group, this.nodes.get(upstream)!)
    }
    this.enter(node, "blocked")
    this.decide(node)
    return node.execution
  }

  addEdge(edge: { readonly executionId: string; readonly upstream: string; readonly group: number }) {
    const { executionId } = edge
    const node = this.nodes.get(executionId)
    const upstream = this.nodes.get(edge.upstream)
    if (node === undefined) return refuse("unknown", executionId, "it is not there")
    if (upstream === undefined) return refuse("unknown", executionId, `its upstream "${edge.upstream}" is not there`)
    if (node.state !== "blocked") return refuse("notBlocked", executionId, `it is ${node.state} and waits for nothing`)
    const group = node.groups[edge.group]
    if (group === undefined) return refuse("invalid", executionId, `it has no group ${edge.group}`)
    if (group.edges.has(upstream)) {
      return refuse("invalid", executionId, `group ${edge.group} has the upstream "${edge.upstream}" already`)
    }
    if (waitsFor(upstream, node)) return refuse("cycle", executionId, `"${edge.upstream}" waits for it`)
    this.link(node, group, upstream)
    this.decide(node)
    return node.execution
  }

  complete(
    { attempt, executionId, outcome }: {
      readonly executionId: string
      readonly attempt: number
      readonly outcome: Completion.Outcome
    }
  ) {
    const node = this.nodes.get(executionId)
    if (node === undefined) return refuse("unknown", executionId, "it is not there")
    if (node.attempt !== attempt) {
      return refuse("stale", executionId, `attempt ${attempt} is not the current one, ${node.attempt}`)
    }
    if (node.hasEnded) return false
    this.enter(node, outcome)
    return true
  }

  replay(executionId: string) {
    const node = this.nodes.get(executionId)
    if (node === undefined) return refuse("unknown", executionId, "it is not there")
    if (!node.hasEnded) return refuse("notTerminal", executionId, `attempt ${node.attempt} has not ended`)
    node.attempt++
    this.enter(node, "blocked")
    for (const group of node.groups) for (const upstream of group.edges.keys()) this.judge(node, group, upstream)
    for (const child of node.downstream) {
      if (child.state !== "blocked") continue
      for (const group of child.groups) if (group.edges.has(node)) this.judge(child, group, node)
    }
    this.decide(node)
    return node.execution
  }

  promote(executionId: string): Settled {
    const settled: Settled = { promoted: [], skipped: [] }
    const node = this.nodes.get(executionId)
    if (node === undefined || !node.hasEnded) return settled
    for (const child of node.waiting) {
      for (const group of child.groups) if (group.edges.get(node) === "pending") this.judge(child, group, node)
      node.waiting.delete(child)
      const state = this.decide(child)
      if (state === "ready") settled.promoted.push(child.executionId)
      if (state === "skipped") settled.skipped.push(child.executionId)
    }
    this.unsettledNodes.delete(node)
    return settled
  }

  get(executionId: string): Option.Option<Completion.Execution> {
    return Option.map(Option.fromUndefinedOr(this.nodes.get(executionId)), ({ execution }) => execution)
  }
  list({ flowId, state, ...page }: Page & { readonly state: State; readonly flowId?: string }) {
    const nodes = this.byState.get(state) ?? new Set()
    const { found, next } = pageOf(nodes, page, (node) => flowId === undefined || node.flowId === flowId)
    return { executions: found.map(({ execution }) => execution), next }
  }
  unsettled(page: Page) {
    const { found, next } = pageOf(this.unsettledNodes, page, () => true)
    return { executions: found.map(({ executionId }) => executionId), next }
  }

  private link(node: Node, group: Group, upstream: Node): void {
    upstream.downstream.add(node)
    this.judge(node, group, upstream)
  }
  /** Settles an edge by how its upstream is now. */
  private judge(node: Node, group: Group, upstream: Node): void {
    const edge: Edge = !upstream.hasEnded ? "pending" : upstream.state === "succeeded" ? "succeeded" : "failed"
    group.set(upstream, edge)
    if (!isSettled(edge)) upstream.waiting.add(node)
  }
  /** What becomes of an execution that is blocked. */
  private decide(node: Node): State {
    const verdicts = node.groups.map(({ verdict }) => verdict)
    if (verdicts.includes("impossible")) this.enter(node, "skipped")
    else if (!verdicts.includes("open")) this.enter(node, "ready")
    return node.state
  }
  private enter(node: Node, state: State): void {
    this.byState.get(node.state)!.delete(node)
    this.unsettledNodes.delete(node)
    node.state = state
    node.since = ++this.changes
    this.byState.get(state)!.add(node)
    if (state !== "blocked") {
      for (const group of node.groups) {
        for (const upstream of group.edges.keys()) {
          upstream.waiting.delete(node)
          if (upstream.waiting.size === 0) this.unsettledNodes.delete(upstream)
        }
      }
    }
    if (!node.hasEnded) return
    if (node.waiting.size > 0) this.unsettledNodes.add(node)
    this.onEnd(node.execution)
  }
}

const refuse = (
  reason: Completion.FlowError["reason"],
  executionId: string,
  detail: string
): Completion.FlowError => new Completion.FlowError({ reason, executionId, detail })

/** Whether there is a way from `upstream` up to `node`, ended or not: a replay may make them wait again. */
const waitsFor = (upstream: Node, node: Node): boolean => {
  const seen = new Set([upstream])
  for (const one of seen) {
    if (one === node) return true
    for (const group of one.groups) for (const above of group.edges.keys()) seen.add(above)
  }
  return false
}

/** Of nodes in the order of their last change. The page goes on after a change, whatever has become of its node since. */
const pageOf = (nodes: Iterable<Node>, { after, limit }: Page, matches: (node: Node) => boolean) => {
  const from = Option.match(after, { onNone: () => 0, onSome: Number })
  const found: Array<Node> = []
  for (const node of nodes) {
    if (node.since <= from || !matches(node)) continue
    if (found.length === limit) return { found, next: Option.some(String(found.at(-1)?.since ?? from)) }
    found.push(node)
  }
  return { found, next: Option.none<string>() }
}
