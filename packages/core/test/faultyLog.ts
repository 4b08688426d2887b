/** The log in memory, with faults on demand: as an engine is that stands behind a disk or a network. */
import { Log } from "@sluice/core"
import { Effect, Option } from "effect"

type Progress = Parameters<Log.Group["commit"]>[0]

export class Faults {
  /** What becomes of the next commits: refused, stored and then refused, or without an answer. */
  readonly commits: Array<"before" | "after" | "hang"> = []
  /** How many of the next reads fail. */
  reads = 0
  /** Sequences whose bytes do not decode. */
  readonly rotten = new Set<bigint>()
  /** What was stored, in order. */
  readonly stored: Array<Progress> = []
  /** The largest read asked for, and how many there were. */
  readonly asked: Array<{ readonly from: bigint; readonly max: number }> = []

  backing(options?: Parameters<typeof Log.memory>[0]): Log.LogBacking {
    return {
      // It outlives its holders, as far as they can tell.
      durability: "fsynced",
      make: (record) => Effect.map(Log.memory(options).make(record), (log) => this.around(log, record.key))
    }
  }
  private around<A>(log: Log.Log<A>, record: string): Log.Log<A> {
    const failed = (cause: string) => Effect.fail(new Log.LogFailed({ record, cause }))
    const read: Log.Log<A>["read"] = (from, max) =>
      Effect.suspend(() => {
        this.asked.push({ from, max })
        if (this.reads > 0) {
          this.reads--
          return failed("cannot read")
        }
        return Effect.map(
          log.read(from, max),
          (entries) =>
            entries.map((entry) =>
              this.rotten.has(entry.sequence)
                ? { sequence: entry.sequence, at: entry.at, value: Option.none<A>(), bytes: entry.bytes }
                : entry
            )
        )
      })
    const acquire: Log.Log<A>["acquire"] = (group, options) =>
      Effect.map(log.acquire(group, options), (held): Log.Group => ({
        ...held,
        commit: (progress) =>
          Effect.suspend(() => {
            const fault = this.commits.shift()
            if (fault === "hang") return Effect.never
            if (fault === "before") return failed("cannot commit")
            return Effect.andThen(
              Effect.tap(held.commit(progress), () => Effect.sync(() => void this.stored.push(progress))),
              fault === "after" ? failed("cannot tell whether it is committed") : Effect.void
            )
          })
      }))
    return Object.assign(Object.create(log), { durability: "fsynced", read, acquire })
  }
}
