/** Applications of their own, stopped by real signals. */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"

type Signal = "SIGINT" | "SIGTERM"

/** Runs the application, sends `signal` on each line of `on`, and answers with its lines and its exit code. */
const run = async (args: ReadonlyArray<string>, signal: Signal, on: ReadonlyArray<string>) => {
  const app = join(import.meta.dirname, "support/drainingApp.ts")
  const child = spawn(process.execPath, [app, ...args], { stdio: ["ignore", "pipe", "pipe"] })
  const exited = once(child, "exit")
  const lines: Array<string> = []
  const errors: Array<string> = []
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text))
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (on.includes(line)) child.kill(signal)
  }
  const [code] = await exited
  assert.deepStrictEqual(errors, [])
  return { lines, code }
}

describe.each<Signal>(["SIGINT", "SIGTERM"])("%s", (signal) => {
  it("drains every record, with the handlers' services open", async () => {
    const { code, lines } = await run([], signal, ["ready"])
    const written = lines.map(Number).filter((value) => !Number.isNaN(value))
    assert.deepStrictEqual(written.filter((value) => value < 100), Array.from({ length: 20 }, (_, index) => index + 1))
    assert.deepStrictEqual(
      written.filter((value) => value > 100),
      Array.from({ length: 20 }, (_, index) => index + 101)
    )
    assert.strictEqual(lines.at(-1), "output closed")
    assert.deepInclude(JSON.parse(lines.at(-2)!), { withinDeadline: true, left: [], interrupted: [] })
    assert.strictEqual(code, 130)
  })

  it("a second time ends at once, whatever the drain waits for", async () => {
    const { code, lines } = await run(["stuck"], signal, ["ready", "source stopped"])
    assert.deepStrictEqual(lines, ["ready", "source stopped"])
    assert.strictEqual(code, signal === "SIGINT" ? 130 : 143)
  })

  describe("during a drain that an interrupt began, and no signal", () => {
    it("does not end the process the first time: all is drained, and its finalizers run", async () => {
      const { code, lines } = await run(["replaced"], signal, ["source stopped"])
      assert.deepStrictEqual(lines.slice(0, 3), ["ready", "source stopped", "signalled"])
      assert.strictEqual(lines.map(Number).filter((value) => !Number.isNaN(value)).length, 40)
      assert.strictEqual(lines.at(-1), "finalized")
      assert.deepInclude(JSON.parse(lines.find((line) => line.startsWith("{"))!), { withinDeadline: true, left: [] })
      assert.strictEqual(code, 130)
    })

    it("ends it at once the second time, whatever the drain waits for", async () => {
      const { code, lines } = await run(["replaced", "stuck"], signal, ["source stopped", "signalled"])
      assert.deepStrictEqual(lines, ["ready", "source stopped", "signalled"])
      assert.strictEqual(code, signal === "SIGINT" ? 130 : 143)
    })
  })
})
