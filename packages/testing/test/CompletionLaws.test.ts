import { assert, describe, it, vi } from "@effect/vitest"
import type { Completion } from "@sluice/core"
import { CompletionLaws, Flows } from "@sluice/testing"
import { Clock, Effect, Fiber, Stream } from "effect"
import { noticesSabotage } from "../../../test/support/sabotaged.ts"

const { promises, subject } = CompletionLaws

const some = Effect.andThen(Effect.yieldNow, Effect.yieldNow)
const remotely = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.andThen(some, Effect.tap(effect, () => some))
/** The backend in memory as one that answers by I/O: some turns after it is asked, and tells some turns late. */
const remote = (options: CompletionLaws.BackendOptions): Flows.Flows => {
  const { backend, store } = Flows.memory(options)
  const subscribe: Completion.CompletionBackend["subscribe"] = (options) =>
    Effect.map(remotely(backend.subscribe(options)), Stream.tap(() => some))
  return { store, backend: { ...backend, subscribe } }
}

/** The backend in memory as one with a connection, which takes some time to be there again. */
const connected = (options: CompletionLaws.BackendOptions) =>
  Clock.clockWith((clock) =>
    Effect.sync(() => {
      const { backend, store } = Flows.memory(options)
      let downUntil = 0
      const cut = Effect.sync(() => void (downUntil = clock.currentTimeMillisUnsafe() + 2500))
      const subscribe: Completion.CompletionBackend["subscribe"] = (options) =>
        Effect.map(
          backend.subscribe(options),
          Stream.mapAccum((): number | undefined => undefined, (missed, signal): readonly [
            number | undefined,
            ReadonlyArray<Completion.Signal>
          ] => {
            if (signal._tag === "Gap") return [missed, [signal]]
            if (clock.currentTimeMillisUnsafe() < downUntil) return [missed ?? signal.payload.producedAt, []]
            if (missed === undefined) return [undefined, [signal]]
            return [undefined, [{ _tag: "Gap", since: missed, reason: "reconnected" }, signal]]
          })
        )
      return { backend: { ...backend, subscribe }, store, cut }
    })
  )

const subjects: ReadonlyArray<CompletionLaws.Subject> = [
  ...CompletionLaws.ours,
  subject(
    "a backend that neither resumes nor filters",
    { ...promises.memory, resume: false, filters: false },
    (options) => Flows.memory({ ...options, capabilities: { resume: false, filters: false } })
  ),
  subject("a backend with a connection", { ...promises.memory, connection: true }, connected),
  subject("a backend that answers by I/O", promises.memory, remote, {
    turn: Effect.andThen(some, Effect.andThen(some, some))
  })
]

describe.each(subjects)("$name", (subject) => {
  for (const law of CompletionLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))

  it("keeps every law in plain Effect, on the live clock", () => Effect.runPromise(CompletionLaws.checkAll(subject)))
})

noticesSabotage(CompletionLaws.laws, subjects)

describe("the laws", () => {
  it("have names of their own, and each binds some subject", () => {
    assert.strictEqual(new Set(CompletionLaws.laws.map(({ name }) => name)).size, CompletionLaws.laws.length)
    for (const law of CompletionLaws.laws) {
      assert.isTrue(subjects.some(({ promises }) => law.applies(promises)), law.name)
    }
  })

  it("are broken by a backend that hangs, after some turns or, where it answers by I/O, ten minutes", async () => {
    const stuck = { ...subjects[0]!, make: () => Effect.uninterruptible(Effect.never) }
    const [law] = CompletionLaws.laws
    const turns = await Effect.runPromise(Effect.flip(law!.check(stuck)))
    assert.include(turns.message, "expected the check to answer, but saw it still waiting after 100000 turns")
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] })
    try {
      const checking = Effect.runFork(Effect.flip(law!.check({ ...stuck, turn: Effect.yieldNow })))
      await vi.advanceTimersByTimeAsync(600_000 - 1)
      assert.isUndefined(checking.pollUnsafe())
      await vi.advanceTimersByTimeAsync(1)
      const { message } = await Effect.runPromise(Fiber.join(checking))
      assert.include(message, "expected the check to answer, but saw it still waiting after 10 minutes")
    } finally {
      vi.useRealTimers()
    }
  })
})
