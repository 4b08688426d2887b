/**
 * The newest value, held for whoever asks. Without a reader a message is one value set, and after the lap the newest is
 * asked for. With a reader a message is one value set while the reader follows: ours skips to the newest and must say
 * how many it skipped, SubscriptionRef and those that call listeners hand over each one.
 */
import { Buffer, Record } from "@sluice/core"
import { Context, Effect, Layer, Option, Ref, type Scope, SubscriptionRef } from "effect"
import { EventEmitter } from "node:events"
import { BehaviorSubject } from "rxjs"
import {
  type Case,
  type Contestant,
  type EffectPush,
  effectPushed,
  type Lap,
  type Peer,
  type PlainPush,
  plainPushed,
  pushAllUnsafe
} from "../contestant.ts"
import { eventEmitter } from "../peers/emitter.ts"
import * as Sluice from "../peers/sluice.ts"
import { setToChanges, unset } from "../peers/subscriptionRef.ts"
import { LatestTally, Reading, readings, WrongDelivery } from "../workload.ts"

const burst = 256
const backing = Buffer.singleLatest
const following = { subscribers: 1, burst, tally: (values: ReadonlyArray<Reading>) => new LatestTally(values) }
/** A turn of the event loop after each value: every change is seen by everyone. */
const followingEach = { ...following, burst: 1 }

class Newest extends Record.Service<Newest>()("bench/Latest", { schema: Reading }) {}

/** A value that nobody follows. */
interface Cell<Push> {
  readonly push: Push
  readonly newest: Effect.Effect<Reading>
}
type Open<Push> = Effect.Effect<Cell<Push>, never, Scope.Scope>

const sluice = Effect.gen(function*() {
  const record = Context.get(yield* Layer.build(Newest.layerBuffer(backing)), Newest)
  const { produce, produceUnsafe } = yield* record.producer("bench")
  return {
    push: produce,
    pushUnsafe: (value: Reading) => produceUnsafe(value) === "Accepted",
    newest: Effect.map(record.latest, Option.getOrElse(() => unset))
  }
}).pipe(Effect.orDie)

const subscriptionRef: Open<EffectPush> = Effect.map(SubscriptionRef.make(unset), (ref) => ({
  push: (value) => SubscriptionRef.set(ref, value),
  newest: SubscriptionRef.get(ref)
}))
const ref: Open<EffectPush> = Effect.map(Ref.make(unset), (made) => ({
  push: (value) => Ref.set(made, value),
  newest: Ref.get(made)
}))
const syncVariable: Open<EffectPush> = Effect.sync(() => {
  let newest = unset
  return {
    push: (value) =>
      Effect.sync(() => {
        newest = value
      }),
    newest: Effect.sync(() => newest)
  }
})

const variable: Open<PlainPush> = Effect.sync(() => {
  let newest = unset
  return {
    push: (value) => {
      newest = value
      return true
    },
    newest: Effect.sync(() => newest)
  }
})
const behaviorSubject: Open<PlainPush> = Effect.sync(() => {
  const subject = new BehaviorSubject(unset)
  return {
    push: (value) => {
      subject.next(value)
      return true
    },
    newest: Effect.sync(() => subject.value)
  }
})
/** An emitter holds nothing: its users keep the newest in a variable beside it. */
const emitter: Open<PlainPush> = Effect.sync(() => {
  const made = new EventEmitter<{ reading: [Reading] }>()
  let newest = unset
  return {
    push: (value) => {
      newest = value
      made.emit("reading", value)
      return true
    },
    newest: Effect.sync(() => newest)
  }
})

const setting = <Push>(
  name: string,
  open: Open<Push>,
  set: (push: Push, values: ReadonlyArray<Reading>) => Effect.Effect<void, WrongDelivery>
): Contestant => ({
  name,
  open: (messages) =>
    Effect.map(open, ({ newest, push }): Lap => {
      const values = readings(messages)
      return {
        run: set(push, values),
        check: Effect.flatMap(newest, (value) =>
          value === values[messages - 1] ? Effect.void : Effect.fail(
            new WrongDelivery({ message: `the newest is ${value.sequence} instead of ${messages - 1}` })
          )),
        progress: () => "setting"
      }
    })
})
/** By the cheapest of Effect's loops: a generator's own cost would be more than that of what is measured. */
const effectSet = (name: string, open: Open<EffectPush>): Contestant =>
  setting(name, open, (push, values) =>
    Effect.mapError(
      Effect.forEach(values, push, { discard: true }),
      (error) => new WrongDelivery({ message: `a push failed: ${String(error)}` })
    ))
const plainSet = (name: string, open: Open<PlainPush>): Contestant =>
  setting(name, open, (push, values) => pushAllUnsafe(push, values, 0))

const followedSubject: Peer<PlainPush> = {
  name: "RxJS BehaviorSubject next → subscribe",
  open: (subscribers) =>
    Effect.sync(() => {
      const subject = new BehaviorSubject(unset)
      for (const { handleUnsafe } of subscribers) subject.subscribe(handleUnsafe)
      return (value) => {
        subject.next(value)
        return true
      }
    })
}

const setUnread = effectSet("SubscriptionRef.set", subscriptionRef)
const setRead = effectPushed(setToChanges, following)

export const latest: Case = {
  name: "latest",
  about: `the newest value, without a reader and with one; bursts of ${burst} where it has one`,
  messages: 32_768,
  laps: 5,
  matches: [
    {
      title: "Effect push, no reader",
      ours: effectSet("Sluice produce, SingleLatest", sluice),
      others: [setUnread, effectSet("Ref.set", ref), effectSet("floor: Effect.sync into a variable", syncVariable)],
      targets: [{ contestant: setUnread.name, pass: 5, stretch: 7 }]
    },
    {
      title: "Effect push, one reader, an Effect per value",
      ours: effectPushed(Sluice.produceToHandle(backing), following),
      others: [effectPushed(Sluice.produceToRecv(backing), following), setRead],
      targets: [{ contestant: setRead.name, pass: 12, stretch: 20 }]
    },
    {
      title: "the same, a turn of the event loop after each value",
      ours: effectPushed(Sluice.produceToHandle(backing), followingEach),
      others: [effectPushed(Sluice.produceToRecv(backing), followingEach), effectPushed(setToChanges, followingEach)]
    },
    {
      title: "plain push, no reader",
      ours: plainSet(
        "Sluice produceUnsafe, SingleLatest",
        Effect.map(sluice, ({ newest, pushUnsafe }) => ({ newest, push: pushUnsafe }))
      ),
      others: [
        plainSet("EventEmitter emit, and a variable", emitter),
        plainSet("RxJS BehaviorSubject next", behaviorSubject),
        plainSet("floor: a variable", variable)
      ]
    },
    {
      title: "plain push, one reader, plain handling",
      ours: plainPushed(Sluice.produceUnsafeToHandleUnsafe(backing), following),
      others: [plainPushed(eventEmitter, following), plainPushed(followedSubject, following)]
    }
  ]
}
