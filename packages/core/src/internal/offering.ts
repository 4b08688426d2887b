/**
 * Producers that wait in Effect's own Queue or PubSub, each in a fiber of ours, so that closing the record can end their
 * wait at once: whoever waits at the close is refused, and told so, before anyone can make room.
 */
import { Effect, Fiber } from "effect"
import { PreventSchedulerYield } from "effect/Scheduler"
import type { Produced } from "../Producer.ts"

const closed = Effect.succeed<Produced>("Closed")

export class Offering {
  private readonly fibers = new Set<Fiber.Fiber<Produced>>()
  private isClosed = false

  /** Waits until `offer` has been taken or refused, or the record is closed. `offer` counts what was taken by itself. */
  wait(offer: Effect.Effect<Produced>): Effect.Effect<Produced> {
    return Effect.suspend(() => {
      // What became of the value: the fiber may still be interrupted on its way from here to its exit.
      let outcome: Produced | undefined
      const offering = Effect.withFiber<Produced>((fiber) => {
        if (this.isClosed) return closed
        this.fibers.add(fiber as Fiber.Fiber<Produced>)
        return Effect.map(offer, (produced) => outcome = produced)
      })
      return Effect.acquireUseRelease(
        // Without yields, so that no interrupt can come between the taking and the counting.
        Effect.forkDetach(Effect.provideService(offering, PreventSchedulerYield, true), { startImmediately: true }),
        (fiber) =>
          Effect.flatMap(
            Fiber.await(fiber),
            (exit) => outcome !== undefined ? Effect.succeed(outcome) : this.isClosed ? closed : exit
          ),
        (fiber) => {
          this.fibers.delete(fiber)
          return Fiber.interrupt(fiber)
        }
      )
    })
  }
  close(): void {
    this.isClosed = true
    for (const fiber of this.fibers) fiber.interruptUnsafe()
    this.fibers.clear()
  }
}
