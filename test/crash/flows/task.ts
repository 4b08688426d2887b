/** What the process that is killed and the one that starts it tell each other. */
import type { Flows } from "@sluice/testing"

/** Where a process can be killed on the way of a completion; within a verb, while its transaction is under way. */
export const places = [
  "before complete",
  "within complete",
  "after complete",
  "at a notification",
  "before promote",
  "within promote",
  "after promote"
] as const
export type Place = typeof places[number]
export const isPlace = (line: string): line is Place => (places as ReadonlyArray<string>).includes(line)

/** Deliberately wrong processes, which have to be caught. */
export const breaks = ["forgetsWhatItMissed", "marksBeforeItCounts", "endsBeforeItTells"] as const
export type Break = typeof breaks[number]

/** The argument of a process, in JSON. Later it is told which execution is released, a name on a line. */
export interface Task {
  readonly file: string
  /** Of the program that it works on. */
  readonly program: number
  /** Whom it leaves alone until they are released. */
  readonly held: ReadonlyArray<string>
  /** At which of the places it kills itself, counted as it passes them; none where it is undefined. */
  readonly killAt?: number | undefined
  /** How long a transaction has been under way when it is killed within it, in milliseconds. */
  readonly killWithin: number
  /** How its components are set up. */
  readonly concurrency: number
  readonly page: number
  readonly faults: Flows.FaultOptions
  readonly broken?: Break | undefined
}
