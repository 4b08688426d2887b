/**
 * Keeps the slots of a component running. What a failed attempt held is abandoned and counted; the next attempt waits as
 * the restart schedule says, and goes on with the same readers. Each slot fails for itself, until a schedule ends: then
 * the whole component has failed.
 */
import { Cause, Clock, Effect, Pull, Schedule, Scope } from "effect"
import { defaultRestart, type Running, type Slot } from "./component.ts"

/** Runs a component to its end, then gives up its readers and claims. Fails once a restart schedule has ended. */
export const supervise = (running: Running): Effect.Effect<void, Cause.Cause<unknown>> =>
  superviseSlots(running).pipe(
    Effect.onExit((exit) => {
      running.outcome = exit._tag === "Success"
        ? "Done"
        : Cause.hasInterruptsOnly(exit.cause)
        ? "Interrupted"
        : "Failed"
      for (const input of running.inputs) input.left = input.cursor.pending()
      for (const claim of running.claims) claim.release()
      // What was missed within a second of the last warning is told now.
      return Effect.forEach(running.inputs, ({ warn }) => warn, { discard: true }).pipe(
        Effect.andThen(Scope.close(running.scope, exit)),
        Effect.andThen(running.over.open)
      )
    })
  )

/** A single slot runs in the component's own fiber: one fiber less for each of thousands. */
const superviseSlots = (running: Running): Effect.Effect<void, Cause.Cause<unknown>> => {
  const [only, ...others] = running.slots
  return only !== undefined && others.length === 0
    ? superviseSlot(running, only)
    : Effect.forEach(running.slots, (slot) => superviseSlot(running, slot), {
      concurrency: "unbounded",
      discard: true
    })
}

const newDelays = ({ spec }: Running) => Schedule.toStep(spec.restart ?? defaultRestart)

const superviseSlot = (running: Running, slot: Slot): Effect.Effect<void, Cause.Cause<unknown>> =>
  Effect.gen(function*() {
    // From the first failure on: most components never fail.
    let delays: Effect.Success<ReturnType<typeof newDelays>> | undefined
    while (true) {
      slot.state = "Running"
      slot.attempt++
      const handled = slot.handled
      const abandoned = slot.abandoned
      const exit = yield* Effect.exit(running.spec.attempt(running, slot))
      if (exit._tag === "Success") return slot.end(slot.inFlight)
      slot.abandon()
      slot.state = "Restarting"
      running.lastCause = Cause.pretty(exit.cause)
      if (running.spec.isFinal?.(exit.cause) === true) return yield* Effect.fail(exit.cause)
      if (delays === undefined || slot.handled > handled) delays = yield* newDelays(running)

      const [, delay] = yield* delays(yield* Clock.currentTimeMillis, exit.cause).pipe(
        Pull.catchDone(() => Effect.fail(exit.cause))
      )
      yield* Effect.logWarning(
        `component "${running.spec.name}" failed and restarts: ${slot.abandoned - abandoned} value(s) abandoned`,
        exit.cause
      )
      // A drain ends the backoff at once, unless the attempt got nowhere: that one would only spin.
      const moved = slot.handled > handled || slot.abandoned > abandoned
      const sleep = Effect.sleep(delay)
      yield* moved || !running.stop.isOpen() ? Effect.raceFirst(sleep, running.stop.await) : sleep
      running.restarts++
    }
  }).pipe(Effect.onInterrupt(() => Effect.sync(() => slot.abandon())))
