import { defineConfig } from "vitest/config"

/** Nothing waits for time to pass: the limit is for what hangs, and far above what a busy machine needs. */
const testTimeout = 60_000

const project = (name: string, root: string, include = ["test/**/*.test.ts"]) => ({
  test: { name, root, include, testTimeout }
})
/** The suites in which what one step has seen is acted on: once more, where any two steps may have others between them. */
const steps = [
  "Collector",
  "Topology",
  "endings",
  "wholeness",
  "supervision",
  "Record",
  "interruption",
  "inspection",
  "lag"
]
const isFull = process.env["SLUICE_FULL"] === "1"
const yieldingAfter = (ops: number) => {
  const { test } = project(`yielding after ${ops}`, "packages/core", steps.map((suite) => `test/${suite}.test.ts`))
  return { test: { ...test, setupFiles: ["../../test/support/yieldOften.ts"], env: { SLUICE_OPS: String(ops) } } }
}

export default defineConfig({
  test: {
    projects: [
      project("core", "packages/core"),
      project("testing", "packages/testing"),
      project("disk", "packages/disk"),
      project("examples", "examples", ["**/*.test.ts"]),
      project("whole", "test", ["**/*.test.ts"]),
      ...(isFull ? [3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] : [3, 7]).map(yieldingAfter)
    ]
  }
})
