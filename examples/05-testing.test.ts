/** How an application's topology is tested under `@effect/vitest`, where every test has a virtual clock of its own. */
import { assert, describe, it } from "@effect/vitest"
import { Topology } from "@sluice/core"
import { Effect, Layer } from "effect"
import { Alert, asTimePasses, Greenhouse, scripted, Thermometer } from "./05-testing.ts"

const withReadings = (...values: ReadonlyArray<number>) => Greenhouse.pipe(Layer.provide(scripted(...values)))

describe("the greenhouse", () => {
  it.effect("every reading below 4 °C is an alert, in order, and no other reading is", () =>
    Effect.gen(function*() {
      const alert = yield* Alert
      const { recvBatch } = yield* alert.subscribe
      const alerts: Array<string> = []
      while (alerts.length < 3) alerts.push(...(yield* asTimePasses(recvBatch(3))))
      assert.deepStrictEqual(alerts.slice(0, 3), ["frost: 3.5 °C", "frost: -1 °C", "frost: 0 °C"])
    }).pipe(Effect.scoped, Effect.provide(withReadings(12, 3.5, 4, 20, -1, 0))))

  it.effect("a thermometer that breaks once is read again, and costs no alert", () =>
    Effect.gen(function*() {
      const alert = yield* Alert
      const { recv } = yield* alert.subscribe
      assert.strictEqual(yield* asTimePasses(recv), "frost: 2 °C")
      const topology = yield* Topology.Topology
      const { components } = yield* topology.snapshot
      assert.strictEqual(components.find(({ name }) => name === "poll")?.restarts, 1)
    }).pipe(Effect.scoped, Effect.provide(Greenhouse.pipe(Layer.provide(brokenOnce)))))
})

const brokenOnce = Layer.sync(Thermometer, () => {
  let readings = 0
  return { celsius: Effect.suspend(() => ++readings === 1 ? Effect.die("no thermometer") : Effect.succeed(2)) }
})
