/**
 * While a drain that an interrupt began is under way, a second SIGINT or SIGTERM ends the process at once, with the exit
 * code that the signal would have given. The first is one that the process was sent since the topology was built, also
 * where something else began the drain. Does nothing where there is no `process` that has signals.
 */
import { Effect, type Scope } from "effect"

interface Process {
  readonly pid: number
  readonly on: (signal: string, listener: () => void) => void
  readonly removeListener: (signal: string, listener: () => void) => void
  readonly listenerCount: (signal: string) => number
  readonly kill: (pid: number, signal: string) => void
  readonly exit: (code: number) => void
}
const codes = { SIGINT: 130, SIGTERM: 143 } as const

/** One listener for all topologies of the process, so that a thousand of them are no thousand listeners. */
class Signals {
  private readonly host: Process
  private topologies = 0
  private received = 0
  private draining = 0
  private readonly listeners = Object.entries(codes).map(([signal, code]) => {
    const listener = (): void => {
      // Nobody else listens: without us it would have ended the process, and so it does.
      if (this.host.listenerCount(signal) === 1) {
        this.host.removeListener(signal, listener)
        return this.host.kill(this.host.pid, signal)
      }
      if (++this.received > 1 && this.draining > 0) this.host.exit(code)
    }
    return [signal, listener] as const
  })
  constructor(host: Process) {
    this.host = host
  }
  /** For as long as a topology is there. */
  readonly listen: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
    Effect.sync(() => {
      if (this.topologies++ > 0) return
      this.received = 0
      for (const [signal, listener] of this.listeners) this.host.on(signal, listener)
    }),
    () =>
      Effect.sync(() => {
        if (--this.topologies > 0) return
        for (const [signal, listener] of this.listeners) this.host.removeListener(signal, listener)
      })
  )
  /** For as long as a drain that an interrupt began is under way. */
  readonly drain: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
    Effect.sync(() => void this.draining++),
    () => Effect.sync(() => void this.draining--)
  )
}
const host = (globalThis as { readonly process?: Partial<Process> }).process
const signals = host?.on !== undefined && host.removeListener !== undefined && host.exit !== undefined
    && host.listenerCount !== undefined && host.kill !== undefined
  ? new Signals(host as Process)
  : undefined

/** Hears the signals of the process from now on, for the life of the scope. */
export const hearSignals: Effect.Effect<void, never, Scope.Scope> = signals?.listen ?? Effect.void
/** Ends the process at a second one, for the life of the scope. */
export const endOnSecondSignal: Effect.Effect<void, never, Scope.Scope> = signals?.drain ?? Effect.void
