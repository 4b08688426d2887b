/**
 * What a probe knows of one component and has asked of it: counts, the handlings that have begun, and the gate at which
 * each of them stops or passes. Plain state but for that gate.
 */
import type { Handling } from "@sluice/core/Component"
import { Deferred, Effect, Exit, Option } from "effect"
import { Changes } from "./changes.ts"

/** A handling that has ended. Its `exit` is the handler's, or that of the kill or the interruption that ended it. */
export interface Handled extends Handling {
  readonly exit: Exit.Exit<void, unknown>
}
/** Which handlings are meant, by slot, attempt, record or values. Everywhere the default is any. */
export type Where = (handling: Handling) => boolean

/** What a probe has seen of a component since its layer was built. Counts are of values, as in the topology's snapshot. */
export interface ProbeSnapshot {
  readonly handled: number
  /** Values of the handlings that failed or were interrupted. */
  readonly abandoned: number
  /** The newest attempt of any slot; 0 before the first handling. */
  readonly attempt: number
  /** Of all slots. A restart shows here once its slot handles again; `Topology.snapshot` has it at once. */
  readonly restarts: number
  /** Those that stopped before the handler, the longest held first. */
  readonly held: ReadonlyArray<Handling>
  readonly running: ReadonlyArray<Handling>
  readonly last: Option.Option<Handled>
}

/** Asked for by `step` or `kill`: what becomes of one handling. */
export interface Order {
  readonly where: Where
  /** Success lets the handler run. */
  readonly verdict: Exit.Exit<void, unknown>
  /** Set once the handling has ended. */
  handled: Handled | undefined
}

/** A handling that has begun and not ended. */
interface Current {
  readonly handling: Handling
  /** How many had begun with it. */
  readonly number: number
  readonly gate: Deferred.Deferred<void, unknown>
  state: "Held" | "Running"
  order: Order | undefined
}

export class Watched {
  readonly changes = new Changes()
  /** How many handlings have begun. */
  began = 0
  handled = 0
  private abandoned = 0
  private last: Handled | undefined
  private holding: Where | undefined
  /** In the order in which they began. */
  private readonly current = new Set<Current>()
  /** Those that have not found their handling yet, first come, first served. */
  private readonly orders = new Set<Order>()
  /** The newest attempt of each slot. */
  private readonly attempts = new Map<number, number>()

  /** What stands around each handling of the component. */
  readonly around = (handling: Handling, handle: Effect.Effect<void, unknown, any>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => this.begin(handling)),
      ({ gate }) => Effect.andThen(Deferred.await(gate), handle),
      (current, exit) => Effect.sync(() => this.end(current, exit))
    )

  hold(where: Where): void {
    this.holding = where
  }
  release(): void {
    this.holding = undefined
    for (const current of this.current) if (current.state === "Held") this.pass(current, Exit.void)
    this.changes.changed()
  }
  /** Gives an order to the handling that has been held longest, or to the next to begin. */
  place(order: Order): void {
    for (const current of this.current) {
      if (current.state === "Held" && order.where(current.handling)) {
        current.order = order
        return this.pass(current, order.verdict)
      }
    }
    this.orders.add(order)
  }
  /** An order that has found its handling goes its way. */
  withdraw(order: Order): void {
    this.orders.delete(order)
  }
  /**
   * A handling that has begun since `since`, or is held, or is at work although it need not be: one that was let through
   * a hold, or was at work before it, is not what whoever holds the component waits for.
   */
  handling(where: Where, since: number): Handling | undefined {
    for (const { handling, number, state } of this.current) {
      if (where(handling) && (state === "Held" || number > since || !this.holds(handling))) return handling
    }
    return undefined
  }
  snapshot(): ProbeSnapshot {
    const current = Array.from(this.current)
    const of = (state: Current["state"]) => current.filter((one) => one.state === state).map(({ handling }) => handling)
    return {
      handled: this.handled,
      abandoned: this.abandoned,
      attempt: Math.max(0, ...this.attempts.values()),
      restarts: Array.from(this.attempts.values()).reduce((sum, attempt) => sum + attempt - 1, 0),
      held: of("Held"),
      running: of("Running"),
      last: Option.fromUndefinedOr(this.last)
    }
  }

  private holds(handling: Handling): boolean {
    return this.holding?.(handling) === true
  }
  private begin(handling: Handling): Current {
    const gate = Deferred.makeUnsafe<void, unknown>()
    const order = Array.from(this.orders).find(({ where }) => where(handling))
    const current: Current = { handling, number: ++this.began, gate, state: "Held", order }
    this.attempts.set(handling.slot, handling.attempt)
    this.current.add(current)
    if (order !== undefined) {
      this.orders.delete(order)
      this.pass(current, order.verdict)
    } else if (!this.holds(handling)) this.pass(current, Exit.void)
    this.changes.changed()
    return current
  }
  private pass(current: Current, verdict: Exit.Exit<void, unknown>): void {
    current.state = "Running"
    Deferred.doneUnsafe(current.gate, verdict)
  }
  private end(current: Current, exit: Exit.Exit<void, unknown>): void {
    const { handling, order } = current
    this.current.delete(current)
    this.last = { ...handling, exit }
    if (Exit.isSuccess(exit)) this.handled += handling.values.length
    else this.abandoned += handling.values.length
    if (order !== undefined) order.handled = this.last
    this.changes.changed()
  }
}
