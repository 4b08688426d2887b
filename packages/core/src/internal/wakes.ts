/** Who goes through a store anew once something of it may have been missed: all that is known of a store by its identity. */
import { Effect, Latch } from "effect"

export class Wakes {
  private static readonly all = new WeakMap<object, Wakes>()
  static of(store: object): Wakes {
    let wakes = Wakes.all.get(store)
    if (wakes === undefined) Wakes.all.set(store, wakes = new Wakes())
    return wakes
  }
  private latch = Latch.makeUnsafe(false)

  /** Waits for the next `wake` after now. */
  get next(): Effect.Effect<void> {
    return this.latch.await
  }
  readonly wake: Effect.Effect<void> = Effect.suspend(() => {
    const { latch } = this
    this.latch = Latch.makeUnsafe(false)
    return Effect.asVoid(latch.open)
  })
}
