/** One execution and the groups of edges it waits for: counting, and nothing else. */
import type { Completion } from "@sluice/core"

export type Edge = "pending" | "succeeded" | "failed"
export const isSettled = (edge: Edge): boolean => edge !== "pending"

export class Group {
  readonly edges = new Map<Node, Edge>()
  private readonly counts = { pending: 0, succeeded: 0, failed: 0 }
  private readonly policy: Completion.EdgePolicy
  constructor(policy: Completion.EdgePolicy) {
    this.policy = typeof policy === "object" ? { ...policy } : policy
  }

  set(upstream: Node, edge: Edge): void {
    const before = this.edges.get(upstream)
    if (before !== undefined) this.counts[before]--
    this.counts[edge]++
    this.edges.set(upstream, edge)
  }
  get verdict(): "satisfied" | "impossible" | "open" {
    const { size } = this.edges
    const needed = this.policy === "allOf" ? size : this.policy === "anyOf" ? 1 : this.policy.quorum
    if (this.counts.succeeded >= needed) return "satisfied"
    return size - this.counts.failed < needed ? "impossible" : "open"
  }
}

type Identity = Pick<Completion.Execution, "executionId" | "flowId" | "namespace" | "tags">

export class Node implements Completion.Execution {
  readonly executionId: string
  readonly flowId: string | null
  readonly namespace: string
  readonly tags: { readonly [key: string]: string }
  attempt = 1
  state: Completion.Execution["state"] = "blocked"
  /** Which change of the store has brought it to its state. */
  since = 0
  readonly groups: Array<Group> = []
  /** All that have an edge from it. */
  readonly downstream = new Set<Node>()
  /** Those of them that are blocked, with an edge that is not settled. */
  readonly waiting = new Set<Node>()
  constructor({ executionId, flowId, namespace, tags }: Identity) {
    this.executionId = executionId
    this.flowId = flowId
    this.namespace = namespace
    this.tags = tags
  }

  get hasEnded(): boolean {
    return this.state !== "blocked" && this.state !== "ready"
  }
  /** As it is now, for good. */
  get execution(): Completion.Execution {
    const { attempt, executionId, flowId, namespace, state, tags } = this
    return { executionId, flowId, namespace, tags, attempt, state }
  }
}
