/**
 * What statistics cost, with spans off: the same record and the same handler loop with and without them. "Without" is
 * wired by hand from the core's own parts, and leaves out what only snapshots and metrics read: the sample of how long
 * handling takes, and the look at whether a topology is done.
 *
 * The rest is not counted for statistics alone. What was produced, received and missed are positions of the ring; what a
 * slot holds and has handled says what a failed handler held, and whether a restart got anywhere. What is refused,
 * dropped or abandoned is counted where it happens, and costs nothing here.
 */
import { Buffer } from "@sluice/core"
import { Clock, Effect, type Scope } from "effect"
import { type Input, type Running, Slot } from "../../packages/core/src/internal/component.ts"
import { HandlerLoop } from "../../packages/core/src/internal/handlerLoop.ts"
import { type Claim, RecordRuntime } from "../../packages/core/src/internal/recordRuntime.ts"
import { SpmcRing } from "../../packages/core/src/internal/stores/SpmcRing.ts"
import {
  attend,
  type Case,
  type EffectPush,
  effectPushed,
  type Match,
  type Peer,
  type PlainPush,
  plainPushed
} from "../contestant.ts"
import * as Sluice from "../peers/sluice.ts"
import { Reading, type Subscriber } from "../workload.ts"

const capacity = 1024
const burst = 256
const toOne = { subscribers: 1, burst }
const toFour = { subscribers: 4, burst }
const ring = Buffer.spmcRing({ capacity })

/** Knows what it holds and how much it has handled, and nothing else. */
class UncountedSlot extends Slot {
  override beginSample(): number {
    return Infinity
  }
  override endSample(): void {}
  override idle(): void {}
}

const uncounted = (
  subscribers: ReadonlyArray<Subscriber>,
  option: "handle" | "handleUnsafe"
): Effect.Effect<Claim<Reading>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const key = "bench/Uncounted"
    const store = yield* Effect.withFiber((fiber) =>
      Effect.succeed(new SpmcRing<Reading>(capacity, fiber.currentDispatcher))
    )
    const buffer = Object.assign(yield* ring.make<Reading>({ key, schema: Reading }), { store })
    const record = new RecordRuntime<Reading>({ key, schema: Reading }, buffer, { writers: "one", validate: undefined })
    for (const subscriber of subscribers) {
      const input = {
        cursor: store.open(),
        record,
        lagged: () => Effect.sync(() => subscriber.lagged(0))
      } as unknown as Input
      const slot = new UncountedSlot({} as Running, 0, clock)
      const handle = subscriber[option] as (value: unknown) => Effect.Effect<void> | undefined
      yield* attend(
        subscriber,
        new HandlerLoop(slot, input, option, handle, 0).run(undefined) as Effect.Effect<void, unknown>
      )
    }
    return record.claim("bench") as Claim<Reading>
  })

const without = "the same without statistics"
const produceToHandle: Peer<EffectPush> = {
  name: without,
  open: (subscribers) => Effect.map(uncounted(subscribers, "handle"), ({ produce }) => produce)
}
const produceUnsafeToHandleUnsafe: Peer<PlainPush> = {
  name: without,
  open: (subscribers) =>
    Effect.map(
      uncounted(subscribers, "handleUnsafe"),
      ({ produceUnsafe }) => (value) => produceUnsafe(value) === "Accepted"
    )
}

const targets = [{ contestant: without, pass: 1 / 1.05, stretch: 1 / 1.02 }]
const effectMatch = (title: string, drive: typeof toOne): Match => ({
  title: `Effect push, an Effect per value, ${title}`,
  ours: effectPushed(Sluice.produceToHandle(ring), drive),
  others: [effectPushed(produceToHandle, drive)],
  targets
})
const plainMatch = (title: string, drive: typeof toOne): Match => ({
  title: `plain push, plain handling, ${title}`,
  ours: plainPushed(Sluice.produceUnsafeToHandleUnsafe(ring), drive),
  others: [plainPushed(produceUnsafeToHandleUnsafe, drive)],
  targets
})

export const statistics: Case = {
  name: "statistics",
  about: `what counting costs, spans off; rings of ${capacity}, bursts of ${burst}`,
  messages: 32_768,
  laps: 10,
  matches: [
    effectMatch("one consumer", toOne),
    effectMatch("four consumers", toFour),
    plainMatch("one consumer", toOne),
    plainMatch("four consumers", toFour)
  ]
}
