import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { createInterface } from "node:readline"

describe("a signal", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s drains every record, with the handlers' services open",
    async (signal) => {
      const child = spawn(process.execPath, [join(import.meta.dirname, "support/drainingApp.ts")], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      const exited = once(child, "exit")
      const lines: Array<string> = []
      const errors: Array<string> = []
      child.stderr.setEncoding("utf8").on("data", (text: string) => errors.push(text))
      for await (const line of createInterface({ input: child.stdout })) {
        lines.push(line)
        if (line === "ready") child.kill(signal)
      }
      const [code] = await exited
      assert.deepStrictEqual(errors, [])
      const written = lines.map(Number).filter((value) => !Number.isNaN(value))
      assert.deepStrictEqual(
        written.filter((value) => value < 100),
        Array.from({ length: 20 }, (_, index) => index + 1)
      )
      assert.deepStrictEqual(
        written.filter((value) => value > 100),
        Array.from({ length: 20 }, (_, index) => index + 101)
      )
      assert.strictEqual(lines.at(-1), "output closed")
      assert.deepInclude(JSON.parse(lines.at(-2)!), { withinDeadline: true, left: [], interrupted: [] })
      assert.strictEqual(code, 130)
    }
  )
})
