/** One value until it is taken. Readers compete for it; a value that finds the slot full replaces what is in it. */
import { Option } from "effect"
import type { Produced } from "../../Producer.ts"
import { type Counts, type Cursor, Empty } from "../cursor.ts"
import { GatedCursor, GatedStore } from "../store.ts"

export class Mailbox<A> extends GatedStore<A> {
  readonly kind = "Mailbox"
  produced = 0
  readonly capacity = 1
  slot: A | typeof Empty = Empty

  push(value: A): Produced {
    if (this.closed) return "Closed"
    if (this.slot !== Empty) this.overwritten++
    this.slot = value
    this.produced++
    if (this.gate.idle) this.gate.signal()
    return "Accepted"
  }
  override hasMore(): boolean {
    return this.slot !== Empty
  }
  open(): Cursor<A> {
    return new MailboxCursor(this)
  }
  latest(): Option.Option<A> {
    return this.slot === Empty ? Option.none() : Option.some(this.slot)
  }
  held(): number {
    return this.slot === Empty ? 0 : 1
  }
}

class MailboxCursor<A> extends GatedCursor<A> {
  private readonly store: Mailbox<A>
  private received = 0

  constructor(store: Mailbox<A>) {
    super(store)
    this.store = store
  }
  take(): A | typeof Empty {
    const value = this.store.slot
    if (value !== Empty) this.received++
    this.store.slot = Empty
    return value
  }
  counts(): Counts {
    return { received: this.received, lagged: 0, conflated: 0 }
  }
  available(): number {
    return this.store.held()
  }
}
