/** Correct logs with one thing about them changed, so that a law has something to find. */
import type { Reader } from "@sluice/core"
import type { Entry, Group, Log } from "@sluice/core/Log"
import { Effect, Scope } from "effect"
import { alteredLog } from "../alteredLog.ts"
import type { LogOptions, Subject } from "./law.ts"

type Numbers = Log<number>

/** The same engine with some of its logs' members replaced. */
export const altered = (alter: (log: Numbers) => Partial<Numbers>) => (subject: Subject): Subject => ({
  ...subject,
  make: (options) => Effect.map(subject.make(options), (log) => alteredLog(log, alter(log)))
})

/** The same engine, made with other options than it was asked for. */
export const misled = (mislead: (options: LogOptions) => LogOptions) => (subject: Subject): Subject => ({
  ...subject,
  make: (options) => subject.make(mislead(options))
})
/** The same engine, which knows of no retention. */
export const forgetful = misled(({ capacity }) => ({ capacity }))

/** The same engine with what is read replaced. */
export const alteredEntries = (alter: (entries: ReadonlyArray<Entry<number>>) => ReadonlyArray<Entry<number>>) =>
  altered((log) => ({ read: (from, max) => Effect.map(log.read(from, max), alter) }))

/** The same engine with some members of its readers replaced. */
export const alteredReader = (alter: (reader: Reader.Reader<number>) => Partial<Reader.Reader<number>>) =>
  altered((log) => {
    const change = (reader: Reader.Reader<number>): Reader.Reader<number> => ({
      recv: reader.recv,
      tryRecv: reader.tryRecv,
      recvBatch: reader.recvBatch,
      pending: reader.pending,
      ...alter(reader)
    })
    return {
      subscribe: Effect.map(log.subscribe, change),
      subscribeFrom: (from) => Effect.map(log.subscribeFrom(from), change)
    }
  })

/** The same engine with some members of its groups' holds replaced. */
export const alteredGroup = (alter: (group: Group, log: Numbers) => Partial<Group>) =>
  altered((log) => ({
    acquire: (name, options) => Effect.map(log.acquire(name, options), (group) => ({ ...group, ...alter(group, log) }))
  }))

/** A log that is full commits for whoever holds it back. */
export const pushy = altered((log) => {
  const holds = new Set<Group>()
  const commitAll = Effect.suspend(() =>
    Effect.forEach(
      holds,
      (group) =>
        Effect.flatMap(log.head, (head) => Effect.exit(group.commit({ through: head - 1n, attempts: new Map() }))),
      { discard: true }
    )
  )
  return {
    acquire: (name, options) => Effect.tap(log.acquire(name, options), (group) => Effect.sync(() => holds.add(group))),
    tryProduce: (value) =>
      Effect.catchTag(
        log.tryProduce(value),
        "BufferFull",
        () => Effect.andThen(Effect.ignore(commitAll), log.tryProduce(value))
      )
  }
})

/** Holds outlive the scope that they were acquired in. */
export const immortalHolds = altered((log) => ({
  acquire: (name, options) => Effect.flatMap(Scope.make(), (scope) => Scope.provide(log.acquire(name, options), scope))
}))

/** Who is interrupted while it produces produces twice, if only it can. */
export const twiceOnInterrupt = altered((log) => ({
  produceAsync: (value) =>
    Effect.onInterrupt(
      log.produceAsync(value),
      () => Effect.forkDetach(Effect.exit(Effect.andThen(log.produceAsync(value), log.produceAsync(value))))
    )
}))
