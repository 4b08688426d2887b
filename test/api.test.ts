/**
 * The public API as declarations, compared with the snapshot in `docs/api/`. A change of the API changes the snapshot in
 * the same commit: `pnpm vitest run --config vitest.workspace.ts api -u`.
 */
import { beforeAll, describe, expect, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

describe.each(["core", "testing"])("@sluice/%s", (name) => {
  const out = mkdtempSync(join(tmpdir(), "sluice-api-"))
  beforeAll(() => {
    const options = [
      "--noEmit",
      "false",
      "--emitDeclarationOnly",
      "--declaration",
      "--removeComments",
      "--composite",
      "false"
    ]
    const project = join(root, "packages", name)
    // Without its references a package sees the others as its users in this workspace do: by their sources.
    execFileSync(
      process.execPath,
      [
        join(root, "node_modules/typescript/bin/tsc"),
        ...["-p", project, "--outDir", out, "--rootDir", join(root, "packages"), "--declarationMap", "false"],
        ...options
      ],
      { stdio: ["ignore", "inherit", "inherit"] }
    )
    return () => rmSync(out, { recursive: true })
  }, 120_000)

  it("has the API of its snapshot", async () => {
    const folder = join(out, name, "src")
    const declarations = readdirSync(folder).filter((file) => file.endsWith(".d.ts")).toSorted().map((file) =>
      `// ${file.replace(".d.ts", "")}\n${readFileSync(join(folder, file), "utf8").trim()}\n`
    )
    await expect(declarations.join("\n")).toMatchFileSnapshot(join(root, "docs/api", `${name}.txt`))
  })
})
