/** Real files for the tests of this package, and waits that end. */
import { SqliteLog } from "@sluice/disk"
import type { Engine } from "@sluice/core/Engine"
import { Context, Effect, Layer, type Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A directory of its own, until the scope closes. */
export const directory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "sluice-disk-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)
/** A database in it that is not there yet. */
export const file = Effect.map(directory, (path) => join(path, "log.db"))

/** Opens a database as another process would: with a worker and a connection of its own. */
export const open = (file: string, options?: Omit<SqliteLog.FileOptions, "file">) =>
  Effect.map(
    // A new Layer each time, since Layers are shared by reference.
    Layer.build(Layer.fresh(SqliteLog.layer({ file, ...options }))),
    (context) => Context.get(context, SqliteLog.SqliteFile)
  )
export const openRecord = (file: string, options?: SqliteLog.Options) =>
  Effect.flatMap(open(file), ({ engine }) => engine({ key: "record" }, options))

/** A turn of the event loop. */
export const turn: Effect.Effect<void> = Effect.callback((resume) => void setImmediate(() => resume(Effect.void)))

/** Looks again after each turn of the event loop, by the real time for 20 seconds at most. */
export const until = (what: string, holds: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => {
    const end = performance.now() + 20_000
    return Effect.whileLoop({
      while: () => !holds(),
      body: () => performance.now() < end ? turn : Effect.die(new Error(`${what} has not come`)),
      step: () => undefined
    })
  })

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Appends in one turn, and answers once each of them has been stored, or with the first failure. */
export const append = (engine: Engine, values: Iterable<number | string>): Effect.Effect<void, unknown> =>
  Effect.callback((resume) => {
    let left = 1
    const done = (failure?: { readonly cause: unknown }) => {
      if (failure !== undefined) resume(Effect.fail(failure.cause))
      else if (--left === 0) resume(Effect.void)
    }
    for (const value of values) {
      left++
      engine.append(encoder.encode(String(value)), done)
    }
    done()
  })
/** Everything that is kept, as `sequence:value`. */
export const contents = Effect.fnUntraced(function*(engine: Engine) {
  const all: Array<string> = []
  let next = engine.oldest()
  while (next < engine.head()) {
    const read = yield* engine.read(next, 1_000)
    for (const { bytes, sequence } of read) all.push(`${sequence}:${decoder.decode(bytes)}`)
    next += read.length
  }
  return all
})
/** As `contents` has them, where each value is its sequence. */
export const own = (from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from }, (_, index) => `${from + index}:${from + index}`)
export const numbers = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, index) => from + index)
