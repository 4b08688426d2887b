/** Where to begin, checked: the contract's `From` as plain numbers. What is not one dies, naming the verb and the record. */
import { Effect } from "effect"
import type { Place } from "./logState.ts"
import { render } from "./render.ts"

/**
 * Where to begin: with the next value, the oldest kept, a sequence, or the first value kept that was appended at a time
 * or after it, in milliseconds since the epoch. A sequence or a time that is still to come means the head, so that
 * nothing produced from then on is passed over; a sequence that has expired is begun with `Lagged`. A negative sequence
 * and a time that is no number die.
 */
export type From = "head" | "oldest" | { readonly sequence: bigint } | { readonly time: number }

export const misuse = (record: string, verb: string, rule: string, got: unknown): Effect.Effect<never> =>
  Effect.die(new RangeError(`${verb} of record "${record}": ${rule}, got ${render(got)}`))

export const placeOf = (record: string, verb: string, from: From): Effect.Effect<Place> => {
  if (typeof from === "string") return Effect.succeed(from)
  if ("time" in from) {
    return Number.isNaN(from.time)
      ? misuse(record, verb, "`from.time` must be a number of milliseconds", from.time)
      : Effect.succeed(from)
  }
  return from.sequence < 0n
    ? misuse(record, verb, "`from.sequence` must not be negative", from.sequence)
    : Effect.succeed({ sequence: Number(from.sequence) })
}
/** What `read` is asked for; undefined where that is possible. */
export const misread = (record: string, from: bigint, max: number): Effect.Effect<never> | undefined =>
  from < 0n
    ? misuse(record, "read", "`from` must not be negative", from)
    : !Number.isInteger(max) || max < 1
    ? misuse(record, "read", "`max` must be a positive integer", max)
    : undefined
