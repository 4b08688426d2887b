/** A journal on a simulated disk that tears, fails, fills up, lies and loses power: see `support/program.ts`. */
import { describe, it } from "@effect/vitest"
import { casesOf } from "../../../test/support/cases.ts"
import { flip, run } from "./support/program.ts"

describe.each(casesOf("journal on a disk that fails", { budget: 300, full: 10_000 }))(
  "seed $seed",
  ({ runs, seed }) => {
    it("loses nothing that was acknowledged, makes up nothing, and goes on once the fault has gone", async () => {
      for (let i = 0; i < runs; i++) await run(seed + i)
    }, 1_200_000)
  }
)

describe.each(casesOf("a bit that flips at rest", { budget: 200, full: 10_000 }))("seed $seed", ({ runs, seed }) => {
  it("is told of, with the file and the position, or changes nothing", async () => {
    for (let i = 0; i < runs; i++) await flip(seed + i)
  }, 1_200_000)
})
