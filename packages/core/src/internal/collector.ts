/**
 * A collector at work: it moves the state of `window.ts` with what the log, the handlers and the clock say. Four workers
 * stand behind it: one fetches, one commits, one puts aside what was rejected, and one watches that the watermark moves. A
 * defect of what they call (the log, a schedule, the record of the dead letters) is told, and tried again as a failure is.
 */
import {
  type Cause,
  Cause as Causes,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Option,
  type Pull,
  Schedule,
  Scope,
  Semaphore
} from "effect"
import { AckOutOfOrder, AckOutOfRange, AlreadyAcked, type Batch, type DeadLetter, type Progress } from "../Batch.ts"
import { type Entry, type From, type Group, type Log, LogFailed, StaleEpoch } from "../Log.ts"
import { RecordClosed } from "../Reader.ts"
import { atMost } from "./atMost.ts"
import type { Position } from "./cursor.ts"
import { elapsedMillis, steadyMillis } from "./elapsed.ts"
import { lastingContext } from "./lasting.ts"
import { type Attributes, registering } from "./metrics.ts"
import { render, squash } from "./render.ts"
import { sayError, sayWarning } from "./say.ts"
import { Signal } from "./signal.ts"
import { type AnyFiber, step } from "./step.ts"
import { type Store, storeOf } from "./store.ts"
import { Throttle } from "./throttle.ts"
import { type Delivery, type Item, Piece, type Refusal, Window, type WindowOptions } from "./window.ts"
import { Worker } from "./worker.ts"

export type AckError = AlreadyAcked | AckOutOfRange | AckOutOfOrder | StaleEpoch

/** The options of a collector, decoded. Times are in milliseconds. */
export interface Settings extends Omit<WindowOptions, "committed" | "attempts" | "remembersAttempts"> {
  readonly record: string
  readonly group: string
  readonly from: From
  readonly retry: Schedule.Schedule<unknown, unknown>
  readonly commitAcks: number
  readonly commitWithin: number
  readonly stallAfter: number
}

/** What becomes of what is rejected: stored by an effect, or dropped. Undefined: only what was rejected by hand is dropped. */
export type PutAside = ((letter: DeadLetter) => Effect.Effect<void, unknown>) | "drop" | undefined

/** 100 ms, then twice as long each time, up to 30 s. */
export const backoff: Schedule.Schedule<unknown, unknown> = Schedule.min([
  Schedule.exponential("100 millis"),
  Schedule.spaced("30 seconds")
])

/** How long the end of a collector waits for its last commit, in milliseconds. */
const closeWithin = 1000

type State =
  | { readonly _tag: "Open" }
  /** Nothing new is fetched or handed out; what is in flight finishes. */
  | { readonly _tag: "Draining" }
  /** Its scope has closed, or another holder has the group. */
  | { readonly _tag: "Over"; readonly error: StaleEpoch }

/** How long a schedule has to say its next delay, in milliseconds. */
const askedWithin = 1000

/** A schedule under way: which delay is next. One that has ended or died goes on as `backoff`, but no shorter than its last. */
class Delays {
  private readonly clock: Clock.Clock
  private readonly schedule: Schedule.Schedule<unknown, unknown>
  private step: ((now: number, input: unknown) => Pull.Pull<[unknown, Duration.Duration], never, unknown>) | undefined
  private after: Delays | undefined
  private last = 0

  constructor(schedule: Schedule.Schedule<unknown, unknown>, clock: Clock.Clock) {
    this.schedule = schedule
    this.clock = clock
  }
  /** Milliseconds; `cause` is what the schedule is asked about. */
  next(cause: unknown): Effect.Effect<number> {
    return Effect.suspend(() => {
      const { after, last } = this
      if (after !== undefined) return Effect.map(after.next(cause), (delay) => Math.max(last, delay))
      const asked = Effect.suspend(() =>
        this.step === undefined
          ? Effect.map(Schedule.toStep(this.schedule), (step) => this.step = step)
          : Effect.succeed(this.step)
      ).pipe(Effect.flatMap((step) => step(steadyMillis(this.clock), cause)))
      // In a fiber of its own: a predicate that never answers, or ends its fiber, loses no batch.
      return Effect.flatMap(
        atMost(askedWithin, asked),
        (exit) =>
          Option.isSome(exit) && Exit.isSuccess(exit.value)
            ? Effect.succeed(this.last = Duration.toMillis(exit.value.value[1]))
            : this.ended(cause)
      )
    })
  }
  private ended(cause: unknown): Effect.Effect<number> {
    return Effect.suspend(() => {
      this.after = new Delays(backoff, this.clock)
      return this.next(cause)
    })
  }
}

