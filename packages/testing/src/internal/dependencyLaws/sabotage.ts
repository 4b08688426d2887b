/** Correct stores with one thing about them changed, so that a law has something to find. */
import { Completion } from "@sluice/core"
import { Effect, Option, Stream } from "effect"
import { alteredStore } from "../flows/altered.ts"
import type { Subject } from "./law.ts"

type Store = Completion.FlowStore

/** The same subject with some verbs of its stores replaced. */
export const altered = (alter: (store: Store) => Partial<Store>) => (subject: Subject): Subject => ({
  ...subject,
  make: Effect.map(subject.make, ({ backend, store }) => ({ backend, store: alteredStore(store, alter(store)) }))
})
/** Its subscribers do not hear of some outcome. */
export const deafTo = (outcome: Completion.Outcome) => (subject: Subject): Subject => ({
  ...subject,
  make: Effect.map(subject.make, ({ backend, store }) => ({
    store,
    backend: {
      ...backend,
      subscribe: (options) =>
        Effect.map(
          backend.subscribe(options),
          Stream.filter((signal) => signal._tag === "Gap" || signal.payload.outcome !== outcome)
        )
    }
  }))
})

/** What was promoted once is answered each time. */
export const forgetful = altered((store) => {
  const answers = new Map<string, Completion.Promotion>()
  return {
    promote: (executionId) =>
      Effect.map(store.promote(executionId), (settled) => {
        const known = answers.get(executionId)
        if (known !== undefined && known.promoted.length > 0) return known
        answers.set(executionId, settled)
        return settled
      })
  }
})
/** It names the upstream that it does not have. */
export const misnaming = altered((store) => ({
  addEdge: (edge) =>
    Effect.catchTag(
      store.addEdge(edge),
      "FlowError",
      ({ detail, reason }) =>
        Effect.fail(
          new Completion.FlowError({
            reason,
            detail,
            executionId: reason === "unknown" ? edge.upstream : edge.executionId
          })
        )
    )
}))
/** It believes whoever says that an execution has ended. */
export const credulous = altered((store) => ({
  promote: (executionId) =>
    Effect.andThen(
      Effect.flatMap(store.get(executionId), (found) =>
        Option.isNone(found)
          ? Effect.void
          : Effect.ignore(store.complete({ executionId, attempt: found.value.attempt, outcome: "succeeded" }))),
      store.promote(executionId)
    )
}))
/** It asks for all upstreams, whatever the policy. */
export const strict = altered((store) => ({
  add: ({ groups, ...execution }) =>
    store.add({ ...execution, groups: groups?.map(({ upstreams }) => ({ policy: "allOf" as const, upstreams })) })
}))
/** It looks at the groups that `keeps` says. */
export const selective = (keeps: (group: Completion.EdgeGroup, index: number) => boolean) =>
  altered((store) => ({
    add: ({ groups, ...execution }) => store.add({ ...execution, groups: groups?.filter(keeps) })
  }))
/** What an ended upstream leaves undecided is as if it had never been asked for. */
export const forgetsPast = altered((store) => ({
  add: ({ groups, ...execution }) =>
    Effect.flatMap(
      Effect.forEach(groups?.flatMap(({ upstreams }) => upstreams) ?? [], (upstream) => store.get(upstream)),
      (found) =>
        store.add({
          ...execution,
          groups: found.some((one) => Option.isSome(one) && !["blocked", "ready"].includes(one.value.state))
            ? []
            : groups
        })
    )
}))
/** It takes some outcome for another. */
export const mistaking = (outcome: Completion.Outcome) =>
  altered((store) => ({
    complete: (end) => store.complete(end.outcome === outcome ? { ...end, outcome: "succeeded" } : end)
  }))
