/**
 * Another process on a file of flows, as a child of a test: says each thing that it has done on a line of its own.
 *
 * - `obey FILE`: says "open", then does what each line asks, `complete ID` or `promote ID`, and says the answer in JSON.
 * - `work FILE SEED NAME`: adds, completes, promotes and replays executions of its own and of others by a seed for as long as
 *   it lives, and says `ID/ATTEMPT OUTCOME` once it has completed one.
 */
import type { Completion } from "@sluice/core"
import { Effect, Option } from "effect"
import { createInterface } from "node:readline"
import { Chance } from "../../../testing/src/internal/faults/chance.ts"
import { open } from "./flows.ts"
import { say, startProgram } from "./process.ts"

const self = import.meta.filename

export const start = (...args: ReadonlyArray<string | number>) => startProgram(self, ...args)

const obey = (store: Completion.FlowStore) =>
  Effect.callback<void>((resume) => {
    say("open")
    const lines = createInterface({ input: process.stdin })
    lines.on("line", (line) => {
      const [verb, executionId] = line.split(" ") as [string, string]
      const answer: Effect.Effect<unknown, unknown> = verb === "complete"
        ? store.complete({ executionId, attempt: 1, outcome: "succeeded" })
        : store.promote(executionId)
      void Effect.runPromise(answer).then((answer) => say(JSON.stringify(answer)))
    })
    lines.on("close", () => resume(Effect.void))
  })

const work = (store: Completion.FlowStore, seed: number, name: string) =>
  Effect.gen(function*() {
    const chance = new Chance(seed)
    const known: Array<string> = []
    for (let n = 0;; n++) {
      const recent = () => known[Math.max(0, known.length - 1 - chance.below(12))]!
      const kind = known.length < 3 ? "add" : chance.of(["add", "complete", "complete", "promote", "replay"])
      if (kind === "add") {
        const executionId = `${name}-${n}`
        const upstreams = known.length < 3 || chance.happens(0.4) ? [] : Array.from(new Set([recent(), recent()]))
        const policy = chance.of<Completion.EdgePolicy>(["allOf", "anyOf", { quorum: 2 }])
        yield* store.add({ executionId, groups: upstreams.length === 0 ? [] : [{ policy, upstreams }] })
        known.push(executionId)
        continue
      }
      const executionId = recent()
      if (kind === "promote") yield* store.promote(executionId)
      const { attempt, state } = Option.getOrThrow(yield* store.get(executionId))
      if (kind === "complete" && state === "ready") {
        const outcome = chance.of(["succeeded", "succeeded", "failed"] as const)
        if (yield* store.complete({ executionId, attempt, outcome })) say(`${executionId}/${attempt} ${outcome}`)
      }
      if (kind === "replay" && chance.happens(0.3)) yield* Effect.ignore(store.replay(executionId))
    }
  })

if (process.argv[1] === self) {
  const [, , what, file, seed, name] = process.argv
  const run = Effect.flatMap(
    open(file!),
    ({ store }): Effect.Effect<void, unknown> => what === "obey" ? obey(store) : work(store, Number(seed), name!)
  )
  await Effect.runPromise(Effect.scoped(run))
}
