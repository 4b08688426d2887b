/** A buffer in memory that is there again after a restart. */
import { assert, describe, it } from "@effect/vitest"
import { Consumer, Record, Topology } from "@sluice/core"
import { DiskLog, Journal, Storage } from "@sluice/disk"
import { Faults } from "@sluice/testing"
import { Effect, Layer, Option, Schema, type Scope } from "effect"

class Level extends Record.Service<Level>()("plant/Level", { schema: Schema.Finite }) {}
class Setting
  extends Record.Service<Setting>()("plant/Setting", { schema: Schema.Struct({ target: Schema.Finite }) })
{}

const records = Layer.merge(
  Level.layerBuffer(DiskLog.persist({ kind: "SpmcRing", capacity: 3 })),
  Setting.layerBuffer(DiskLog.persist({ kind: "SingleLatest" }))
)
/** One life of an application on a disk. */
const life = <A, E>(storage: Storage.Storage, use: Effect.Effect<A, E, Level | Setting | Scope.Scope>) =>
  Effect.scoped(use).pipe(
    Effect.provide(records.pipe(Layer.provide(Journal.layer({ directory: "/plant", segmentBytes: 64 * 1024 })))),
    Effect.provideService(Storage.CurrentStorage, storage)
  )

describe("a persisted buffer", () => {
  it.effect("has what it held after a restart, before its first reader; a reader of a ring begins with the next value", () =>
    Effect.gen(function*() {
      const { storage } = Faults.disk()
      yield* life(
        storage,
        Effect.gen(function*() {
          const level = yield* (yield* Level).producer("test")
          const setting = yield* (yield* Setting).producer("test")
          assert.deepStrictEqual(yield* (yield* Level).latest, Option.none())
          for (const value of [1, 2, 3, 4, 5]) yield* level.produce(value)
          for (const target of [1, 2, 3]) yield* setting.produce({ target })
        })
      )
      for (let again = 0; again < 2; again++) {
        yield* life(
          storage,
          Effect.gen(function*() {
            const level = yield* Level
            assert.deepStrictEqual(yield* level.latest, Option.some(5))
            assert.deepStrictEqual(yield* (yield* Setting).latest, Option.some({ target: 3 }))
            assert.deepStrictEqual(yield* (yield* (yield* Setting).subscribe).recv, { target: 3 })
            assert.strictEqual(yield* (yield* level.subscribe).pending, 0)
          })
        )
      }
    }))

  it.effect("stores what a topology handled until its end", () =>
    Effect.gen(function*() {
      const { storage } = Faults.disk()
      const seen: Array<number> = []
      const handling = Consumer.layer(Level, {
        name: "seen",
        handle: (value) => Effect.sync(() => void seen.push(value))
      })
      yield* life(
        storage,
        Effect.scoped(Effect.gen(function*() {
          yield* Layer.build(Topology.layer(handling))
          const level = yield* (yield* Level).producer("test")
          for (let value = 0; value < 1000; value++) yield* level.produceAsync(value)
        }))
      )
      assert.strictEqual(seen.at(-1), 999)
      const latest = yield* life(storage, Effect.flatMap(Level, ({ latest }) => latest))
      assert.deepStrictEqual(latest, Option.some(999))
    }))

  it.effect("goes on in memory where the disk fails, and says so", () =>
    Effect.gen(function*() {
      const disk = Faults.disk()
      yield* life(
        disk.storage,
        Effect.gen(function*() {
          disk.inject({ call: "datasync", times: 3 })
          const level = yield* (yield* Level).producer("test")
          for (const value of [1, 2, 3]) yield* level.produce(value)
          assert.deepStrictEqual(yield* (yield* Level).latest, Option.some(3))
        })
      )
      assert.isAbove(disk.counters.failures, 0)
    }))
})
