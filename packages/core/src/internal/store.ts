/**
 * What a kind of buffer is underneath: plain state and the gate its readers wait at. `storeBuffer.ts` makes the Effects
 * of the contract from it, the same way for every kind.
 */
import { Effect, type Option, type Scheduler, type Scope } from "effect"
import type { Produced } from "../Producer.ts"
import type { Contention } from "./contention.ts"
import { type Cursor, Empty, Ended, type Polled, PollingCursor } from "./cursor.ts"
import { Gate, type Pump } from "./gate.ts"
import { render } from "./render.ts"
import { Traced } from "./traced.ts"
import type { Waits } from "./waits.ts"

export interface Store<in out A> {
  readonly kind: string
  /** Infinity where the kind has no limit. */
  readonly capacity: number
  /** Takes the value now, or says why not. Never waits and never overtakes those that do. */
  push(value: A): Produced
  /**
   * After a push that answered "Full": waits until the value is in or the store is closed. "Full" says that the kind's
   * strategy is not to wait but to drop. `waits` is told while it waits.
   */
  offer(value: A, waits?: Waits): Effect.Effect<Produced>
  /** The scope is for what the kind itself acquires; the buffer closes the cursor. */
  readonly subscribe: Effect.Effect<Cursor<A>, never, Scope.Scope>
  latest(): Option.Option<A>
  /** Refuses every later push, lets those that wait know, and lets readers finish what is held. */
  close(): void
  held(): number
  readonly produced: number
  readonly overwritten: number
  /** Whether values may be kept as `Traced`: not where others than our readers take them. */
  readonly keepsSpans: boolean
  /** Whether any was. */
  hasSpans: boolean
  readonly closed: boolean
  /** Only where it refuses at times: whether it does now. */
  isFull?(): boolean
  /** Only where producers can wait for room. */
  readonly contention?: Contention
  /** What else than its readers holds producers back now, as words of a message. */
  blockers?(): ReadonlyArray<string>
  /**
   * Only where producers wait for readers: the last of those is over for good, and nobody waits for the next. Answers whether
   * producers are answered as closed from now on, where they find it full.
   */
  orphan?(): boolean
  /** Only where values are on their way into a store: how many, and whom to tell once none is. */
  onItsWay?(): number
  onArrived?: () => void
}

/** Where one of our own buffers keeps its store. */
export const StoreTypeId = "~@sluice/core/Store"
/** The store of one of our own buffers. */
export const storeOf = (buffer: object): Store<any> | undefined => (buffer as any)[StoreTypeId]

/** A store in memory, whose readers all wait at one gate. This much is a buffer that overwrites. */
export abstract class GatedStore<A> implements Store<A> {
  abstract readonly kind: string
  abstract readonly capacity: number
  readonly gate: Gate
  abstract readonly produced: number
  overwritten = 0
  get keepsSpans(): boolean {
    return true
  }
  hasSpans = false

  get closed(): boolean {
    return this.gate.closed
  }

  constructor(dispatcher: Scheduler.SchedulerDispatcher) {
    this.gate = new Gate(dispatcher, () => this.hasMore())
  }
  /** Whether a reader that waits would find something, once those before it have taken theirs. */
  hasMore(): boolean {
    return true
  }
  abstract push(value: A): Produced
  readonly subscribe: Effect.Effect<Cursor<A>, never, Scope.Scope> = Effect.sync(() => this.open())
  /** A new reader's place. */
  abstract open(): Cursor<A>
  abstract latest(): Option.Option<A>
  abstract held(): number
  offer(value: A): Effect.Effect<Produced> {
    return Effect.sync(() => this.push(value))
  }
  close(): void {
    this.gate.close()
  }
}

/** A reader's place in a gated store whose readers compete, or that is waited on in a way of its own. */
export abstract class GatedCursor<A> extends PollingCursor<A> {
  protected readonly owner: { readonly gate: Gate; readonly closed: boolean }
  detached = false

  constructor(owner: { readonly gate: Gate; readonly closed: boolean }) {
    super()
    this.owner = owner
  }
  protected readonly isReady = (): boolean => this.detached || this.owner.closed || this.available() > 0
  wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R> {
    return this.owner.gate.wait(this.isReady, next)
  }
  /** Takes the next value there is and counts it; `Overrun` sets `missed`. */
  abstract take(): Polled<A>
  abstract available(): number
  poll(): Polled<A> {
    if (this.detached) return Ended
    const taken = this.take()
    if (taken === Empty) return this.owner.closed ? Ended : Empty
    if (taken instanceof Traced) {
      this.span = taken.span
      return taken.value
    }
    this.span = undefined
    return taken
  }
  override untake(value: A): void {
    throw new Error(
      `a poll of ours runs nobody's fiber, and ${render(value)} was taken by one that is interrupted in it`
    )
  }
  pending(): number {
    return this.detached ? 0 : this.available()
  }
  close(): void {
    this.detached = true
    this.owner.gate.signalAll()
  }
}

/**
 * A reader's place in a gated store whose readers each see every value. Where they compete, one that looks again before
 * its fiber has had a turn would take every value.
 */
export abstract class PumpedCursor<A> extends GatedCursor<A> {
  /** Waits as `wait` does, but calls `pump` at each wake-up without the fiber, until it answers with an effect for it. */
  pump(pump: Pump): Effect.Effect<void> {
    return this.owner.gate.pump(this.isReady, pump)
  }
}
