/**
 * What does not depend on the clock: how often a fiber is suspended for a message, and how many bytes are allocated for
 * it. One to one in bursts of half the buffer. The values are there before, so that none of their bytes are counted.
 */
import { Buffer } from "@sluice/core"
import { Effect, Fiber, PubSub, Queue } from "effect"
import type { HeapProfiler } from "node:inspector"
import { Session } from "node:inspector/promises"
import { type Contestant, effectPushed, type Lap, plainPushed } from "../contestant.ts"
import type { FigureCase, Gauge } from "../figures.ts"
import { settle } from "../measure.ts"
import { eventEmitter } from "../peers/emitter.ts"
import * as Floor from "../peers/floor.ts"
import * as OfPubSub from "../peers/pubsub.ts"
import * as OfQueue from "../peers/queue.ts"
import * as Sluice from "../peers/sluice.ts"
import type { Reading, WrongDelivery } from "../workload.ts"

const capacity = 1024
const drive = { subscribers: 1, burst: capacity / 2 }
const messages = 16_384
const ring = Buffer.spmcRing({ capacity })
const queue = Queue.bounded<Reading>(capacity)
const pubsub = PubSub.bounded<Reading>(capacity)

/** What a lap does, once the contestant has run in. */
const counted = (
  { name, open }: Contestant,
  count: (lap: Lap) => Effect.Effect<ReadonlyArray<number>, WrongDelivery>
): Gauge => ({
  name,
  read: () =>
    Effect.gen(function*() {
      const lap = yield* open(messages)
      yield* settle
      yield* lap.run
      yield* settle
      const counts = yield* count(lap)
      yield* settle
      yield* lap.check
      return counts.map((count) => count / messages)
    })
})

/**
 * Suspensions of all fibers but the pusher, and of the pusher, which waits after each burst and for the last value. Each
 * is an `evaluate` that returns before its fiber has ended; one that was suspended calls it again from within.
 */
const suspensions = ({ run }: Lap) =>
  Effect.gen(function*() {
    let ofPusher = 0
    let ofOthers = 0
    const pusher = Fiber.getCurrent() as unknown as Evaluating
    const prototype = Object.getPrototypeOf(pusher) as Evaluating
    const { evaluate } = prototype
    prototype.evaluate = function(effect) {
      const within = this._asyncContext !== undefined
      evaluate.call(this, effect)
      if (within || this._exit !== undefined) return
      if (this === pusher) ofPusher++
      else ofOthers++
    }
    yield* Effect.ensuring(run, Effect.sync(() => prototype.evaluate = evaluate))
    return [ofOthers, ofPusher]
  })
/** What Effect's own class of fibers has for itself. */
interface Evaluating {
  evaluate: (this: Evaluating, effect: unknown) => void
  readonly _asyncContext: unknown
  readonly _exit: unknown
}

/** By V8's sampling of the heap, with what was collected meanwhile; about one in 4 KiB is looked at. */
const allocations = ({ run }: Lap) =>
  Effect.gen(function*() {
    const session = new Session()
    session.connect()
    yield* Effect.promise(() =>
      session.post("HeapProfiler.startSampling", {
        samplingInterval: 4096,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true
      })
    )
    yield* run
    const { profile } = yield* Effect.promise(() => session.post("HeapProfiler.stopSampling"))
    session.disconnect()
    return [totalOf(profile.head)]
  })
const totalOf = ({ children, selfSize }: HeapProfiler.SamplingHeapProfileNode): number =>
  children.reduce((total, child) => total + totalOf(child), selfSize)

const toSubscriber = [{ name: "subscriber", unit: "suspensions" }, { name: "pusher", unit: "suspensions" }]
const bytes = [{ name: "allocated", unit: "bytes/message" }]

const produceToHandle = effectPushed(Sluice.produceToHandle(ring), drive)
const effectPeers = [
  effectPushed(Sluice.produceToRecv(ring), drive),
  effectPushed(Sluice.produceToStream(ring), drive),
  effectPushed(OfQueue.offerToTake(queue), drive),
  effectPushed(OfQueue.offerToStream(queue), drive),
  effectPushed(OfPubSub.publishToTake(pubsub), drive),
  effectPushed(OfPubSub.publishToStream(pubsub), drive),
  effectPushed(Floor.bareSync(capacity), drive)
]
const produceUnsafeToHandleUnsafe = plainPushed(Sluice.produceUnsafeToHandleUnsafe(ring), drive)
const plainPeers = [
  plainPushed(OfQueue.offerUnsafeToTakeAll(queue), drive),
  plainPushed(OfQueue.offerUnsafeToStream(queue), drive),
  plainPushed(OfPubSub.publishUnsafeToTakeAll(pubsub), drive),
  plainPushed(OfPubSub.publishUnsafeToStream(pubsub), drive)
]

export const counters: FigureCase = {
  name: "counters",
  about: `fiber suspensions and bytes allocated per message, one to one in bursts of ${drive.burst}`,
  roundsMax: 9,
  matches: [
    {
      title: "suspensions per message: Effect push, an Effect per value",
      columns: toSubscriber,
      ours: counted(produceToHandle, suspensions),
      others: effectPeers.map((peer) => counted(peer, suspensions)),
      limits: [{ figure: "subscriber", bound: "at most", pass: 0.005, stretch: 0.002 }]
    },
    {
      title: "suspensions per message: plain push, plain handling",
      columns: toSubscriber,
      ours: counted(produceUnsafeToHandleUnsafe, suspensions),
      others: plainPeers.map((peer) => counted(peer, suspensions))
    },
    {
      title: "allocations: Effect push, an Effect per value",
      columns: bytes,
      ours: counted(produceToHandle, allocations),
      others: effectPeers.map((peer) => counted(peer, allocations))
    },
    {
      title: "allocations: plain push, plain handling",
      columns: bytes,
      ours: counted(produceUnsafeToHandleUnsafe, allocations),
      others: [
        ...plainPeers,
        plainPushed(eventEmitter, drive),
        plainPushed(Floor.rawRing(capacity), drive)
      ].map((peer) => counted(peer, allocations))
    }
  ]
}
