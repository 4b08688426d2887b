/** Laws on groups: epochs, fencing, progress, listing and removal. */
import { LogFailed } from "@sluice/core/Log"
import { Effect, Exit, Scope } from "effect"
import { elapse } from "../law.ts"
import { answers, same, valueOf } from "../trial.ts"
import { always, type Law, law } from "./law.ts"
import { altered, alteredGroup, immortalHolds } from "./sabotage.ts"
import { acquire, commit, listed, outOfRange, put, stale } from "./steps.ts"

const resumes = law("a group that is acquired again goes on after what it has committed, wherever it was to begin", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 4)
    yield* Effect.scoped(Effect.gen(function*() {
      const first = yield* acquire(log, "group")
      yield* same("committed of a new group", first.committed, -1n)
      yield* answers("commit through 1", commit(first, 1), Exit.void)
    }))
    for (const from of ["head", "oldest", { sequence: 0n }] as const) {
      const again = yield* acquire(log, "group", from)
      yield* same("committed once it is acquired again", again.committed, 1n)
    }
  }),
  broken: altered((log) => ({
    acquire: (name, options) => Effect.andThen(log.removeGroup(name), log.acquire(name, options))
  }))
})

const epochs = law("each acquire of a group raises its epoch, also after it was removed", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    let last = (yield* acquire(log, "group")).epoch
    for (const before of ["taken over", "released", "removed"] as const) {
      if (before === "released") last = yield* Effect.scoped(Effect.map(acquire(log, "group"), ({ epoch }) => epoch))
      if (before === "removed") yield* valueOf("removeGroup", log.removeGroup("group"))
      yield* acquire(log, "another group")
      const { epoch } = yield* acquire(log, "group")
      yield* same(`whether the epoch of a group that was ${before} is higher than before`, epoch > last, true)
      last = epoch
    }
  }),
  broken: alteredGroup(() => ({ epoch: 1n }))
})

const fenced = law("a commit of an earlier holder fails with StaleEpoch, and changes nothing", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 4)
    const scope = yield* Scope.make()
    const first = yield* Scope.provide(acquire(log, "group"), scope)
    yield* answers("commit of the first holder", commit(first, 0), Exit.void)
    const second = yield* acquire(log, "group")
    for (const through of [0, 2, -1, 9]) {
      yield* answers(
        `commit of the first holder, fenced, through ${through}`,
        commit(first, through, new Map([[3n, 2]])),
        stale(log, "group", first)
      )
    }
    yield* same("the groups then", yield* listed(log), [["group", 0n]])
    yield* answers("commit of the second holder", commit(second, 1), Exit.void)
    yield* Scope.close(scope, Exit.void)
    yield* answers("commit of the second holder, once the first has let go", commit(second, 2), Exit.void)
    const third = yield* acquire(log, "group")
    yield* same("what the third finds", [third.committed, third.attempts], [2n, new Map()])
    yield* answers("commit of the second holder, fenced", commit(second, 3), stale(log, "group", second))
  }),
  broken: altered((log) => {
    let newest: Effect.Success<ReturnType<typeof log.acquire>>
    return {
      acquire: (name, options) =>
        Effect.map(log.acquire(name, options), (group) => {
          newest = group
          return { ...group, commit: (progress) => newest.commit(progress) }
        })
    }
  })
})

const over = law("a hold whose scope closed, or whose group was removed, commits nothing more", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 4)
    const released = yield* Effect.scoped(acquire(log, "released"))
    yield* answers("commit after the scope closed", commit(released, 1), stale(log, "released", released))
    const removed = yield* acquire(log, "removed")
    yield* answers("commit", commit(removed, 1), Exit.void)
    yield* valueOf("removeGroup", log.removeGroup("removed"))
    yield* answers("commit after the removal", commit(removed, 2), stale(log, "removed", removed))
    yield* same("the groups then", yield* listed(log), [["released", -1n]])
    const again = yield* acquire(log, "removed", "head")
    yield* same("where it begins when it comes back", again.committed, 3n)
    yield* answers("commit of the hold before", commit(removed, 3), stale(log, "removed", removed))
  }),
  broken: immortalHolds
})

const monotone = law(
  "a commit goes on or repeats; one that goes back or beyond the head is refused and changes nothing",
  {
    applies: always,
    check: Effect.fnUntraced(function*(subject) {
      const log = yield* subject.make({ capacity: 8 })
      const group = yield* acquire(log, "group")
      yield* answers("commit of nothing yet", commit(group, -1), Exit.void)
      yield* answers("commit on an empty log", commit(group, 0), outOfRange(log, "group", 0, -1, 0))
      yield* put(log, 0, 4)
      yield* answers("commit through 1", commit(group, 1), Exit.void)
      yield* answers("the same again", commit(group, 1), Exit.void)
      for (const through of [-2, -1, 0, 4, 5, 2 ** 60]) {
        yield* answers(
          `commit through ${through}`,
          commit(group, through, new Map([[3n, 2]])),
          outOfRange(log, "group", through, 1, 4)
        )
      }
      yield* same("the groups then", yield* listed(log), [["group", 1n]])
      yield* answers("commit through 3", commit(group, 3), Exit.void)
      const next = yield* acquire(log, "group")
      yield* same("what the next holder finds", [next.committed, next.attempts], [3n, new Map()])
    }),
    broken: alteredGroup((group) => ({
      commit: (progress) => Effect.catchTag(group.commit(progress), "CommitOutOfRange", () => Effect.void)
    }))
  }
)

