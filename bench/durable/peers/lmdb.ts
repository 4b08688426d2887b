/** lmdb by its asynchronous puts, which share a transaction; told to answer only when that is flushed. */
import { Effect, type Scope } from "effect"
import { open as openDatabase } from "lmdb"
import { join } from "node:path"
import { type Item, type Store, temporary } from "../ground.ts"

export const name = "lmdb put, flushed"

export const open: Effect.Effect<Store, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* temporary
  const database = yield* Effect.acquireRelease(
    Effect.sync(() => openDatabase<Item, number>({ path: join(directory, "items"), overlappingSync: false })),
    (database) => Effect.promise(() => database.close())
  )
  let next = 0
  return (item) => Effect.promise(() => database.put(next++, item))
})
