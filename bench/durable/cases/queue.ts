/** Jobs: enqueued, processed and acknowledged, each at least once, with retries and someone who holds what is at work. */
import { Effect } from "effect"
import type { FigureCase, FigureMatch, Gauge } from "../../figures.ts"
import { itemsOf, timed } from "../ground.ts"
import { bullmq, type JobQueue, onRedis, onSqlite, sluice } from "../peers/queues.ts"
import * as Redis from "../peers/redis.ts"

type Half = "enqueue" | "process, ack" | "all"

const columns = [{ name: "wall", unit: "µs/value" }]
/** The same job queue is measured for as many values as it can do in about a second. */
const gauge = ({ name, open }: JobQueue, half: Half, count: number): Gauge => ({
  name,
  read: (share) =>
    Effect.gen(function*() {
      const items = itemsOf(Math.ceil(count * share), 100)
      const { enqueue, workOff } = yield* open
      const enqueued = yield* timed(enqueue(items))
      const worked = half === "enqueue" ? 0 : yield* timed(workOff(items.length))
      const millis = half === "enqueue" ? enqueued : half === "all" ? enqueued + worked : worked
      return [millis * 1e3 / items.length]
    })
})
const match = (half: Half, others: ReadonlyArray<readonly [JobQueue, pass: number, stretch: number]>): FigureMatch => ({
  title: half === "all" ? "enqueue, process, ack" : half,
  columns,
  ours: gauge(sluice, half, 20_000),
  others: others.map(([other]) => gauge(other, half, 1000)),
  targets: others.map(([{ name }, pass, stretch]) => ({ contestant: name, pass, stretch }))
})

const redis = Redis.missing === undefined
export const queue: FigureCase = {
  name: "queue",
  about: "jobs of 100 B, 64 enqueued at a time, then all processed and acknowledged",
  matches: [
    match("all", [[onSqlite, 20, 30], ...redis ? [[onRedis, 3.5, 5] as const] : []]),
    ...redis ? [match("enqueue", [[bullmq, 6, 6]]), match("process, ack", [[bullmq, 10, 10]])] : []
  ]
}
