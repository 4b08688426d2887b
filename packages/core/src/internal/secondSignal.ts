/**
 * While a drain that an interrupt began is under way, another SIGINT or SIGTERM ends the process at once, with the exit
 * code that the signal would have given. Does nothing where there is no `process` that has signals.
 */
import { Effect, type Scope } from "effect"

interface Process {
  readonly on: (signal: string, listener: () => void) => void
  readonly removeListener: (signal: string, listener: () => void) => void
  readonly exit: (code: number) => void
}
const codes = { SIGINT: 130, SIGTERM: 143 } as const

export const endOnSecondSignal: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() => {
  const host = (globalThis as { readonly process?: Partial<Process> }).process
  if (host?.on === undefined || host.removeListener === undefined || host.exit === undefined) return Effect.void
  const { exit } = host
  const listeners = Object.entries(codes).map(([signal, code]) => [signal, () => exit(code)] as const)
  return Effect.acquireRelease(
    Effect.sync(() => listeners.forEach(([signal, listener]) => host.on!(signal, listener))),
    () => Effect.sync(() => listeners.forEach(([signal, listener]) => host.removeListener!(signal, listener)))
  )
})
