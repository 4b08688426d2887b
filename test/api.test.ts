/**
 * The public API as declarations, compared with the snapshot in `docs/api/`. A change of the API changes the snapshot in
 * the same commit: `pnpm vitest run --config vitest.workspace.ts api -u`.
 */
import { beforeAll, describe, expect, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")

describe.each(["core", "testing", "disk"])("@sluice/%s", (name) => {
  const out = mkdtempSync(join(tmpdir(), "sluice-api-"))
  beforeAll(() => {
    const project = join(root, "packages", name)
    // Without references, which are not inherited, a package sees the others by their sources: nothing need be built.
    writeFileSync(
      join(out, "tsconfig.json"),
      JSON.stringify({
        extends: join(project, "tsconfig.json"),
        compilerOptions: {
          rootDir: join(root, "packages"),
          outDir: out,
          typeRoots: [join(root, "node_modules/@types")],
          composite: false,
          declaration: true,
          declarationMap: false,
          emitDeclarationOnly: true,
          removeComments: true
        },
        include: [join(project, "src")]
      })
    )
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--project", out], {
      stdio: ["ignore", "inherit", "inherit"]
    })
    return () => rmSync(out, { recursive: true })
  }, 120_000)

  it("has the API of its snapshot", async () => {
    const folder = join(out, name, "src")
    const read = (file: string) => readFileSync(join(folder, file), "utf8")
    const modules = readdirSync(folder).filter((file) => file.endsWith(".d.ts")).toSorted()
    const shown = new Set(modules.flatMap((file) =>
      Array.from(
        read(file).matchAll(/^export .*? from "\.\/(internal\/\w+)\.ts"/gm),
        ([, internal]) => `${internal}.d.ts`
      )
    ))
    const declarations = [...modules, ...[...shown].toSorted()].map((file) =>
      `// ${file.replace(".d.ts", "")}\n${read(file).trim()}\n`
    )
    await expect(declarations.join("\n")).toMatchFileSnapshot(join(root, "docs/api", `${name}.txt`))
  })
})
