/**
 * What the components share besides records: whether the sampler runs, the wish to quit, and the few counts that the
 * topology cannot know, because a refusal or a wait is what the caller makes of it.
 */
import { Clock, Context, Deferred, Effect, Latch, Layer } from "effect"

export class Control extends Context.Service<Control, {
  /** Open while the sampler samples. */
  readonly sampling: Latch.Latch
  readonly quit: Deferred.Deferred<void>
  readonly tally: Tally
}>()("telemetry/Control") {
  static readonly layer = Layer.effect(
    Control,
    Effect.gen(function*() {
      return Control.of({
        sampling: Latch.makeUnsafe(true),
        quit: Deferred.makeUnsafe(),
        tally: new Tally(yield* Clock.currentTimeMillis)
      })
    })
  )
}

/** Counts since the start or the last reset. */
export class Tally {
  since: number
  samples = 0
  alerts = 0
  /** Journal lines that found no room and were given up. */
  refused = 0
  /** Journal lines that waited for room, and for how long in all. */
  waited = 0
  waitedMillis = 0
  archived = 0

  constructor(since: number) {
    this.since = since
  }
  reset(now: number): void {
    Object.assign(this, new Tally(now))
  }
}
