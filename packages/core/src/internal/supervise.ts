/**
 * Keeps the slots of a component running. What a failed attempt held is abandoned and counted; the next attempt waits as
 * the restart schedule says, and goes on with the same readers. Each slot fails for itself, until a schedule ends: then
 * the whole component has failed.
 *
 * Each attempt is a fiber of its own, and so is each wait between two of them. However one ends (a failure, a defect, an
 * interrupt that the handler has brought on itself, a schedule that throws), its end is heard here, and nowhere else.
 */
import { Cause, Clock, type Context, Effect, Exit, type Fiber, Pull, Schedule, Scope } from "effect"
import { defaultRestart, type Running, type Slot } from "./component.ts"
import { steadyMillis } from "./elapsed.ts"
import { brief, wellFormed } from "./render.ts"
import { orWarn, sayWarning } from "./say.ts"
import { storeOf } from "./store.ts"

/** Why a component has failed for good, beside the cause. */
export type FailedFor = "restartEnded" | "restartFailed" | "final" | "draining"
export interface Failed {
  readonly why: FailedFor
  readonly cause: Cause.Cause<unknown>
  /** What it failed by, where that is not what its handler failed with. */
  readonly by?: Cause.Cause<unknown>
}

type Delays = Effect.Success<ReturnType<typeof newDelays>>
const newDelays = ({ spec }: Running) => Schedule.toStep(spec.restart ?? defaultRestart)

export class Supervision {
  private readonly running: Running
  private readonly context: Context.Context<never>
  /** Told once no slot runs any more: `running.outcome` is set. */
  private readonly onOver: (failed: Failed | undefined) => void
  /** Told once it has given up its readers as well. */
  private readonly onEnd: () => void
  private readonly fibers = new Map<Slot, Fiber.Fiber<unknown, unknown>>()
  private readonly delays = new Map<Slot, Delays>()
  private slotsLeft: number
  private failed: Failed | undefined
  private interrupted = false
  /** How many ends are being heard within each other: what fails at once, without a delay, may not fill the stack. */
  private nesting = 0

  /** `context` has the clock and the loggers that it goes by. */
  constructor(running: Running, options: {
    readonly context: Context.Context<never>
    readonly onOver: (failed: Failed | undefined) => void
    readonly onEnd: () => void
  }) {
    this.running = running
    this.context = options.context
    this.onOver = options.onOver
    this.onEnd = options.onEnd
    this.slotsLeft = running.slots.length
  }
  /** The first attempts, in a later turn. */
  start(): void {
    for (const slot of this.running.slots) this.attempt(slot, true)
  }
  /** The topology ends it. Its fibers are not waited for here. */
  interrupt(): void {
    this.running.isEnding = true
    for (const fiber of this.fibers.values()) fiber.interruptUnsafe()
  }

