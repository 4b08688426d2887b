/** An Effect Queue behind a record, with the Queue's own semantics: its readers compete, and nobody counts lag. */
import { Cause, Effect, Exit, Option, Queue, type Scheduler } from "effect"
import type { Produced } from "../../Producer.ts"
import { type Counts, type Cursor, Empty, Ended, type Polled } from "../cursor.ts"
import { Offering } from "../offering.ts"
import { GatedCursor, GatedStore } from "../store.ts"
import type { Waits } from "../waits.ts"

export class FromQueue<A> extends GatedStore<A> {
  readonly kind = "Queue"
  produced = 0
  readonly queue: Queue.Queue<A, any>
  /** Taken by readers that were interrupted in the act, in order: ahead of what is in the queue. */
  readonly untaken: Array<A> = []
  /** Nobody but the record's readers takes from it. */
  private readonly isOurs: boolean
  private orphaned = false
  private last: Option.Option<A> = Option.none()
  private readonly offering = new Offering()
  override get keepsSpans(): boolean {
    return false
  }

  constructor(queue: Queue.Queue<A, any>, dispatcher: Scheduler.SchedulerDispatcher, isOurs: boolean) {
    super(dispatcher)
    this.queue = queue
    this.isOurs = isOurs
  }
  get capacity(): number {
    return this.queue.capacity
  }
  push(value: A): Produced {
    // `offerUnsafe` answers false for full and for closed alike.
    if (this.closed || this.queue.state._tag !== "Open") return "Closed"
    const evicts = this.queue.strategy === "sliding" && Queue.isFullUnsafe(this.queue)
    if (!Queue.offerUnsafe(this.queue, value)) return this.orphaned ? "Closed" : "Full"
    if (evicts) this.overwritten++
    return this.accepted(value)
  }
  override offer(value: A, waits?: Waits): Effect.Effect<Produced> {
    if (this.queue.strategy !== "suspend") return Effect.succeed("Full")
    return this.offering.wait(
      Effect.map(Queue.offer(this.queue, value), (taken) => taken ? this.accepted(value) : "Closed"),
      waits
    )
  }
  orphan(): boolean {
    if (!this.isOurs || this.queue.strategy !== "suspend") return false
    this.orphaned = true
    this.offering.refuseAll()
    return true
  }
  override close(): void {
    this.offering.close()
    super.close()
  }
  open(): Cursor<A> {
    this.orphaned = false
    return new QueueCursor(this)
  }
  latest(): Option.Option<A> {
    return this.last
  }
  held(): number {
    return this.untaken.length + Queue.sizeUnsafe(this.queue)
  }
  private accepted(value: A): Produced {
    this.last = Option.some(value)
    this.produced++
    return "Accepted"
  }
}

class QueueCursor<A> extends GatedCursor<A> {
  private readonly store: FromQueue<A>
  private readonly queue: Queue.Queue<A, any>
  private readonly arrivalOrClose: Effect.Effect<unknown>
  private received = 0

  constructor(store: FromQueue<A>) {
    super(store)
    this.store = store
    this.queue = store.queue
    // `peek` takes nothing, so the loser of the race has lost nothing.
    this.arrivalOrClose = Effect.raceFirst(Effect.exit(Queue.peek(this.queue)), super.wait(Effect.void))
  }
  override wait<A2, E, R>(next: Effect.Effect<A2, E, R>): Effect.Effect<A2, E, R> {
    return Effect.andThen(this.arrivalOrClose, next)
  }
  /** It lets a producer in, whose fiber runs within the take: it may interrupt the taker, who then puts the value back. */
  take(): Polled<A> {
    const { untaken } = this.store
    if (untaken.length > 0) {
      this.received++
      return untaken.shift()!
    }
    const taken = Queue.takeUnsafe(this.queue)
    if (taken === undefined) return Empty
    if (Exit.isFailure(taken)) {
      this.failure = failureOf(taken.cause)
      return Ended
    }
    this.received++
    return taken.value
  }
  override untake(value: A): void {
    this.received--
    this.store.untaken.unshift(value)
    this.store.gate.signalAll()
  }
  counts(): Counts {
    return { received: this.received, lagged: 0, conflated: 0 }
  }
  available(): number {
    return this.store.held()
  }
}

/** Why a queue is over, unless it was ended or shut down. */
const failureOf = (cause: Cause.Cause<unknown>): unknown =>
  cause.reasons.every((reason) => reason._tag === "Interrupt" || (reason._tag === "Fail" && Cause.isDone(reason.error)))
    ? undefined
    : Cause.squash(cause)
