/** Laws on what a log lets go of, and on whom it waits for. */
import { Effect, Exit } from "effect"
import { counts, range } from "../bufferLaws/steps.ts"
import { elapse } from "../law.ts"
import { answers, ends, same, settle, start, valueOf, waits } from "../trial.ts"
import { type Law, law, limited } from "./law.ts"
import { altered, forgetful, pushy } from "./sabotage.ts"
import { acquire, commit, full, lagged, listed, outOfRange, own, put, readAll, spans } from "./steps.ts"

const pins = law("nothing is let go of that a group has not committed, held or not: the log is full", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const fast = yield* acquire(log, "fast")
    const slow = yield* acquire(log, "slow")
    yield* Effect.scoped(acquire(log, "absent"))
    yield* put(log, 0, 4)
    const isFull = Effect.gen(function*() {
      yield* answers("tryProduce on a full log", log.tryProduce(90), full(log, 90))
      yield* same("produceUnsafe on a full log", log.produceUnsafe(91), "Full")
    })
    yield* isFull
    yield* answers("produce on a full log", log.produce(92), Exit.void)
    yield* counts("of a full log", log, { produced: 4, dropped: 1 })
    yield* answers("commit of the fast group", commit(fast, 3), Exit.void)
    yield* answers("commit of the slow group", commit(slow, 1), Exit.void)
    // Nobody holds the absent group.
    yield* isFull
    yield* same("what is kept", yield* readAll(log, 0n), own(0, 4))
    yield* answers("commit of the absent group", commit(yield* acquire(log, "absent"), 2), Exit.void)
    yield* put(log, 4, 6)
    yield* isFull
    yield* spans("once two values may go", log, 2, 6)
    yield* same("what is kept then", yield* readAll(log, 2n), own(2, 6))
    yield* answers("commit of the slow group", commit(slow, 5), Exit.void)
    yield* put(log, 6, 7)
    yield* isFull
  }),
  broken: pushy
})

const expiredBeginning = law("a group that began at what had expired holds what is left", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    yield* put(log, 0, 6)
    const group = yield* acquire(log, "group", { sequence: 0n })
    yield* answers("tryProduce", log.tryProduce(6), full(log, 6))
    yield* answers("read", log.read(0n, 1), Exit.fail(lagged(log, 2)))
    yield* answers("commit of what had expired", commit(group, 1), Exit.void)
    yield* answers("tryProduce", log.tryProduce(6), full(log, 6))
    yield* answers("commit of the oldest", commit(group, 2), Exit.void)
    yield* put(log, 6, 7)
    yield* answers("tryProduce", log.tryProduce(7), full(log, 7))
  }),
  broken: pushy
})

const letIn = law("a producer that waits for a group is let in by its commit, and by its removal", {
  applies: limited,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4 })
    const group = yield* acquire(log, "group")
    yield* put(log, 0, 4)
    const producers = yield* Effect.forEach(range(4, 7), (value) => start(log.produceAsync(value)))
    for (const fiber of producers) yield* waits("produceAsync on a full log", fiber)
    yield* answers("tryProduce behind producers that wait", log.tryProduce(9), full(log, 9))
    yield* answers("commit", commit(group, 0), Exit.void)
    yield* ends("the first producer, once there is room", producers[0]!, Exit.void)
    for (const fiber of producers.slice(1)) yield* waits("a producer that there is no room for", fiber)
    yield* valueOf("removeGroup", log.removeGroup("group"))
    for (const fiber of producers) yield* ends("produceAsync once the group is gone", fiber, Exit.void)
    yield* same("what is kept", yield* readAll(log, 3n), own(3, 7))
  }),
  broken: altered((log) => ({
    produceAsync: (value) => Effect.catchTag(log.tryProduce(value), "BufferFull", () => Effect.never)
  }))
})

const expires = law("where retention lets what is unacknowledged expire, a group holds nothing back, and is told", {
  applies: (promises) => limited(promises) && promises.expiresUnacknowledged,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4, retention: { unacknowledged: "expire" } })
    const group = yield* acquire(log, "group")
    yield* put(log, 0, 2)
    yield* answers("commit", commit(group, 1), Exit.void)
    yield* put(log, 2, 10)
    yield* answers("read of what the group has next", log.read(2n, 4), Exit.fail(lagged(log, 4)))
    yield* answers("a commit that goes back", commit(group, 0), outOfRange(log, "group", 0, 1, 10))
    yield* answers("a commit of what has expired", commit(group, 5), Exit.void)
    yield* answers("a commit of what is kept", commit(group, 6), Exit.void)
    yield* same("what is kept", yield* readAll(log, 6n), own(6, 10))
  }),
  broken: forgetful
})

const timeout = 100
const idle = law("a group that nobody holds goes after its idle time; one that is held does not", {
  applies: ({ expiresGroups }) => expiresGroups,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4, retention: { groupIdleTimeout: timeout } })
    yield* put(log, 0, 4)
    const hold = Effect.scoped(Effect.gen(function*() {
      const group = yield* acquire(log, "group")
      yield* elapse(subject, timeout * 5)
      yield* answers("commit of a group that was held for long", commit(group, 0), Exit.void)
    }))
    yield* hold
    yield* elapse(subject, timeout * 0.6)
    yield* same("the groups, before its time is over", yield* listed(log), [["group", 0n]])
    // From here on it counts anew.
    yield* hold
    yield* elapse(subject, timeout * 0.6)
    yield* same("the groups, before its second time is over", yield* listed(log), [["group", 0n]])
    yield* elapse(subject, timeout * 0.6)
    yield* same("the groups then", yield* listed(log), [])
    const back = yield* acquire(log, "group", "head")
    yield* same("where it begins when it comes back", back.committed, 3n)
  }),
  broken: forgetful
})

const idleLetsGo = law("a group that has gone holds nothing back: producers are let in, also those that wait already", {
  applies: (promises) => limited(promises) && promises.expiresGroups,
  check: Effect.fnUntraced(function*(subject) {
    const log = yield* subject.make({ capacity: 4, retention: { groupIdleTimeout: timeout } })
    yield* Effect.scoped(acquire(log, "first"))
    yield* put(log, 0, 4)
    yield* elapse(subject, timeout * 1.5)
    yield* answers("tryProduce once the group is gone", log.tryProduce(4), Exit.void)
    const second = yield* start(Effect.scoped(Effect.andThen(acquire(log, "second"), Effect.never)))
    yield* settle
    const producers = yield* Effect.forEach(range(5, 7), (value) => start(log.produceAsync(value)))
    yield* settle
    yield* elapse(subject, timeout * 1.5)
    for (const fiber of producers) yield* waits("produceAsync while the group is held", fiber)
    second.interruptUnsafe()
    yield* settle
    yield* elapse(subject, timeout * 0.6)
    for (const fiber of producers) yield* waits("produceAsync before the group's time is over", fiber)
    yield* elapse(subject, timeout * 0.5)
    for (const fiber of producers) yield* ends("produceAsync once the group is gone", fiber, Exit.void)
    yield* same("what is kept", yield* readAll(log, 3n), own(3, 7))
  }),
  broken: forgetful
})

export const retention: ReadonlyArray<Law> = [pins, expiredBeginning, letIn, expires, idle, idleLetsGo]
