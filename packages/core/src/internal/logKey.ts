/** Where the log of a record is in the context. */
import { Context } from "effect"
import type { Log, LogOf } from "../Log.ts"

export const logKeyPrefix = "@sluice/core/LogOf/"
/** The key under which the log of a record is in the context: only `Record.layerLog` puts it there. */
export const logOf = <Self, A>(key: string): Context.Service<LogOf<Self>, Log<A>> =>
  Context.Service<LogOf<Self>, Log<A>>(`${logKeyPrefix}${key}`)
