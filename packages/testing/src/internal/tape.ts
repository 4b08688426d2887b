/** What a recorder writes down: the calls of verbs with what became of them, and what readers received. */
import type { ProduceError, Producer, TryProduceError } from "@sluice/core"
import { Cause, Effect, Exit } from "effect"
import { Changes } from "./changes.ts"

/**
 * What became of a produced value. `Dropped` is what a fire-and-forget `produce` keeps to itself: the buffer was full,
 * closed, or failed. `Waiting` is not answered yet. Of one that was `Interrupted` nobody was told that it went in.
 */
export type Outcome = "Accepted" | "Dropped" | "Full" | "Closed" | "Failed" | "Interrupted" | "Waiting"

/** One thing that happened. Readers are numbered from 1, in the order in which they subscribed. */
export type Event<A> = Produced<A> | {
  readonly _tag: "Received"
  readonly reader: number
  readonly value: A
} | {
  readonly _tag: "Lagged"
  readonly reader: number
  readonly missed: number
}
interface Produced<out A> {
  readonly _tag: "Produced"
  readonly verb: Exclude<keyof Producer.Producer<A>, "record">
  readonly value: A
  readonly outcome: Outcome
}

export class Tape<A> {
  /** Told of each value that went in, and of the close. */
  readonly changes = new Changes()
  record = ""
  closed = false
  private readonly written: Array<Event<A>> = []
  private readonly accepted: Array<A> = []

  events(): ReadonlyArray<Event<A>> {
    return this.written.slice()
  }
  produced(): ReadonlyArray<A> {
    return this.accepted.slice()
  }
  received(): ReadonlyArray<A> {
    return this.written.flatMap((event) => event._tag === "Received" ? [event.value] : [])
  }
  hasEnough(total: number): boolean {
    return this.closed || this.accepted.length >= total
  }

  write(event: Event<A>): void {
    this.written.push(event)
  }
  /** Writes down that a verb is called, and gives what writes down its outcome in the same place. */
  call(verb: Produced<A>["verb"], value: A): (outcome: Outcome) => void {
    const at = this.written.push({ _tag: "Produced", verb, value, outcome: "Waiting" }) - 1
    return (outcome) => {
      this.written[at] = { _tag: "Produced", verb, value, outcome }
      if (outcome !== "Accepted") return
      this.accepted.push(value)
      this.changes.changed()
    }
  }
  /** A verb that is an Effect; `succeeded` says what its success means. */
  around<E extends Refusal>(
    verb: Produced<A>["verb"],
    value: A,
    produce: Effect.Effect<void, E>,
    succeeded: () => Outcome = () => "Accepted"
  ): Effect.Effect<void, E> {
    return Effect.suspend(() => {
      const answer = this.call(verb, value)
      return Effect.onExit(produce, (exit) => Effect.sync(() => answer(outcomeOf(exit, succeeded))))
    })
  }
  close(): void {
    this.closed = true
    this.changes.changed()
  }
}

type Refusal = TryProduceError<unknown> | ProduceError<unknown>
const outcomes = { BufferFull: "Full", BufferClosed: "Closed", BufferFailed: "Failed" } as const

const outcomeOf = (exit: Exit.Exit<void, Refusal>, succeeded: () => Outcome): Outcome => {
  if (Exit.isSuccess(exit)) return succeeded()
  const refusal = exit.cause.reasons.find(Cause.isFailReason)
  if (refusal !== undefined) return outcomes[refusal.error._tag]
  return Cause.hasInterruptsOnly(exit.cause) ? "Interrupted" : "Failed"
}
