/** All cases, in the order of the table, with what of them cannot be run here and why. */
import type { FigureCase } from "../../figures.ts"
import * as Redis from "../peers/redis.ts"
import { append, latency, shared, stalls, stores } from "./append.ts"
import { completions } from "./completions.ts"
import { replay, retention } from "./kept.ts"
import { queue } from "./queue.ts"

export interface DurableCase {
  readonly case: FigureCase
  readonly missing: ReadonlyArray<string>
}
const whole = (each: FigureCase): DurableCase => ({ case: each, missing: [] })

export const cases: ReadonlyArray<DurableCase> = [
  ...[append, latency, stores, stalls, shared, replay, retention, completions].map(whole),
  {
    case: queue,
    missing: Redis.missing === undefined ? [] : [`PersistedQueue on Redis and BullMQ, since ${Redis.missing}`]
  }
]
