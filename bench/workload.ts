/**
 * What is sent through every contestant, and what is done with it on the other side. The values exist before the clock
 * starts, so that none of their cost is measured. A subscriber counts what it is handed and folds it into a checksum
 * that depends on order: a value lost, doubled or moved makes the round fail, and with it the run.
 */
import { Cause, Data, Deferred, Effect, Schema } from "effect"

export const Reading = Schema.Struct({ sequence: Schema.Int, celsius: Schema.Finite })
export type Reading = typeof Reading.Type

const made: Array<Reading> = []
/** The first `count` readings, the same ones for every contestant. */
export const readings = (count: number): ReadonlyArray<Reading> => {
  for (let sequence = made.length; sequence < count; sequence++) made.push({ sequence, celsius: sequence % 40 })
  return made.slice(0, count)
}

/** A contestant did not deliver what it was given. */
export class WrongDelivery extends Data.TaggedError("WrongDelivery")<{ readonly message: string }> {}

/** The far end of a contestant: one of the three ways of being handed a value, and where trouble is told. */
export interface Subscriber {
  /** An Effect per value, as handlers of applications are. */
  readonly handle: (value: Reading) => Effect.Effect<void>
  /** The same as a plain function. */
  readonly handleUnsafe: (value: Reading) => undefined
  readonly lagged: (missed: number) => void
  readonly failed: (cause: Cause.Cause<unknown>) => void
  /** Given how to ask how many values were missed in all, where the peer can say. */
  readonly askMissed?: (total: Effect.Effect<number>) => void
}

/** A subscriber that one lap waits for, and that is asked afterwards whether all came. */
export interface Expecting extends Subscriber {
  /** Before a lap. */
  readonly reset: () => void
  /** Returns once the last value was handled. */
  readonly finished: Effect.Effect<void, WrongDelivery>
  /** Asked after things have settled, so that a value handed over twice shows too. */
  readonly check: Effect.Effect<void, WrongDelivery>
  /** Where it stands, for a run that hangs. */
  readonly progress: string
}

/** Expects all of `values` in their order, and has finished at the last. */
export class Tally implements Expecting {
  private readonly values: ReadonlyArray<Reading>
  private readonly expected: number
  private done = Deferred.makeUnsafe<void, WrongDelivery>()
  private failure: WrongDelivery | undefined
  private count = 0
  private checksum = 0

  constructor(values: ReadonlyArray<Reading>) {
    this.values = values
    this.expected = values.reduce(fold, 0)
  }
  reset(): void {
    this.done = Deferred.makeUnsafe()
    this.count = 0
    this.checksum = 0
  }
  readonly handleUnsafe = (value: Reading): undefined => {
    this.checksum = fold(this.checksum, value)
    if (++this.count === this.values.length) Deferred.doneUnsafe(this.done, Effect.void)
  }
  readonly handle = (value: Reading): Effect.Effect<void> => Effect.sync(() => this.handleUnsafe(value))
  readonly lagged = (missed: number): void => this.fail(`lagged behind by ${missed}`)
  readonly failed = (cause: Cause.Cause<unknown>): void => this.fail(`ended early: ${Cause.pretty(cause)}`)

  readonly finished: Effect.Effect<void, WrongDelivery> = Effect.suspend(() => Deferred.await(this.done))
  readonly check: Effect.Effect<void, WrongDelivery> = Effect.suspend(() => {
    if (this.count !== this.values.length || this.checksum !== this.expected) {
      this.fail(`wrong checksum: ${this.checksum} instead of ${this.expected}`)
    }
    return this.failure === undefined ? Effect.void : Effect.fail(this.failure)
  })
  get progress(): string {
    return `${this.count} of ${this.values.length} values delivered`
  }
  private fail(message: string): void {
    this.failure ??= new WrongDelivery({ message: `${message}; ${this.progress}` })
    Deferred.doneUnsafe(this.done, Effect.fail(this.failure))
  }
}

/**
 * A subscriber that sees what is newest when it looks: some of what was sent, in order, and in the end the newest of all.
 * Where its peer says how many values it missed, those and the handled ones must add up to what was sent.
 */
export class LatestTally implements Expecting {
  protected readonly values: ReadonlyArray<Reading>
  private done = Deferred.makeUnsafe<void, WrongDelivery>()
  private failure: WrongDelivery | undefined
  protected handled = 0
  private last = unsent
  private totalMissed: Effect.Effect<number> | undefined
  private missedBefore = 0

  constructor(values: ReadonlyArray<Reading>) {
    this.values = values
  }
  reset(): void {
    this.done = Deferred.makeUnsafe()
    this.handled = 0
    this.last = unsent
  }
  readonly handleUnsafe = (value: Reading): undefined => {
    if (value.sequence <= this.last) this.fail(`${value.sequence} came after ${this.last}`)
    this.last = value.sequence
    this.handled++
    if (value.sequence === this.values.length - 1) Deferred.doneUnsafe(this.done, Effect.void)
  }
  readonly handle: (value: Reading) => Effect.Effect<void> = (value) => Effect.sync(() => this.handleUnsafe(value))
  readonly lagged = (): void => {}
  readonly failed = (cause: Cause.Cause<unknown>): void => this.fail(`ended early: ${Cause.pretty(cause)}`)
  readonly askMissed = (total: Effect.Effect<number>): void => {
    this.totalMissed = total
  }

  readonly finished: Effect.Effect<void, WrongDelivery> = Effect.suspend(() => Deferred.await(this.done))
  readonly check: Effect.Effect<void, WrongDelivery> = Effect.gen({ self: this }, function*() {
    this.examine()
    if (this.totalMissed !== undefined) {
      const total = yield* this.totalMissed
      const missed = total - this.missedBefore
      this.missedBefore = total
      if (this.handled + missed !== this.values.length) this.fail(`not all accounted for: ${missed} reported missed`)
    }
    if (this.failure !== undefined) return yield* this.failure
  })
  get progress(): string {
    return `${this.handled} of ${this.values.length} values handled, ${this.last} the last`
  }
  /** Fails where what was handled cannot be right. */
  protected examine(): void {
    if (this.last !== this.values.length - 1) this.fail("the newest was not the last")
  }
  protected fail(message: string): void {
    this.failure ??= new WrongDelivery({ message: `${message}; ${this.progress}` })
    Deferred.doneUnsafe(this.done, Effect.fail(this.failure))
  }
}

/** The same, one value a turn of the event loop: a slow subscriber of something that overwrites. */
export class SlowTally extends LatestTally {
  override readonly handle = (value: Reading): Effect.Effect<void> =>
    Effect.andThen(Effect.sync(() => this.handleUnsafe(value)), Effect.yieldNow)
  protected override examine(): void {
    if (this.handled > this.values.length / 2) this.fail("not slow")
    super.examine()
  }
}

/** Before the sequence of what a peer may hold before anything is sent: -1. */
const unsent = -2

const fold = (checksum: number, value: Reading): number => (Math.imul(checksum, 31) + value.sequence) | 0
