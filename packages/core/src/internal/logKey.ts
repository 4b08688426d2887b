/** The key under which the log of a record is in the context: only `Record.layerLog` puts it there. */
import { Context } from "effect"
import type { Log, LogOf } from "../Log.ts"

export const logOf = <Self, A>(key: string): Context.Service<LogOf<Self>, Log<A>> =>
  Context.Service<LogOf<Self>, Log<A>>(`@sluice/core/LogOf/${key}`)
