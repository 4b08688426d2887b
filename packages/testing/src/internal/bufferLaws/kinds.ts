/** What our own kinds promise: the table of the design, a row each; and each kind as a subject of the laws. */
import { Buffer } from "@sluice/core"
import { Schema } from "effect"
import type { Promises, Subject } from "./law.ts"

type Strategy = "suspend" | "dropping" | "sliding"

/** Effect's own: what their strategy says when full, and no lag that anyone counts. */
const whenFull = { suspend: "waits", dropping: "drops", sliding: "overwrites" } as const
const everything = { capacity: true, held: true, overwritten: true }

/** What the kinds of `@sluice/core` promise; a buffer of one's own starts from the one that is most like it. */
export const promises = {
  spmcRing: {
    holds: "capacity",
    keeps: "untilOverwritten",
    full: "overwrites",
    starts: "next",
    behind: "lagged",
    readers: "each",
    latest: "held",
    // What a ring overwrites is counted where it is missed: by each reader, as lag.
    reports: { capacity: true, held: true, overwritten: false }
  },
  singleLatest: {
    holds: "one",
    keeps: "untilOverwritten",
    full: "overwrites",
    starts: "current",
    behind: "skips",
    readers: "each",
    latest: "held",
    reports: everything
  },
  mailbox: {
    holds: "one",
    keeps: "untilRead",
    full: "overwrites",
    starts: "oldest",
    behind: "cannot",
    readers: "compete",
    latest: "held",
    reports: everything
  },
  bounded: {
    holds: "capacity",
    keeps: "untilRead",
    full: "waits",
    starts: "oldest",
    behind: "cannot",
    readers: "each",
    latest: "held",
    reports: everything
  },
  queue: (strategy: Strategy): Promises => ({
    holds: "capacity",
    keeps: "untilRead",
    full: whenFull[strategy],
    starts: "oldest",
    behind: strategy === "sliding" ? "skips" : "cannot",
    readers: "compete",
    latest: "produced",
    reports: everything
  }),
  pubsub: (strategy: Strategy): Promises => ({ ...promises.queue(strategy), starts: "next", readers: "each" })
} satisfies { readonly [kind: string]: Promises | ((strategy: Strategy) => Promises) }

/** A kind as the laws take it: any backing for numbers. */
export const subject = (
  name: string,
  promises: Promises,
  backing: (capacity: number) => Buffer.BackingOf<number>
): Subject => ({
  name,
  promises,
  make: (capacity) => backing(capacity).make({ key: name, schema: Schema.Finite })
})

const strategies: ReadonlyArray<Strategy> = ["suspend", "dropping", "sliding"]

/** Every kind that a `BufferConfig` can name. */
export const ours: ReadonlyArray<Subject> = [
  subject("SpmcRing", promises.spmcRing, (capacity) => Buffer.spmcRing({ capacity })),
  subject("SingleLatest", promises.singleLatest, () => Buffer.singleLatest),
  subject("Mailbox", promises.mailbox, () => Buffer.mailbox),
  subject("Bounded", promises.bounded, (capacity) => Buffer.bounded({ capacity })),
  ...strategies.map((strategy) =>
    subject(
      `Queue ${strategy}`,
      promises.queue(strategy),
      (capacity) => Buffer.fromConfig({ kind: "Queue", capacity, strategy })
    )
  ),
  ...strategies.map((strategy) =>
    subject(
      `PubSub ${strategy}`,
      promises.pubsub(strategy),
      (capacity) => Buffer.fromConfig({ kind: "PubSub", capacity, strategy })
    )
  )
]