/** A verb that does nothing but look. */
export const looking = <Verb extends "addEdge" | "replay">(verb: Verb) =>
  altered((store) => {
    const look = (executionId: string) => Effect.map(store.get(executionId), Option.getOrThrow)
    return verb === "replay" ? { replay: look } : { addEdge: ({ executionId }) => look(executionId) }
  })
/** It looks for a cycle on every way that leads up, however many of them meet again. */
export const wandering = altered((store) => {
  const above = new Map<string, Set<string>>()
  const leadsTo = (from: string, to: string): boolean =>
    from === to || Array.from(above.get(from) ?? []).some((upstream) => leadsTo(upstream, to))
  return {
    add: (execution) => {
      above.set(execution.executionId, new Set(execution.groups?.flatMap(({ upstreams }) => upstreams)))
      return store.add(execution)
    },
    addEdge: (edge) =>
      Effect.suspend(() => {
        if (!leadsTo(edge.upstream, edge.executionId)) above.get(edge.executionId)?.add(edge.upstream)
        return store.addEdge(edge)
      })
  }
})
/** What it would refuse it takes for done. */
export const obliging = (reason: Completion.FlowError["reason"]) =>
  altered((store) => {
    type Verb = Effect.Effect<Completion.Execution, Completion.FlowError | Completion.StoreError>
    const oblige = (executionId: string) => (verb: Verb): Verb =>
      Effect.catchTag(verb, "FlowError", (error) =>
        error.reason === reason
          ? Effect.succeed({ executionId, flowId: null, namespace: "", tags: {}, attempt: 1, state: "ready" as const })
          : Effect.fail(error))
    return {
      add: (execution) => oblige(execution.executionId)(store.add(execution)),
      addEdge: (edge) => oblige(edge.executionId)(store.addEdge(edge)),
      replay: (executionId) => oblige(executionId)(store.replay(executionId))
    }
  })
/** Whatever attempt it is told of, it ends the one that there is. */
export const hasty = altered((store) => ({
  complete: (end) =>
    Effect.flatMap(
      store.get(end.executionId),
      (found) => store.complete({ ...end, attempt: Option.isSome(found) ? found.value.attempt : end.attempt })
    )
}))
/** The failure from which an edge is added counts at once, and again when that is promoted. */
export const recounting = altered((store) => {
  const counted = new Map<string, Array<string>>()
  return {
    addEdge: (edge) => {
      counted.set(edge.upstream, [...counted.get(edge.upstream) ?? [], edge.executionId])
      return store.addEdge(edge)
    },
    promote: (executionId) =>
      Effect.gen(function*() {
        const { promoted, skipped } = yield* store.promote(executionId)
        const again = counted.get(executionId) ?? []
        counted.delete(executionId)
        for (const one of again) {
          yield* Effect.ignore(store.complete({ executionId: one, attempt: 1, outcome: "failed" }))
        }
        return { promoted, skipped: [...skipped, ...again] }
      })
  }
})
/** It says that it has ended what had ended. */
export const boastful = altered((store) => ({ complete: (end) => Effect.as(store.complete(end), true) }))
/** A replay replays what waited for it, too. */
export const sweeping = altered((store) => {
  const children = new Map<string, Array<string>>()
  return {
    add: (execution) =>
      Effect.tap(store.add(execution), ({ executionId }) =>
        Effect.sync(() => {
          for (const upstream of execution.groups?.flatMap(({ upstreams }) => upstreams) ?? []) {
            children.set(upstream, [...children.get(upstream) ?? [], executionId])
          }
        })),
    replay: (executionId) =>
      Effect.tap(
        store.replay(executionId),
        () => Effect.forEach(children.get(executionId) ?? [], (child) => Effect.ignore(store.replay(child)))
      )
  }
})
/** A replay loses its edges where one of them is from what is blocked. */
export const heedless = altered((store) => {
  const upstreams = new Map<string, ReadonlyArray<string>>()
  const lost = new Set<string>()
  const kept = (executions: ReadonlyArray<string>) => executions.filter((executionId) => !lost.has(executionId))
  return {
    add: (execution) => {
      upstreams.set(execution.executionId, execution.groups?.flatMap(({ upstreams }) => upstreams) ?? [])
      return store.add(execution)
    },
    replay: (executionId) =>
      Effect.flatMap(
        Effect.forEach(upstreams.get(executionId) ?? [], (upstream) => store.get(upstream)),
        (found) => {
          if (found.some((one) => Option.isSome(one) && one.value.state === "blocked")) lost.add(executionId)
          return store.replay(executionId)
        }
      ),
    promote: (executionId) =>
      Effect.map(store.promote(executionId), ({ promoted, skipped }) => ({
        promoted: kept(promoted),
        skipped: kept(skipped)
      })),
    get: (executionId) =>
      Effect.map(
        store.get(executionId),
        Option.map((found) => lost.has(executionId) ? { ...found, state: "blocked" as const } : found)
      )
  }
})
/** A replay answers as it should, and what waited goes on as if the upstream had succeeded. */
export const unmoved = altered((store) => {
  const replayed = new Set<string>()
  return {
    replay: (executionId) => Effect.tap(store.replay(executionId), () => Effect.sync(() => replayed.add(executionId))),
    promote: (executionId) =>
      Effect.andThen(
        Effect.forEach(replayed, (id) =>
          Effect.ignore(Effect.andThen(
            store.complete({ executionId: id, attempt: 2, outcome: "succeeded" }),
            store.promote(id)
          ))),
        store.promote(executionId)
      )
  }
})
/** What it has skipped has nothing to say. */
export const shortSighted = altered((store) => ({
  promote: (executionId) =>
    Effect.flatMap(store.get(executionId), (found) =>
      Option.isSome(found) && found.value.state === "skipped"
        ? Effect.succeed({ promoted: [], skipped: [] })
        : store.promote(executionId))
}))
/** It says nothing of what it has skipped: a reconciler forgets it, and waits. */
export const discreet = altered((store) => ({
  promote: (executionId) => Effect.map(store.promote(executionId), (settled) => ({ ...settled, skipped: [] }))
}))

