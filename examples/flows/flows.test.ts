/** The engine as its users have it: a process, a flow file, and `kill -9`. */
import { assert, describe, it } from "@effect/vitest"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run, start } from "../childProcess.ts"

interface Steps {
  readonly [id: string]: { readonly [field: string]: unknown }
}
const inDirectory = async (
  steps: Steps,
  test: (flow: {
    readonly args: ReadonlyArray<string>
    /** What steps have written by `says`. */
    readonly said: () => Promise<ReadonlyArray<string>>
  }) => Promise<void>
) => {
  const directory = await mkdtemp(join(tmpdir(), "sluice-flows-"))
  const file = join(directory, "flow.json")
  await writeFile(
    file,
    JSON.stringify({
      name: "test",
      steps: Object.entries(steps).map(([id, step]) => ({ id, env: { SAID: join(directory, "said") }, ...step }))
    })
  )
  try {
    await test({
      args: [file, "--directory", join(directory, "kept"), "--parallel", "4"],
      said: async () => (await readFile(join(directory, "said"), "utf8").catch(() => "")).split("\n").filter(Boolean)
    })
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
const says = (what: string) => ({ shell: `echo ${what} >> "$SAID"` })
const isThere = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe.concurrent("flows", { timeout: 90_000 }, () => {
  it("runs steps after what they need, without a shell, and skips what can no longer run", () =>
    inDirectory({
      first: {
        run: ["node", "-e", "require('fs').appendFileSync(process.env.SAID, process.argv[1] + '\\n')", "$HOME; *"]
      },
      second: { needs: ["first"], ...says("second") },
      bad: { needs: ["first"], run: ["node", "-e", "process.exit(3)"] },
      never: { needs: ["bad", "second"], ...says("never") },
      after: { needs: ["never"], ...says("after") },
      any: { needs: [{ anyOf: ["bad", "second"] }], ...says("any") },
      most: { needs: [{ quorum: 2, of: ["first", "bad", "second"] }], ...says("most") },
      all: { needs: [{ quorum: 3, of: ["first", "bad", "second"] }], ...says("all") }
    }, async ({ args, said }) => {
      const { code, stderr, stdout } = await run("flows/main.ts", ...args)
      const [first, second, ...rest] = await said()
      assert.deepStrictEqual([first, second, ...rest.toSorted()], ["$HOME; *", "second", "any", "most"])
      assert.include(stdout, "test: 4 of 8 steps succeeded")
      for (const end of ["bad failed", "never skipped", "after skipped", "all skipped"]) assert.include(stderr, end)
      assert.strictEqual(code, 1)
      // Nothing is run again that has ended.
      const again = await run("flows/main.ts", ...args)
      assert.strictEqual(again.code, 1)
      assert.lengthOf(await said(), 4)
    }))

  it("tries a step as often as it may, and runs what failed anew when it is asked to", () =>
    inDirectory({
      flaky: { retries: 2, shell: "echo try >> \"$SAID\"; test $(grep -c try \"$SAID\") -ge 4" },
      next: { needs: ["flaky"], ...says("next") }
    }, async ({ args, said }) => {
      assert.strictEqual((await run("flows/main.ts", ...args)).code, 1)
      assert.deepStrictEqual(await said(), ["try", "try", "try"])
      const { code, stdout } = await run("flows/main.ts", ...args, "--failed")
      assert.strictEqual(code, 0, stdout.join("\n"))
      assert.deepStrictEqual(await said(), ["try", "try", "try", "try", "next"])
    }))

  it("goes on after kill -9: what was left running is ended first, and what was recorded never runs again", () =>
    inDirectory({
      quick: says("quick"),
      slow: { needs: ["quick"], shell: "echo $$ >> \"$SAID\"; test -e \"$SAID.go\" || sleep 300" },
      last: { needs: ["slow"], ...says("last") }
    }, async ({ args, said }) => {
      const pids: Array<number> = []
      for (let life = 0; life < 3; life++) {
        const engine = start("flows/main.ts", args)
        await engine.line(/^started {2}slow/)
        while ((await said()).length <= life + 1) await new Promise((resolve) => setTimeout(resolve, 10))
        engine.signal("SIGKILL")
        await engine.ended
        const pid = Number((await said()).at(-1))
        assert.isTrue(isThere(pid))
        for (const before of pids) assert.isFalse(isThere(before))
        pids.push(pid)
      }
      await writeFile(join(args[2]!, "..", "said.go"), "")
      const { code, stdout } = await run("flows/main.ts", ...args)
      assert.strictEqual(code, 0, stdout.join("\n"))
      assert.include(stdout, "ended    slow, which an engine that was killed had left")
      for (const pid of pids) assert.isFalse(isThere(pid))
      assert.deepStrictEqual((await said()).filter((line) => !/^\d+$/.test(line)), ["quick", "last"])
    }))

  it("refuses a file that makes no sense, and says where", async () => {
    const faults: ReadonlyArray<readonly [Steps, RegExp]> = [
      [{ a: { needs: ["b"], ...says("a") } }, /step "a" needs "b", which is no step of the flow/],
      [
        { a: { needs: ["b"], ...says("a") }, b: { needs: ["a"], ...says("b") } },
        /these steps wait for each other.*a, b/
      ],
      [{ a: { needs: ["b", "b"], ...says("a") }, b: says("b") }, /needs the same step twice/],
      [{ a: { run: [] } }, /steps/]
    ]
    for (const [steps, message] of faults) {
      await inDirectory(steps, async ({ args }) => {
        const { code, stderr } = await run("flows/main.ts", ...args)
        assert.match(stderr, message)
        assert.strictEqual(code, 1)
      })
    }
  })
})
