/** How long a message takes from its push to its handler, and percentiles of that. */
import { type Cause, Effect } from "effect"
import { type Reading, type Subscriber, WrongDelivery } from "./workload.ts"

/** Handles one value at a time: the one that was pushed last. The time is taken in the first statement of the handler. */
export class Stopwatch implements Subscriber {
  /** In microseconds. */
  readonly times: Array<number> = []
  /** Under way. */
  private awaited: Reading | undefined
  private began = 0
  private failure: WrongDelivery | undefined

  /** Just before the push. */
  start(value: Reading): void {
    this.awaited = value
    this.began = performance.now()
  }
  readonly handleUnsafe = (value: Reading): undefined => {
    this.times.push((performance.now() - this.began) * 1e3)
    if (value !== this.awaited) this.fail(`${value.sequence} came where ${this.awaited?.sequence} was awaited`)
    this.awaited = undefined
  }
  readonly handle = (value: Reading): Effect.Effect<void> => Effect.sync(() => this.handleUnsafe(value))
  readonly lagged = (missed: number): void => this.fail(`lagged behind by ${missed}`)
  readonly failed = (cause: Cause.Cause<unknown>): void => this.fail(`ended early: ${String(cause)}`)

  /** Returns a turn of the event loop after the value was handled, and so after whoever handled it waits again. */
  readonly rest: Effect.Effect<void, WrongDelivery> = Effect.callback((resume) => {
    const turn = (): void => {
      if (this.failure !== undefined) resume(Effect.fail(this.failure))
      else if (this.awaited !== undefined) setImmediate(turn)
      else setImmediate(() => resume(Effect.void))
    }
    setImmediate(turn)
  })
  private fail(message: string): void {
    this.failure ??= new WrongDelivery({ message })
  }
}

/** Nearest rank; `shares` such as 0.99. */
export const percentiles = (times: ReadonlyArray<number>, shares: ReadonlyArray<number>): ReadonlyArray<number> => {
  const sorted = Float64Array.from(times).toSorted()
  return shares.map((share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!)
}
