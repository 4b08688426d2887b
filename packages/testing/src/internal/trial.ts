/**
 * What the checks of laws are written with: effects that are watched while they run, and waits that end. A wait is
 * counted in turns of the scheduler, never in time, so that a check runs alike under the TestClock and the live one, and
 * what never answers fails the check instead of hanging it.
 */
import { Cause, Context, Data, Effect, Exit, type Fiber, Formatter, Scheduler, type Scope } from "effect"

/** A check saw something else than the law says. */
export class Mismatch extends Data.TaggedError("Mismatch")<{
  readonly expected: string
  readonly seen: string
}> {}

/** Enough for whatever can run to have run: a wake-up in memory takes one turn or two. */
const settled = 16
/** More than an answer in memory can take. */
const answered = 256

/** What a turn is: one of the scheduler, unless what is watched takes longer to answer than memory does. */
export const Turn = Context.Reference<Effect.Effect<void>>("@sluice/testing/Turn", {
  defaultValue: () => Effect.yieldNow
})

/** Lets `turns` turns of the scheduler pass, each with its microtasks. */
export const pass = (turns: number): Effect.Effect<void> =>
  Effect.flatMap(Turn, (turn) => {
    let left = turns
    return Effect.whileLoop({ while: () => left-- > 0, body: () => turn, step: () => undefined })
  })

/** Lets everything that can run, run. Time does not pass. */
export const settle: Effect.Effect<void> = Effect.suspend(() => pass(settled))

/** Runs an effect beside the check, from now until the check ends at the latest. */
export const start = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Fiber.Fiber<A, E>, never, R | Scope.Scope> =>
  Effect.acquireRelease(
    // Detached, since what cannot be interrupted must not hold up the check that found it.
    Effect.forkDetach(effect, { startImmediately: true }),
    (fiber) => Effect.sync(() => fiber.interruptUnsafe())
  )

/** A fiber that gives up its turn after each step, so that what happens beside it can come between any two. */
export interface Stepping<out A, out E> {
  readonly fiber: Fiber.Fiber<A, E>
  /** Hasty, it and its children step no more, so that the interrupt hits each of them where it stands. */
  readonly interrupt: (hasty: boolean) => void
}
export const startStepwise = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Stepping<A, E>, never, R | Scope.Scope> =>
  Effect.suspend(() => {
    const scheduler = new Stepwise()
    return Effect.map(start(Effect.provideService(effect, Scheduler.Scheduler, scheduler)), (fiber) => ({
      fiber,
      interrupt: (hasty) => {
        scheduler.steps = !hasty
        fiber.interruptUnsafe()
      }
    }))
  })
/** Enough turns for a stepping fiber to come to rest. */
export const rest: Effect.Effect<void> = Effect.suspend(() => pass(64))

class Stepwise extends Scheduler.MixedScheduler {
  steps = true

  override shouldYield(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    // One operation to resume, one to go on, the third yields; with less the fiber would only ever resume.
    return this.steps ? fiber.currentOpCount >= 3 : super.shouldYield(fiber)
  }
}

/** How a fiber ended; it has `turns` turns to do so. */
export const exitOf = Effect.fnUntraced(function*<A, E>(what: string, fiber: Fiber.Fiber<A, E>, turns = answered) {
  const nextTurn = yield* Turn
  for (let turn = 0; turn <= turns; turn++) {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    yield* nextTurn
  }
  return yield* new Mismatch({ expected: `${what} to answer`, seen: `it still waiting after ${turns} turns` })
})

/** Interrupts after 0, 1, 2, ... turns, until it comes too late: `attempt` says when. */
export const everyInterrupt = Effect.fnUntraced(function*(
  attempt: (turns: number, hasty: boolean) => Effect.Effect<boolean, Mismatch, Scope.Scope>
) {
  for (const hasty of [false, true]) {
    let turns = 0
    while (!(yield* Effect.scoped(attempt(turns++, hasty)))) {
      if (turns === 64) {
        return yield* new Mismatch({
          expected: "an end within 64 turns where nobody interrupts",
          seen: "it still runs"
        })
      }
    }
  }
})

/** What an effect answers, which it has to do without help. */
export const outcome = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Exit.Exit<A, E>, Mismatch, R | Scope.Scope> =>
  Effect.flatMap(start(effect), (fiber) => exitOf(what, fiber))

/** The value of an effect that has to succeed without help. */
export const valueOf = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, Mismatch, R | Scope.Scope> =>
  Effect.flatMap(outcome(what, effect), (exit) =>
    Exit.isSuccess(exit)
      ? Effect.succeed(exit.value)
      : Effect.fail(new Mismatch({ expected: `${what} to succeed`, seen: render(exit) })))

/** An effect answers exactly this, without help. */
export const answers = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  expected: Exit.Exit<unknown, unknown>
): Effect.Effect<void, Mismatch, R | Scope.Scope> =>
  Effect.flatMap(outcome(what, effect), (exit) => same(what, exit, expected))

/** A fiber ends exactly so, without help. */
export const ends = <A, E>(
  what: string,
  fiber: Fiber.Fiber<A, E>,
  expected: Exit.Exit<unknown, unknown>
): Effect.Effect<void, Mismatch> => Effect.flatMap(exitOf(what, fiber), (exit) => same(what, exit, expected))

/** A fiber still waits once everything that can run has run. */
export const waits = (what: string, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void, Mismatch> =>
  Effect.flatMap(settle, () => {
    const exit = fiber.pollUnsafe()
    return exit === undefined ? Effect.void : new Mismatch({ expected: `${what} to wait`, seen: render(exit) })
  })

/** Both are written alike. */
export const same = (what: string, seen: unknown, expected: unknown): Effect.Effect<void, Mismatch> =>
  render(seen) === render(expected)
    ? Effect.void
    : Effect.fail(new Mismatch({ expected: `${what}: ${render(expected)}`, seen: render(seen) }))

/** A value, an Exit or one of the errors of a record, as a message shows it. */
export const render = (value: unknown): string => {
  if (Exit.isExit(value)) {
    if (Exit.isSuccess(value)) return value.value === undefined ? "success" : `success with ${render(value.value)}`
    if (Cause.hasInterruptsOnly(value.cause)) return "interruption"
    const reason = value.cause.reasons.find(Cause.isFailReason)
    return reason === undefined ? `death by ${Cause.squash(value.cause)}` : `failure with ${render(reason.error)}`
  }
  if (value instanceof Error) {
    const fields = Object.keys(value).filter((field) => !["_tag", "name", "message", "stack", "cause"].includes(field))
    return `${value.name} { ${fields.map((field) => `${field}: ${render((value as any)[field])}`).join(", ")} }`
  }
  if (Array.isArray(value)) return `[${value.map(render).join(", ")}]`
  return Object.is(value, -0) ? "-0" : Formatter.format(value)
}