/** A value that is to be put aside, of a piece that is settled once all of its are. */
interface Aside<A> {
  readonly piece: Piece<Entry<A>>
  readonly item: Item<Entry<A>>
  readonly delays: Delays
  /** When it is tried, or tried again. */
  due: number
  /** How often it was tried in vain since the drain has begun. */
  triedInDrain: number
}
/** So often a drain tries to store what is to be put aside. */
const triesInDrain = 4

export class CollectorCore<A> {
  readonly settings: Settings
  readonly window: Window<Entry<A>>
  readonly epoch: bigint
  private readonly log: Log<A>
  private readonly group: Group
  private readonly clock: Clock.Clock
  private readonly store: Store<A> | undefined
  private readonly signal = new Signal()
  private readonly committing = Semaphore.makeUnsafe(1)
  private readonly complaints = new Throttle()
  private state: State = { _tag: "Open" }
  /** Why nothing could be fetched, until someone was told or it went well again. */
  private failure: LogFailed | undefined
  private fetching: Worker | undefined
  private workers: ReadonlyArray<Worker> = []
  private started = false
  private readonly delays = new WeakMap<Piece<Entry<A>>, Delays>()
  /** Those who wait for a rejection to be stored. */
  private readonly rejections = new Map<Piece<Entry<A>>, Deferred.Deferred<void, LogFailed | StaleEpoch>>()
  /** What could not be stored, and is tried again. */
  private asidesLater: Array<Aside<A>> = []
  /** How many values of each piece on its way aside are not there yet. */
  private readonly asideLeft = new Map<Piece<Entry<A>>, number>()
  private readonly asideComplaints = new Throttle()
  private oldest = 0n
  private head = 0n
  /** The head when the collector began, less what the record had produced by then. */
  private headBefore = 0
  /** Told whenever something was settled. */
  onSettled: () => void = () => {}

  private constructor(log: Log<A>, group: Group, settings: Settings, clock: Clock.Clock) {
    this.log = log
    this.group = group
    this.epoch = group.epoch
    this.settings = settings
    this.clock = clock
    this.store = storeOf(log)
    this.window = new Window({
      ...settings,
      committed: Number(group.committed),
      attempts: new Map(Array.from(group.attempts, ([sequence, attempt]) => [Number(sequence), attempt])),
      // What is gone with the process needs no memory of how it died.
      remembersAttempts: settings.maxAttempts < Infinity && log.durability !== "volatile"
    })
  }

  /** Acquires the group for the life of the scope; nothing is fetched before `start`. */
  static open<A>(log: Log<A>, settings: Settings): Effect.Effect<CollectorCore<A>, LogFailed, Scope.Scope> {
    return Effect.gen(function*() {
      const group = yield* log.acquire(settings.group, { from: settings.from })
      const core = new CollectorCore(log, group, settings, yield* Clock.Clock)
      core.head = yield* log.head
      core.oldest = yield* log.oldest
      // After the head: what comes in between makes `pending` too small until it is fetched, never too large for good.
      core.headBefore = Number(core.head) - log.stats().produced
      return core
    })
  }

