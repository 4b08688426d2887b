/** The code in the README and the docs compiles: each block is a module of its own. */
import { describe, expect, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const pages = [
  "README.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".md"))
    .map((file) => join("docs", file))
]

describe("the graph in the README", () => {
  it.each([["mermaid", "--graph"], ["dot", "--graph=dot"]])(
    "is what the telemetry example draws: %s",
    (language, flag) => {
      const drawn = execFileSync(process.execPath, [join(root, "examples/telemetry/main.ts"), flag], {
        encoding: "utf8"
      })
      expect(readFileSync(join(root, "README.md"), "utf8")).toContain(`\`\`\`${language}\n${drawn}\`\`\``)
    }
  )
})

describe("the docs' code", () => {
  it("compiles", () => {
    const folder = join(root, ".docs-check")
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder)
    try {
      for (const page of pages) {
        const blocks = Array.from(readFileSync(join(root, page), "utf8").matchAll(/^```ts\n([^]*?)^```/gm))
        for (const [index, [, code]] of blocks.entries()) {
          writeFileSync(join(folder, `${page.replaceAll(/\W/g, "-")}-${index + 1}.ts`), `${code}\nexport {}\n`)
        }
      }
      writeFileSync(
        join(folder, "tsconfig.json"),
        JSON.stringify({
          extends: "../tsconfig.json",
          compilerOptions: { noUnusedLocals: false },
          include: ["*.ts"]
        })
      )
      execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder], {
        encoding: "utf8",
        stdio: ["ignore", "inherit", "inherit"]
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 120_000)
})
