/** Fibers that wait for a state of something that says when it has changed: nobody polls. */
import { Effect } from "effect"

export class Changes {
  private readonly waiting = new Set<() => void>()

  /** Lets those that wait look. Whoever finds what it waited for is resumed at once, inside this call. */
  changed(): void {
    for (const look of Array.from(this.waiting)) look()
  }
  /** Returns once `state` answers with something, now or after a change. Interrupted, it waits no more. */
  until<A>(state: () => A | undefined): Effect.Effect<A> {
    return Effect.callback<A>((resume) => {
      const look = (): void => {
        const found = state()
        if (found === undefined) return
        this.waiting.delete(look)
        resume(Effect.succeed(found))
      }
      this.waiting.add(look)
      look()
      return Effect.sync(() => this.waiting.delete(look))
    })
  }
}
