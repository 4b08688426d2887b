/**
 * What a program comes to where one does everything in turn and nothing is ever lost. It knows no edges that are settled or
 * not: it looks at all upstreams, again and again, until nothing changes. What it says after each step is the same for any
 * order of the ends and promotions between two steps.
 */
import type { Completion } from "@sluice/core"
import { outcomeOf, type Planned, type Program, type Step } from "./program.ts"

export interface Outlook {
  /** Of each execution, such as `ready/2`. */
  readonly states: { readonly [executionId: string]: string }
  /** How often each has become ready, and been skipped. */
  readonly ready: { readonly [executionId: string]: number }
  readonly skipped: { readonly [executionId: string]: number }
  /** All completions so far, sorted. */
  readonly ended: ReadonlyArray<string>
  /** Whether the step was allowed. */
  readonly allowed: boolean
}

interface Fate {
  readonly planned: Planned
  readonly groups: Array<{ readonly policy: Completion.EdgePolicy; readonly upstreams: Array<string> }>
  attempt: number
  state: Completion.Execution["state"]
  ready: number
  skipped: number
}

/** After the beginning, and after each step. */
export const outlooks = ({ executions, held, steps }: Program): ReadonlyArray<Outlook> => {
  const fates = new Map(executions.map((planned): [string, Fate] => [planned.executionId, {
    planned,
    groups: planned.groups.map(({ policy, upstreams }) => ({ policy, upstreams: [...upstreams] })),
    attempt: 1,
    state: "blocked",
    ready: 0,
    skipped: 0
  }]))
  const holding = new Set(held)
  const ended: Array<string> = []
  const end = (fate: Fate, outcome: Completion.Outcome) => {
    fate.state = outcome
    ended.push(`${fate.planned.executionId}/${fate.attempt} ${outcome}`)
  }
  const judge = (fate: Fate): "satisfied" | "impossible" | "open" => {
    let isSatisfied = true
    for (const { policy, upstreams } of fate.groups) {
      const states = upstreams.map((upstream) => fates.get(upstream)!.state)
      const succeeded = states.filter((state) => state === "succeeded").length
      const open = states.filter((state) => !hasEnded(state)).length
      const needed = policy === "allOf" ? states.length : policy === "anyOf" ? 1 : policy.quorum
      if (succeeded + open < needed) return "impossible"
      if (succeeded < needed) isSatisfied = false
    }
    return isSatisfied ? "satisfied" : "open"
  }
  const settle = () => {
    let isMoving = true
    while (isMoving) {
      isMoving = false
      for (const [executionId, fate] of fates) {
        const before = fate.state
        if (fate.state === "blocked") {
          const verdict = judge(fate)
          if (verdict === "impossible") {
            fate.skipped++
            end(fate, "skipped")
          } else if (verdict === "satisfied") {
            fate.ready++
            fate.state = "ready"
          }
        }
        if (fate.state === "ready" && !holding.has(executionId)) end(fate, outcomeOf(fate.planned, fate.attempt))
        if (fate.state !== before) isMoving = true
      }
    }
  }
  const isAbove = (above: string, below: string): boolean => {
    const seen = new Set([below])
    for (const one of seen) for (const { upstreams } of fates.get(one)!.groups) for (const up of upstreams) seen.add(up)
    return seen.has(above)
  }
  const apply = (step: Step): boolean => {
    const fate = fates.get(step.executionId)!
    switch (step._tag) {
      case "Release":
        return holding.delete(step.executionId)
      case "Replay":
        if (!hasEnded(fate.state)) return false
        fate.attempt++
        fate.state = "blocked"
        return true
      case "Cancel":
        if (hasEnded(fate.state)) return false
        end(fate, "cancelled")
        return true
      case "AddEdge": {
        const group = fate.groups[step.group]
        const isPossible = fate.state === "blocked" && group !== undefined && !group.upstreams.includes(step.upstream)
          && !isAbove(step.executionId, step.upstream)
        if (isPossible) group.upstreams.push(step.upstream)
        return isPossible
      }
    }
  }
  const look = (allowed: boolean): Outlook => ({
    states: each((fate) => `${fate.state}/${fate.attempt}`),
    ready: each(({ ready }) => ready),
    skipped: each(({ skipped }) => skipped),
    ended: ended.toSorted(),
    allowed
  })
  const each = <A>(of: (fate: Fate) => A) =>
    Object.fromEntries(Array.from(fates, ([executionId, fate]) => [executionId, of(fate)]))

  settle()
  const all = [look(true)]
  for (const step of steps) {
    const allowed = apply(step)
    settle()
    all.push(look(allowed))
  }
  return all
}

const hasEnded = (state: Completion.Execution["state"]): boolean => state !== "blocked" && state !== "ready"
