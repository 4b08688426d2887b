/** Effect's SqlClient over node:sqlite, since its package for SQLite is not out for this version of Effect. */
import { Effect, Layer, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlConnection, SqlError, Statement } from "effect/sql"
import { DatabaseSync, type SQLInputValue } from "node:sqlite"

export const layer = (path: string): Layer.Layer<SqlClient.SqlClient> =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new DatabaseSync(path)),
        (database) => Effect.sync(() => database.close())
      )
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
      const statements = new Map<string, ReturnType<DatabaseSync["prepare"]>>()
      const run = (sql: string, params: ReadonlyArray<unknown>) =>
        Effect.try({
          try: (): ReadonlyArray<any> => {
            let statement = statements.get(sql)
            if (statement === undefined) statements.set(sql, statement = database.prepare(sql))
            return statement.all(...params as ReadonlyArray<SQLInputValue>)
          },
          catch: (cause) => new SqlError.SqlError({ reason: SqlError.classifySqliteError(cause, {}) })
        })
      const rows: SqlConnection.Connection["execute"] = (sql, params, transform) =>
        transform === undefined ? run(sql, params) : Effect.map(run(sql, params), transform)
      const values = (sql: string, params: ReadonlyArray<unknown>) =>
        Effect.map(run(sql, params), (all) => all.map((row) => Object.values(row)))
      const connection: SqlConnection.Connection = {
        execute: rows,
        executeUnprepared: rows,
        executeRaw: run,
        executeValues: values,
        executeValuesUnprepared: values,
        executeStream: (sql, params) => Stream.fromIterableEffect(run(sql, params))
      }
      return yield* SqlClient.make({
        driver: "node:sqlite",
        // Each statement is over before another can begin, and the queue has no transactions of several.
        acquirer: Effect.succeed(connection),
        compiler: Statement.makeCompilerSqlite(),
        spanAttributes: []
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))
