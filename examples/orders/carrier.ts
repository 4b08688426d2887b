/**
 * Who ships. It stands for a service elsewhere: it is down now and then, it refuses what it cannot deliver, and what it has
 * taken it keeps, here as lines of a file that are flushed before it answers.
 */
import type { Collector } from "@sluice/core"
import { Context, Effect, FileSystem, Layer, Random, Ref, Schema } from "effect"
import { join } from "node:path"
import type { Order } from "./records.ts"

/** It was down when it was asked: nothing was shipped. */
export class CarrierDown extends Schema.TaggedError<CarrierDown>()("CarrierDown", {}) {
  override get message(): string {
    return "the carrier is down"
  }
}
/** There is no way there, however often one asks. */
export class Undeliverable extends Schema.TaggedError<Undeliverable>()("Undeliverable", { to: Schema.String }) {
  override get message(): string {
    return `the carrier does not go to ${this.to}`
  }
}

export class Carrier extends Context.Service<Carrier, {
  /** All of a batch or, where it fails, nothing. */
  readonly ship: (batch: Collector.Batch<Order>) => Effect.Effect<void, CarrierDown | Undeliverable>
  readonly shipped: Effect.Effect<number>
}>()("shop/Carrier") {}

/** One line of its file. */
export const Shipment = Schema.Struct({
  process: Schema.Int,
  attempt: Schema.Int,
  sequence: Schema.Int,
  id: Schema.String
})

export const nowhere = "Atlantis"

/** `failures` is how often it is down, from 0 to 1. */
export const layer = (options: { readonly directory: string; readonly failures: number; readonly seed: number }) =>
  Layer.effect(
    Carrier,
    Effect.gen(function*() {
      const { makeDirectory, open } = yield* FileSystem.FileSystem
      yield* makeDirectory(options.directory, { recursive: true })
      const file = yield* open(join(options.directory, "shipped.jsonl"), { flag: "a" })
      const shipped = yield* Ref.make(0)
      // Whoever was killed while it wrote may have left half a line.
      yield* file.writeAll(new TextEncoder().encode("\n"))
      const ship = (batch: Collector.Batch<Order>) =>
        Effect.gen(function*() {
          if ((yield* Random.next) < options.failures) return yield* new CarrierDown()
          const refused = batch.values.find(({ to }) => to === nowhere)
          if (refused !== undefined) return yield* new Undeliverable({ to: refused.to })
          const lines = batch.values.map(({ id }, index) =>
            JSON.stringify(
              {
                process: process.pid,
                attempt: batch.attempt,
                sequence: Number(batch.first) + index,
                id
              } satisfies typeof Shipment.Type
            )
          )
          yield* Effect.orDie(
            Effect.andThen(file.writeAll(new TextEncoder().encode(lines.join("\n") + "\n")), file.sync)
          )
          yield* Ref.update(shipped, (count) => count + batch.values.length)
        })
      const random = yield* Random.withSeed(Random.Random, String(options.seed))
      return {
        // Uninterruptible: what is on its way is told of.
        ship: (batch: Collector.Batch<Order>) =>
          Effect.uninterruptible(Effect.provideService(ship(batch), Random.Random, random)),
        shipped: Ref.get(shipped)
      }
    })
  )
