/** A collector component that is drained finishes what it has, and no more. */
import { Topology } from "@sluice/core"
import { Deferred, Effect, Exit, Layer, Scope } from "effect"
import { exitOf, same, start, waits } from "../trial.ts"
import { type Law, law, type Subject } from "./law.ts"
import { hastyHandlers, silentCommits } from "./sabotage.ts"
import { attempt, openWorld, quiet, takeNow } from "./steps.ts"

const drain = Effect.fnUntraced(function*(subject: Subject) {
  const world = yield* openWorld(subject)
  const go = Deferred.makeUnsafe<void>()
  const begun: Array<number> = []
  const handled: Array<number> = []
  const scope = yield* Scope.fork(yield* Effect.scope)
  const component = Topology.layer(subject.layer({
    name: "collector",
    group: "g",
    concurrency: 2,
    batch: { max: 1 },
    commitEvery: { acks: 1000, within: "1 hour" },
    deadLetter: "drop",
    handle: ({ values }) =>
      Effect.gen(function*() {
        begun.push(...values)
        yield* Deferred.await(go)
        handled.push(...values)
      })
  }))
  yield* attempt("the start", world.provided(Layer.buildWithScope(component, scope)))
  yield* world.produce(5)
  yield* quiet
  const closing = yield* start(Scope.close(scope, Exit.void))
  yield* waits("a drain whose handlers are at work", closing)
  const early = begun.slice()
  Deferred.doneUnsafe(go, Exit.void)
  yield* exitOf("the drain", closing)
  return { world, early, begun, handled }
})

const finishes = law("a drain finishes what is in hand, and begins nothing new", {
  check: Effect.fnUntraced(function*(subject) {
    const { begun, early, handled } = yield* drain(subject)
    yield* same("what was begun before the drain", early, [0, 1])
    yield* same("what was begun after it", begun, [0, 1])
    yield* same("what was handled when it was over", handled, [0, 1])
  }),
  broken: hastyHandlers
})

const commits = law("a drain commits what was handled, and the rest waits for the next run", {
  check: Effect.fnUntraced(function*(subject) {
    const { world } = yield* drain(subject)
    yield* same("what is committed", yield* world.committed, 1)
    const { collector } = yield* world.hold({ batch: { max: 1 }, deadLetter: "drop" })
    const { batch } = yield* takeNow("the next", collector)
    yield* same("the next and its attempt", [batch.first, batch.attempt], [2n, 1])
  }),
  broken: silentCommits
})

export const draining: ReadonlyArray<Law> = [finishes, commits]