/** It has the first page, and no other. */
export const onePaged = altered((store) => ({
  unsettled: (page) => Effect.map(store.unsettled(page), (found) => ({ ...found, next: Option.none() }))
}))
/** It finds nothing. */
export const blind = altered(() => ({
  unsettled: () => Effect.succeed({ executions: [], next: Option.none() })
}))
/** It goes on after so many executions, however many of them were settled meanwhile. */
export const counting = altered((store) => ({
  unsettled: ({ after, limit }) => {
    const from = Option.match(after, { onNone: () => 0, onSome: Number })
    return Effect.map(store.unsettled({ after: Option.none(), limit: 1_000_000 }), ({ executions }) => ({
      executions: executions.slice(from, from + limit),
      next: executions.length > from + limit ? Option.some(String(from + limit)) : Option.none()
    }))
  }
}))
export const overfull = altered((store) => ({
  unsettled: (page) => store.unsettled({ ...page, limit: page.limit + 1 }),
  list: (page) => store.list({ ...page, limit: page.limit + 1 })
}))
export const backwards = altered((store) => ({
  unsettled: (page) =>
    Effect.map(store.unsettled(page), (found) => ({ ...found, executions: found.executions.toReversed() })),
  list: (page) => Effect.map(store.list(page), (found) => ({ ...found, executions: found.executions.toReversed() }))
}))
export const anonymous = altered((store) => ({
  get: (executionId) => Effect.map(store.get(executionId), Option.map((found) => ({ ...found, tags: {} })))
}))

