/**
 * Cases whose figures are not nanoseconds per message: bytes, counts, percentiles. They are measured in rounds as the
 * timed ones are, compared by their first figure, and may have limits that do not depend on any other contestant.
 */
import type { Effect, Scope } from "effect"
import type { Target } from "./contestant.ts"
import type { WrongDelivery } from "./workload.ts"

export interface FigureCase {
  readonly name: string
  /** What is measured, for the reader of the table. */
  readonly about: string
  readonly matches: ReadonlyArray<FigureMatch>
  /** No more rounds than these, where nothing is compared and a round takes long. */
  readonly roundsMax?: number
}
export interface FigureMatch {
  readonly title: string
  /** What a gauge reads; ratios are those of the first. */
  readonly columns: ReadonlyArray<Column>
  readonly ours: Gauge
  readonly others: ReadonlyArray<Gauge>
  readonly targets?: ReadonlyArray<Target>
  readonly limits?: ReadonlyArray<Limit>
}
export interface Column {
  readonly name: string
  readonly unit: string
}
export interface Gauge {
  readonly name: string
  /** One round: a figure for each column. `share` says how much of the work is asked for: 1 is all. */
  readonly read: (share: number) => Effect.Effect<ReadonlyArray<number>, WrongDelivery, Scope.Scope>
}
/** What a figure of ours must show by itself. */
export interface Limit {
  /** The name of a column. */
  readonly figure: string
  readonly bound: "at least" | "at most"
  readonly pass: number
  readonly stretch?: number
  /** Beyond this the run fails. Default: 15% worse than `pass`, since machines are noisy. */
  readonly gate?: number
}
