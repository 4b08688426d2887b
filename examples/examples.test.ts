/** Each numbered example runs by itself, prints what it is there to show, and ends. */
import { assert, describe, it } from "@effect/vitest"
import { type Ended, run } from "./childProcess.ts"

const assertEnded = (ended: Ended, expected: { readonly stdout: ReadonlyArray<string>; readonly stderr?: RegExp }) => {
  assert.deepStrictEqual(ended.stdout, expected.stdout)
  assert.match(ended.stderr, expected.stderr ?? /^$/)
  assert.strictEqual(ended.code, 0)
}

describe.concurrent("an example", { timeout: 30_000 }, () => {
  it("01-hello hands every value of a source to a consumer", async () =>
    assertEnded(await run("01-hello.ts"), {
      stdout: [
        "18.5 °C",
        "21 °C",
        "23.5 °C",
        "sensor: Done, 3 handled",
        "printer: Running, 3 handled",
        "drained in time: true"
      ]
    }))

  it("02-backpressure refuses, drops, waits and overwrites", async () =>
    assertEnded(await run("02-backpressure.ts"), {
      stdout: [
        "shop/Order is full: \"salt\" was handed back",
        "as a plain function it answers \"Full\"",
        "\"salt\" waits: true",
        "took \"tea\"",
        "\"salt\" is in; took \"rice\" and \"salt\"",
        "missed 3 prices, goes on with 104 and 105"
      ],
      stderr: /^.*WARN.*record "shop\/Order" is full and `produce` drops values: 1 so far.*\n$/
    }))

  it("03-supervision abandons the values that fail and delivers all others", async () =>
    assertEnded(await run("03-supervision.ts"), {
      stdout: [
        "delivered 1 kg",
        "delivered 2 kg",
        "delivered 3 kg",
        "delivered 4 kg",
        "counter: 6 handled, 0 abandoned, 0 restarts",
        "van: 4 handled, 2 abandoned, 2 restarts"
      ],
      // Two restarts with their causes and stacks, and the end.
      stderr: /^.*WARN.* 40 kg .*\n(?: {4}at .*\n)+.*WARN.* 50 kg .*\n(?: {4}at .*\n)+.*INFO.*topology drained.*\n$/
    }))

  it("04-cross-record-emit drains the record that a handler writes after the one it reads", async () =>
    assertEnded(await run("04-cross-record-emit.ts"), {
      stdout: [
        "sensors → plant/Reading",
        "plant/Reading → alarms",
        "alarms → plant/Alert",
        "plant/Alert → pager",
        "alert: oven is at 61 °C",
        "alert: kiln is at 73 °C",
        "drained"
      ]
    }))

  it("05-testing lets virtual minutes pass in no time", async () =>
    assertEnded(await run("05-testing.ts"), { stdout: ["frost: 3.5 °C", "frost: 1 °C"] }))

  it("06-metrics serves what a topology counts to Prometheus", async () =>
    assertEnded(await run("06-metrics.ts"), {
      stdout: [
        "sluice_record_held{record=\"post/Letter\",topology=\"topology\"} 0",
        "sluice_record_produced_total{record=\"post/Letter\",topology=\"topology\"} 5",
        "sluice_record_dropped_total{record=\"post/Letter\",topology=\"topology\"} 0",
        "sluice_record_failed_total{record=\"post/Letter\",topology=\"topology\"} 0",
        "sluice_record_overwritten_total{record=\"post/Letter\",topology=\"topology\"} 0",
        "sluice_component_in_flight{component=\"box\",topology=\"topology\"} 0",
        "sluice_component_in_flight{component=\"sorter\",topology=\"topology\"} 0",
        "sluice_component_handled_total{component=\"box\",topology=\"topology\"} 5",
        "sluice_component_handled_total{component=\"sorter\",topology=\"topology\"} 5",
        "sluice_component_abandoned_total{component=\"box\",topology=\"topology\"} 0",
        "sluice_component_abandoned_total{component=\"sorter\",topology=\"topology\"} 0",
        "sluice_component_restarts_total{component=\"box\",topology=\"topology\"} 0",
        "sluice_component_restarts_total{component=\"sorter\",topology=\"topology\"} 0",
        "sluice_reader_pending{record=\"post/Letter\",component=\"sorter\",topology=\"topology\"} 0",
        "sluice_reader_received_total{record=\"post/Letter\",component=\"sorter\",topology=\"topology\"} 5",
        "sluice_reader_lagged_total{record=\"post/Letter\",component=\"sorter\",topology=\"topology\"} 0",
        "sluice_reader_conflated_total{record=\"post/Letter\",component=\"sorter\",topology=\"topology\"} 0"
      ]
    }))

  it("07-exactly-once books a batch once that is handed out twice", async () =>
    assertEnded(await run("07-exactly-once.ts"), {
      stdout: [
        "0..1, attempt 1: 2 booked",
        "2..3, attempt 1: 2 booked",
        "2..3, attempt 2: 0 booked",
        "4..5, attempt 1: 2 booked",
        "Ada: 707 cents",
        "Edsger: 42 cents",
        "Grace: 300 cents"
      ]
    }))

  it("08-existing-table promotes and fails jobs of a table by what they need", async () =>
    assertEnded(await run("08-existing-table.ts"), {
      stdout: [
        "compile is ready",
        "compile is done",
        "lint is ready",
        "lint is failed",
        "ship fails with lint"
      ]
    }))

  it("09-workflow wakes workflows that wait for executions, and one that need not wait", async () =>
    assertEnded(await run("09-workflow.ts"), {
      stdout: [
        "1.1 is released",
        "two wait",
        "1.2 is released",
        "1.3 is not released: \"build 3\" has failed"
      ]
    }))
})
