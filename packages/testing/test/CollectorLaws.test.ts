import { assert, describe, it } from "@effect/vitest"
import { Log } from "@sluice/core"
import { CollectorLaws } from "@sluice/testing"
import { Effect } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import { noticesSabotage } from "../../../test/support/sabotaged.ts"

const memory = CollectorLaws.subject("Log.memory", () => Log.memory())
/** As far as a collector can tell it outlives the process, so that attempts are committed before they are made. */
const lasting = CollectorLaws.subject("a log that lasts", () => ({
  durability: "fsynced",
  make: (record) =>
    Effect.map(Log.memory().make(record), (log) => Object.assign(Object.create(log), { durability: "fsynced" }))
}))
const subjects = [memory, lasting]

describe.each(subjects)("$name", (subject) => {
  for (const law of CollectorLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))

  it(
    "keeps every law in plain Effect, on the live clock",
    () => Effect.runPromise(CollectorLaws.checkAll(subject)),
    60_000
  )
})

noticesSabotage(CollectorLaws.laws, subjects)

describe.each(casesOf("collector interleavings", { budget: 100, full: 10_000 }))("seed $seed", ({ runs, seed }) => {
  it.effect.each(subjects)("under any interleaving every invariant holds: $name", (subject) =>
    Effect.forEach(
      Array.from({ length: Math.ceil(runs / subjects.length) }, (_, index) => seed + index),
      (seed) => CollectorLaws.checkInterleaving(subject, seed),
      { discard: true }
    ), 600_000)
})

describe("the laws", () => {
  it("have names of their own", () => {
    assert.strictEqual(new Set(CollectorLaws.laws.map(({ name }) => name)).size, CollectorLaws.laws.length)
  })
})
