/** The floor: what is in flight at a time as one prebuilt buffer, written and flushed, by callbacks alone. */
import { Effect, type Scope } from "effect"
import { closeSync, fdatasync, openSync, write } from "node:fs"
import { join } from "node:path"
import { WrongDelivery } from "../../workload.ts"
import { type Item, temporary } from "../ground.ts"

export const name = "fs.write + fdatasync of prebuilt batches"

/** Into a file whose blocks are there, as those of a segment are; answers with what writes the batch of an index. */
export const open = (
  items: ReadonlyArray<Item>,
  size: number
): Effect.Effect<
  { readonly batches: number; readonly store: (index: number) => Effect.Effect<void, WrongDelivery> },
  never,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const directory = yield* temporary
    const encoder = new TextEncoder()
    const batches = Array.from(
      { length: Math.ceil(items.length / size) },
      (_, index) =>
        encoder.encode(items.slice(index * size, (index + 1) * size).map((item) => JSON.stringify(item)).join(""))
    )
    const total = batches.reduce((sum, { length }) => sum + length, 0)
    const fd = yield* Effect.acquireRelease(
      Effect.sync(() => openSync(join(directory, "raw"), "w+")),
      (fd) => Effect.sync(() => closeSync(fd))
    )
    yield* stored(fd, new Uint8Array(total), 0).pipe(Effect.orDie)
    let position = 0
    return {
      batches: batches.length,
      store: (index) =>
        Effect.suspend(() => {
          const bytes = batches[index]!
          const at = position
          position += bytes.length
          return stored(fd, bytes, at)
        })
    }
  })

const stored = (fd: number, bytes: Uint8Array, position: number): Effect.Effect<void, WrongDelivery> =>
  Effect.callback((resume) => {
    const failed = (message: string) => resume(Effect.fail(new WrongDelivery({ message })))
    write(fd, bytes, 0, bytes.length, position, (error, written) => {
      if (error !== null || written !== bytes.length) return failed(`raw write: ${error?.message ?? written}`)
      fdatasync(fd, (error) => error === null ? resume(Effect.void) : failed(`raw fdatasync: ${error.message}`))
    })
  })
