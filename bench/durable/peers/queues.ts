/** Queues of jobs, all with the two halves of their work: values are put in, and values are worked off. */
import { NodeRedis } from "@effect/platform-node"
import { Collector } from "@sluice/core"
import { Queue as BullQueue, Worker } from "bullmq"
import { Deferred, Effect, Layer, Logger, type Scope } from "effect"
import { PersistedQueue } from "effect/persistence"
import { join } from "node:path"
import type { WrongDelivery } from "../../workload.ts"
import { assertCount, failing, inFlight, Item, temporary } from "../ground.ts"
import * as Redis from "./redis.ts"
import * as Sluice from "./sluice.ts"
import * as SqlClient from "./sqlClient.ts"

export interface Halves {
  readonly enqueue: (items: ReadonlyArray<Item>) => Effect.Effect<void, WrongDelivery>
  /** Returns when all are acknowledged, and that is stored. */
  readonly workOff: (count: number) => Effect.Effect<void, WrongDelivery>
}
export interface JobQueue {
  readonly name: string
  readonly open: Effect.Effect<Halves, WrongDelivery, Scope.Scope>
}
const fibers = 64

/** With attempts that outlive a crash, and a group that one holder has. */
export const sluice: JobQueue = {
  name: "Sluice produceAsync, Collector",
  open: Effect.gen(function*(): Effect.fn.Return<Halves, unknown, Scope.Scope> {
    const journal = yield* Sluice.journal(yield* temporary)
    const { context, store } = yield* Sluice.open(journal)
    yield* Sluice.settled(journal, store)
    const collector = yield* Collector.make(Sluice.Items, {
      group: "bench",
      from: "head",
      maxAttempts: 10,
      deadLetter: "drop"
    }).pipe(Effect.provideContext(context))
    const before = yield* collector.flush
    return {
      enqueue: (items) => inFlight(store, items, fibers),
      workOff: (count) =>
        failing(Effect.gen(function*() {
          for (let seen = 0; seen < count;) {
            seen = yield* Effect.scoped(
              Effect.map(collector.take, ({ values }) =>
                values.reduce((next, { sequence }) => sequence === next ? next + 1 : next, seen))
            )
          }
          yield* assertCount("Sluice", Number((yield* collector.flush) - before), count)
        }))
    }
  }).pipe(failing)
}

const persisted = (factory: Layer.Layer<PersistedQueue.PersistedQueueStore, unknown>) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      PersistedQueue.layer.pipe(Layer.provide(factory), Layer.provide(Logger.layer([])))
    )
    const queue = yield* PersistedQueue.make({ name: "bench", schema: Item }).pipe(Effect.provideContext(context))
    return {
      enqueue: (items: ReadonlyArray<Item>) => inFlight((item) => queue.offer(item), items, fibers),
      workOff: (count: number) => {
        let begun = 0
        const seen = new Set<number>()
        const worker = Effect.gen(function*() {
          while (begun++ < count) yield* queue.take(({ sequence }) => Effect.sync(() => void seen.add(sequence)))
        })
        return failing(Effect.andThen(
          Effect.forEach(Array.from({ length: fibers }), () => worker, { concurrency: "unbounded", discard: true }),
          Effect.suspend(() => assertCount("PersistedQueue", seen.size, count))
        ))
      }
    }
  }).pipe(failing)

export const onSqlite: JobQueue = {
  name: "PersistedQueue on SQLite",
  open: Effect.flatMap(temporary, (directory) =>
    persisted(
      PersistedQueue.layerStoreSql({ pollInterval: "5 millis" }).pipe(
        Layer.provide(SqlClient.layer(join(directory, "queue.db")))
      )
    ))
}
export const onRedis: JobQueue = {
  name: "PersistedQueue on Redis",
  open: Effect.flatMap(Redis.server, (port) =>
    persisted(
      PersistedQueue.layerStoreRedis({ pollInterval: "5 millis" }).pipe(
        Layer.provide(NodeRedis.layer({ url: `redis://127.0.0.1:${port}` }))
      )
    ))
}

export const bullmq: JobQueue = {
  name: "BullMQ",
  open: Effect.gen(function*() {
    const connection = { host: "127.0.0.1", port: yield* Redis.server }
    const queue = yield* Effect.acquireRelease(
      Effect.sync(() => new BullQueue<Item>("bench", { connection })),
      (queue) => Effect.promise(() => queue.close())
    )
    yield* Effect.promise(() => queue.waitUntilReady())
    return {
      enqueue: (items) => inFlight((item) => Effect.tryPromise(() => queue.add("item", item)), items, fibers),
      workOff: (count) =>
        Effect.scoped(Effect.gen(function*() {
          const done = yield* Deferred.make<void>()
          let completed = 0
          yield* Effect.acquireRelease(
            Effect.sync(() =>
              new Worker<Item>("bench", async () => {}, { connection, concurrency: fibers })
                .on("completed", () => {
                  if (++completed === count) Deferred.doneUnsafe(done, Effect.void)
                })
            ),
            (worker) => Effect.promise(() => worker.close())
          )
          yield* Deferred.await(done)
        }))
    }
  })
}