  /** Starts the work, once, for the life of the scope; its end commits what is settled and gives back what is not. */
  start(putAside: PutAside): Effect.Effect<void, never, Scope.Scope> {
    return Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      if (this.started) return
      this.started = true
      yield* Effect.addFinalizer(() => this.close)
      const context = yield* lastingContext
      const work = (what: string, work: Effect.Effect<void, unknown>) =>
        new Worker(`${this.name}: its ${what}`, Effect.andThen(Effect.yieldNow, work), context)
      this.fetching = work("fetching", this.fetch)
      this.workers = [
        this.fetching,
        work("committing", this.commitAsNeeded),
        work("putting aside", this.putAsideAll(putAside)),
        work("watch", this.watch)
      ]
    }))
  }

  // ---- fetching

  private readonly fetch: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const { window } = this
    let delays: Delays | undefined
    while (this.state._tag === "Open") {
      const seen = this.signal.turn
      const room = window.room()
      if (room === 0) {
        yield* this.signal.wait(seen)
        continue
      }
      const from = window.fetched + 1
      const exit = yield* Effect.exit(this.log.read(BigInt(from), room))
      if (exit._tag === "Success") {
        // In this step: what was read is pushed as a whole, wherever a fiber yields.
        delays = this.failure = undefined
        window.push(exit.value.map(this.itemOf), this.now())
        this.signal.notify()
        continue
      }
      const error = Option.getOrUndefined(Causes.findErrorOption(exit.cause))
      if (error?._tag === "RecordClosed") {
        window.ended = true
        return this.signal.notify()
      }
      if (error?._tag === "Lagged") {
        yield* this.skip(from + error.missed)
        continue
      }
      // A defect of the log too: who takes is told, and it is asked again.
      this.failure = error ?? this.logFailed(exit.cause)
      this.signal.notify()
      delays ??= new Delays(backoff, this.clock)
      yield* Effect.sleep(yield* delays.next(exit.cause))
    }
  })
  private logFailed(cause: Cause.Cause<unknown>): LogFailed {
    return new LogFailed({ record: this.settings.record, cause: squash(cause) })
  }
  private readonly itemOf = (entry: Entry<A>): Item<Entry<A>> => ({
    sequence: Number(entry.sequence),
    at: entry.at,
    // An engine in memory encodes a value only once it is asked for its bytes.
    size: this.settings.batchBytesMax === Infinity ? 0 : entry.bytes.length,
    unreadable: Option.isNone(entry.value) ? "it does not decode" : undefined,
    entry
  })
  /** The log has kept nothing before `next`. What is held is settled first, so that the window stays as wide as it may be. */
  private skip(next: number): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      while (this.window.watermark < this.window.fetched) yield* this.signal.wait(this.signal.turn)
      const missed = next - 1 - this.window.fetched
      this.window.skipTo(next, this.now())
      this.signal.notify()
      yield* sayWarning(
        `${this.name} fell behind what the log keeps and missed ${missed} value(s). It goes on at ${next}; a longer `
          + `retention or more workers avoid this`
      )
    })
  }

  // ---- handing out

  /**
   * What `use` makes of the next batch, in flight; `otherwise` once there will be none. Interrupted, it has taken nothing:
   * it hands over in the step that decides, and an attempt that is to outlive a crash is committed before that.
   */
  handOut<B, E>(
    use: (batch: Batch<A>, delivery: Delivery, fiber: AnyFiber) => B,
    otherwise: Effect.Effect<B, E>,
    onIdle?: () => void
  ): Effect.Effect<B, E | StaleEpoch | LogFailed> {
    const next: Effect.Effect<B, E | StaleEpoch | LogFailed> = step((fiber) => {
      if (this.state._tag === "Over") return Exit.fail(this.state.error)
      if (this.state._tag === "Draining") return otherwise
      const { window } = this
      const seen = this.signal.turn
      const now = this.now()
      const found = window.next(now, this.isFull())
      if (found instanceof Piece) {
        const delivery = { first: found.first, last: found.last, attempt: found.attempt }
        return Exit.succeed(use(this.batchOf(found, delivery), delivery, fiber))
      }
      if (found === "Commit") return Effect.andThen(this.commit, next)
      if (this.failure !== undefined) {
        const { failure } = this
        this.failure = undefined
        return Exit.fail(failure)
      }
      if (window.ended && window.watermark === window.fetched) return otherwise
      onIdle?.()
      const changed = this.signal.wait(seen)
      return Effect.andThen(
        found === undefined ? changed : Effect.raceFirst(changed, Effect.sleep(found - now)),
        next
      )
    })
    return next
  }
  /** No value can come: the log takes none, and what it has is fetched. Of a log of somebody else's it is not known. */
  private isFull(): boolean {
    return this.settings.batchWithin > 0 && this.store?.isFull?.() === true
      && this.window.fetched >= this.knownHead() - 1
  }
  private batchOf(piece: Piece<Entry<A>>, delivery: Delivery): Batch<A> {
    return {
      first: BigInt(piece.first),
      last: BigInt(piece.last),
      epoch: this.epoch,
      attempt: piece.attempt,
      values: piece.items.map(({ entry }) => Option.getOrThrow(entry.value)) as [A, ...Array<A>],
      inProgress: Effect.sync(() => this.window.inProgress(delivery, this.now()))
    }
  }

  // ---- settling

  // Each of these looks its batch up and settles it in one step: a fiber that yields in between may find it settled.

  /** A batch whose use has ended with `exit`, unless it was settled by hand before. */
  settle(delivery: Delivery, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return exit._tag === "Success"
      ? this.inHand(delivery, (piece) => this.window.ack(piece, this.now()))
      : this.retryLater(delivery, exit.cause)
  }
  /** As if it had not been handed out. */
  giveBack(delivery: Delivery): Effect.Effect<void> {
    return this.inHand(delivery, (piece) => this.window.release(piece, this.now(), false, ""))
  }
  private retryLater(delivery: Delivery, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const reason = render(squash(cause))
      const before = this.find(delivery)
      if (before === undefined) return
      const delay = yield* this.retryDelay(before, cause)
      const piece = this.find(delivery)
      if (piece === undefined) return
      this.window.release(piece, this.now() + delay, true, reason)
      this.hasSettled()
      yield* this.complaints.run(() =>
        sayWarning(
          piece.attempt >= this.settings.maxAttempts
            ? `${this.name}: batch ${delivery.first}..${delivery.last} failed its last attempt, ${delivery.attempt}`
            : `${this.name}: batch ${delivery.first}..${delivery.last} failed attempt ${delivery.attempt}; the next is due `
              + `in ${delay} ms`,
          cause
        )
      )
    })
  }
  private find(delivery: Delivery): Piece<Entry<A>> | undefined {
    if (this.state._tag === "Over") return undefined
    const found = this.window.find(delivery)
    return typeof found === "string" ? undefined : found
  }
  private inHand(delivery: Delivery, change: (piece: Piece<Entry<A>>) => void): Effect.Effect<void> {
    return Effect.sync(() => {
      const piece = this.find(delivery)
      if (piece === undefined) return
      change(piece)
      this.hasSettled()
    })
  }
  private hasSettled(): void {
    this.signal.notify()
    this.onSettled()
  }
  private retryDelay(piece: Piece<Entry<A>>, cause: Cause.Cause<unknown>): Effect.Effect<number> {
    let delays = this.delays.get(piece)
    if (delays === undefined) this.delays.set(piece, delays = new Delays(this.settings.retry, this.clock))
    return delays.next(cause)
  }

  /** What `change` answers with for the batch of a verb, or why the verb is refused, which has changed nothing. */
  private named<B>(
    batch: Batch<unknown>,
    order: "anyOrder" | "inOrder",
    change: (piece: Piece<Entry<A>>) => B
  ): Effect.Effect<B, AckError> {
    return Effect.suspend((): Effect.Effect<B, AckError> => {
      const { group, record } = this.settings
      if (this.state._tag === "Over") return Effect.fail(this.state.error)
      if (batch.epoch < this.epoch) return Effect.fail(new StaleEpoch({ record, group, epoch: batch.epoch }))
      const delivery = { first: Number(batch.first), last: Number(batch.last), attempt: batch.attempt }
      const found: Piece<Entry<A>> | Refusal = batch.epoch > this.epoch
        ? "AckOutOfRange"
        : order === "inOrder"
        ? this.window.findInOrder(delivery)
        : this.window.find(delivery)
      if (typeof found !== "string") return Effect.succeed(change(found))
      const fields = { record, group, first: batch.first, last: batch.last }
      switch (found) {
        case "AlreadyAcked":
          return Effect.fail(new AlreadyAcked(fields))
        case "AckOutOfRange":
          return Effect.fail(new AckOutOfRange(fields))
        case "AckOutOfOrder":
          return Effect.fail(new AckOutOfOrder({ ...fields, expected: BigInt(this.window.watermark + 1) }))
      }
    })
  }
  readonly ack = (batch: Batch<unknown>): Effect.Effect<void, AckError> =>
    this.named(batch, "inOrder", (piece) => {
      this.window.ack(piece, this.now())
      this.hasSettled()
    })
  readonly ackDurable = (batch: Batch<unknown>): Effect.Effect<void, AckError | LogFailed> =>
    Effect.andThen(this.ack(batch), this.committedThrough(Number(batch.last)))
  private committedThrough(sequence: number): Effect.Effect<void, StaleEpoch | LogFailed> {
    return Effect.suspend(() => {
      const seen = this.signal.turn
      if (this.window.committed >= sequence) return Effect.void
      if (this.state._tag === "Over") return Effect.fail(this.state.error)
      return Effect.andThen(
        this.window.watermark >= sequence ? this.commit : this.signal.wait(seen),
        this.committedThrough(sequence)
      )
    })
  }
  readonly release = (
    batch: Batch<unknown>,
    options?: { readonly delay?: Duration.Input }
  ): Effect.Effect<void, AckError> =>
    Effect.flatMap(
      options?.delay === undefined
        ? Effect.flatten(this.named(batch, "anyOrder", (piece) => this.retryDelay(piece, Causes.fail("released"))))
        : Effect.sync(() => Duration.toMillis(Duration.fromInputUnsafe(options.delay!))),
      (delay) =>
        this.named(batch, "anyOrder", (piece) => {
          this.window.release(piece, this.now() + delay, true, "released by its holder")
          this.hasSettled()
        })
    )
  readonly reject = (batch: Batch<unknown>, reason: string): Effect.Effect<void, AckError | LogFailed> =>
    Effect.flatMap(
      this.named(batch, "inOrder", (piece) => {
        const stored = Deferred.makeUnsafe<void, LogFailed | StaleEpoch>()
        this.rejections.set(piece, stored)
        this.window.rejectInFlight(piece, render(reason))
        this.hasSettled()
        return stored
      }),
      (stored) => Deferred.await(stored)
    )

  // ---- putting aside

  /** One value after the other, in order; one that cannot be stored is tried again later, and holds up no other. */
  private putAsideAll(putAside: PutAside): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      while (true) {
        const seen = this.signal.turn
        const piece = this.window.takeRejected()
        if (piece !== undefined) {
          this.asideLeft.set(piece, piece.items.length)
          for (const item of piece.items) {
            const aside = { piece, item, delays: new Delays(backoff, this.clock), due: 0, triedInDrain: 0 }
            if (this.asideLeft.has(piece)) yield* this.putAsideOne(aside, putAside)
          }
          continue
        }
        const now = this.now()
        let next: Aside<A> | undefined
        for (const aside of this.asidesLater) if (next === undefined || aside.due < next.due) next = aside
        if (next === undefined) yield* this.signal.wait(seen)
        else if (next.due > now) yield* Effect.raceFirst(this.signal.wait(seen), Effect.sleep(next.due - now))
        else yield* this.putAsideOne(next, putAside)
      }
    })
  }
  private putAsideOne(aside: Aside<A>, putAside: PutAside): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { item, piece } = aside
      const exit = yield* Effect.exit(this.letterPutAside(aside, putAside))
      this.asidesLater = this.asidesLater.filter((other) => other !== aside)
      if (exit._tag === "Success") {
        if (!exit.value) return this.stays(piece)
        const left = this.asideLeft.get(piece)! - 1
        this.asideLeft.set(piece, left)
        if (left > 0) return
        this.asideLeft.delete(piece)
        this.window.putAside(piece, this.now())
        this.hasSettled()
        return this.rejected(piece, Exit.void)
      }
      this.rejected(piece, Exit.fail(this.logFailed(exit.cause)))
      // A drain does not wait for what cannot be stored: it is handed out again by the next run, and rejected again.
      const stays = this.state._tag !== "Open" && ++aside.triedInDrain === triesInDrain
      if (stays) this.stays(piece)
      else {
        this.asidesLater.push(aside)
        aside.due = this.now() + (yield* aside.delays.next(exit.cause))
      }
      const what = `${this.name} could not store the dead letter of sequence ${item.sequence}`
      yield* stays
        ? sayError(`${what}, and leaves it to the next run, which hands it out again`, exit.cause)
        : this.asideComplaints.run(() =>
          sayError(
            `${what}, and tries again; ${this.asidesLater.length} value(s) wait to be put aside`,
            exit.cause
          )
        )
    })
  }
  /** Whether it is done with one value: false for one that is to stay where it is, since nothing says where it may go. */
  private letterPutAside({ item, piece }: Aside<A>, putAside: PutAside): Effect.Effect<boolean, unknown> {
    const { reason } = piece
    if (putAside === undefined && item.unreadable !== undefined) {
      return Effect.as(
        sayError(
          `${this.name} cannot decode sequence ${item.sequence}, and stays there: ${reason}. Say where it is to go with `
            + `\`deadLetter\`: a record, or "drop"`
        ),
        false
      )
    }
    if (typeof putAside !== "function") {
      const { first, last } = piece
      return Effect.as(
        item.sequence === first ? sayWarning(`${this.name} drops ${first}..${last}: ${reason}`) : Effect.void,
        true
      )
    }
    return Effect.as(
      Effect.suspend(() =>
        putAside({
          record: this.settings.record,
          group: this.settings.group,
          sequence: item.entry.sequence,
          attempts: piece.attempt,
          reason,
          bytes: item.entry.bytes
        })
      ),
      true
    )
  }
  /** It is not put aside, and not settled, by this holder. */
  private stays(piece: Piece<Entry<A>>): void {
    this.asidesLater = this.asidesLater.filter((aside) => aside.piece !== piece)
    this.asideLeft.delete(piece)
    this.signal.notify()
  }
  /** Tells who rejected it by hand. */
  private rejected(piece: Piece<Entry<A>>, exit: Exit.Exit<void, LogFailed | StaleEpoch>): void {
    const waiting = this.rejections.get(piece)
    this.rejections.delete(piece)
    if (waiting !== undefined) Deferred.doneUnsafe(waiting, exit)
  }

  // ---- committing

  /** Stores what is settled, if it is not stored. Concurrent callers share what one of them stores. */
  readonly commit: Effect.Effect<void, StaleEpoch | LogFailed> = this.oneAtATime(Effect.suspend(() => {
    if (this.state._tag === "Over") return Effect.fail(this.state.error)
    if (!this.window.isDirty()) return Effect.void
    const uncommitted = this.window.uncommitted()
    const attempts = new Map(Array.from(uncommitted.attempts, ([sequence, attempt]) => [BigInt(sequence), attempt]))
    return this.group.commit({ through: BigInt(uncommitted.through), attempts }).pipe(
      // A defect of the engine, or a commit that it takes for impossible, is told as its failure, and tried again.
      Effect.catchCause((cause) => {
        const error = Option.getOrUndefined(Causes.findErrorOption(cause))
        return Effect.fail(error?._tag === "StaleEpoch" || error?._tag === "LogFailed" ? error : this.logFailed(cause))
      }),
      Effect.tapErrorTag("StaleEpoch", (error) => Effect.sync(() => this.end(error))),
      Effect.andThen(Effect.sync(() => {
        this.window.commit(uncommitted)
        this.signal.notify()
      }))
    )
  }))
  /** A fiber that is torn down, by what no Effect is, runs no finalizers: its permit is given back for it. */
  private oneAtATime<B, E>(commit: Effect.Effect<B, E>): Effect.Effect<B, E> {
    return this.committing.withPermit(Effect.withFiber((fiber) => {
      const forget = fiber.addObserver(() => Effect.runFork(this.committing.release(1)))
      return Effect.ensuring(commit, Effect.sync(forget))
    }))
  }
  readonly flush: Effect.Effect<bigint, StaleEpoch | LogFailed> = Effect.map(
    this.commit,
    () => BigInt(this.window.committed)
  )
  private readonly commitAsNeeded: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const { commitAcks, commitWithin, maxReadAhead } = this.settings
    const { window } = this
    let dirtySince: number | undefined
    while (true) {
      const seen = this.signal.turn
      if (!window.isDirty()) {
        dirtySince = undefined
        yield* this.signal.wait(seen)
        continue
      }
      const now = this.now()
      dirtySince ??= now
      const due = window.settledSinceCommit >= commitAcks || window.watermark - window.committed >= maxReadAhead
        ? now
        : dirtySince + commitWithin
      if (due > now) {
        yield* Effect.raceFirst(this.signal.wait(seen), Effect.sleep(due - now))
        continue
      }
      dirtySince = undefined
      yield* this.commitInTheEnd
    }
  }).pipe(Effect.catchTag("StaleEpoch", () => Effect.void))
  /** As often as it takes. */
  private readonly commitInTheEnd: Effect.Effect<void, StaleEpoch> = Effect.gen({ self: this }, function*() {
    let delays: Delays | undefined
    while (true) {
      const failed = yield* this.commit.pipe(Effect.catchTag("LogFailed", (error) => Effect.succeed(error)))
      if (failed === undefined) return
      yield* this.complaints.run(() =>
        sayWarning(`${this.name} could not commit, and tries again`, Causes.fail(failed))
      )
      delays ??= new Delays(backoff, this.clock)
      yield* Effect.sleep(yield* delays.next(failed))
    }
  })

  // ---- watching

  /** Says which sequence holds the watermark back, once it has not moved for `stallAfter`, and again as often. */
  private readonly watch: Effect.Effect<void> = Effect.forever(Effect.suspend(() => {
    const { stallAfter } = this.settings
    const seen = this.signal.turn
    const blocking = this.window.blocking()
    if (blocking === undefined) return this.signal.wait(seen)
    const still = this.now() - Math.max(this.window.movedAt, blocking.sign)
    if (still < stallAfter) return Effect.sleep(stallAfter - still)
    const { fetched, watermark } = this.window
    return Effect.andThen(
      sayWarning(
        `${this.name} is stalled: nothing has been settled at its watermark for ${
          (still / 1000).toFixed(0)
        } s. Sequence ${blocking.sequence} holds it back, ${states[blocking.state] ?? blocking.state}; ${
          fetched - watermark
        } of at most ${this.settings.maxReadAhead} value(s) are held`
      ),
      Effect.sleep(stallAfter)
    )
  }))

  readonly progress: Effect.Effect<Progress> = Effect.gen({ self: this }, function*() {
    // An engine that does not answer leaves what it said last.
    this.oldest = yield* Effect.catchCause(this.log.oldest, () => Effect.succeed(this.oldest))
    this.head = yield* Effect.catchCause(this.log.head, () => Effect.succeed(this.head))
    const { window } = this
    return {
      oldest: this.oldest,
      committed: BigInt(window.committed),
      watermark: BigInt(window.watermark),
      fetched: BigInt(window.fetched),
      head: BigInt(Math.max(Number(this.head), window.fetched + 1)),
      inFlight: window.inFlight,
      holes: window.holes(),
      oldestUnackedAge: window.oldestUnackedAge(this.clock.currentTimeMillisUnsafe())
    }
  })
  /** Where it stands, to a topology: what is not settled is still to be read. */
  readonly position: Position = {
    pending: () => Math.max(0, this.knownHead() - 1 - this.window.watermark),
    counts: () => ({
      received: this.window.fetched - this.window.options.committed - this.window.expired,
      lagged: this.window.expired,
      conflated: 0
    })
  }
  /** Without asking the engine: what others than this process have appended shows once it is fetched. */
  private knownHead(): number {
    return Math.max(this.window.fetched + 1, this.headBefore + this.log.stats().produced)
  }
  /** With `attributes` besides the record and the group. */
  readonly metrics = (attributes: Attributes): Effect.Effect<void, never, Scope.Scope> =>
    registering((register) => {
      const { group, record } = this.settings
      const at: Attributes = { record, group, ...attributes }
      const { window } = this
      const gauge = (name: string, help: string, get: () => number) =>
        register("gauge", `sluice_collector_${name}`, help, at, get)
      const counter = (name: string, help: string, get: () => number) =>
        register("counter", `sluice_collector_${name}_total`, help, at, get)
      gauge("committed", "The sequence through which progress is stored", () => window.committed)
      gauge("watermark", "The sequence through which everything is settled", () => window.watermark)
      gauge("fetched", "The last sequence fetched", () => window.fetched)
      gauge("head", "The next sequence of the record, as far as this process knows", () => this.knownHead())
      gauge("in_flight", "Batches handed out", () => window.inFlight)
      gauge("holes", "Values not settled although a later one is", () => window.holes())
      gauge(
        "oldest_unacked_age_milliseconds",
        "Since the oldest value that is fetched and not settled was appended",
        () => window.oldestUnackedAge(this.clock.currentTimeMillisUnsafe())
      )
      counter("acknowledged", "Values acknowledged", () => window.acknowledged)
      counter("rejected", "Values put aside or dropped", () => window.rejected)
      counter("released", "Batches given back", () => window.released)
      counter("expired", "Values that had expired before they were fetched", () => window.expired)
    })

  // ---- the end

  /** Nothing new from now on. */
  drain(): void {
    if (this.state._tag !== "Open") return
    this.state = { _tag: "Draining" }
    this.fetching?.stop()
    // What waits to be put aside is tried once more.
    for (const aside of this.asidesLater) aside.due = 0
    this.signal.notify()
  }
  /** For a worker that is done: returns once nothing is on its way aside, and what is settled is stored. */
  readonly finished: Effect.Effect<void, StaleEpoch> = Effect.suspend(() => {
    if (this.state._tag === "Over") return Effect.fail(this.state.error)
    const seen = this.signal.turn
    return this.asideLeft.size > 0 || this.window.hasRejected
      ? Effect.andThen(this.signal.wait(seen), this.finished)
      : this.commitInTheEnd
  })
  private readonly close: Effect.Effect<void> = Effect.suspend(() => {
    if (this.state._tag === "Over") return Effect.void
    this.state = { _tag: "Draining" }
    // One that hangs would keep the last commit waiting.
    for (const worker of this.workers) worker.stop()
    // The end of the collector is nobody's attempt.
    this.window.giveBackAll(this.now())
    const { group, record } = this.settings
    return Effect.ensuring(
      atMost(closeWithin, this.commit),
      Effect.sync(() => this.end(new StaleEpoch({ record, group, epoch: this.epoch })))
    )
  })
  private end(error: StaleEpoch): void {
    if (this.state._tag === "Over") return
    this.state = { _tag: "Over", error }
    for (const worker of this.workers) worker.stop()
    for (const piece of this.rejections.keys()) this.rejected(piece, Exit.fail(error))
    this.signal.notify()
  }
  /** Why there is nothing more to take. */
  readonly whyOver: Effect.Effect<never, StaleEpoch | LogFailed> = Effect.suspend(() => {
    const { record } = this.settings
    if (this.state._tag === "Over") return Effect.fail(this.state.error)
    if (this.state._tag === "Open") return Effect.fail(new LogFailed({ record, cause: new RecordClosed({ record }) }))
    return Effect.andThen(this.signal.wait(this.signal.turn), this.whyOver)
  })
  private get name(): string {
    return `group "${this.settings.group}" of record "${this.settings.record}"`
  }
  private now(): number {
    return elapsedMillis(this.clock)
  }
}

const states: { readonly [state: string]: string } = {
  Ready: "waiting for its next attempt",
  InFlight: "in the hands of a handler",
  Rejecting: "waiting to be put aside",
  Fetched: "waiting to be handed out"
}
