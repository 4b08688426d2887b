/**
 * The laws of buffers: what every buffer guarantees, ours or your own, each as a check that any test runner can run. A
 * kind says by flags what it promises, and is held to all of that.
 *
 * ```ts
 * import { describe, it } from "@effect/vitest"
 * import { Buffer } from "@sluice/core"
 * import { BufferLaws } from "@sluice/testing"
 *
 * const subject = BufferLaws.subject("a ring", BufferLaws.promises.spmcRing, (capacity) => Buffer.spmcRing({ capacity }))
 *
 * describe(subject.name, () => {
 *   for (const law of BufferLaws.lawsOf(subject)) it.effect(law.name, () => law.check(subject))
 * })
 * ```
 *
 * The checks take no time: they run alike under the TestClock and the live one. They wait for events, and count a wait
 * in turns of the scheduler, so a buffer that hangs breaks a law instead of hanging the suite. So they are for buffers
 * that answer from memory; one whose answers take I/O wants laws that wait for it.
 */
import { Effect } from "effect"
import { capacity } from "./internal/bufferLaws/capacity.ts"
import { closing } from "./internal/bufferLaws/closing.ts"
import { interruption } from "./internal/bufferLaws/interruption.ts"
import { lag } from "./internal/bufferLaws/lag.ts"
import type { Law, LawBroken, Subject } from "./internal/bufferLaws/law.ts"
import { reading } from "./internal/bufferLaws/reading.ts"
import { sharing } from "./internal/bufferLaws/sharing.ts"
import { starting } from "./internal/bufferLaws/starting.ts"
import { statistics } from "./internal/bufferLaws/statistics.ts"
import { waiting } from "./internal/bufferLaws/waiting.ts"

export { ours, promises, subject } from "./internal/bufferLaws/kinds.ts"
export { type Law, LawBroken, type Promises, type Subject } from "./internal/bufferLaws/law.ts"

/** All laws; names are unique. */
export const laws: ReadonlyArray<Law> = [
  ...capacity,
  ...waiting,
  ...starting,
  ...reading,
  ...lag,
  ...sharing,
  ...closing,
  ...interruption,
  ...statistics
]

/** The laws that bind a subject, by what it promises. */
export const lawsOf = (subject: Subject): ReadonlyArray<Law> => laws.filter(({ applies }) => applies(subject.promises))

/**
 * Checks every law that binds a subject, and fails with the first one broken. Without a test runner:
 *
 * ```ts
 * Effect.runPromise(BufferLaws.checkAll(subject))
 * ```
 */
export const checkAll = (subject: Subject): Effect.Effect<void, LawBroken> =>
  Effect.forEach(lawsOf(subject), (law) => law.check(subject), { discard: true })
