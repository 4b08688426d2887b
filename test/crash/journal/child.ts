/**
 * The process that is killed: `node child.ts <directory> <round> <producers> <poison>`. Its producers send what they can,
 * its collector handles what comes; each line says what has just become so:
 *
 *     ready                          the journal is open, and everything runs
 *     sent <producer> <n>            acknowledged
 *     begun <sequence> <attempt>     handed out
 *     done <sequence>                handled
 *
 * Without producers it ends once everything is settled.
 */
import { Collector, Topology } from "@sluice/core"
import { Effect, Layer, Schedule } from "effect"
import { writeSync } from "node:fs"
import { flushCompileCache } from "node:module"
import { group, journal, Letter, letterLog, maxAttempts, told, Value, valueLog } from "./records.ts"

const [directory = "", ...numbers] = process.argv.slice(2)
const [round = 0, producers = 0, poison = -1] = numbers.map(Number)
/** At once, so that a line is out when the process is killed after it. */
const say = (line: string): void => void writeSync(1, `${line}\n`)

const producing = (producer: number) =>
  Effect.gen(function*() {
    const claim = yield* (yield* Value).producer(`producer ${producer}`)
    for (let n = 0; n < 400; n++) {
      yield* claim.produceAsync(told(round, producer, n, producer === 0 && n === poison))
      say(`sent ${producer} ${n}`)
    }
    return yield* Effect.never
  })

const Handling = Collector.layer(Value, {
  name: "handling",
  group,
  batch: { max: 8 },
  concurrency: 2,
  maxAttempts,
  retry: Schedule.spaced("5 millis"),
  deadLetter: { record: Letter, as: ({ attempts, sequence }) => ({ attempts, sequence: Number(sequence) }) },
  handle: ({ attempt, first, values }) =>
    Effect.gen(function*() {
      for (const index of values.keys()) say(`begun ${Number(first) + index} ${attempt}`)
      // What is handled beside it is done by then.
      if (values.some(({ isPoison }) => isPoison)) {
        yield* Effect.sleep("20 millis")
        process.kill(process.pid, "SIGKILL")
      }
      if (Number(first) % 3 === 0) yield* Effect.sleep("1 millis")
      for (const index of values.keys()) say(`done ${Number(first) + index}`)
    })
})

const settled = Effect.gen(function*() {
  const { snapshot } = yield* Topology.Topology
  const readers = Effect.map(snapshot, ({ readers }) => readers.every(({ pending }) => pending === 0))
  yield* Effect.repeat(Effect.andThen(Effect.sleep("20 millis"), readers), { until: (all) => all })
})

const App = Topology.layer(Handling).pipe(
  Layer.provideMerge(Layer.mergeAll(Value.layerLog(valueLog), Letter.layerLog(letterLog))),
  Layer.provide(journal(directory))
)
// A process that is killed leaves no compiled code to the next, unless it is told to.
flushCompileCache()
await Effect.runPromise(
  Effect.gen(function*() {
    say("ready")
    if (producers === 0) return yield* settled
    yield* Effect.all(Array.from({ length: producers }, (_, producer) => producing(producer)), {
      concurrency: "unbounded"
    })
  }).pipe(Effect.scoped, Effect.provide(App))
)
