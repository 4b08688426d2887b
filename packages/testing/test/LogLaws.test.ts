import { assert, describe, it } from "@effect/vitest"
import { Log } from "@sluice/core"
import { BufferLaws, LogLaws } from "@sluice/testing"
import { Effect } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import { alteredLog } from "../src/internal/alteredLog.ts"
import { noticesSabotage } from "../../../test/support/sabotaged.ts"

const { promises, subject } = LogLaws

/** The log in memory as an engine that answers by I/O: some turns after it is asked, and some after it has done so. */
const remote = (options: LogLaws.LogOptions): Log.LogBacking => ({
  durability: "replicated",
  make: (record) =>
    Effect.map(Log.memory(options).make(record), (log) => ({
      ...alteredLog(log, {}),
      durability: "replicated",
      produceAsync: (value) => remotely(log.produceAsync(value)),
      oldest: remotely(log.oldest),
      head: remotely(log.head),
      read: (from, max) => remotely(log.read(from, max)),
      subscribeFrom: (from) => remotely(log.subscribeFrom(from)),
      acquire: (group, options) =>
        Effect.map(remotely(log.acquire(group, options)), (hold) => ({
          ...hold,
          commit: (progress) => remotely(hold.commit(progress))
        })),
      groups: remotely(log.groups),
      removeGroup: (group) => remotely(log.removeGroup(group))
    }))
})
const some = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
const remotely = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.andThen(some, Effect.tap(effect, () => some))

const subjects: ReadonlyArray<LogLaws.Subject> = [
  ...LogLaws.ours,
  subject(
    "a log that keeps everything",
    { holds: "all", expiresUnacknowledged: false, expiresGroups: false },
    () => Log.memory()
  ),
  subject("a log that answers by I/O", promises.memory, remote, {
    turn: Effect.andThen(some, Effect.andThen(some, some))
  })
]

describe.each(subjects)("$name", (subject) => {
  for (const law of LogLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))

  it("keeps every law in plain Effect, on the live clock", () => Effect.runPromise(LogLaws.checkAll(subject)))
})

noticesSabotage(LogLaws.laws, subjects)

describe.each(casesOf("log interleavings", { budget: 100, full: 10_000 }))("seed $seed", ({ runs, seed }) => {
  it.effect("under any interleaving a log in memory does what its model does", () =>
    Effect.forEach(
      Array.from({ length: runs }, (_, index) => seed + index),
      (seed) => LogLaws.checkInterleaving(LogLaws.ours[0]!, seed),
      { discard: true }
    ), 600_000)
})

describe("the laws", () => {
  it("have names of their own, and each binds the log in memory", () => {
    assert.strictEqual(new Set(LogLaws.laws.map(({ name }) => name)).size, LogLaws.laws.length)
    for (const law of LogLaws.laws) assert.isTrue(law.applies(promises.memory), law.name)
  })
})

const asBuffer = BufferLaws.subject(
  "Log.memory as a buffer",
  BufferLaws.promises.spmcRing,
  (capacity) => Log.memory({ capacity })
)
describe(asBuffer.name, () => {
  for (const law of BufferLaws.lawsOf(asBuffer)) it.effect(law.name, () => law.check(asBuffer))
})
