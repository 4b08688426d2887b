/** node:sqlite with a write-ahead log, synced at each commit: one transaction for what is in flight. */
import { Effect, type Scope } from "effect"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { grouped, type Item, type Store, temporary } from "../ground.ts"

export const name = "node:sqlite, WAL, synchronous=FULL, a transaction per batch"

export const open: Effect.Effect<
  {
    readonly store: Store
    readonly storeAll: (items: ReadonlyArray<Item>) => void
    /** All rows in order, with the bytes of each. */
    readonly rows: () => Iterable<{ readonly [column: string]: unknown }>
  },
  never,
  Scope.Scope
> = Effect.gen(function*() {
  const directory = yield* temporary
  const database = yield* Effect.acquireRelease(
    Effect.sync(() => new DatabaseSync(join(directory, "items.db"))),
    (database) => Effect.sync(() => database.close())
  )
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE items (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
  `)
  const insert = database.prepare("INSERT INTO items (at, body) VALUES (?, ?)")
  const all = database.prepare("SELECT sequence, at, body FROM items ORDER BY sequence")
  const storeAll = (items: ReadonlyArray<Item>): void => {
    database.exec("BEGIN IMMEDIATE")
    for (const item of items) insert.run(Date.now(), Buffer.from(JSON.stringify(item)))
    database.exec("COMMIT")
  }
  return { store: grouped(storeAll), storeAll, rows: () => all.iterate() }
})
