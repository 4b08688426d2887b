/** The journal keeps the laws of every log, and of the collectors over it. */
import { describe, it } from "@effect/vitest"
import type { Log } from "@sluice/core"
import { DiskLog, Journal, Storage } from "@sluice/disk"
import { CollectorLaws, Faults, LogLaws } from "@sluice/testing"
import { Effect, Layer, type Scope } from "effect"
import { turn as watched, watchedStorage, watchedTemporary } from "./support/watched.ts"

/** Each log in a journal of its own. */
const journaled = (
  directory: Effect.Effect<string, never, Scope.Scope>,
  storage: () => Storage.Storage,
  retention?: DiskLog.Retention
): Log.LogBacking => ({
  durability: "fsynced",
  make: (record) =>
    Effect.gen(function*() {
      const journal = yield* Layer.build(Journal.layer({ directory: yield* directory, segmentBytes: 64 * 1024 })).pipe(
        Effect.provideService(Storage.CurrentStorage, storage())
      )
      return yield* Effect.provideContext(DiskLog.backing({ ...(retention && { retention }) }).make(record), journal)
    }).pipe(Effect.orDie)
})

const simulated = () => Faults.disk({ turnsMax: 1 }).storage
const inMemory = (retention?: DiskLog.Retention) => journaled(Effect.succeed("/journal"), simulated, retention)
/** A flush and what comes of it takes some turns of the event loop. */
const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

const log = LogLaws.subject(
  "the journal",
  LogLaws.promises.memory,
  ({ capacity, retention }) => inMemory({ ...retention, count: capacity }),
  { turn }
)
const collectors = CollectorLaws.subject("the journal", () => inMemory(), { turn })

describe("logs", () => {
  for (const law of LogLaws.lawsOf(log)) it.effect(law.name, () => law.check(log), 60_000)
})
describe("collectors", () => {
  for (const law of CollectorLaws.lawsOf(collectors)) it.effect(law.name, () => law.check(collectors), 60_000)
})

const onDisk = LogLaws.subject(
  "the journal on this machine's disk",
  LogLaws.promises.memory,
  ({ capacity, retention }) => journaled(watchedTemporary, () => watchedStorage, { ...retention, count: capacity }),
  { turn: watched }
)
describe("logs, on this machine's disk", () => {
  for (const law of LogLaws.lawsOf(onDisk)) it.effect(law.name, () => law.check(onDisk), 60_000)
})
