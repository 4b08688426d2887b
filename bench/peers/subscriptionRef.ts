/** Effect's SubscriptionRef as its users write it: `set`, and the Stream of its changes. A reader sees every one of them. */
import { Effect, Stream, SubscriptionRef } from "effect"
import { attend, type EffectPush, type Peer } from "../contestant.ts"
import type { Reading } from "../workload.ts"

/** A SubscriptionRef always has a value: what it holds before the first is set. */
export const unset: Reading = { sequence: -1, celsius: 0 }

export const setToChanges: Peer<EffectPush> = {
  name: "SubscriptionRef.set → changes runForEach",
  open: (subscribers) =>
    Effect.gen(function*() {
      const ref = yield* SubscriptionRef.make(unset)
      for (const subscriber of subscribers) {
        yield* attend(subscriber, Stream.runForEach(SubscriptionRef.changes(ref), subscriber.handle))
      }
      return (value: Reading) => SubscriptionRef.set(ref, value)
    })
}
