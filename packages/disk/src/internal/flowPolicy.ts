/** When what an execution waits for lets it go on: the arithmetic of edge groups. */
import type { EdgePolicy } from "@sluice/core/Completion"

/** Of a group's edges, and of those that have been settled. */
export interface GroupCounts {
  /** How many have to succeed; null: all. */
  readonly quorum: number | null
  readonly total: number
  readonly succeeded: number
  readonly failed: number
}

export const quorumOf = (policy: EdgePolicy): number | null =>
  policy === "allOf" ? null : policy === "anyOf" ? 1 : policy.quorum

/** Skipped once one group cannot be satisfied any more; ready once all are. */
export const judge = (groups: ReadonlyArray<GroupCounts>): "blocked" | "ready" | "skipped" => {
  const needed = ({ quorum, total }: GroupCounts) => quorum ?? total
  if (groups.some((group) => group.total - group.failed < needed(group))) return "skipped"
  return groups.every((group) => group.succeeded >= needed(group)) ? "ready" : "blocked"
}
