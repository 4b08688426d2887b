/** The programs of `support/program.ts` prove something: they catch a journal from which one safeguard was taken out. */
import { assert, describe, it } from "@effect/vitest"
import { vi } from "vitest"
import { type DiskOptions, run } from "./support/program.ts"

const without = vi.hoisted(() => ({ crc: false, place: false }))
vi.mock("../src/internal/frame.ts", async (original) => {
  const real = await original<typeof import("../src/internal/frame.ts")>()
  return {
    ...real,
    isIntact: (...[buffer, position, header]: Parameters<typeof real.isIntact>) =>
      without.crc ? position + header.bytes <= buffer.length : real.isIntact(buffer, position, header),
    isAt: (...args: Parameters<typeof real.isAt>) => without.place || real.isAt(...args)
  }
})

const programs = 200
/** What the first program says that fails. */
const firstFailure = async (options: DiskOptions = {}): Promise<string> => {
  for (let seed = 1; seed <= programs; seed++) {
    try {
      await run(seed, options)
    } catch (error) {
      return (error as Error).message
    }
  }
  return `nothing in ${programs} programs`
}

describe("a journal is caught", () => {
  it("that does not flush what it acknowledges", async () => {
    const failure = await firstFailure({ ignoresDatasync: true })
    assert.match(failure, /^seed \d/)
  }, 60_000)
  it("that does not make its files durable in the directory", async () => {
    const failure = await firstFailure({ ignoresDirectorySync: true })
    assert.match(failure, /^seed \d/)
  }, 60_000)
  it("that does not check what it reads", async () => {
    without.crc = true
    const failure = await firstFailure().finally(() => without.crc = false)
    assert.match(failure, /^seed \d/)
  }, 60_000)
  it("that takes what a file held before for its own", async () => {
    without.place = true
    const failure = await firstFailure().finally(() => without.place = false)
    assert.match(failure, /^seed \d/)
  }, 60_000)
})
