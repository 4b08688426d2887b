/** Holds the shape of the repository: the floors of the core, no file without a purpose, no path of a machine. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join, normalize, relative } from "node:path"

const root = join(import.meta.dirname, "..")
const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8"
})
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)))
const read = (file: string) => readFileSync(join(root, file), "utf8")
const under = (folder: string, ending = ".ts") =>
  files.filter((file) => file.startsWith(`${folder}/`) && file.endsWith(ending))

/** What a file imports, and what it re-exports, types included. */
const importsOf = (file: string): ReadonlyArray<string> =>
  Array.from(
    read(file).matchAll(/^(?:import|export)\b[^"']*?from "([^"]+)"|^import "([^"]+)"/gm),
    ([, from, bare]) => from ?? bare!
  )
const localImportsOf = (file: string): ReadonlyArray<string> =>
  importsOf(file).filter((from) => from.startsWith(".")).map((from) => normalize(join(dirname(file), from)))

/** The floors of the core from the lowest up: a file imports only what stands before it. */
const floors: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["words and time", ["internal/render", "internal/elapsed", "internal/lasting"]],
  ["errors", ["Producer", "Reader"]],
  ["pure state", [
    "internal/cursor",
    "internal/ring",
    "internal/backlog",
    "internal/latency",
    "internal/graph",
    "internal/capacity",
    "internal/window",
    "internal/groupTable",
    "internal/logState",
    "internal/tail",
    "internal/encoding",
    "internal/place"
  ]],
  ["waiting and handing over", [
    "internal/microtask",
    "internal/signal",
    "internal/metrics",
    "internal/say",
    "internal/atMost",
    "internal/worker",
    "internal/waits",
    "internal/quietScheduler",
    "internal/step",
    "internal/gate",
    "internal/throttle",
    "internal/wakes",
    "internal/withoutStack",
    "internal/answer",
    "internal/verbs",
    "internal/traced",
    "internal/contention",
    "internal/store",
    "internal/refusingStore",
    "internal/reader",
    "internal/storeBuffer",
    "internal/foreignCursor",
    "internal/polledCursor",
    "internal/offering"
  ]],
  ["the buffers", [
    "internal/stores/SpmcRing",
    "internal/stores/SingleLatest",
    "internal/stores/Mailbox",
    "internal/stores/Bounded",
    "internal/stores/FromQueue",
    "internal/stores/FromPubSub",
    "internal/memoryLog"
  ]],
  ["the contracts", [
    "Buffer",
    "Log",
    "internal/codec",
    "internal/engine",
    "internal/engineCursor",
    "internal/engineStore",
    "internal/engineLog",
    "Engine",
    "Batch"
  ]],
  ["records", ["internal/logKey", "internal/recordConfig", "internal/recordRuntime", "Record"]],
  ["components", [
    "Component",
    "internal/sharing",
    "internal/component",
    "internal/supervise",
    "internal/handlerLoop",
    "internal/collector",
    "Source",
    "Consumer",
    "Transform",
    "Collector",
    "Completion"
  ]],
  [
    "topology",
    [
      "Fault",
      "Snapshot",
      "internal/run",
      "internal/inspect",
      "internal/stall",
      "internal/secondSignal",
      "Topology",
      "index"
    ]
  ]
]
const ordered = floors.flatMap(([, names]) => names.map((name) => `packages/core/src/${name}.ts`))

describe("the core", () => {
  it("has exactly the files of its floors", () => {
    assert.deepStrictEqual(under("packages/core/src").toSorted(), ordered.toSorted())
  })
  it("imports only downwards", () => {
    const upwards = ordered.flatMap((file, floor) =>
      localImportsOf(file).filter((from) => !ordered.slice(0, floor).includes(from)).map((from) => `${file} → ${from}`)
    )
    assert.deepStrictEqual(upwards, [])
  })
  it("knows the contract above the buffers, never a buffer", () => {
    const above = ordered.slice(ordered.indexOf("packages/core/src/Log.ts"))
    assert.deepStrictEqual(above.filter((file) => localImportsOf(file).some((from) => from.includes("/stores/"))), [])
  })
  it("depends on effect alone", () => {
    const others = ordered.flatMap(importsOf).filter((from) => !from.startsWith(".") && !/^effect(\/|$)/.test(from))
    assert.deepStrictEqual(others, [])
    assert.deepStrictEqual(Object.keys(JSON.parse(read("packages/core/package.json")).peerDependencies), ["effect"])
    assert.isUndefined(JSON.parse(read("packages/core/package.json")).dependencies)
  })
})

describe("every file", () => {
  const sources = files.filter((file) => file.endsWith(".ts"))

  it("of a package, the benchmarks and the examples is imported, run or named by something", () => {
    const imported = new Set(sources.flatMap(localImportsOf))
    const entries = `${read("package.json")} ${read("README.md")} ${read("vitest.workspace.ts")} ${
      [...under("examples", ".test.ts"), ...under("test", ".test.ts")].map(read).join(" ")
    }`
    const orphans = [...under("packages"), ...under("bench"), ...under("examples"), ...under("test")].filter((file) =>
      !imported.has(file) && !/\/(index|.*\.test|.*\.check)\.ts$/.test(file)
      && ![file, relative("examples", file), relative("test", file)].some((name) => entries.includes(name))
      // A worker or a process is started by its URL.
      && !sources.some((other) =>
        ["`", "\""].some((quote) => read(other).includes(`new URL(${quote}./${basename(file, ".ts")}.`))
      )
    )
    assert.deepStrictEqual(orphans, [])
  })
  it("of a package's source opens by saying what it is", () => {
    const silent = files.filter((file) => /^packages\/\w+\/src\/.*\.ts$/.test(file)).filter((file) =>
      !/^\/[/*]/.test(read(file))
    )
    assert.deepStrictEqual(silent, [])
  })
  it("in docs is linked from the README or the architecture page", () => {
    const links = read("README.md") + read("docs/ARCHITECTURE.md")
    const unlinked = under("docs", ".md").filter((file) =>
      file !== "docs/ARCHITECTURE.md" && !links.includes(relative("docs", file))
    )
    assert.deepStrictEqual(unlinked, [])
  })
  it("is free of machine paths, focused tests and postponed work", () => {
    // The brackets keep these very lines from being found.
    const machine = /(^|[^a-zA-Z0-9.])\/(w[o]rk|h[o]me|r[o]ot|f[a]rm)\//
    const later = /\b(T[O]DO|F[I]XME|H[A]CK)\b|\.[o]nly\(/
    const found = files.filter((file) => !file.endsWith("lock.yaml")).filter((file) =>
      machine.test(read(file)) || later.test(read(file))
    )
    assert.deepStrictEqual(found, [])
  })
})
