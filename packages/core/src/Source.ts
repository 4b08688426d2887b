/** A component that runs a Stream into a record. */
import { Cause, Effect, Exit, Fiber, Latch, type Layer, Scheduler, Stream } from "effect"
import { type Assembly, type Handled, type Intercept, Interceptor, type Supervised } from "./Component.ts"
import { streamOf } from "./internal/answer.ts"
import { declare, endWhenClosed, type Running, type Slot } from "./internal/component.ts"
import { QuietScheduler } from "./internal/quietScheduler.ts"
import type { RecordClass } from "./Record.ts"

/**
 * Runs `stream` into the record with `produceAsync`, so it waits for space. A stream that ends makes the component Done
 * and leaves the record open; one that fails is run again from its start by `restart`. A drain stops the stream where it
 * waits, and lets what it has already emitted in; it is not run again after that.
 */
export const layer = <Self, Key extends string, A, S extends Stream.Stream<NoInfer<A>, unknown, any>>(
  record: RecordClass<Self, Key, A>,
  options: Supervised & { readonly stream: S }
): Layer.Layer<never, never, Self | Assembly | Handled<Stream.Services<S>>> =>
  declare({
    ...options,
    kind: "Source",
    reads: [],
    writes: [record],
    attempt: (running, slot) =>
      Effect.flatMap(Interceptor, (intercept) => {
        const writer = new Writer(running, slot, record.key, intercept)
        const writing = endWhenClosed(
          Stream.runForEachArray(streamOf(`component "${options.name}": \`stream\``, options.stream), writer.write),
          running,
          slot
        )
        return untilStopped(writing, running, writer.pulling)
      })
  })

/** Fibers of a stream that have as many turns after the stop and never rest emit nothing that could be waited for. */
const turnsMax = 1000

/**
 * Runs `writing` until it ends, or until the topology drains. Then it is interrupted, but only while it waits for its next
 * values (`pulling` is open) and none of its fibers is on its way: a fiber that has merely yielded may have a value in hand
 * that the stream has emitted.
 */
const untilStopped = <E, R>(
  writing: Effect.Effect<void, E, R>,
  running: Running,
  pulling: Latch.Latch
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const scheduler = new QuietScheduler(yield* Scheduler.Scheduler)
    const fiber = yield* Effect.forkChild(scheduler.run(writing), { startImmediately: true })
    let stopped = false
    const stop = scheduler.whenQuiet(pulling, () => {
      stopped = true
      fiber.interruptUnsafe()
    }, turnsMax)
    const stopping = yield* Effect.forkChild(Effect.andThen(running.stop.await, stop), { startImmediately: true })
    const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
    stopping.interruptUnsafe()
    return stopped && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? undefined : yield* exit
  })

/** Writes what the stream emits. */
class Writer<A> {
  /** Open while the stream is at work on its next values, closed while those that it emitted go in. */
  readonly pulling = Latch.makeUnsafe(true)
  private readonly running: Running
  private readonly slot: Slot
  private readonly record: string
  private readonly intercept: Intercept | undefined

  constructor(running: Running, slot: Slot, record: string, intercept: Intercept | undefined) {
    this.running = running
    this.slot = slot
    this.record = record
    this.intercept = intercept
  }
  readonly write = (values: ReadonlyArray<A>): Effect.Effect<void, unknown, any> => {
    const { intercept, pulling, running, slot } = this
    pulling.closeUnsafe()
    slot.begin(values.length)
    const claim = running.claims[0]!
    const writing = Effect.forEach(
      values,
      (value) => {
        const produce = claim.produceAsync(value)
        return Effect.andThen(
          intercept === undefined ? produce : intercept(slot.handling(this.record, [value]), produce),
          Effect.sync(() => slot.end(1))
        )
      },
      { discard: true }
    )
    return Effect.flatMap(writing, () => {
      pulling.openUnsafe()
      // From here on it is at rest, and is interrupted.
      return running.stop.isOpen() ? Effect.never : Effect.void
    })
  }
}