  private attempt(slot: Slot, later: boolean): void {
    const { running } = this
    slot.state = "Running"
    slot.attempt++
    const { abandoned, handled } = slot
    const attempt = Effect.suspend(() => running.spec.attempt(running, slot))
    this.run(running.spec.context, slot, later ? Effect.andThen(Effect.yieldNow, attempt) : attempt, (exit) => {
      if (Exit.isSuccess(exit)) {
        slot.end(slot.inFlight)
        return this.slotOver(slot)
      }
      slot.abandon()
      const cause = wellFormed(exit.cause)
      if (running.isEnding) {
        // What the interrupt has let run, such as a finalizer, may have failed.
        if (!Cause.hasInterruptsOnly(cause)) {
          this.say(`component "${running.spec.name}" failed when it was interrupted`, cause)
        }
        return this.slotOver(slot)
      }
      this.restart(slot, cause, { handled: slot.handled - handled, abandoned: slot.abandoned - abandoned })
    })
  }
  private restart(
    slot: Slot,
    cause: Cause.Cause<unknown>,
    since: { readonly handled: number; readonly abandoned: number }
  ): void {
    const { running } = this
    running.lastCause = brief(cause)
    slot.state = "Restarting"
    if (running.isFinal(cause)) return this.fail(slot, { why: "final", cause })
    // A drain lets what is held be handled, and begins nothing else anew: not a source, nor what gets nowhere.
    if (running.stop.isOpen() && (this.endsAtStop || (since.handled === 0 && since.abandoned === 0))) {
      return this.fail(slot, { why: "draining", cause })
    }
    if (since.handled > 0) this.delays.delete(slot)
    this.run(this.context, slot, this.backoff(slot, cause, since.abandoned), (exit) => {
      if (running.isEnding) return this.slotOver(slot)
      // The schedule has died: of what, and what it was asked about.
      if (Exit.isFailure(exit)) {
        // Not `Cause.combine`, which hashes what is in them, and throws for a value that cannot be looked at.
        const by = wellFormed(exit.cause)
        const both = Cause.fromReasons([...by.reasons, ...cause.reasons])
        return this.fail(slot, { why: "restartFailed", cause: both, by })
      }
      if (!exit.value) return this.fail(slot, { why: "restartEnded", cause })
      if (this.endsAtStop && running.stop.isOpen()) return this.slotOver(slot)
      running.restarts++
      this.attempt(slot, this.nesting > 32)
    })
  }
  /** Waits as the schedule says, or until the drain. Answers false where the schedule has ended. */
  private backoff(slot: Slot, cause: Cause.Cause<unknown>, abandoned: number): Effect.Effect<boolean, unknown> {
    const { running } = this
    return Effect.gen({ self: this }, function*() {
      let delays = this.delays.get(slot)
      // From the first failure on: most components never fail.
      if (delays === undefined) this.delays.set(slot, delays = yield* newDelays(running))
      const now = steadyMillis(yield* Clock.Clock)
      const next = yield* delays(now, cause).pipe(Pull.catchDone(() => Effect.undefined))
      if (next === undefined) return false
      yield* sayWarning(
        `component "${running.spec.name}" failed and restarts: ${abandoned} value(s) abandoned`,
        cause
      )
      yield* Effect.raceFirst(Effect.sleep(next[1]), running.stop.await)
      return true
    })
  }
  /** It reads nothing that a drain would have to see handled. */
  private get endsAtStop(): boolean {
    return this.running.spec.reads.length === 0
  }

  /** One fiber of a slot, whose end is `ended`'s. */
  private run<A>(
    context: Context.Context<never>,
    slot: Slot,
    effect: Effect.Effect<A, unknown, any>,
    ended: (exit: Exit.Exit<A, unknown>) => void
  ): void {
    this.nesting++
    const fiber = Effect.runForkWith(context as Context.Context<any>)(effect)
    this.fibers.set(slot, fiber)
    if (this.running.isEnding) fiber.interruptUnsafe()
    fiber.addObserver(ended)
    this.nesting--
  }
  private say(message: string, cause: Cause.Cause<unknown>): void {
    this.running.lastCause = brief(cause)
    Effect.runForkWith(this.context)(sayWarning(message, cause))
  }
  private fail(slot: Slot, failed: Failed): void {
    this.failed ??= failed
    this.interrupt()
    this.slotOver(slot)
  }
  private slotOver(slot: Slot): void {
    this.fibers.delete(slot)
    if (this.running.isEnding) this.interrupted = true
    if (--this.slotsLeft === 0) this.over()
  }
  private over(): void {
    const { running } = this
    running.outcome = this.failed !== undefined ? "Failed" : this.interrupted ? "Interrupted" : "Done"
    for (const input of running.inputs) input.left = input.pending()
    for (const claim of running.claims) claim.release()
    this.onOver(this.failed)
    Effect.runForkWith(this.context)(this.giveUp).addObserver(() => this.onEnd())
  }
  private readonly giveUp: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const { inputs, scope, spec } = this.running
    for (const input of inputs) {
      if (input.known !== undefined) yield* input.known
      input.left = input.pending()
      // What was missed within a second of the last warning is told now.
      yield* input.warn
    }
    yield* orWarn(`the end of component "${spec.name}"`, () => Scope.close(scope, Exit.void))
    for (const { record } of inputs) {
      if (record.readers > 0 || record.isClosed) continue
      if (storeOf(record.buffer)?.orphan?.() !== true || this.running.stop.isOpen()) continue
      yield* sayWarning(
        `record "${record.key}" has no reader left, since component "${spec.name}" is over: once it is full, its `
          + `producers are answered as closed`
      )
    }
  })
}
