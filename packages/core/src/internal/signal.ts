/** Tells all who wait that something has changed. Whoever waits says which change it has seen, so that none is missed. */
import { Effect } from "effect"
import { microtask } from "./microtask.ts"

export class Signal {
  /** How many changes there were. */
  turn = 0
  private readonly waiting = new Set<() => void>()
  private telling = false

  /** Wakes all who wait, in a later turn: never inside the step that changed something. */
  notify(): void {
    this.turn++
    if (this.telling || this.waiting.size === 0) return
    this.telling = true
    microtask(this.tell)
  }
  private readonly tell = (): void => {
    this.telling = false
    const waiting = [...this.waiting]
    this.waiting.clear()
    for (const resume of waiting) resume()
  }
  /** Returns once there was a change since `seen`, or spuriously. */
  wait(seen: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.turn !== seen) return resume(Effect.void)
      const wake = () => resume(Effect.void)
      this.waiting.add(wake)
      return Effect.sync(() => void this.waiting.delete(wake))
    })
  }
}
