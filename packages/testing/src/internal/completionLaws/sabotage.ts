/** Correct backends with one thing about them changed, so that a law has something to find. */
import type { Completion } from "@sluice/core"
import { Effect, Latch, Option, Stream } from "effect"
import type { Subject } from "./law.ts"

type Backend = Completion.CompletionBackend

/** The same subject on another backend. */
export const onBackend = (alter: (backend: Backend) => Partial<Backend>) => (subject: Subject): Subject => ({
  ...subject,
  make: (options) =>
    Effect.map(subject.make(options), ({ backend, ...worked }) => ({
      ...worked,
      backend: { capabilities: backend.capabilities, subscribe: backend.subscribe, ...alter(backend) }
    }))
})
/** With the signals of each subscriber replaced. */
export const onSignals = (alter: (signals: Stream.Stream<Completion.Signal>) => Stream.Stream<Completion.Signal>) =>
  onBackend(({ subscribe }) => ({ subscribe: (options) => Effect.map(subscribe(options), alter) }))
/** With each completion replaced. */
export const onPayload = (alter: (payload: Completion.CompletionPayload) => Partial<Completion.CompletionPayload>) =>
  onSignals(
    Stream.map((signal) =>
      signal._tag === "Gap" ? signal : { ...signal, payload: { ...signal.payload, ...alter(signal.payload) } }
    )
  )
/** With the options of each subscription replaced. */
export const onOptions = (alter: (options: Completion.SubscribeOptions) => Completion.SubscribeOptions) =>
  onBackend(({ subscribe }) => ({ subscribe: (options = {}) => subscribe(alter(options)) }))
export const withoutGaps = onSignals(Stream.filter(({ _tag }) => _tag === "Completion"))
export const withoutFilter = onOptions(({ from }) => from === undefined ? {} : { from })
export const withoutFrom = onOptions(({ filter }) => filter === undefined ? {} : { filter })
export const withoutCursors = onSignals(
  Stream.map((signal) => signal._tag === "Gap" ? signal : { ...signal, cursor: Option.none() })
)

/** It tells two completions in the wrong order. */
export const swapping = onSignals(Stream.mapAccum(
  (): Completion.Signal | undefined => undefined,
  (held, signal) => held === undefined ? [signal, []] as const : [undefined, [signal, held]] as const
))

/** It passes over the first completion after each gap. */
export const hurrying = onSignals(Stream.mapAccum(
  () => false,
  (isAfterGap, signal) => [signal._tag === "Gap", isAfterGap && signal._tag === "Completion" ? [] : [signal]] as const
))

/** It attaches once somebody asks for what it tells. */
export const lazy = onBackend(({ subscribe }) => ({
  subscribe: (options) => Effect.succeed(Stream.unwrap(Effect.orDie(subscribe(options))))
}))

/** Once one subscriber has closed, it tells the others nothing. */
export const muting = onBackend(({ subscribe }) => {
  let muted = false
  return {
    subscribe: (options) =>
      Effect.map(
        Effect.andThen(Effect.addFinalizer(() => Effect.sync(() => void (muted = true))), subscribe(options)),
        Stream.filter(() => !muted)
      )
  }
})

/** It goes on once every subscriber listens. */
export const waitingForAll = onBackend(({ subscribe }) => {
  const all = Latch.makeUnsafe(true)
  let stalled = 0
  return {
    subscribe: (options) =>
      Effect.map(subscribe(options), (signals) => {
        stalled++
        all.closeUnsafe()
        const begin = Effect.sync(() => {
          if (--stalled === 0) all.openUnsafe()
          return Stream.tap(signals, () => all.await)
        })
        return Stream.unwrap(begin)
      })
  }
})

/** It says nothing of two completions after each cut. */
export const deafened = (subject: Subject): Subject => {
  let left = 0
  const told = onSignals(Stream.filter(({ _tag }) => _tag === "Completion" && --left < 0))(subject)
  return {
    ...told,
    make: (options) =>
      Effect.map(told.make(options), ({ cut = Effect.void, ...worked }) => ({
        ...worked,
        cut: Effect.andThen(Effect.sync(() => void (left = 2)), cut)
      }))
  }
}
