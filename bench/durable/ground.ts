/** What all contestants stand on: a directory on the real disk, the same values, and the same fibers that store them. */
import { Effect, Schema, type Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { WrongDelivery } from "../workload.ts"

export const Item = Schema.Struct({ sequence: Schema.Int, text: Schema.String })
export type Item = typeof Item.Type

/** As JSON each has so many bytes, or a few less. */
export const itemsOf = (count: number, bytes: number): ReadonlyArray<Item> => {
  const around = JSON.stringify({ sequence: count - 1, text: "" }).length
  const text = "x".repeat(bytes - around)
  return Array.from({ length: count }, (_, sequence) => ({ sequence, text }))
}

/** A directory for the life of the scope. */
export const temporary: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sluice-bench-"))),
  (directory) => Effect.sync(() => rmSync(directory, { recursive: true, force: true }))
)

/** Returns once the value has survived to the medium. */
export type Store = (item: Item) => Effect.Effect<unknown, unknown>

/** So many fibers, each of which stores its next value when the one before is stored. */
export const inFlight = (
  store: Store,
  items: ReadonlyArray<Item>,
  fibers: number
): Effect.Effect<void, WrongDelivery> =>
  failing(Effect.suspend(() => {
    let next = 0
    const worker = Effect.gen(function*() {
      while (next < items.length) yield* store(items[next++]!)
    })
    return Effect.forEach(Array.from({ length: fibers }), () => worker, { concurrency: "unbounded", discard: true })
  }))
/** So many at a time, each in a fiber of its own; the next lot when all are stored. */
export const together = (store: Store, items: ReadonlyArray<Item>, size: number): Effect.Effect<void, WrongDelivery> =>
  failing(Effect.gen(function*() {
    for (let first = 0; first < items.length; first += size) {
      yield* Effect.forEach(items.slice(first, first + size), store, { concurrency: "unbounded", discard: true })
    }
  }))

/** How long it took, in milliseconds. */
export const timed = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<number, E, R> =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.map(work, () => performance.now() - began)
  })

export const failing = <A, E, R>(work: Effect.Effect<A, E, R>): Effect.Effect<A, WrongDelivery, R> =>
  Effect.mapError(
    work,
    (error) => error instanceof WrongDelivery ? error : new WrongDelivery({ message: String(error) })
  )

export const assertCount = (what: string, got: number, expected: number): Effect.Effect<void, WrongDelivery> =>
  got === expected
    ? Effect.void
    : Effect.fail(new WrongDelivery({ message: `${what}: expected ${expected} values, got ${got}` }))

/**
 * For stores whose transaction is for many: what is asked for while the event loop turns goes into one, which is the usual
 * way to share its flush.
 */
export const grouped = (commit: (items: ReadonlyArray<Item>) => void): Store => {
  let waiting: Array<{ readonly item: Item; readonly resume: (done: Effect.Effect<void>) => void }> = []
  const turn = (): void => {
    const all = waiting
    waiting = []
    commit(all.map(({ item }) => item))
    for (const { resume } of all) resume(Effect.void)
  }
  return (item) =>
    Effect.callback<void>((resume) => {
      if (waiting.length === 0) setImmediate(turn)
      waiting.push({ item, resume })
    })
}
