/** What becomes of a batch that is rejected, given back, or taken by someone who is gone. */
import { Effect, Exit, Schedule } from "effect"
import { everyInterrupt, exitOf, pass, rest, same, start, startStepwise, valueOf, waits } from "../trial.ts"
import { type Law, law, Parked } from "./law.ts"
import { altered, gapped, misled } from "./sabotage.ts"
import { openWorld, quiet, takeNow } from "./steps.ts"

const letters = {
  record: Parked,
  as: ({ sequence }: { readonly sequence: bigint }) => Number(sequence)
} as const

const stored = law("a dead letter is stored before the watermark passes it", {
  check: Effect.fnUntraced(function*(subject) {
    const world = yield* openWorld(subject)
    yield* world.produce(4)
    const { collector } = yield* world.hold({ batch: { max: 1 }, maxAttempts: 1, deadLetter: letters })
    const [a, b, c, d] = [
      yield* takeNow("0", collector),
      yield* takeNow("1", collector),
      yield* takeNow("2", collector),
      yield* takeNow("3", collector)
    ]
    yield* valueOf("reject of the first", collector.reject(a.batch, "no"))
    // There is room for one.
    const rejecting = yield* start(collector.reject(b.batch, "no"))
    yield* waits("a reject whose letter is not stored", rejecting)
    yield* c.end(Exit.fail("its last attempt"))
    yield* valueOf("ack", collector.ack(d.batch))
    const standing = Effect.gen(function*() {
      yield* quiet
      const { watermark } = yield* valueOf("progress", collector.progress)
      return [watermark, yield* world.committed] as const
    })
    yield* same("watermark and committed before the second is stored", yield* standing, [0n, 0])
    yield* same("the first letter", yield* valueOf("recv", world.letters.recv), 0)
    yield* same("watermark and committed before the third is stored", yield* standing, [1n, 1])
    yield* same("how the reject ends", yield* exitOf("reject", rejecting), Exit.void)
    yield* same("the second letter", yield* valueOf("recv", world.letters.recv), 1)
    yield* same("watermark and committed in the end", yield* standing, [3n, 3])
    yield* same("the third letter", yield* valueOf("recv", world.letters.recv), 2)
  }),
  broken: misled((options) => ({ ...options, deadLetter: "drop" }))
})

const ahead = law("what is given back comes again after its delay, as one attempt more, ahead of what is new", {
  check: Effect.fnUntraced(function*(subject) {
    const world = yield* openWorld(subject)
    yield* world.produce(5)
    const { collector } = yield* world.hold({
      batch: { max: 1 },
      retry: Schedule.spaced("300 millis"),
      deadLetter: "drop"
    })
    const next = Effect.map(takeNow("a batch", collector), ({ batch, end }) => ({
      batch,
      end,
      is: [batch.first, batch.attempt] as const
    }))
    const a = yield* next
    yield* valueOf("release", collector.release(a.batch, { delay: 100 }))
    const b = yield* next
    yield* same("what comes before the delay is over", b.is, [1n, 1])
    yield* world.elapse(100)
    const again = yield* next
    yield* same("what comes after it", again.is, [0n, 2])
    yield* again.end(Exit.fail("no"))
    yield* b.end(Exit.die("no"))
    yield* same("what comes meanwhile", (yield* next).is, [2n, 1])
    yield* world.elapse(300)
    yield* same("what comes after the retry's delay", [(yield* next).is, (yield* next).is, (yield* next).is], [
      [0n, 3],
      [1n, 2],
      [3n, 1]
    ])
  }),
  broken: altered((collector) => ({ release: (batch) => collector.release(batch, { delay: "1 hour" }) }))
})

const nothing = law("interrupted, a take has taken nothing", {
  check: (subject) =>
    everyInterrupt(Effect.fnUntraced(function*(turns, hasty) {
      const world = yield* openWorld(subject)
      const { collector } = yield* world.hold({
        batch: { max: 1 },
        retry: Schedule.spaced("1 milli"),
        deadLetter: "drop"
      })
      let seen = false
      const taker = yield* startStepwise(
        Effect.scoped(Effect.flatMap(collector.take, () => {
          seen = true
          return Effect.void
        }))
      )
      yield* rest
      yield* world.produce(1)
      yield* pass(turns)
      const isOver = taker.fiber.pollUnsafe() !== undefined
      taker.interrupt(hasty)
      yield* rest
      if (seen) return isOver
      const { inFlight } = yield* valueOf("progress", collector.progress)
      yield* same(`batches in flight, interrupted after ${turns} turns`, inFlight, 0)
      yield* same("the attempt", (yield* takeNow("what nobody took", collector)).batch.attempt, 1)
      return false
    })),
  broken: gapped
})

export const settling: ReadonlyArray<Law> = [stored, ahead, nothing]
