/** One-second aggregates of the samples: a plain function over those of one second, and the transform that runs it. */
import { Transform } from "@sluice/core"
import { Array, Stream } from "effect"
import { Aggregate, Sample } from "./records.ts"

/**
 * What is left when sampling stops may be a few milliseconds. The kernel counts busy time in steps of ten, so that a share
 * of so little would be chance.
 */
const millisMin = 500

export const layer = (options: { readonly rate: number }) =>
  Transform.layer({
    name: "aggregates",
    from: Sample,
    to: Aggregate,
    through: (samples) =>
      samples.pipe(
        // `groupedWithin` takes what is ready in one turn of the event loop, and a transform's input is one value.
        Stream.buffer({ capacity: 256 }),
        // More than come in a second, so that it is the second that ends a group.
        Stream.groupedWithin(2 * options.rate, "1 second"),
        Stream.filter((group) => Array.isReadonlyArrayNonEmpty(group)),
        Stream.map(aggregateOf),
        Stream.filter(({ millis }) => millis >= millisMin)
      )
  })

export const aggregateOf = (
  samples: Array.NonEmptyReadonlyArray<typeof Sample.schema.Type>
): typeof Aggregate.schema.Type => {
  const first = samples[0]
  const last = samples.at(-1) ?? first
  const millis = last.at - first.at
  const cores = last.cores.map((core, index) => {
    const before = first.cores[index] ?? core
    return share(core.busy - before.busy, core.total - before.total)
  })
  return {
    at: last.at,
    millis,
    samples: samples.length,
    perSecond: millis === 0 ? 0 : (samples.length - 1) / millis * 1000,
    cpu: mean(cores),
    cores,
    memory: share(last.memoryUsed, last.memoryTotal),
    load: last.load,
    loopDelay: {
      mean: mean(samples.map((sample) => sample.loopDelay)),
      max: samples.reduce((max, sample) => Math.max(max, sample.loopDelay), 0)
    }
  }
}

const share = (part: number, whole: number): number => whole === 0 ? 0 : part / whole * 100

const mean = (numbers: ReadonlyArray<number>): number =>
  numbers.length === 0 ? 0 : numbers.reduce((sum, number) => sum + number, 0) / numbers.length