/** Interrupted, a verb leaves a half: what has ended by the store's word, and by nobody else's. */
export const halving = altered((store) => {
  const halves = new Set<string>()
  const half = <A, E>(executionId: string, verb: Effect.Effect<A, E>) =>
    Effect.onInterrupt(Effect.andThen(Effect.yieldNow, verb), () => Effect.sync(() => halves.add(executionId)))
  return {
    complete: (end) => half(end.executionId, store.complete(end)),
    get: (executionId) =>
      Effect.map(
        store.get(executionId),
        Option.map((found) => halves.has(executionId) ? { ...found, state: "succeeded" as const } : found)
      )
  }
})
/** Interrupted, a promotion is done in part: what waits is settled, and nobody is told. */
export const dropping = altered((store) => {
  const dropped = new Set<string>()
  return {
    promote: (executionId) =>
      Effect.suspend(() =>
        dropped.has(executionId)
          ? Effect.succeed({ promoted: [], skipped: [] })
          : Effect.onInterrupt(
            Effect.andThen(Effect.yieldNow, store.promote(executionId)),
            () => Effect.sync(() => dropped.add(executionId))
          )
      ),
    unsettled: (page) =>
      Effect.map(store.unsettled(page), (found) => ({
        ...found,
        executions: found.executions.filter((executionId) => !dropped.has(executionId))
      }))
  }
})
/** Interrupted, `add` leaves an execution that waits for nobody, for good. */
export const waitless = altered((store) => {
  const blocker = "somebody who never comes"
  return {
    add: (execution) =>
      Effect.onInterrupt(
        Effect.andThen(Effect.yieldNow, store.add(execution)),
        () =>
          Effect.ignore(Effect.andThen(
            store.add({ executionId: blocker }),
            store.add({ ...execution, groups: [{ policy: "allOf", upstreams: [blocker] }] })
          ))
      )
  }
})

const some = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
const isOpen = (found: Option.Option<Completion.Execution>) =>
  Option.isSome(found) && (found.value.state === "blocked" || found.value.state === "ready")
/** It promotes by what it has read some turns before. */
export const acting = altered((store) => ({
  promote: (executionId) =>
    Effect.flatMap(
      store.get(executionId),
      (before) =>
        Effect.flatMap(Effect.andThen(some, store.get(executionId)), (now) =>
          Effect.andThen(
            !isOpen(before) && isOpen(now) && Option.isSome(now)
              ? Effect.ignore(store.complete({ executionId, attempt: now.value.attempt, outcome: "succeeded" }))
              : Effect.void,
            store.promote(executionId)
          ))
    )
}))
/** It looks at the upstreams, adds some turns later, and does not see what has ended meanwhile. */
export const overlooking = altered((store) => {
  const stuck = new Set<string>()
  const adding = <A, E>(executionId: string, upstreams: ReadonlyArray<string>, verb: Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const before = yield* Effect.forEach(upstreams, (upstream) => store.get(upstream))
      yield* some
      const after = yield* Effect.forEach(upstreams, (upstream) => store.get(upstream))
      if (before.some((found, index) => isOpen(found) && !isOpen(after[index]!))) stuck.add(executionId)
      return yield* verb
    })
  return {
    add: (execution) =>
      adding(
        execution.executionId,
        execution.groups?.flatMap(({ upstreams }) => upstreams) ?? [],
        store.add(execution)
      ),
    addEdge: (edge) => adding(edge.executionId, [edge.upstream], store.addEdge(edge)),
    get: (executionId) =>
      Effect.map(
        store.get(executionId),
        Option.map((found) => stuck.has(executionId) ? { ...found, state: "blocked" as const } : found)
      )
  }
})
/** Of promotions at the same time each sees the edges of the others as they were. */
export const skewed = altered((store) => {
  let underWay = 0
  return {
    promote: (executionId) =>
      Effect.suspend(() => {
        underWay++
        return some.pipe(
          Effect.andThen(store.promote(executionId)),
          Effect.map((settled) => underWay > 1 ? { promoted: [], skipped: [] } : settled),
          Effect.ensuring(Effect.sync(() => underWay--))
        )
      })
  }
})
