import { defineConfig } from "vitest/config"

const project = (name: string, root: string, include = ["test/**/*.test.ts"]) => ({ test: { name, root, include } })

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
