/**
 * Overload, twice. `slow` takes longer for a sample than the sampler does, and its lag is counted. And three writers share
 * a bounded journal that a slow archive empties: samples are written if there is room (`tryProduce`), aggregates and
 * alerts wait for it (`produceAsync`), and the samples do not overtake them.
 */
import { Consumer, type Producer } from "@sluice/core"
import { Duration, Effect, Layer } from "effect"
import { Control } from "./control.ts"
import { Aggregate, Alert, Journal, Sample } from "./records.ts"

export const Slow = Consumer.layer(Sample, {
  name: "slow",
  handle: () => Effect.sleep("8 millis")
})

/** Its pause stands for a disk that can do 25 lines a second. */
const Archive = Consumer.layer(Journal, {
  name: "archive",
  handle: Effect.fnUntraced(function*(_line) {
    yield* Effect.sleep("40 millis")
    const { tally } = yield* Control
    tally.archived++
  })
})

const Samples = Consumer.layer(Sample, {
  name: "journal-samples",
  emits: { journal: Journal },
  handle: (sample, { journal }) =>
    journal.tryProduce(`sample at ${sample.at}`).pipe(
      Effect.catchTag("BufferFull", () => Effect.map(Control, ({ tally }) => void tally.refused++))
    )
})

const Aggregates = Consumer.layer(Aggregate, {
  name: "journal-aggregates",
  emits: { journal: Journal },
  handle: (aggregate, { journal }) => keep(journal, `cpu ${aggregate.cpu.toFixed(1)} % at ${aggregate.at}`)
})

const Alerts = Consumer.layer(Alert, {
  name: "journal-alerts",
  emits: { journal: Journal },
  handle: (alert, { journal }) => keep(journal, `${alert.message} at ${alert.at}`)
})

/** Waits for room, and counts the wait. */
const keep = Effect.fnUntraced(function*(journal: Producer.Producer<string>, line: string) {
  const { tally } = yield* Control
  const [wait] = yield* Effect.timed(journal.produceAsync(line))
  const millis = Duration.toMillis(wait)
  if (millis < 1) return
  tally.waited++
  tally.waitedMillis += millis
})

export const layer = Layer.mergeAll(Archive, Samples, Aggregates, Alerts)
