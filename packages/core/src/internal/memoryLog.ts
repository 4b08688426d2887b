/**
 * The log in memory, underneath: a ring whose values also have a sequence and a time, and which is full where a group
 * has not committed the oldest of them.
 */
import { type Clock, Effect, Option, type Scheduler } from "effect"
import type { Produced } from "../Producer.ts"
import type { Cursor } from "./cursor.ts"
import { steadyMillis } from "./elapsed.ts"
import type { Hold } from "./groupTable.ts"
import { type LogOptions, LogState, type Place } from "./logState.ts"
import { RefusingStore } from "./refusingStore.ts"
import { RingPosition } from "./ring.ts"
import { RingCursor } from "./stores/SpmcRing.ts"
import { Traced } from "./traced.ts"

export class MemoryLog<A> extends RefusingStore<A> {
  readonly kind = "Log"
  readonly state: LogState<A>
  private readonly clock: Clock.Clock
  private readonly options: LogOptions

  constructor(options: LogOptions, dispatcher: Scheduler.SchedulerDispatcher, clock: Clock.Clock) {
    super(dispatcher, clock)
    this.options = options
    this.clock = clock
    this.state = new LogState(options)
  }
  get capacity(): number {
    return this.options.capacity
  }
  get produced(): number {
    return this.state.head()
  }
  push(value: A): Produced {
    if (this.closed) return "Closed"
    if (this.waiters.size > 0 || this.isFull()) return this.refusal
    this.put(value)
    if (this.gate.idle) this.gate.signal()
    return "Accepted"
  }
  isFull(): boolean {
    return this.state.isFull() && (!this.state.expireGroups(this.now()) || this.state.isFull())
  }
  put(value: A): void {
    this.state.append(value, this.clock.currentTimeMillisUnsafe())
  }
  open(): Cursor<A> {
    return this.openAt("head")
  }
  openAt(place: Place): Cursor<A> {
    return new RingCursor(this, new RingPosition(this.state.ring, this.state.sequenceOf(place)))
  }
  latest(): Option.Option<A> {
    return this.held() === 0 ? Option.none() : Option.some(this.state.ring.newest())
  }
  held(): number {
    return this.state.ring.held()
  }
  blockers(): ReadonlyArray<string> {
    return this.state.blockers().map((name) => `group "${name}"`)
  }
  /** For how long a group has been idle: a clock that is set makes none expire, and keeps none. */
  now(): number {
    return steadyMillis(this.clock)
  }
  /** The value of a sequence that is kept, without its span. */
  valueAt(sequence: number): A {
    const value = this.state.valueAt(sequence)
    return value instanceof Traced ? value.value : value
  }
  /** Goes on with `next` once there is `sequence`, or the log is closed. */
  waitFor<B, E, R>(sequence: number, next: Effect.Effect<B, E, R>): Effect.Effect<B, E, R> {
    return this.gate.wait(() => this.closed || this.state.head() > sequence, next)
  }

  /** A log in memory waits for groups, and one that somebody holds goes on. */
  override orphan(): boolean {
    return !this.state.isHeld() && super.orphan()
  }
  acquire(group: string, from: Place): Hold {
    this.orphaned = false
    return this.state.acquire(group, from, this.now())
  }
  release(hold: Hold): void {
    this.state.release(hold, this.now())
  }
  commit(
    hold: Hold,
    through: number,
    attempts: Iterable<readonly [number, number]>
  ): ReturnType<LogState<A>["commit"]> {
    const committed = this.state.commit(hold, through, attempts)
    this.roomMade()
    return committed
  }
  removeGroup(group: string): void {
    this.state.removeGroup(group)
    this.roomMade()
  }
  /**
   * Lets producers in that wait only for a group to expire: they would not look again by themselves. A group that is
   * released meanwhile expires later than one that was already, so that one sleep at a time is enough.
   */
  readonly expireWhileWaiting: Effect.Effect<never> = Effect.forever(Effect.suspend(() => {
    if (this.waiters.size === 0) return this.contention.waiting.await
    this.state.expireGroups(this.now())
    this.roomMade()
    const next = Math.min(this.state.nextExpiry(), this.now() + this.options.groupIdleTimeout)
    return Effect.sleep(Math.max(1, next - this.now()))
  }))
}
