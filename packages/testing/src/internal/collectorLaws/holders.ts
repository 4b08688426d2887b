/** Of two holders of a group the second goes on where the first has committed, and the first stops. */
import { Effect, Exit } from "effect"
import { range } from "../bufferLaws/steps.ts"
import { Mismatch, outcome, same, valueOf, waits } from "../trial.ts"
import { start } from "../trial.ts"
import { type Law, law, Parked } from "./law.ts"
import { forgetsAttempts, rewound, unfenced } from "./sabotage.ts"
import { openWorld, quiet, sequencesOf, tagOf, takeNow } from "./steps.ts"

const options = { batch: { max: 1 }, deadLetter: "drop" } as const

const stops = law("the first of two holders stops at its next commit, and has then changed nothing", {
  check: Effect.fnUntraced(function*(subject) {
    const world = yield* openWorld(subject)
    yield* world.produce(4)
    const first = (yield* world.hold(options)).collector
    const [a, b, c] = [
      yield* takeNow("0", first),
      yield* takeNow("1", first),
      yield* takeNow("2", first)
    ]
    yield* valueOf("ack", first.ack(a.batch))
    yield* quiet
    yield* same("what is committed", yield* world.committed, 0)
    const second = (yield* world.hold(options)).collector
    const durable = yield* start(first.ackDurable(c.batch))
    yield* waits("an ackDurable behind another batch", durable)
    const waiting = yield* start(Effect.scoped(Effect.andThen(first.take, first.take)))
    yield* valueOf("the ack that is found out", first.ack(b.batch))
    yield* quiet
    yield* same("what is committed after it", yield* world.committed, 0)
    for (const [what, exit] of [["ackDurable", durable.pollUnsafe()], ["take", waiting.pollUnsafe()]] as const) {
      yield* same(`how ${what} ends`, exit === undefined ? "it waits" : tagOf(exit), "StaleEpoch")
    }
    const verbs: { readonly [verb: string]: Effect.Effect<unknown, unknown> } = {
      take: Effect.scoped(first.take),
      flush: first.flush,
      ack: first.ack(b.batch),
      release: first.release(b.batch),
      reject: first.reject(b.batch, "")
    }
    for (const [what, verb] of Object.entries(verbs)) {
      yield* same(`${what} of the first`, tagOf(yield* outcome(what, verb)), "StaleEpoch")
    }
    yield* same("an ack of the first's at the second", tagOf(yield* outcome("ack", second.ack(b.batch))), "StaleEpoch")
    yield* b.end(Exit.void)
    yield* quiet
    yield* same("what is committed in the end", yield* world.committed, 0)
  }),
  broken: unfenced
})

const goesOn = law("what one of two holders committed is not handed out again, and everything is handled", {
  check: Effect.fnUntraced(function*(subject) {
    const world = yield* openWorld(subject)
    yield* world.produce(6)
    const seen: Array<number> = []
    let committed = -1
    for (const upTo of [1, 3, 5]) {
      const { collector } = yield* world.hold(options)
      const handed: Array<number> = []
      // Each holder has two more in hand when the next takes over, and has settled the second of them.
      while (committed < upTo) {
        const { batch, end } = yield* takeNow(`${committed + 1}`, collector)
        handed.push(...sequencesOf(batch))
        yield* end(Exit.void)
        yield* quiet
        committed = yield* world.committed
        if (handed.length > 6) break
      }
      yield* same("what a holder was handed", handed, range(seen.length, upTo + 1))
      seen.push(...handed)
      if (upTo === 5) continue
      yield* takeNow("one more", collector)
      yield* valueOf("ack", collector.ack((yield* takeNow("two more", collector)).batch))
      yield* quiet
    }
    yield* same("what was handled", seen, range(0, 6))
    const { collector } = yield* world.hold(options)
    yield* waits("a take where everything is settled", yield* start(Effect.scoped(collector.take)))
  }),
  broken: rewound
})

const attempts = law("attempts from the second on outlive a holder that says nothing more", {
  applies: ({ durability }) => durability !== "volatile",
  check: Effect.fnUntraced(function*(subject) {
    const world = yield* openWorld(subject)
    const limited = {
      ...options,
      maxAttempts: 3,
      deadLetter: { record: Parked, as: ({ sequence }: { readonly sequence: bigint }) => Number(sequence) }
    }
    yield* world.produce(1)
    const first = (yield* world.hold(limited)).collector
    const { batch } = yield* takeNow("0", first)
    yield* valueOf("release", first.release(batch, { delay: 0 }))
    yield* same("the attempt", (yield* takeNow("0 again", first)).batch.attempt, 2)
    const second = (yield* world.hold(limited)).collector
    yield* same("the attempt after a takeover", (yield* takeNow("0 once more", second)).batch.attempt, 3)
    const third = (yield* world.hold(limited)).collector
    yield* quiet
    yield* same("the letter of what had all its attempts", yield* valueOf("recv", world.letters.recv), 0)
    if ((yield* valueOf("flush", third.flush)) !== 0n) {
      return yield* new Mismatch({ expected: "the watermark to pass it", seen: "it standing" })
    }
  }),
  broken: forgetsAttempts
})

export const holders: ReadonlyArray<Law> = [stops, goesOn, attempts]
