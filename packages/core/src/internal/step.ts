/**
 * An Effect that decides and hands over in one evaluation step of its fiber.
 *
 * An Exit that `Effect.suspend` or `Effect.callback` answers with is evaluated in a later step, and before that the
 * fiber may yield and be interrupted: a value already taken would be lost, even in an uninterruptible region. Here an
 * Exit reaches the continuation before the fiber can yield. Effect's Queue does the same for its takes.
 */
import { type Effect, Effectable, Exit, type Fiber } from "effect"

const evaluate = "~effect/Effect/evaluate"
const exitTypeId = "~effect/Exit"
if (!(evaluate in Exit.void && exitTypeId in Exit.void)) {
  throw new Error(
    "@sluice/core needs a version of effect whose Exit is evaluated by \"~effect/Effect/evaluate\" (4.1): this one would "
      + "lose values on interruption. Install the version of effect that @sluice/core names as its peer dependency"
  )
}

interface Step extends Effect.Effect<any, any, any> {
  readonly decide: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<any, any, any>
}
const Proto = Effectable.Prototype<Step>({
  label: "Sluice.step",
  evaluate(fiber) {
    const decided = this.decide(fiber)
    // As `Exit.isExit` says, without its checks of what an Effect is: measured at a tenth of a produce.
    return exitTypeId in decided ? (decided as any)[evaluate](fiber) : decided
  }
})
const StepImpl = function(this: any, decide: unknown) {
  this.decide = decide
} as unknown as new(decide: unknown) => Effect.Effect<any, any, any>
StepImpl.prototype = Proto

/** `decide` answers with an Exit, handed over in this step, or with an Effect to go on with. */
export const step = <A, E = never, R = never>(
  decide: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => new StepImpl(decide)
