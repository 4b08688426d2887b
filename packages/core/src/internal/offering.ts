/**
 * Producers that wait in Effect's own Queue or PubSub, each in a fiber of ours, so that closing the record, or releasing a
 * claim, can end their wait at once: whoever waits then is refused, and told so, before anyone can make room.
 */
import { Effect, Fiber } from "effect"
import { PreventSchedulerYield } from "effect/Scheduler"
import type { Produced } from "../Producer.ts"
import type { Refusable, Waits } from "./waits.ts"

const closed = Effect.succeed<Produced>("Closed")

export class Offering {
  private readonly waiting = new Set<Refusable>()
  private isClosed = false

  /**
   * Waits until `offer` has been taken or refused, or the wait is ended: by `close`, or by who counts it. `offer` counts
   * what was taken by itself.
   */
  wait(offer: Effect.Effect<Produced>, waits: Waits | undefined): Effect.Effect<Produced> {
    return Effect.suspend(() => {
      if (this.isClosed) return closed
      // What became of the value: the fiber may still be interrupted on its way from here to its exit.
      let outcome: Produced | undefined
      let refused = false
      let offering: Fiber.Fiber<Produced> | undefined
      const waiting: Refusable = {
        refuse: () => {
          refused = true
          offering?.interruptUnsafe()
        }
      }
      return Effect.acquireUseRelease(
        Effect.suspend(() => {
          this.waiting.add(waiting)
          waits?.enter(waiting)
          // Without yields, so that no interrupt can come between the taking and the counting.
          return Effect.forkDetach(
            Effect.provideService(Effect.map(offer, (produced) => outcome = produced), PreventSchedulerYield, true),
            { startImmediately: true }
          )
        }),
        (fiber) => {
          offering = fiber
          if (refused) fiber.interruptUnsafe()
          return Effect.flatMap(
            Fiber.await(fiber),
            (exit) => outcome !== undefined ? Effect.succeed(outcome) : refused ? closed : exit
          )
        },
        (fiber) => {
          this.waiting.delete(waiting)
          waits?.leave(waiting)
          return Fiber.interrupt(fiber)
        }
      )
    })
  }
  /** Refuses those that wait now. */
  refuseAll(): void {
    for (const { refuse } of this.waiting) refuse()
  }
  close(): void {
    this.isClosed = true
    this.refuseAll()
  }
}
