/** Any engine with faults on demand: as one is that stands behind a disk or a network. */
import { Log } from "@sluice/core"
import { Effect } from "effect"
import { alteredLog } from "../alteredLog.ts"

/** The same engine with some of its logs' members replaced. */
export const alteredBacking = (
  backing: Log.LogBacking,
  alter: <A>(log: Log.Log<A>, record: string) => Partial<Log.Log<A>>
): Log.LogBacking => ({
  durability: backing.durability,
  make: <A>(record: Parameters<typeof backing.make<A>>[0]) =>
    Effect.map(backing.make(record), (log) => alteredLog<A>(log, alter(log, record.key)))
})

/** What goes wrong with the log of one check, and what the log has. */
export class Faults {
  /** What becomes of the next commits: refused before they took effect, or after. */
  commits: Array<"before" | "after"> = []
  /** How many of the next reads fail. */
  reads = 0
  /** The engine itself. */
  private groups: Log.Log<unknown>["groups"] = Effect.succeed([])
  /** What the last holder acquired, and what it committed last, as far as it was told. */
  attempts: ReadonlyMap<bigint, number> = new Map()

  clear(): void {
    this.commits = []
    this.reads = 0
  }
  /** What the engine has stored for a group; -1 where it does not know it. */
  committed(group: string): Effect.Effect<number, Log.LogFailed> {
    return Effect.suspend(() =>
      Effect.map(this.groups, (groups) => Number(groups.find(({ name }) => name === group)?.committed ?? -1n))
    )
  }
  around(backing: Log.LogBacking): Log.LogBacking {
    return alteredBacking(backing, (log, record) => {
      this.groups = log.groups
      const failed = (cause: string) => Effect.fail(new Log.LogFailed({ record, cause }))
      return {
        read: (from, max) =>
          Effect.suspend(() => {
            if (this.reads === 0) return log.read(from, max)
            this.reads--
            return failed("cannot read")
          }),
        acquire: (name, options) =>
          Effect.map(log.acquire(name, options), (group) => {
            this.attempts = group.attempts
            return {
              ...group,
              commit: (progress) =>
                Effect.suspend(() => {
                  const fault = this.commits.shift()
                  if (fault === "before") return failed("cannot commit")
                  const commit = group.commit(progress)
                  return fault === "after"
                    ? Effect.andThen(commit, failed("cannot tell whether it is committed"))
                    : commit
                })
            }
          })
      }
    })
  }
}
