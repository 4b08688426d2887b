/** The completions of a store in the order of their commits: a bounded history, and subscribers with bounded buffers. */
import type { Completion } from "@sluice/core"
import { type Array as Arrays, Effect, Latch, Option, Stream } from "effect"

export interface Limits {
  /** How many completions a cursor can go back. */
  readonly history: number
  /** How many completions a subscriber may leave unread. */
  readonly buffer: number
}
interface Entry {
  readonly sequence: number
  readonly payload: Completion.CompletionPayload
}

export class Outbox {
  private history: Array<Entry> = []
  private sequence = 0
  private readonly subscribers = new Set<Subscriber>()
  private readonly name: string
  private readonly limits: Limits
  constructor(name: string, limits: Limits) {
    this.name = name
    this.limits = limits
  }

  get completions(): ReadonlyArray<Completion.CompletionPayload> {
    return this.history.slice(-this.limits.history).map(({ payload }) => payload)
  }
  append(payload: Completion.CompletionPayload): void {
    const entry = { sequence: ++this.sequence, payload }
    this.history.push(entry)
    // Now and then, since it moves all that it leaves.
    if (this.history.length > 2 * this.limits.history) this.trim()
    for (const subscriber of this.subscribers) subscriber.offer(this.signalOf(entry))
  }
  /** None where the cursor is none of this outbox. */
  attach(filter: Completion.Filter, from: Completion.Cursor | "tail"): Option.Option<Subscriber> {
    const past = from === "tail" ? Option.some([]) : this.since(from)
    return Option.map(past, (signals) => {
      const subscriber = new Subscriber(filter, this.limits.buffer, signals)
      this.subscribers.add(subscriber)
      return subscriber
    })
  }
  detach(subscriber: Subscriber): void {
    this.subscribers.delete(subscriber)
  }

  private trim(): void {
    this.history = this.history.slice(-this.limits.history)
  }
  private signalOf({ payload, sequence }: Entry): Completion.Signal {
    const cursor = `${this.name}:${sequence}:${payload.producedAt}` as Completion.Cursor
    return { _tag: "Completion", payload, cursor: Option.some(cursor) }
  }
  private since(cursor: Completion.Cursor): Option.Option<ReadonlyArray<Completion.Signal>> {
    const [name, sequence, producedAt] = cursor.split(":")
    const after = Number(sequence)
    if (name !== this.name || !Number.isSafeInteger(after) || after > this.sequence) return Option.none()
    this.trim()
    const signals = this.history.filter(({ sequence }) => sequence > after).map((entry) => this.signalOf(entry))
    const isWhole = signals.length === this.sequence - after
    return Option.some(
      isWhole ? signals : [{ _tag: "Gap", since: Number(producedAt), reason: "cursorExpired" }, ...signals]
    )
  }
}

export class Subscriber {
  private readonly filter: Completion.Filter
  private readonly buffer: number
  private readonly past: ReadonlyArray<Completion.Signal>
  private waiting: Array<Completion.Signal> = []
  private completions = 0
  private readonly latch = Latch.makeUnsafe(false)
  constructor(filter: Completion.Filter, buffer: number, past: ReadonlyArray<Completion.Signal>) {
    this.filter = { ...filter }
    this.buffer = buffer
    this.past = past.filter((signal) => this.wants(signal))
  }

  /** What it does not have room for is a gap where it would have stood. */
  offer(signal: Completion.Signal): void {
    if (signal._tag === "Gap" || !this.wants(signal)) return
    if (this.completions < this.buffer) {
      this.waiting.push(signal)
      this.completions++
    } else if (this.waiting.at(-1)?._tag !== "Gap") {
      this.waiting.push({ _tag: "Gap", since: signal.payload.producedAt, reason: "lagged" })
    }
    this.latch.openUnsafe()
  }
  private wants(signal: Completion.Signal): boolean {
    if (signal._tag === "Gap") return true
    const { namespace, tag } = this.filter
    return (namespace === undefined || signal.payload.namespace === namespace)
      && (tag === undefined || signal.payload.tags[tag[0]] === tag[1])
  }
  private readonly next = Effect.suspend(() =>
    Effect.map(this.latch.await, () => {
      const signals = this.waiting
      this.waiting = []
      this.completions = 0
      this.latch.closeUnsafe()
      // Open only where there is something to take.
      return signals as unknown as Arrays.NonEmptyReadonlyArray<Completion.Signal>
    })
  )
  get signals(): Stream.Stream<Completion.Signal> {
    return Stream.concat(Stream.fromIterable(this.past), Stream.fromPull(Effect.succeed(this.next)))
  }
}