const attempts = law("attempts are kept with the commit that brought them, and the next commit's take their place", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 5)
    const first = yield* acquire(log, "group")
    yield* same("the attempts of a new group", first.attempts, new Map())
    const tried = new Map([[0n, 9], [1n, 2], [3n, 5], [5n, 9], [99n, 9]])
    yield* answers("commit through 0", commit(first, 0, tried), Exit.void)
    tried.clear()
    const second = yield* acquire(log, "group")
    yield* same("the attempts that the next holder finds", sorted(second.attempts), [[1n, 2], [3n, 5]])
    yield* answers("the same commit, with others", commit(second, 0, new Map([[4n, 3], [3n, 6]])), Exit.void)
    const third = yield* acquire(log, "group")
    yield* same("the attempts that the third finds", sorted(third.attempts), [[3n, 6], [4n, 3]])
    yield* answers("commit through 3", commit(third, 3, third.attempts), Exit.void)
    yield* same("those left above 3", sorted((yield* acquire(log, "group")).attempts), [[4n, 3]])
    yield* same("the attempts of another group", (yield* acquire(log, "other")).attempts, new Map())
  }),
  broken: alteredGroup(() => ({ attempts: new Map() }))
})
const sorted = (attempts: ReadonlyMap<bigint, number>) => [...attempts].toSorted(([a], [b]) => Number(a - b))

const listing = law("groups are listed with their progress, each for itself, until they are removed", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* same("the groups of a new log", yield* listed(log), [])
    yield* put(log, 0, 4)
    const one = yield* acquire(log, "one")
    yield* Effect.scoped(acquire(log, "two", { sequence: 2n }))
    const three = yield* acquire(log, "three / with, a strange \"name\"")
    yield* answers("commit of one", commit(one, 3), Exit.void)
    const two = ["two", 1n] as const
    yield* same("the groups", yield* listed(log), [["one", 3n], ["three / with, a strange \"name\"", -1n], two])
    yield* valueOf("removeGroup", log.removeGroup("one"))
    yield* valueOf("removeGroup of one that there is not", log.removeGroup("nobody"))
    yield* same("the groups that are left", yield* listed(log), [["three / with, a strange \"name\"", -1n], two])
    yield* answers("commit of another group", commit(three, 1), Exit.void)
    yield* valueOf("removeGroup", log.removeGroup("three / with, a strange \"name\""))
    yield* same("the last", yield* listed(log), [two])
  }),
  broken: altered((log) => ({ groups: Effect.map(log.groups, (groups) => groups.slice(0, 1)) }))
})

const idle = law("a group is idle from when it was last held", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    const idleSince = Effect.map(valueOf("groups", log.groups), (groups) => groups[0]?.idleSince ?? Number.NaN)
    yield* Effect.scoped(Effect.gen(function*() {
      yield* acquire(log, "group")
      const before = yield* idleSince
      yield* elapse(subject, 50)
      yield* same("whether a group that is held is idle", (yield* idleSince) === before, false)
    }))
    const released = yield* idleSince
    yield* elapse(subject, 50)
    yield* same("since when a group that was released is idle", yield* idleSince, released)
    yield* acquire(log, "group")
    yield* same("whether one that was acquired again still is", (yield* idleSince) > released, true)
  }),
  broken: altered((log) => ({
    groups: Effect.map(log.groups, (groups) => groups.map((group) => ({ ...group, idleSince: 0 })))
  }))
})

const afterClose = law("after the close groups can be acquired, committed and removed", {
  applies: always,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 8 })
    yield* put(log, 0, 4)
    const held = yield* acquire(log, "group")
    yield* valueOf("close", log.close)
    yield* answers("commit after the close", commit(held, 1), Exit.void)
    const again = yield* acquire(log, "group")
    yield* same("committed", again.committed, 1n)
    yield* answers("commit of a hold acquired after the close", commit(again, 3), Exit.void)
    yield* same("where a new group begins", (yield* acquire(log, "late")).committed, -1n)
    yield* valueOf("removeGroup", log.removeGroup("late"))
    yield* same("the groups", yield* listed(log), [["group", 3n]])
  }),
  broken: altered((log) => {
    let closed = false
    return {
      close: Effect.suspend(() => (closed = true, log.close)),
      acquire: (name, options) =>
        Effect.suspend(() =>
          closed ? Effect.fail(new LogFailed({ record: log.record, cause: "closed" })) : log.acquire(name, options)
        )
    }
  })
})

export const groups: ReadonlyArray<Law> = [
  resumes,
  epochs,
  fenced,
  over,
  monotone,
  attempts,
  listing,
  idle,
  afterClose
]
