/** What a full buffer does is the record's choice, and what to do about it the producer's: refuse, wait, or overwrite. */
import { NodeRuntime } from "@effect/platform-node"
import { Record } from "@sluice/core"
import { Console, Effect, Fiber, Layer, Logger, Schema } from "effect"

class Order extends Record.Service<Order>()("shop/Order", {
  schema: Schema.String,
  buffer: { kind: "Bounded", capacity: 2 }
}) {}

class Price extends Record.Service<Price>()("shop/Price", {
  schema: Schema.Int,
  buffer: { kind: "SpmcRing", capacity: 2 }
}) {}

/** An order must not be lost: a bounded record refuses it or lets the producer wait. */
const orders = Effect.gen(function*() {
  const order = yield* Order
  const reader = yield* order.subscribe
  const producer = yield* order.producer("shop")
  yield* producer.tryProduce("tea")
  yield* producer.tryProduce("rice")
  yield* producer.tryProduce("salt").pipe(
    Effect.catchTag("BufferFull", ({ record, value }) => Console.log(`${record} is full: "${value}" was handed back`))
  )
  yield* Console.log(`as a plain function it answers "${producer.produceUnsafe("salt")}"`)
  yield* producer.produce("salt") // fire and forget: dropped, counted, and warned about at most once a second
  const waiting = yield* Effect.forkChild(producer.produceAsync("salt"), { startImmediately: true })
  yield* Console.log(`"salt" waits: ${waiting.pollUnsafe() === undefined}`)
  yield* Console.log(`took "${yield* reader.recv}"`)
  yield* Fiber.join(waiting)
  yield* Console.log(`"salt" is in; took "${yield* reader.recv}" and "${yield* reader.recv}"`)
})

/** An old price is worth nothing: a ring overwrites it, and tells who was too slow how much was missed. */
const prices = Effect.gen(function*() {
  const price = yield* Price
  const reader = yield* price.subscribe
  const producer = yield* price.producer("exchange")
  for (const cents of [101, 102, 103, 104, 105]) yield* producer.produce(cents)
  const missed = yield* reader.recv.pipe(
    Effect.as(0),
    Effect.catchTag("Lagged", ({ missed }) => Effect.succeed(missed))
  )
  yield* Console.log(`missed ${missed} prices, goes on with ${yield* reader.recv} and ${yield* reader.recv}`)
})

Effect.andThen(orders, prices).pipe(
  Effect.scoped, // a claim and a reader live as long as their scope
  Effect.provide(Layer.mergeAll(Order.layer, Price.layer)),
  Effect.provideService(Logger.LogToStderr, true),
  NodeRuntime.runMain
)
