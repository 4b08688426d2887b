/** A component that runs a Stream into a record. */
import { Effect, type Layer, Stream } from "effect"
import type { Assembly, Handled, Supervised } from "./Component.ts"
import { declare, writeAll } from "./internal/component.ts"
import type { RecordClass } from "./Record.ts"

/**
 * Runs `stream` into the record with `produceAsync`, so it waits for space. A stream that ends makes the component Done
 * and leaves the record open; one that fails is run again from its start by `restart`. A drain stops the stream and lets
 * what it has already emitted in.
 */
export const layer = <Self, Key extends string, A, E = never, R = never>(
  record: RecordClass<Self, Key, A>,
  options: Supervised & { readonly stream: Stream.Stream<NoInfer<A>, E, R> }
): Layer.Layer<never, never, Self | Assembly | Handled<R>> =>
  declare({
    ...options,
    kind: "Source",
    reads: [],
    writes: [record],
    attempt: (running, slot) =>
      writeAll(Stream.interruptWhen(options.stream, running.stop.await), running, slot, (value, claim) => {
        slot.begin(1)
        return Effect.andThen(claim.produceAsync(value), Effect.sync(() => slot.end()))
      })
  })
