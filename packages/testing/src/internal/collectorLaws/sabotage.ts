/** Correct collectors with one thing about them or their log changed, so that a law has something to find. */
import type { Log } from "@sluice/core"
import { Effect, Scope } from "effect"
import { pass } from "../trial.ts"
import { alteredBacking } from "./faults.ts"
import type { CollectOptions, HandleOptions, Subject } from "./law.ts"
import type { Batch, Collected } from "./steps.ts"

/** The same collectors, on logs with some members replaced. */
export const onAltered = (alter: <A>(log: Log.Log<A>) => Partial<Log.Log<A>>) => (subject: Subject): Subject => ({
  ...subject,
  backing: () => alteredBacking(subject.backing(), alter)
})
/** The same collectors, on logs with some members of their groups' holds replaced. */
export const onAlteredGroup = (
  alter: (group: Log.Group, log: Log.Log<unknown>) => Partial<Log.Group>
): (subject: Subject) => Subject =>
  onAltered((log) => ({
    acquire: (name, options) =>
      Effect.map(log.acquire(name, options), (group) => ({ ...group, ...alter(group, log as Log.Log<unknown>) }))
  }))
/** The same collectors with some members replaced. */
export const altered = (alter: (collector: Collected) => Partial<Collected>) => (subject: Subject): Subject => ({
  ...subject,
  make: (options) => Effect.map(subject.make(options), (collector) => ({ ...collector, ...alter(collector) }))
})
/** The same collectors, made with other options than they were asked for. */
export const misled = (mislead: (options: CollectOptions) => CollectOptions) => (subject: Subject): Subject => ({
  ...subject,
  make: (options) => subject.make(mislead(options))
})
/** The same components, made with other options than they were asked for. */
export const misledLayer = (mislead: (options: HandleOptions) => HandleOptions) => (subject: Subject): Subject => ({
  ...subject,
  layer: (options) => subject.layer(mislead(options))
})

/** Commits one value more than it is told to. */
export const aheadOfWatermark = onAlteredGroup((group, log) => ({
  commit: ({ attempts, through }) =>
    Effect.flatMap(
      log.head,
      (head) => group.commit({ attempts, through: through + 1n < head ? through + 1n : through })
    )
}))
/** Shows what is committed as one less, every other time. */
export const losesProgress = altered((collector) => {
  let turn = 0n
  return {
    progress: Effect.map(
      collector.progress,
      (progress) => ({ ...progress, committed: progress.committed - (turn++ % 2n) })
    )
  }
})
/** Acknowledges what it is to give back. */
export const actsOnRelease = altered((collector) => ({ release: (batch) => collector.ack(batch) }))
/** Whoever acquires a group passes over all that there is. */
export const skipsAtTakeover = onAltered((log) => {
  const known = new Set<string>()
  return {
    acquire: (name, options) =>
      Effect.gen(function*() {
        const group = yield* log.acquire(name, options)
        if (!known.has(name)) {
          known.add(name)
          return group
        }
        const committed = (yield* log.head) - 1n
        yield* Effect.ignore(group.commit({ through: committed, attempts: new Map() }))
        return { ...group, committed }
      })
  }
})
/** Every delivery is called the first. */
export const newAttempts = altered((collector) => ({
  take: Effect.map(collector.take, (batch): Batch => ({ ...batch, attempt: 1 }))
}))
/** Of every third batch nobody knows. */
export const leaky = altered((collector) => {
  let turn = 0
  return {
    take: Effect.suspend(() =>
      ++turn % 3 === 0
        ? Effect.andThen(Effect.flatMap(Scope.make(), (scope) => Scope.provide(collector.take, scope)), collector.take)
        : collector.take
    )
  }
})
/** Misuse goes unnoticed. */
export const lenient = altered((collector) => ({
  ack: (batch) => Effect.catch(collector.ack(batch), () => Effect.void)
}))
/** Commits as it is told, as long as it is told without a fault: then it says so and does nothing. */
export const forgetsProgress = onAlteredGroup((group) => {
  let turn = 0
  return { commit: (progress) => ++turn % 4 === 3 ? Effect.void : group.commit(progress) }
})
/** Any holder may commit: whoever was fenced is told that all is well. */
export const unfenced = onAlteredGroup((group) => ({
  commit: (progress) => Effect.catchTag(group.commit(progress), "StaleEpoch", () => Effect.void)
}))
/** Whoever acquires a group begins at the beginning. */
export const rewound = onAltered((log) => ({
  acquire: (name, options) => Effect.map(log.acquire(name, options), (group) => ({ ...group, committed: -1n }))
}))
/** Attempts are not stored. */
export const forgetsAttempts = onAlteredGroup((group) => ({
  commit: ({ through }) => group.commit({ through, attempts: new Map() })
}))
/** What was taken can be interrupted on its way out. */
export const gapped = altered((collector) => ({ take: Effect.tap(collector.take, () => pass(4)) }))
/** Acknowledges before the handler is done. */
export const hastyHandlers = misledLayer((options) => ({
  ...options,
  handle: (batch) => Effect.asVoid(Effect.forkDetach(options.handle(batch)))
}))
/** Says that it has committed, and has not. */
export const silentCommits = onAlteredGroup(() => ({ commit: () => Effect.void }))
