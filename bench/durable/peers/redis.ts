/** A redis-server of the benchmark's own, which flushes each write before it answers. */
import { Effect, type Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { WrongDelivery } from "../../workload.ts"
import { temporary } from "../ground.ts"

/** Why there is none; undefined where there is. */
export const missing: string | undefined = spawnSync("redis-server", ["--version"]).status === 0
  ? undefined
  : "there is no redis-server here: apt-get update && apt-get install -y redis-server"

/** Answers with its port. */
export const server: Effect.Effect<number, WrongDelivery, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* temporary
  const port = yield* Effect.promise(freePort)
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(
        "redis-server",
        `--port ${port} --bind 127.0.0.1 --appendonly yes --appendfsync always --maxmemory-policy noeviction`
          .split(" ").concat("--save", "", "--dir", directory),
        { stdio: ["ignore", "pipe", "inherit"] }
      )
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null) return
        const ended = once(child, "exit")
        child.kill("SIGKILL")
        await ended
      })
  )
  yield* Effect.callback<void, WrongDelivery>((resume) => {
    let said = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-10_000)
      if (said.includes("Ready to accept connections")) resume(Effect.void)
    })
    child.once("exit", () => resume(Effect.fail(new WrongDelivery({ message: `redis-server ended: ${said}` }))))
  })
  return port
})

const freePort = async (): Promise<number> => {
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const address = probe.address()
  probe.close()
  await once(probe, "close")
  if (address === null || typeof address === "string") throw new Error(`expected a port, got ${address}`)
  return address.port
}
