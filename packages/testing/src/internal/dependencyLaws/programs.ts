/** A law on the whole: listener and reconciler bring any program to where it has to come, whatever fails between them. */
import { Completion, Topology } from "@sluice/core"
import { Effect, Exit, Layer, Option, Queue, Schedule, Scope } from "effect"
import { listen, payloadsOf } from "../completionLaws/steps.ts"
import { Chance } from "../faults/chance.ts"
import { alteredStore } from "../flows/altered.ts"
import { Faulting, type FaultOptions } from "../flows/faulting.ts"
import { elapse } from "../law.ts"
import { Mismatch, pass, same, settle, start } from "../trial.ts"
import { type Law, law, type Subject } from "./law.ts"
import { type Outlook, outlooks } from "./oracle.ts"
import { outcomeOf, type Program, programOf, type Step, take, untold } from "./program.ts"
import { forgetful } from "./sabotage.ts"

/** A law that is checked with programs of these seeds. */
export const programs = (seeds: ReadonlyArray<number>): Law =>
  law("with a listener and a reconciler any program ends as if nothing had failed, and promotes each once", {
    check: (subject) =>
      Effect.forEach(
        seeds,
        (seed) =>
          Effect.mapError(
            Effect.scoped(run(subject, seed)),
            ({ expected, seen }) => new Mismatch({ expected: `seed ${seed}, ${expected}`, seen })
          ),
        { discard: true }
      ),
    broken: forgetful
  })

const run = Effect.fnUntraced(function*(subject: Subject, seed: number) {
  const chance = new Chance(seed)
  const program = programOf(chance)
  const expected = outlooks(program)
  const world = yield* worldOf(subject, program, chance)
  const app = yield* appOf(world.store, world.faulting.backend, chance)
  yield* app.restart
  yield* world.addAll
  yield* world.comesTo(expected[0]!, "after the beginning")
  for (const [index, step] of program.steps.entries()) {
    const when = `after step ${index}, ${JSON.stringify(step)}`
    world.faulting.adjust(faultsOf(chance))
    if (chance.happens(0.3)) yield* app.restart
    yield* same(`whether it is allowed ${when}`, yield* world.apply(step), expected[index + 1]!.allowed)
    yield* world.comesTo(expected[index + 1]!, when)
  }
})

/** Never all of the store's calls, since nothing could be promoted then. */
const faultsOf = (chance: Chance): FaultOptions => ({
  ...untold(chance),
  failBefore: chance.of([0, 0, 0.1, 0.5, 0.9]),
  failAfter: chance.of([0, 0, 0.1, 0.5, 0.9])
})

/** The topology, which can be stopped and started anew. */
const appOf = Effect.fnUntraced(function*(
  store: Completion.FlowStore,
  backend: Completion.CompletionBackend,
  chance: Chance
) {
  let running: Scope.Closeable | undefined
  const outer = yield* Effect.scope
  const restart = Effect.gen(function*() {
    if (running !== undefined) yield* Scope.close(running, Exit.void)
    running = yield* Scope.fork(outer)
    const schedule = { restart: Schedule.spaced("100 millis") }
    const components = Layer.merge(
      Completion.listener({ name: "listener", store, backend, concurrency: chance.of([1, 3, 16]), ...schedule }),
      Completion.reconciler({ name: "reconciler", store, every: "1 second", page: chance.of([1, 7, 100]), ...schedule })
    )
    yield* Effect.orDie(
      Layer.buildWithScope(Topology.layer(components, { onShutdown: () => Effect.void, metrics: false }), running)
    )
  })
  return { restart }
})

