/** A component that runs a Stream into a record. */
import { Effect, Latch, type Layer, Stream } from "effect"
import { type Assembly, type Handled, Interceptor, type Supervised } from "./Component.ts"
import { declare, endWhenClosed } from "./internal/component.ts"
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
      Effect.flatMap(Interceptor, (intercept) => {
        // Open while the stream is at work on its next values, closed while those that it emitted go in.
        const pulling = Latch.makeUnsafe(true)
        const stopped = Effect.andThen(running.stop.await, pulling.await)
        const [claim] = running.claims
        const write = (values: ReadonlyArray<A>) => {
          pulling.closeUnsafe()
          slot.begin(values.length)
          return Effect.flatMap(
            Effect.forEach(
              values,
              (value) => {
                const produce = claim!.produceAsync(value)
                return Effect.andThen(
                  intercept === undefined ? produce : intercept(slot.handling(record.key, [value]), produce),
                  Effect.sync(() => slot.end(1))
                )
              },
              { discard: true }
            ),
            () => {
              pulling.openUnsafe()
              return running.stop.isOpen() ? Effect.never : Effect.void
            }
          )
        }
        return Effect.raceFirst(endWhenClosed(Stream.runForEachArray(options.stream, write), running, slot), stopped)
      })
  })
