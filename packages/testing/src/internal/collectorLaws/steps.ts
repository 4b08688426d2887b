/** The steps that the checks of collectors have in common. */
import type { Collector, Log } from "@sluice/core"
import { Effect, Exit, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Mismatch, pass, render, start, valueOf } from "../trial.ts"
import { Faults } from "./faults.ts"
import { type CollectOptions, Parked, type Subject, Value } from "./law.ts"

export type Collected = Collector.Collector<number>
export type Batch = Collector.Batch<number>

/** Everything that can run has run; a commit or a dead letter takes some turns more than a wake-up does. */
export const quiet: Effect.Effect<void> = Effect.suspend(() => pass(32))

/** An effect that has to succeed; not under a fiber of its own, since what it opens is to last. */
export const attempt = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, Mismatch, R> =>
  Effect.flatMap(Effect.exit(effect), (exit) =>
    Exit.isSuccess(exit)
      ? Effect.succeed(exit.value)
      : Effect.fail(new Mismatch({ expected: `${what} to succeed`, seen: render(exit) })))

/** A new log with its faults, and the records of a check, for as long as the check runs. */
export const openWorld = Effect.fnUntraced(function*(subject: Subject) {
  const faults = new Faults()
  const context = yield* Layer.build(
    Layer.mergeAll(Value.layerLog(faults.around(subject.backing())), Layer.fresh(Parked.layer))
  )
  const provided = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideContext(effect, context)
  const claim = yield* attempt("a claim", provided(Effect.flatMap(Value, (value) => value.producer("law"))))
  const letters = yield* provided(Effect.flatMap(Parked, (parked) => parked.subscribe))
  let head = 0
  return {
    subject,
    faults,
    provided,
    /** The dead letters that are stored and not read yet. */
    letters,
    head: () => head,
    /** As many values, each of which is its own sequence. */
    produce: Effect.fnUntraced(function*(count: number) {
      for (let i = 0; i < count; i++) {
        yield* valueOf(`produceAsync(${head})`, claim.produceAsync(head))
        head++
      }
    }),
    /** A hold on group "g", until its scope is closed, which is also closed with the check's. */
    hold: Effect.fnUntraced(function*(options: Omit<CollectOptions, "group">) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const collector = yield* attempt(
        "make",
        Scope.provide(provided(subject.make({ group: "g", ...options })), scope)
      )
      return { collector, close: Scope.close(scope, Exit.void) }
    }),
    committed: Effect.suspend(() => valueOf("groups", faults.committed("g"))),
    elapse: (millis: number) => Effect.andThen(subject.elapse?.(millis) ?? TestClock.adjust(millis), quiet)
  }
})
export type World = Effect.Success<ReturnType<typeof openWorld>>

/** A take whose scope is the check's to end; it is waited for by looking. */
export const taking = Effect.fnUntraced(function*(collector: Collected) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const fiber = yield* start(Scope.provide(collector.take, scope))
  return {
    taken: (): Exit.Exit<Batch, unknown> | undefined => fiber.pollUnsafe(),
    interrupt: Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), quiet),
    end: (exit: Exit.Exit<unknown, unknown>) => Scope.close(scope, exit)
  }
})
export type Taking = Effect.Success<ReturnType<typeof taking>>

/** A batch that has to be there now. */
export const takeNow = Effect.fnUntraced(function*(what: string, collector: Collected) {
  const take = yield* taking(collector)
  yield* quiet
  const exit = take.taken()
  if (exit === undefined) return yield* new Mismatch({ expected: `${what} to be handed out`, seen: "take waiting" })
  if (Exit.isFailure(exit)) return yield* new Mismatch({ expected: `${what} to be handed out`, seen: render(exit) })
  return { batch: exit.value, end: take.end }
})

export const sequencesOf = ({ first, last }: Batch): ReadonlyArray<number> =>
  Array.from({ length: Number(last - first) + 1 }, (_, index) => Number(first) + index)

/** The tag of an error, "success", or what else it was. */
export const tagOf = (exit: Exit.Exit<unknown, unknown>): string => {
  if (Exit.isSuccess(exit)) return "success"
  const reason = exit.cause.reasons.find((reason) => reason._tag === "Fail")
  return String((reason?.error as Log.LogFailed | undefined)?._tag ?? render(exit))
}