/** The store behind its faults, those who work on what is ready, and a count of all that became of it. */
const worldOf = Effect.fnUntraced(function*(subject: Subject, program: Program, chance: Chance) {
  const { backend, store } = yield* subject.make
  const told = yield* listen(backend)
  const plan = new Map(program.executions.map((planned) => [planned.executionId, planned]))
  const held = new Set(program.held)
  const counts = {
    ready: Object.fromEntries(program.executions.map(({ executionId }) => [executionId, 0])),
    skipped: Object.fromEntries(program.executions.map(({ executionId }) => [executionId, 0]))
  }
  const work = yield* Queue.unbounded<string>()
  const isReady = (executionId: string) => {
    counts.ready[executionId]!++
    Queue.offerUnsafe(work, executionId)
  }
  const became = ({ executionId, state }: Completion.Execution) => {
    if (state === "ready") isReady(executionId)
    if (state === "skipped") counts.skipped[executionId]!++
  }
  const honest = alteredStore(store, {
    // Uninterruptible: a promotion that was made has to be counted.
    promote: (executionId) =>
      Effect.uninterruptible(Effect.tap(store.promote(executionId), ({ promoted, skipped }) =>
        Effect.sync(() => {
          promoted.forEach(isReady)
          for (const one of skipped) counts.skipped[one]!++
        })))
  })
  const faulting = new Faulting({ store: honest, backend }, { seed: chance.seed(), ...faultsOf(chance) })

  const untilItDoes = <A, E>(verb: Effect.Effect<A, E | Completion.StoreError>) =>
    Effect.retry(verb, { while: (error) => error instanceof Completion.StoreError, times: 1000 })
  const finish = Effect.fnUntraced(function*(executionId: string) {
    if (held.has(executionId)) return
    const { attempt, state } = Option.getOrThrow(yield* untilItDoes(faulting.store.get(executionId)))
    if (state !== "ready") return
    const outcome = outcomeOf(plan.get(executionId)!, attempt)
    yield* untilItDoes(faulting.store.complete({ executionId, attempt, outcome }))
  })
  for (let worker = 0; worker < 3; worker++) {
    yield* start(Effect.forever(Effect.flatMap(Queue.take(work), (executionId) => Effect.orDie(finish(executionId)))))
  }

  const states = Effect.gen(function*() {
    const found: { [executionId: string]: string } = {}
    for (const executionId of plan.keys()) {
      const { attempt, state } = Option.getOrThrow(yield* Effect.orDie(store.get(executionId)))
      found[executionId] = `${state}/${attempt}`
    }
    return found
  })
  const addAll = Effect.gen(function*() {
    for (const { executionId, groups } of program.executions) {
      became(yield* Effect.orDie(store.add({ executionId, groups })))
      if (chance.happens(0.1)) yield* pass(chance.below(20))
    }
  })
  const apply = (step: Step) =>
    take(step, {
      store,
      changed: became,
      release: (executionId) => {
        const isHeld = held.delete(executionId)
        if (isHeld) Queue.offerUnsafe(work, executionId)
        return isHeld
      }
    })
  const differing = (seen: { readonly [executionId: string]: string }, outlook: Outlook) =>
    Object.keys(outlook.states).filter((executionId) => seen[executionId] !== outlook.states[executionId])
  const comesTo = Effect.fnUntraced(function*(outlook: Outlook, when: string) {
    let left: ReadonlyArray<string> = []
    // Where nobody hears of anything, each round goes one step down the longest chain.
    for (let round = 0; round < 60 + plan.size; round++) {
      // In the end the store recovers; the notifications never have to.
      if (round === 8) faulting.adjust({ failBefore: 0, failAfter: 0 })
      for (let look = 0; look < 4; look++) {
        left = differing(yield* states, outlook)
        if (left.length === 0) break
        yield* pass(32)
      }
      if (left.length === 0) break
      yield* elapse(subject, 1000)
    }
    yield* elapse(subject, 1000)
    yield* settle
    const seen = yield* states
    const pick = (of: { readonly [executionId: string]: unknown }) =>
      Object.fromEntries(differing(seen, outlook).slice(0, 5).map((executionId) => [executionId, of[executionId]]))
    yield* same(`states ${when}`, pick(seen), pick(outlook.states))
    for (const what of ["ready", "skipped"] as const) {
      const wrong = Object.keys(outlook[what]).filter((id) => counts[what][id] !== outlook[what][id]).slice(0, 5)
      yield* same(
        `how often each has become ${what} ${when}`,
        wrong.map((id) => [id, counts[what][id]]),
        wrong.map((id) => [id, outlook[what][id]])
      )
    }
    const ended = payloadsOf(told).map(({ attempt, executionId, outcome }) => `${executionId}/${attempt} ${outcome}`)
    yield* same(`completions ${when}`, ended.toSorted(), outlook.ended)
  })
  return { store: faulting.store, faulting, addAll, apply, comesTo }
})
