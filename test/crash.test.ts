/** A journal in processes of its own, `crash/child.ts`, that are killed; `pnpm crash` runs more rounds. */
import { assert, describe, it } from "@effect/vitest"
import { crash } from "./crash/rounds.ts"

describe("a process that is killed at any moment", () => {
  it("leaves all that it acknowledged, once and in order, and the next goes on after what it committed", async () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    console.log(`crashes: 50 rounds with seeds ${seed} and ${seed + 1}`)
    const tallies = await Promise.all([seed, seed + 1].map((seed) => crash({ rounds: 25, seed })))
    assert.isAbove(tallies.reduce((sum, { acknowledged }) => sum + acknowledged, 0), 0)
  }, 120_000)
})
