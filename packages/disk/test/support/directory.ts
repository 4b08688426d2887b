import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A new directory of this machine's, until the scope closes. */
export const inTemporaryDirectory = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "sluice-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)
