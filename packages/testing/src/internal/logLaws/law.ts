/** Laws of logs: whom they bind, and on which clock they are checked. */
import type { Log } from "@sluice/core"
import type { Effect, Scope } from "effect"
import { LawBroken, type LawOptions, type LawOver, timedLaw, type Timing } from "../law.ts"

export { LawBroken }

/** What a log promises beyond the contract's core. A flag that promises less takes laws away; none makes a law weaker. */
export interface Promises {
  /** Beyond the capacity it was made with it lets go of the oldest value; or, as far as a check goes, of none. */
  readonly holds: "capacity" | "all"
  /** It can be told to let go of what a group has not committed. */
  readonly expiresUnacknowledged: boolean
  /** It can be told to remove groups that nobody has held for a time. */
  readonly expiresGroups: boolean
}
/** What a check asks of a log: how many values it holds, and how groups count. A log that holds all ignores the first. */
export interface LogOptions {
  readonly capacity: number
  readonly retention?: Log.Retention
}

/** What the laws run over: the logs of an engine. */
export interface Subject extends Timing {
  readonly name: string
  readonly promises: Promises
  /** What its backing says. */
  readonly durability: Log.Durability
  /** A new log of numbers, with nothing in it, which writes its values as JSON. */
  readonly make: (options: LogOptions) => Effect.Effect<Log.Log<number>, never, Scope.Scope>
}

/** One guarantee. */
export interface Law extends LawOver<Subject> {}

export const law: (name: string, options: LawOptions<Subject>) => Law = timedLaw

export const always = (): boolean => true
export const limited = ({ holds }: Promises): boolean => holds === "capacity"
