/**
 * What takes part: a case is a workload, a contestant one way of doing it. Most contestants are made from a peer, which
 * only knows how to connect subscribers and how to push one value; the loops that push are here, once, so that every
 * peer is driven by the same code.
 *
 * To add one: write a peer (see `peers/queue.ts`) and name it in the cases that it should take part in.
 */
import { Effect, type Scope } from "effect"
import { type Expecting, type Reading, readings, type Subscriber, Tally, WrongDelivery } from "./workload.ts"

export interface Case {
  readonly name: string
  /** What is measured, for the reader of the table. */
  readonly about: string
  /** Of one lap. */
  readonly messages: number
  /** Timed runs of the workload in a round. */
  readonly laps: number
  readonly matches: ReadonlyArray<Match>
}
/** Contestants that do the same work: the ratios of a match compare like with like. */
export interface Match {
  readonly title: string
  readonly ours: Contestant
  readonly others: ReadonlyArray<Contestant>
  readonly targets?: ReadonlyArray<Target>
}
/**
 * What the ratio of a match must show: that `contestant` costs at least `pass` times what ours costs; `stretch` is what
 * we would like to see. A pass below 1 lets ours cost more: a floor's.
 */
export interface Target {
  readonly contestant: string
  readonly pass: number
  readonly stretch: number
  /** Below this the run fails. Default: 0.85 of `pass`, since machines are noisy. */
  readonly gate?: number
}

export interface Contestant {
  readonly name: string
  /** Builds everything, outside of the timed part. It lives as long as the scope: one round. */
  readonly open: (messages: number) => Effect.Effect<Lap, never, Scope.Scope>
}
/** The workload once. It is run again and again on what `open` built. */
export interface Lap {
  /** The timed part: returns once the last value was handled. */
  readonly run: Effect.Effect<void, WrongDelivery>
  /** Not timed: that everything arrived. */
  readonly check: Effect.Effect<void, WrongDelivery>
  /** Where it stands, for a run that hangs. */
  readonly progress: () => string
}

/** A way from one pusher to subscribers. */
export interface Peer<out Push> {
  readonly name: string
  readonly open: (subscribers: ReadonlyArray<Subscriber>) => Effect.Effect<Push, never, Scope.Scope>
}
export type EffectPush = (value: Reading) => Effect.Effect<unknown, unknown>
/** Answers `false` to a value that it did not take. */
export type PlainPush = (value: Reading) => boolean

interface Drive {
  readonly subscribers: number
  /** How many values are pushed before the event loop turns; 0: no pause, the buffer's backpressure is the pace. */
  readonly burst: number
  /** Who is at the far end. Default: one that keeps up and expects every value. */
  readonly tally?: (values: ReadonlyArray<Reading>) => Expecting
}

/** An Effect per push, in an Effect loop. */
export const effectPushed = (peer: Peer<EffectPush>, drive: Drive): Contestant => contestant(peer, drive, pushAll)

/** A plain function call per push, in a plain loop. */
export const plainPushed = (peer: Peer<PlainPush>, drive: Drive): Contestant => contestant(peer, drive, pushAllUnsafe)

const contestant = <Push>(
  peer: Peer<Push>,
  { burst, subscribers, tally = (values) => new Tally(values) }: Drive,
  pushAll: (push: Push, values: ReadonlyArray<Reading>, burst: number) => Effect.Effect<void, WrongDelivery>
): Contestant => ({
  name: peer.name,
  open: (messages) =>
    Effect.gen(function*() {
      const values = readings(messages)
      const tallies = Array.from({ length: subscribers }, () => tally(values))
      const push = yield* peer.open(tallies)
      return lapOf(tallies, pushAll(push, values, burst))
    })
})

/** Pushes, then waits until every subscriber has finished. */
export const lapOf = (
  tallies: ReadonlyArray<Expecting>,
  pushing: Effect.Effect<void, WrongDelivery>
): Lap => ({
  run: Effect.suspend(() => {
    for (const tally of tallies) tally.reset()
    return Effect.andThen(pushing, Effect.forEach(tallies, (tally) => tally.finished, { discard: true }))
  }),
  check: Effect.forEach(tallies, (tally) => tally.check, { discard: true }),
  progress: () => tallies.map((tally) => tally.progress).join("; ")
})

export const pushAll = (
  push: EffectPush,
  values: ReadonlyArray<Reading>,
  burst: number
): Effect.Effect<void, WrongDelivery> =>
  Effect.gen(function*() {
    let left = burst
    for (const value of values) {
      yield* push(value)
      if (--left === 0) {
        left = burst
        yield* Effect.yieldNow
      }
    }
  }).pipe(Effect.mapError((error) => new WrongDelivery({ message: `a push failed: ${String(error)}` })))

export const pushAllUnsafe = (
  push: PlainPush,
  values: ReadonlyArray<Reading>,
  burst: number
): Effect.Effect<void, WrongDelivery> =>
  Effect.callback<void, WrongDelivery>((resume) => {
    let next = 0
    const turn = (): void => {
      const end = burst === 0 ? values.length : Math.min(next + burst, values.length)
      for (; next < end; next++) {
        if (!push(values[next]!)) {
          return resume(Effect.fail(new WrongDelivery({ message: `a push was refused after ${next} values` })))
        }
      }
      if (next < values.length) setImmediate(turn)
      else resume(Effect.void)
    }
    turn()
  })

/** Runs a peer's read loop for the life of the scope, subscribed when it returns; its end is the subscriber's to tell. */
export const attend = <E>(
  subscriber: Subscriber,
  loop: Effect.Effect<unknown, E>
): Effect.Effect<unknown, never, Scope.Scope> =>
  Effect.forkScoped(
    Effect.catchCause(loop, (cause) => Effect.sync(() => subscriber.failed(cause))),
    { startImmediately: true }
  )
