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
})
