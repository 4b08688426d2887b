/** A journal, and flows, in processes of their own that are killed; `pnpm crash` kills more of them. */
import { assert, describe, it } from "@effect/vitest"
import { crashFlows } from "./crash/flows/programs.ts"
import { breaks, places } from "./crash/flows/task.ts"
import { crash } from "./crash/journal/rounds.ts"
import { casesOf } from "./support/cases.ts"

describe("a process that is killed at any moment", () => {
  it("leaves all that it acknowledged, once and in order, and the next goes on after what it committed", async () => {
    const seed = Math.floor(Math.random() * 2 ** 31)
    console.log(`crashes: 50 rounds with seeds ${seed} and ${seed + 1}`)
    const tallies = await Promise.all([seed, seed + 1].map((seed) => crash({ rounds: 25, seed })))
    assert.isAbove(tallies.reduce((sum, { acknowledged }) => sum + acknowledged, 0), 0)
  }, 120_000)
})

describe("flows whose process is killed between any two steps of complete, notify and promote", () => {
  it("finish as everything in turn does, with each promotion and completion made once", async () => {
    const cases = casesOf("graphs, killed by a schedule", { budget: 100, full: 1000 })
    const tallies = await Promise.all(cases.map(({ runs, seed }) => crashFlows({ programs: runs, seed })))
    const killed = places.map((place) => [
      place,
      tallies.reduce((sum, { killed }) => sum + (killed.get(place) ?? 0), 0)
    ])
    console.log(`killed: ${killed.map(([place, count]) => `${count} ${place}`).join(", ")}`)
    assert.deepStrictEqual(killed.filter(([, count]) => count === 0), [])
  }, 3_600_000)

  const expected = {
    forgetsWhatItMissed: "states after",
    marksBeforeItCounts: "states after",
    endsBeforeItTells: "completions after"
  }
  it.each(breaks)("are caught where a process %s", async (broken) => {
    const caught = await crashFlows({ programs: 20, seed: 7, broken, patience: 10_000 }).catch((error) => error)
    assert.instanceOf(caught, Error)
    assert.include(caught.message, expected[broken])
  }, 300_000)
})
