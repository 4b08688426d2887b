/** The telemetry program as its user has it, and the arithmetic inside it. */
import { assert, describe, it } from "@effect/vitest"
import { type Ended, start } from "../childProcess.ts"
import { aggregateOf } from "./aggregates.ts"
import { judge } from "./alarms.ts"

const program = (args: ReadonlyArray<string> = [], environment = {}) => start("telemetry/main.ts", args, environment)

const textOf = ({ stdout }: Ended): string => stdout.join("\n")

/** The row of a record in the table at the end. */
const rowOf = (ended: Ended, record: string): ReadonlyArray<string> =>
  ended.stdout.findLast((line) => line.startsWith(record))?.split(/ +/) ?? []

const assertDrained = (ended: Ended) => {
  assert.include(textOf(ended), "shutdown report: drained, took", ended.stderr)
  assert.strictEqual(ended.stdout.at(-1), "  interrupted: nothing")
  assert.strictEqual(ended.code, 0)
}

/** What says that samples flow, whatever became of them. */
const sampling = /^ +\d+\.\d s {2}sampling {2}samples [1-9]/

describe.concurrent("telemetry", { timeout: 60_000 }, () => {
  it("--for 2s samples for two seconds, drains, prints the report and exits 0", async () => {
    const ended = await program(["--for", "2s"]).ended
    assertDrained(ended)
    const [, elapsed, samples] = /^telemetry +([\d.]+) s +sampling +samples (\d+)/m.exec(textOf(ended)) ?? []
    assert.isAtLeast(Number(elapsed), 2)
    // A busy machine skips ticks; none makes more of them.
    assert.isAtLeast(Number(samples), 40)
    assert.isAtMost(Number(samples), Number(elapsed) * 200 + 20)
    // What the stop catches between the machine and the record is not produced.
    assert.approximately(Number(rowOf(ended, "telemetry/Sample")[3]), Number(samples), 2)
  })

  it("the slow consumer is told what it missed, and nothing else goes to stderr", async () => {
    const running = program()
    await running.line(/ missed [1-9]/)
    running.type("q\n")
    const ended = await running.ended
    assertDrained(ended)
    for (const line of ended.stderr.trimEnd().split("\n")) assert.match(line, /component \\"slow\\" falls behind/)
  })

  it("the journal refuses samples and lets aggregates wait", async () => {
    const running = program()
    await running.line(/ refused [1-9].* waited [1-9]/)
    running.type("q\n")
    assertDrained(await running.ended)
  })

  it.for(["SIGINT", "SIGTERM"] as const)("%s drains, prints the report and exits 0", async (signal) => {
    const running = program()
    await running.line(sampling)
    running.signal(signal)
    assertDrained(await running.ended)
  })

  it("a reader of the output that goes away ends it", async () => {
    const running = program()
    await running.line(sampling)
    running.stopReading()
    assert.strictEqual((await running.ended).code, 0)
  })

  it("commands on stdin stop the sampling, reset the counts, start it again and quit", async () => {
    const running = program()
    await running.line(sampling)
    running.type("x\n")
    await running.line(/ stopped {2}samples [1-9]/)
    running.type("r\n")
    await running.line(/ stopped {2}samples 0 /)
    running.type("s\n")
    await running.line(sampling)
    running.type("q\n")
    assertDrained(await running.ended)
  })

  it("keys on stdin move the threshold", async () => {
    const running = program(["--threshold", "50"])
    running.type("+\n+\n-\n+\nq\n")
    const ended = await running.ended
    assertDrained(ended)
    assert.include(textOf(ended), "threshold 60 %")
  })

  it("a share above the threshold is an alert", async () => {
    const running = program(["--threshold", "0"])
    await running.line(/alerts [1-9]\d* \(last: cpu \d+ % is above 0 %\)/)
    running.type("q\n")
    assertDrained(await running.ended)
  })

  it.for(
    [
      ["ring", "SpmcRing"],
      ["latest", "SingleLatest"],
      ["mailbox", "Mailbox"],
      ["bounded", "Bounded"],
      ["pubsub", "PubSub"],
      ["queue", "Queue"]
    ] as const
  )("--buffer %s puts samples into a %s", async ([name, kind]) => {
    const running = program(["--buffer", name])
    await running.line(sampling)
    running.type("q\n")
    const ended = await running.ended
    assertDrained(ended)
    assert.strictEqual(rowOf(ended, "telemetry/Sample")[1], kind)
  })

  it("the environment chooses kind and capacity of any record, and the flag goes before it", async () => {
    const environment = {
      RECORDS_TELEMETRY_SAMPLE_KIND: "Queue",
      RECORDS_TELEMETRY_SAMPLE_CAPACITY: "7",
      RECORDS_TELEMETRY_JOURNAL_CAPACITY: "3"
    }
    const [byEnvironment, byFlag] = await Promise.all([
      program(["--for", "100ms"], environment).ended,
      program(["--for", "100ms", "--buffer", "bounded"], environment).ended
    ])
    assertDrained(byEnvironment)
    assert.deepStrictEqual(rowOf(byEnvironment, "telemetry/Sample").slice(1, 3), ["Queue", "7"])
    assert.deepStrictEqual(rowOf(byEnvironment, "telemetry/Journal").slice(1, 3), ["Bounded", "3"])
    assertDrained(byFlag)
    assert.deepStrictEqual(rowOf(byFlag, "telemetry/Sample").slice(1, 3), ["Bounded", "7"])
  })

  it.for(
    [
      ["--buffer x", /Invalid value for flag --buffer: "x". Expected: "ring" \| "latest"/],
      ["--for soon", /Invalid value for flag --for: "soon". Expected: a duration such as/],
      ["--rate 0", /Invalid value for flag --rate: "0". Expected: 10 to 500/],
      ["--threshold 101", /Invalid value for flag --threshold: "101". Expected: 0 to 100/],
      ["--nope", /Unrecognized flag: --nope/]
    ] as const
  )("%s is refused with a message and exit code 1", async ([args, message]) => {
    const { code, stderr } = await program(args.split(" ")).ended
    assert.match(stderr, message)
    assert.strictEqual(code, 1)
  })

  it("a buffer that does not exist in the environment is refused with the name of the variable", async () => {
    const { code, stderr, stdout } = await program([], { RECORDS_TELEMETRY_SAMPLE_KIND: "Ring" }).ended
    assert.match(stderr, /RECORDS_TELEMETRY_SAMPLE_KIND .* must be one of SpmcRing, .* got "Ring"/)
    assert.deepStrictEqual(stdout, [])
    assert.strictEqual(code, 1)
  })

  it("--help prints the usage and every flag", async () => {
    const ended = await program(["--help"]).ended
    for (const part of ["USAGE", "--for", "--buffer", "--rate", "--threshold", "--graph"]) {
      assert.include(textOf(ended), part)
    }
    assert.strictEqual(ended.code, 0)
  })

  it("--graph draws the topology and nothing else", async () => {
    const [mermaid, dot] = await Promise.all([program(["--graph"]).ended, program(["--graph=dot"]).ended])
    for (const { code, stderr } of [mermaid, dot]) assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
    assert.strictEqual(mermaid.stdout[0], "flowchart LR")
    assert.strictEqual(dot.stdout[0], "digraph \"topology\" {")
    assert.strictEqual(dot.stdout.at(-1), "}")
  })
})

