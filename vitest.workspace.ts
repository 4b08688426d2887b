import { defineConfig } from "vitest/config"

/** Nothing waits for time to pass: the limit is for what hangs, and far above what a busy machine needs. */
const testTimeout = 60_000

const project = (name: string, root: string, include = ["test/**/*.test.ts"]) => ({
  test: { name, root, include, testTimeout }
})

export default defineConfig({
  test: {
    projects: [
      project("core", "packages/core"),
      project("testing", "packages/testing"),
      project("disk", "packages/disk"),
      project("examples", "examples", ["**/*.test.ts"]),
      project("whole", "test", ["**/*.test.ts"])
    ]
  }
})
