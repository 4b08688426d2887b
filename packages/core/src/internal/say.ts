/**
 * What we tell in the log. A logger that throws, or a cause that it cannot print, ends nobody: what was to be done next is
 * done.
 */
import { type Cause, Effect } from "effect"
import { printable } from "./render.ts"

type Log = (...message: ReadonlyArray<unknown>) => Effect.Effect<void>
const saying = (log: Log) => (message: string, cause?: Cause.Cause<unknown>): Effect.Effect<void> =>
  Effect.catchCause(
    Effect.suspend(() => cause === undefined ? log(message) : log(message, printable(cause))),
    () => Effect.void
  )

export const sayInfo = saying(Effect.logInfo)
export const sayWarning = saying(Effect.logWarning)
export const sayError = saying(Effect.logError)

/** An Effect of somebody else's, at whose failure or defect we go on: `what` says whose it was. */
export const orWarn = <R>(
  what: string,
  effect: () => Effect.Effect<unknown, unknown, R>
): Effect.Effect<void, never, R> =>
  Effect.matchCauseEffect(Effect.suspend(effect), {
    onSuccess: () => Effect.void,
    onFailure: (cause) => sayWarning(`${what} failed`, cause)
  })
