/**
 * A store that is full at times. Then it refuses, or lets the producer wait: first come, first served, never overtaken,
 * and never beside free room for longer than the turn that made the room.
 */
import { type Clock, Effect, type Scheduler } from "effect"
import type { Produced } from "../Producer.ts"
import { Contention } from "./contention.ts"
import { microtask } from "./microtask.ts"
import { Parked, parking } from "./step.ts"
import { GatedStore } from "./store.ts"
import type { Refusable, Waits } from "./waits.ts"

const accepted = Effect.succeed<Produced>("Accepted")
const refused = Effect.succeed<Produced>("Closed")

export abstract class RefusingStore<A> extends GatedStore<A> {
  /** Producers that wait for room, in the order in which they came. */
  protected readonly waiters = new Set<Waiter<A>>()
  private admitting = false
  /** Those that it waits for are over for good: who finds it full waits for nobody. */
  protected orphaned = false
  readonly contention: Contention

  constructor(dispatcher: Scheduler.SchedulerDispatcher, clock: Clock.Clock) {
    super(dispatcher)
    this.contention = new Contention(clock)
  }
  abstract isFull(): boolean
  /** Only where it is not full. */
  abstract put(value: A): void

  override offer(value: A, waits?: Waits): Effect.Effect<Produced> {
    return parking<Produced>((fiber) => {
      const pushed = this.push(value)
      return pushed === "Full" ? new Waiter(this, value, waits).join().suspend(fiber) : Effect.succeed(pushed)
    })
  }
  /** `waiter` comes to wait. */
  join(waiter: Waiter<A>): void {
    this.waiters.add(waiter)
    if (this.waiters.size === 1) this.contention.begin()
  }
  /** `waiter` does not wait any more. Answers whether it still did. */
  leave(waiter: Waiter<A>): boolean {
    const left = this.waiters.delete(waiter)
    if (left && this.waiters.size === 0) this.contention.end()
    return left
  }
  /** What a producer is answered that finds it full. */
  protected get refusal(): Produced {
    return this.orphaned ? "Closed" : "Full"
  }
  orphan(): boolean {
    this.orphaned = true
    // Those that the last one has made room for are let in before.
    this.roomMade()
    microtask(() => this.orphaned && this.refuseWaiters())
    return true
  }
  override close(): void {
    super.close()
    this.refuseWaiters()
  }
  protected refuseWaiters(): void {
    const waiters = [...this.waiters]
    this.waiters.clear()
    this.contention.end()
    // In a later turn: whoever closes must not run the producers' fibers inside its own step.
    if (waiters.length > 0) microtask(() => waiters.forEach((waiter) => waiter.refused()))
  }
  /**
   * Lets waiting producers in once the present turn ends: a reader that goes on reading makes room for many of them,
   * and wakes them once.
   */
  roomMade(): void {
    if (this.admitting || this.waiters.size === 0) return
    this.admitting = true
    microtask(this.admit)
  }
  private readonly admit = (): void => {
    this.admitting = false
    const admitted: Array<Waiter<A>> = []
    for (const waiter of this.waiters) {
      if (this.isFull()) break
      this.waiters.delete(waiter)
      waiter.enter()
      admitted.push(waiter)
    }
    if (this.waiters.size === 0) this.contention.end()
    else if (admitted.length > 0) this.contention.begin()
    if (admitted.length > 0) this.gate.signal()
    // Only now: a producer that is resumed may produce again at once.
    for (const waiter of admitted) waiter.entered()
  }
}

/** A producer that waits for room. */
export class Waiter<A> extends Parked implements Refusable {
  readonly value: A
  protected readonly store: RefusingStore<A>
  private readonly waits: Waits | undefined
  constructor(store: RefusingStore<A>, value: A, waits: Waits | undefined) {
    super()
    this.store = store
    this.value = value
    this.waits = waits
  }
  /** Comes to wait for room. */
  join(): this {
    this.store.join(this)
    this.counts()
    return this
  }
  /** Is counted from here until it has left. */
  protected counts(): void {
    this.waits?.enter(this)
  }
  refuse(): void {
    if (this.store.leave(this)) microtask(() => this.refused())
  }
  /** There is room for it. */
  enter(): void {
    this.store.put(this.value)
  }
  /** So there is for those before it, and all of them are in. */
  entered(): void {
    this.resume(accepted)
  }
  /** The store takes no more values. */
  refused(): void {
    this.resume(refused)
  }
  protected override left(): void {
    this.store.leave(this)
    this.waits?.leave(this)
  }
}
