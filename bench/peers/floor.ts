/**
 * What cannot be beaten by much: the same turns of the event loop and the same handlers, and nothing else. No lag, no
 * closing, no interruption, no statistics; a power of two for a capacity, and a reader that falls behind reads rubbish,
 * which the checksum would tell.
 */
import { Effect } from "effect"
import { attend, type EffectPush, type Peer, type PlainPush } from "../contestant.ts"
import type { Reading, Subscriber } from "../workload.ts"

/** An array with a mask. A class, so that its compiled code is kept from one round to the next. */
export class RawRing {
  head = 0
  private readonly slots: Array<Reading> = []
  private readonly mask: number

  constructor(capacity: number) {
    this.mask = capacity - 1
  }
  push(value: Reading): void {
    this.slots[this.head++ & this.mask] = value
  }
  at(position: number): Reading {
    return this.slots[position & this.mask]!
  }
  /** Hands over what came since `position`. */
  read(position: number, handle: (value: Reading) => void): void {
    for (; position < this.head; position++) handle(this.slots[position & this.mask]!)
  }
}

/** Read at the end of each turn in which something was pushed. */
export const rawRing = (capacity: number): Peer<PlainPush> => ({
  name: "floor: raw ring",
  open: (subscribers) =>
    Effect.sync(() => {
      const ring = new RawRing(capacity)
      let tail = 0
      let idle = true
      const readAll = (): void => {
        idle = true
        for (const { handleUnsafe } of subscribers) ring.read(tail, handleUnsafe)
        tail = ring.head
      }
      return (value) => {
        ring.push(value)
        if (idle) {
          idle = false
          queueMicrotask(readAll)
        }
        return true
      }
    })
})

/** The least that Effect code can do: one `Effect.sync` per push and one per value, each reader woken once per burst. */
export const bareSync = (capacity: number): Peer<EffectPush> => ({
  name: "floor: one Effect.sync per step",
  open: (subscribers) =>
    Effect.gen(function*() {
      const ring = new RawRing(capacity)
      let waiting: Array<() => void> = []
      let idle = false
      const wakeAll = (): void => {
        const all = waiting
        waiting = []
        for (const wake of all) wake()
      }
      const wait = Effect.callback<void>((resume) => {
        waiting.push(() => resume(Effect.void))
        idle = true
      })
      const readLoop = ({ handle }: Subscriber) =>
        Effect.suspend(() => {
          let tail = ring.head
          return Effect.whileLoop({
            while: () => true,
            body: () => tail === ring.head ? wait : handle(ring.at(tail++)),
            step: () => {}
          })
        })
      for (const subscriber of subscribers) yield* attend(subscriber, readLoop(subscriber))
      return (value) =>
        Effect.sync(() => {
          ring.push(value)
          if (idle) {
            idle = false
            queueMicrotask(wakeAll)
          }
        })
    })
})
