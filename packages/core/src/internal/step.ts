/**
 * What we take from the way in which Effect's fibers run, beyond its public API: all of it is in this file.
 *
 * `step` is an Effect that decides and hands over in one evaluation step of its fiber.
 *
 * An Exit that `Effect.suspend` or `Effect.callback` answers with is evaluated in a later step, and before that the
 * fiber may yield and be interrupted: a value already taken would be lost, even in an uninterruptible region. Here an
 * Exit reaches the continuation before the fiber can yield. Effect's Queue does the same for its takes.
 *
 * That holds unless the fiber is interrupted within the step itself, by what a take of somebody else's queue has let run:
 * then the Exit never arrives. `isInterruptedInTheAct` says so, while what was taken can still be put back.
 *
 * `parking` suspends its fiber. `Effect.callback` does that too, but pushes a finalizer and four closures for each wait:
 * measured, half of a hop between two fibers. Here a fiber tells once that it has left, resumed or interrupted.
 */
import { Effect, Effectable, Exit, type Fiber } from "effect"

export type AnyFiber = Fiber.Fiber<unknown, unknown>

const evaluate = "~effect/Effect/evaluate"
const exitTypeId = "~effect/Exit"
const Yield = Symbol.for("effect/Effect/Yield")

const fiberMethods = Object.getPrototypeOf(Effect.runFork(Effect.void))
if (
  !(evaluate in Exit.void && exitTypeId in Exit.void && "yieldWith" in fiberMethods && "evaluate" in fiberMethods
    && "_deferredInterrupt" in Effect.runFork(Effect.void))
) {
  throw new Error(
    "@sluice/core runs on the fibers of effect 4.1, and this version's are other: it would lose values on interruption. "
      + "Install the version of effect that @sluice/core names as its peer dependency"
  )
}

interface Step extends Effect.Effect<any, any, any> {
  readonly decide: (fiber: AnyFiber) => Effect.Effect<any, any, any>
}
type Constructor = new(decide: unknown) => Effect.Effect<any, any, any>
const StepImpl = function(this: any, decide: unknown) {
  this.decide = decide
} as unknown as Constructor
StepImpl.prototype = Effectable.Prototype<Step>({
  label: "Sluice.step",
  evaluate(fiber) {
    return (this.decide(fiber) as any)[evaluate](fiber)
  }
})

/** What `decide` answers with is evaluated in the same step: an Exit is handed over, a finalizer is in place. */
export const step = <A, E = never, R = never>(
  decide: (fiber: AnyFiber) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => new StepImpl(decide)

/** Whether `fiber`, which is at a step, has been interrupted since it began with it: no Exit of the step will be heard. */
export const isInterruptedInTheAct = (fiber: AnyFiber): boolean => (fiber as any)._deferredInterrupt === true

/**
 * What is left of `effect` for `fiber` to run, with `undefined` for nothing: a step is decided here and now, so that the
 * effects of our producers cost their caller no evaluation.
 */
export const settled = <E, R>(
  effect: Effect.Effect<void, E, R> | undefined,
  fiber: AnyFiber
): Effect.Effect<void, E, R> | undefined => {
  if (effect === undefined || effect === Effect.void) return undefined
  if (!(effect instanceof StepImpl)) return effect
  const decided = (effect as Step).decide(fiber)
  return exitTypeId in decided && (decided as Exit.Exit<void, E>)._tag === "Success" ? undefined : decided
}

/** A fiber that is suspended. It leaves by `resume` or by interruption, and tells so once. */
export class Parked {
  private fiber: any
  /** Only inside `parking`, as its answer. */
  suspend(fiber: AnyFiber): Effect.Effect<never> {
    this.fiber = fiber
    // A method's argument rather than a property: V8 would put the closure among the long-lived.
    this.fiber.yieldWith(() => {
      this.fiber = undefined
      this.left()
    })
    return Yield as any
  }
  /** Goes on with `effect`, here and now; nothing where it has left. */
  resume(effect: Effect.Effect<any, any, any>): void {
    this.fiber?.evaluate(effect)
  }
  protected left(): void {}
  /** Where it is the answer of a step: waits, unless it says what to go on with. */
  protected begin(fiber: AnyFiber): Effect.Effect<any, any, any> {
    return this.suspend(fiber)
  }
  protected [evaluate](fiber: AnyFiber): Effect.Effect<any, any, any> {
    return this.begin(fiber)
  }
}
/** A step's answer that waits. It costs no Effect of its own, and nothing can be piped to it. */
export const waiting = <A, E = never>(parked: Parked): Effect.Effect<A, E> => parked as any

const ParkingImpl = function(this: any, decide: unknown) {
  this.decide = decide
} as unknown as Constructor
ParkingImpl.prototype = Effectable.Prototype<Step>({
  label: "Sluice.parking",
  evaluate(fiber) {
    return this.decide(fiber)
  }
})
/** `decide` answers with an Effect to go on with, or suspends its fiber: `parked.suspend(fiber)`. */
export const parking = <A, E = never, R = never>(
  decide: (fiber: AnyFiber) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => new ParkingImpl(decide)
