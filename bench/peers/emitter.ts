/**
 * Those that call their listeners within the push: Node's EventEmitter, mitt, and the Subject of RxJS; the last also as
 * its users put the work off to the end of the turn. None holds anything, so none can be full or lag.
 */
import { Cause, Effect } from "effect"
import mittOfCommonJs from "mitt"
import { EventEmitter } from "node:events"
import { asapScheduler, type Observable, observeOn, Subject } from "rxjs"
import type { Peer, PlainPush } from "../contestant.ts"
import type { Reading } from "../workload.ts"

export const eventEmitter: Peer<PlainPush> = {
  name: "EventEmitter emit → on",
  open: (subscribers) =>
    Effect.sync(() => {
      const emitter = new EventEmitter<{ reading: [Reading] }>()
      for (const { handleUnsafe } of subscribers) emitter.on("reading", handleUnsafe)
      return (value) => emitter.emit("reading", value)
    })
}

export const mitt: Peer<PlainPush> = {
  name: "mitt emit → on",
  open: (subscribers) =>
    Effect.sync(() => {
      const emitter = makeMitt<{ reading: Reading }>()
      for (const { handleUnsafe } of subscribers) emitter.on("reading", handleUnsafe)
      return (value) => {
        emitter.emit("reading", value)
        return true
      }
    })
}
// Its types describe a CommonJS module, where node loads an ES module.
const makeMitt = mittOfCommonJs as unknown as typeof mittOfCommonJs.default

const subject = (name: string, through: (readings: Observable<Reading>) => Observable<Reading>): Peer<PlainPush> => ({
  name,
  open: (subscribers) =>
    Effect.gen(function*() {
      const readings = new Subject<Reading>()
      for (const { failed, handleUnsafe } of subscribers) {
        through(readings).subscribe({ next: handleUnsafe, error: (error) => failed(Cause.die(error)) })
      }
      yield* Effect.addFinalizer(() => Effect.sync(() => readings.complete()))
      return (value) => {
        readings.next(value)
        return true
      }
    })
})
export const rxjsSubject: Peer<PlainPush> = subject("RxJS Subject next → subscribe", (readings) => readings)
export const rxjsSubjectAsap: Peer<PlainPush> = subject(
  "RxJS Subject next → observeOn(asapScheduler)",
  (readings) => readings.pipe(observeOn(asapScheduler))
)
