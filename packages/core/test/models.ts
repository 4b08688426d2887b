/**
 * What each kind of buffer is, as plainly as it can be said: arrays and counters, nothing shared with the code under
 * test. `take` answers what a reader must get now.
 */
export type Taken =
  | { readonly _tag: "Value"; readonly value: number }
  | { readonly _tag: "Lagged"; readonly missed: number }
  | { readonly _tag: "Closed" }
  | { readonly _tag: "Nothing" }

export interface ModelReader {
  next: number
  conflated: number
}

export abstract class Model {
  readonly produced: Array<number> = []
  readonly readers: Array<ModelReader> = []
  /** Values of producers that wait, in order; only `Bounded` ever has any. */
  waiting: Array<number> = []
  overwritten = 0
  closed = false
  abstract readonly start: () => number

  push(value: number): "Accepted" | "Full" | "Closed" {
    if (this.closed) return "Closed"
    this.accept(value)
    return "Accepted"
  }
  accept(value: number): void {
    this.produced.push(value)
  }
  subscribe(): ModelReader {
    const reader = { next: this.start(), conflated: 0 }
    this.readers.push(reader)
    return reader
  }
  unsubscribe(reader: ModelReader): void {
    this.readers.splice(this.readers.indexOf(reader), 1)
  }
  abstract pending(reader: ModelReader): number
  abstract held(): number
  protected abstract takeOne(reader: ModelReader): Taken
  take(reader: ModelReader): Taken {
    const taken = this.takeOne(reader)
    return taken._tag === "Nothing" && this.closed ? { _tag: "Closed" } : taken
  }
}

export class RingModel extends Model {
  readonly capacity: number
  constructor(capacity: number) {
    super()
    this.capacity = capacity
  }
  readonly start = () => this.produced.length
  pending(reader: ModelReader): number {
    return this.produced.length - reader.next
  }
  held(): number {
    return Math.min(this.capacity, this.produced.length)
  }
  protected takeOne(reader: ModelReader): Taken {
    const oldest = Math.max(0, this.produced.length - this.capacity)
    if (reader.next < oldest) {
      const missed = oldest - reader.next
      reader.next = oldest
      return { _tag: "Lagged", missed }
    }
    const value = this.produced[reader.next]
    if (value === undefined) return { _tag: "Nothing" }
    reader.next++
    return { _tag: "Value", value }
  }
}

export class LatestModel extends Model {
  private had = true
  readonly start = () => Math.max(0, this.produced.length - 1)
  override accept(value: number): void {
    if (!this.had) this.overwritten++
    this.had = false
    super.accept(value)
  }
  pending(reader: ModelReader): number {
    return Math.min(1, this.produced.length - reader.next)
  }
  held(): number {
    return Math.min(1, this.produced.length)
  }
  protected takeOne(reader: ModelReader): Taken {
    const newest = this.produced.length - 1
    if (reader.next > newest) return { _tag: "Nothing" }
    reader.conflated += newest - reader.next
    reader.next = newest + 1
    this.had = true
    return { _tag: "Value", value: this.produced[newest]! }
  }
}

export class MailboxModel extends Model {
  private slot: number | undefined
  readonly start = () => 0
  override accept(value: number): void {
    if (this.slot !== undefined) this.overwritten++
    this.slot = value
    super.accept(value)
  }
  pending(): number {
    return this.held()
  }
  held(): number {
    return this.slot === undefined ? 0 : 1
  }
  protected takeOne(): Taken {
    const value = this.slot
    this.slot = undefined
    return value === undefined ? { _tag: "Nothing" } : { _tag: "Value", value }
  }
}

export class BoundedModel extends Model {
  readonly capacity: number
  /** Where the slowest reader stands; stays where it was when the last one leaves. */
  private oldest = 0
  constructor(capacity: number) {
    super()
    this.capacity = capacity
  }
  readonly start = () => this.oldest
  override push(value: number): "Accepted" | "Full" | "Closed" {
    if (!this.closed && (this.waiting.length > 0 || this.held() === this.capacity)) return "Full"
    return super.push(value)
  }
  override unsubscribe(reader: ModelReader): void {
    super.unsubscribe(reader)
    this.advance()
  }
  pending(reader: ModelReader): number {
    return this.produced.length - reader.next
  }
  held(): number {
    return this.produced.length - this.oldest
  }
  protected takeOne(reader: ModelReader): Taken {
    const value = this.produced[reader.next]
    if (value === undefined) return { _tag: "Nothing" }
    reader.next++
    this.advance()
    return { _tag: "Value", value }
  }
  private advance(): void {
    if (this.readers.length > 0) this.oldest = Math.min(...this.readers.map(({ next }) => next))
  }
}
