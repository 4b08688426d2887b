/** Work that goes on beside everything else, in a fiber whose end somebody hears. */
import { type Context, Effect, type Fiber, type Scope } from "effect"
import { lastingContext } from "./lasting.ts"
import { sayError } from "./say.ts"

/**
 * Runs `work` beside everything else until the scope closes, which interrupts it and does not wait for it. It ends by
 * returning. Anything else (a defect, a failure, an interrupt from within) is told in the log, with `what` as its subject,
 * and it is begun anew, after a second.
 */
export const inBackground = (
  what: string,
  work: Effect.Effect<void, unknown>
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.map(lastingContext, (context) => new Worker(what, work, context)),
    (worker) => Effect.sync(() => worker.stop())
  ))

/** As `inBackground`, for as long as its owner does not stop it. */
export class Worker {
  private fiber: Fiber.Fiber<void, unknown> | undefined
  private stopped = false
  private readonly what: string
  private readonly work: Effect.Effect<void, unknown>
  private readonly context: Context.Context<never>

  /** Begins at once. `what` is told where it ends by itself; `context` has the clock and the loggers that it goes by. */
  constructor(what: string, work: Effect.Effect<void, unknown>, context: Context.Context<never>) {
    this.what = what
    this.work = work
    this.context = context
    this.run(work)
  }
  /** Interrupts it. */
  stop(): void {
    this.stopped = true
    this.fiber?.interruptUnsafe()
  }
  private run(work: Effect.Effect<void, unknown>): void {
    const fiber = Effect.runForkWith(this.context)(work)
    this.fiber = fiber
    // Only now: one that stops itself, or is stopped by what it calls, has had no fiber to interrupt.
    if (this.stopped) fiber.interruptUnsafe()
    fiber.addObserver((exit) => {
      if (this.stopped || exit._tag === "Success") return
      this.run(
        Effect.andThen(
          sayError(`${this.what} failed, and begins anew in a second`, exit.cause),
          Effect.andThen(Effect.sleep("1 second"), this.work)
        )
      )
    })
  }
}