const sampleAt = (at: number, cores: ReadonlyArray<readonly [busy: number, total: number]>, loopDelay = 0) => ({
  at,
  cores: cores.map(([busy, total]) => ({ busy, total })),
  memoryUsed: 3,
  memoryTotal: 4,
  load: 0.5,
  loopDelay
})

describe("an aggregate", () => {
  it("has the busy share of each core between its first and its last sample", () => {
    const aggregate = aggregateOf([
      sampleAt(1000, [[100, 500], [40, 500]], 2),
      sampleAt(1500, [[300, 750], [50, 750]], 4),
      sampleAt(2000, [[350, 1000], [40, 1000]])
    ])
    assert.deepStrictEqual(aggregate, {
      at: 2000,
      millis: 1000,
      samples: 3,
      perSecond: 2,
      cpu: 25,
      cores: [50, 0],
      memory: 75,
      load: 0.5,
      loopDelay: { mean: 2, max: 4 }
    })
  })
  it("of a single sample has no share", () => {
    assert.deepInclude(aggregateOf([sampleAt(1000, [[100, 500]])]), { cpu: 0, perSecond: 0, millis: 0 })
  })
})

describe("an aggregate is an alert", () => {
  const aggregate = { ...aggregateOf([sampleAt(0, [])]), cpu: 60 }
  const kinds = (options: Parameters<typeof judge>[1]) => judge(aggregate, options).map(({ kind }) => kind)

  it("above the threshold, and not at it", () => {
    assert.deepStrictEqual(kinds({ threshold: 59, baseline: [] }), ["threshold"])
    assert.deepStrictEqual(kinds({ threshold: 60, baseline: [] }), [])
  })
  it("when it is ten points and three deviations from its mean, once there is a mean to speak of", () => {
    const steady = Array.from({ length: 10 }, (_, index) => 40 + index % 2)
    assert.deepStrictEqual(kinds({ threshold: 100, baseline: steady }), ["deviation"])
    assert.deepStrictEqual(kinds({ threshold: 100, baseline: steady.slice(1) }), [])
    assert.deepStrictEqual(kinds({ threshold: 100, baseline: steady.map((share) => share + 11) }), [])
    assert.deepStrictEqual(kinds({ threshold: 100, baseline: [0, 100, 0, 100, 0, 100, 0, 100, 0, 100] }), [])
  })
})
