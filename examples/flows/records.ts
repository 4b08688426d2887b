/** Steps on their way: those that can run wait in memory, and what was started is on disk before it does anything. */
import { Record } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Schema } from "effect"
import { join } from "node:path"

export class Ready extends Record.Service<Ready>()("flows/Ready", {
  schema: Schema.Struct({ step: Schema.String, attempt: Schema.Int }),
  buffer: { kind: "Bounded", capacity: 1024 }
}) {}

/** Stored before its process goes on: what a killed engine leaves behind is found by it. */
class Started extends Record.Service<Started>()("flows/Started", {
  schema: Schema.Struct({
    step: Schema.String,
    attempt: Schema.Int,
    /** The leader of a process group. */
    pid: Schema.Int,
    /** When that began, as the system says it: another process of the same number began at another time. */
    since: Schema.String
  })
}) {}

export const started = DiskLog.backing({ retention: { count: 10_000 } }).make<typeof Started.schema.Type>(Started)

export const journal = (directory: string) =>
  Journal.layer({ directory: join(directory, "journal"), segmentBytes: 1024 * 1024 })
