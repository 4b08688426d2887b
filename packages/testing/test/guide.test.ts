/** The code of `docs/testing.md` runs: each block is a test file of its own, or a program that ends. */
import { afterAll, describe, it } from "@effect/vitest"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "../../..")
const folder = join(root, ".vitest/guide")
const page = readFileSync(join(root, "docs/testing.md"), "utf8")

describe("docs/testing.md", () => {
  afterAll(() => rmSync(folder, { recursive: true }))
  mkdirSync(folder, { recursive: true })
  for (const [, section, code] of page.matchAll(/^## ([^\n]+)\n[^]*?^```ts\n([^]*?)^```/gm)) {
    const file = join(folder, `${section!.replaceAll(/\W+/g, "-")}.ts`)
    writeFileSync(file, code!)
    const run = () => import(/* @vite-ignore */ file)
    if (/^it(\.effect)?\(/m.test(code!)) describe(section!, async () => void (await run()))
    else it(`${section} ends`, run)
  }
})
