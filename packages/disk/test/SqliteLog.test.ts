/** Logs on SQLite, in real files: every law of logs, and of collectors over them. */
import { describe, it } from "@effect/vitest"
import type { Log } from "@sluice/core"
import { SqliteLog } from "@sluice/disk"
import { CollectorLaws, LogLaws } from "@sluice/testing"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { answered } from "./support/calls.ts"
import { file, open } from "./support/files.ts"

/** In a file for each check, where each log has a record of its own, since the laws want it empty. */
const logs = Effect.gen(function*() {
  const opened = yield* Effect.flatMap(file, (path) => open(path))
  let records = 0
  const shared = SqliteLog.SqliteFile.of({
    file: opened.file,
    engine: (record, options) => opened.engine({ ...record, key: `${record.key} ${records++}` }, options)
  })
  return ({ capacity = 1_000, retention }: Partial<LogLaws.LogOptions>): Log.LogBacking => {
    const backing = SqliteLog.backing({ retention: { count: capacity, ...retention } })
    return {
      ...backing,
      make: (record) => Effect.orDie(Effect.provideService(backing.make(record), SqliteLog.SqliteFile, shared))
    }
  }
})
const timing = {
  turn: answered,
  elapse: (millis: number) => Effect.andThen(TestClock.adjust(millis), answered)
}
const limit = 60_000

describe("logs on SQLite", () => {
  for (const law of LogLaws.laws) {
    it.effect(
      law.name,
      () =>
        Effect.flatMap(
          logs,
          (backing) => law.check(LogLaws.subject("logs on SQLite", LogLaws.promises.memory, backing, timing))
        ),
      limit
    )
  }
})

describe("collectors over a log on SQLite", () => {
  for (const law of CollectorLaws.laws) {
    it.effect(
      law.name,
      () =>
        Effect.flatMap(
          logs,
          (backing) => law.check(CollectorLaws.subject("collectors on SQLite", () => backing({}), timing))
        ),
      limit
    )
  }
})
