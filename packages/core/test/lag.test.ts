/** Lag and overwrites are counted exactly, for every reader by itself. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Option, Schema } from "effect"
import { casesOf } from "../../../test/support/cases.ts"
import { bufferOf } from "./support.ts"

const capacities = Array.from({ length: 65 }, (_, index) => index + 1)

describe.each(casesOf("exact lag, each of 65 capacities", { budget: 20, full: 400 }))(
  "seed $seed",
  ({ runs, seed }) => {
    for (const capacity of capacities) {
      it.effect.prop(
        `a ring of ${capacity}: received + missed = produced, for each reader`,
        {
          // How many values are pushed, then how many each of three readers tries to read.
          bursts: Arbitrary.array(
            Arbitrary.schema(Schema.Tuple([upTo(150), upTo(100), upTo(100), upTo(100)])),
            { minLength: 1, maxLength: 12 }
          )
        },
        ({ bursts }) =>
          Effect.scoped(Effect.gen(function*() {
            const buffer = yield* bufferOf({ kind: "SpmcRing", capacity })
            const readers = yield* Effect.forEach(
              [0, 1, 2],
              () => Effect.map(buffer.subscribe, (reader) => ({ reader, received: 0, missed: 0, last: -1 }))
            )
            let produced = 0
            const read = (at: typeof readers[number]) =>
              Effect.matchEffect(at.reader.tryRecv, {
                onFailure: (error) =>
                  Effect.sync(() => {
                    assert.strictEqual(error._tag, "Lagged")
                    if (error._tag !== "Lagged") return
                    at.missed += error.missed
                    at.last += error.missed
                  }),
                onSuccess: (value) =>
                  Effect.sync(() => {
                    if (Option.isNone(value)) return
                    at.received++
                    assert.strictEqual(value.value, ++at.last, "the next value after what was missed")
                  })
              })
            for (const [pushes, ...reads] of bursts) {
              for (let i = 0; i < pushes; i++) buffer.produceUnsafe(produced++)
              for (const [index, at] of readers.entries()) {
                for (let i = 0; i < reads[index]!; i++) yield* read(at)
              }
            }
            for (const at of readers) {
              const pending = yield* at.reader.pending
              assert.strictEqual(at.received + at.missed + pending, produced)
              for (let i = 0; i <= pending + 1; i++) yield* read(at)
              assert.strictEqual(at.received + at.missed, produced)
            }
            assert.strictEqual(buffer.stats().produced, produced)
          })),
        { arbitrary: { runs, seed }, timeout: 600_000 }
      )
    }
  }
)

function upTo(max: number) {
  return Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: max }))
}

describe("slots", () => {
  it.effect("a value that replaces one that nobody had is counted as overwritten", () =>
    Effect.scoped(Effect.gen(function*() {
      const latest = yield* bufferOf({ kind: "SingleLatest" })
      const mailbox = yield* bufferOf({ kind: "Mailbox" })
      for (const buffer of [latest, mailbox]) {
        const reader = yield* buffer.subscribe
        for (const value of [1, 2, 3]) yield* buffer.produce(value)
        assert.strictEqual(buffer.stats().overwritten, 2)
        assert.strictEqual(yield* reader.recv, 3)
        yield* buffer.produce(4)
        assert.strictEqual(buffer.stats().overwritten, 2, "3 was received")
        assert.strictEqual(yield* reader.recv, 4)
      }
    })))
})
