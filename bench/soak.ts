/**
 * `pnpm bench soak`: 10,000 messages a second for ten seconds through the topology of `examples/telemetry`, with its own
 * records and components. Fails where a reader lagged, a value was lost, or the rate was not kept.
 *
 * Two components are left out: `slow`, whose lag is its purpose, and the keyboard, as nobody types. The sampler gives way
 * to one that keeps time with the wall clock: it sends what is due at each tick, so that a late tick is made up for in a
 * burst. Nothing can look at the machine 10,000 times a second, so that is done 200 times, and the newest reading is sent
 * again in between, under the time at which each was due. The ring of samples has room for half a second, as it has in
 * the example at 200 a second; `RECORDS_TELEMETRY_SAMPLE_CAPACITY` gives it another.
 */
import { Source, Topology } from "@sluice/core"
import {
  ConfigProvider,
  Data,
  Deferred,
  Duration,
  Effect,
  Layer,
  Logger,
  Option,
  References,
  Schedule,
  Stream
} from "effect"
import { parseArgs } from "node:util"
import * as aggregates from "../examples/telemetry/aggregates.ts"
import * as alarms from "../examples/telemetry/alarms.ts"
import { Control, type Tally } from "../examples/telemetry/control.ts"
import { durationOf } from "../examples/telemetry/duration.ts"
import * as journal from "../examples/telemetry/journal.ts"
import * as operator from "../examples/telemetry/operator.ts"
import * as records from "../examples/telemetry/records.ts"
import { machineReader } from "../examples/telemetry/sampler.ts"
import { columns } from "../examples/telemetry/table.ts"
import { loopDelay } from "./loopDelay.ts"

const help = `Usage: pnpm bench soak [options]

Sends samples through the telemetry topology at a steady rate and fails on lag.

Options:
  --for <duration>  how long, such as 3s or 2m; default 10s; below 1s the last few milliseconds fail it
  --rate <n>        samples a second; default 10000
  --help            this text

Exit code: 0; 1 where a reader lagged, a value was lost or the rate was not kept; 2 for a command line that makes no
sense.`

interface Settings {
  readonly duration: Duration.Duration
  readonly rate: number
}

/** Of the rate that was asked for, what must be kept. */
const shareMin = 0.99
/** How often the machine is read, and what waits for each reader is looked at. */
const readingMillis = 5
/** How long after its time a run may end before it counts as stuck. */
const graceMillis = 30_000

interface Outcome {
  /** Samples a second that every reader of them took. */
  readonly achieved: number
  readonly sent: number
  readonly seconds: number
  /** Of one core. */
  readonly cpuShare: number
  readonly loopDelay: { readonly p99: number; readonly max: number }
  /** When everything was handled. */
  readonly snapshot: Topology.Snapshot
  readonly largestPending: LargestPending
  readonly tally: Tally
}

class Stuck extends Data.TaggedError("Stuck")<{ readonly message: string }> {}

/** Waits to be told of the topology, then sends what is due until it has sent all, and tells when it began. */
const sampler = (
  settings: Settings,
  { begin, end, largestPending }: {
    readonly begin: Deferred.Deferred<Topology.Topology["Service"]>
    readonly end: Deferred.Deferred<number>
    readonly largestPending: LargestPending
  }
) =>
  Source.layer(records.Sample, {
    name: "sampler",
    stream: Stream.unwrap(Effect.gen(function*() {
      const read = yield* machineReader
      const { tally } = yield* Control
      const { snapshot } = yield* Deferred.await(begin)
      const total = totalOf(settings)
      const beganAt = Date.now()
      const began = performance.now()
      let reading = read()
      let readAt = began
      const tick = Effect.gen(function*() {
        const now = performance.now()
        if (now - readAt >= readingMillis) {
          // Right after a burst, before those who wait for it had their turn.
          largestPending.look(yield* snapshot)
          reading = read()
          readAt = now
        }
        yield* Effect.sleep("1 millis")
        const due = Math.min(total, Math.floor((performance.now() - began) / 1000 * settings.rate))
        const first = tally.samples
        tally.samples = due
        return Array.from(
          { length: due - first },
          (_, index) => ({ ...reading, at: beganAt + (first + index) * 1000 / settings.rate })
        )
      })
      return Stream.fromIterableEffectRepeat(tick).pipe(
        Stream.take(total),
        Stream.onEnd(Deferred.succeed(end, began))
      )
    }))
  })

const totalOf = ({ duration, rate }: Settings): number => Math.ceil(Duration.toSeconds(duration) * rate)

/** The most that was ever seen to wait for each reader. */
class LargestPending {
  private readonly largest = new Map<string, number>()

  look({ readers }: Topology.Snapshot): void {
    for (const { component, pending, record } of readers) {
      const key = `${component} ${record}`
      this.largest.set(key, Math.max(pending, this.largest.get(key) ?? 0))
    }
  }
  of({ component, record }: Topology.Snapshot["readers"][number]): number {
    return this.largest.get(`${component} ${record}`) ?? 0
  }
}

const soak = (settings: Settings) =>
  Effect.gen(function*() {
    const begin = yield* Deferred.make<Topology.Topology["Service"]>()
    const end = yield* Deferred.make<number>()
    const largestPending = new LargestPending()
    const App = Topology.layer(
      Layer.mergeAll(
        sampler(settings, { begin, end, largestPending }),
        // Every aggregate is an alert, so that this way is taken too.
        operator.layer({ threshold: 0 }),
        aggregates.layer(settings),
        alarms.layer,
        journal.layer
      )
    ).pipe(Layer.provideMerge(Layer.mergeAll(records.layer, Control.layer)))

    return yield* Effect.gen(function*() {
      const topology = yield* Topology.Topology
      const loop = yield* loopDelay
      const cpuBefore = process.cpuUsage()
      yield* Deferred.succeed(begin, topology)
      const began = yield* Effect.raceFirst(Deferred.await(end), topology.awaitFailure)
      const samples = yield* Effect.repeat(Effect.map(topology.snapshot, readersOfSamples), {
        until: (readers) => readers.every(({ pending }) => pending === 0),
        schedule: Schedule.spaced("1 millis")
      })
      const seconds = (performance.now() - began) / 1000
      const cpu = process.cpuUsage(cpuBefore)
      const delay = loop()
      yield* topology.awaitDone
      const snapshot = yield* topology.snapshot
      return {
        achieved: Math.min(...samples.map(({ received }) => received)) / seconds,
        sent: snapshot.records.find(({ key }) => key === records.Sample.key)!.produced,
        seconds,
        cpuShare: (cpu.user + cpu.system) / 1e6 / seconds * 100,
        loopDelay: delay,
        snapshot,
        largestPending,
        tally: (yield* Control).tally
      }
    }).pipe(
      Effect.timeoutOrElse({
        duration: Duration.sum(settings.duration, Duration.millis(graceMillis)),
        orElse: () => Effect.fail(new Stuck({ message: `not done ${graceMillis / 1000} s after its time` }))
      }),
      Effect.scoped,
      Effect.provide(App)
    )
  }).pipe(
    Effect.provide(ConfigProvider.layerAdd(ConfigProvider.fromEnvRecord({
      RECORDS_TELEMETRY_SAMPLE_CAPACITY: String(Math.ceil(settings.rate / 2))
    }))),
    Effect.provideService(References.MinimumLogLevel, "Warn"),
    Effect.provideService(Logger.LogToStderr, true)
  )

const readersOfSamples = ({ readers }: Topology.Snapshot) =>
  readers.filter(({ record }) => record === records.Sample.key)

/** What is wrong with it: nothing, or a line for each reason to fail. */
const faultsOf = ({ achieved, snapshot }: Outcome, { rate }: Settings): ReadonlyArray<string> => [
  ...snapshot.readers.filter(({ lagged }) => lagged > 0).map(({ component, lagged, record }) =>
    `${component} lagged: it missed ${lagged} values of ${record}`
  ),
  ...snapshot.components.filter(({ abandoned }) => abandoned > 0).map(({ abandoned, name }) =>
    `${name} abandoned ${abandoned} values`
  ),
  ...achieved >= shareMin * rate
    ? []
    : [`${achieved.toFixed(1)} samples a second, where ${shareMin * rate} is the least that passes`]
]

const reportOf = (outcome: Outcome, { rate }: Settings): ReadonlyArray<string> => [
  ...columns([
    ["component", "record", "handled", "abandoned", "lagged", "conflated", "largest pending"],
    ...outcome.snapshot.components.map(({ abandoned, handled, name }) => {
      const reader = outcome.snapshot.readers.find(({ component }) => component === name)
      return [
        name,
        ...reader === undefined
          ? ["", handled, abandoned, "", "", ""]
          : [reader.record, handled, abandoned, reader.lagged, reader.conflated, outcome.largestPending.of(reader)]
      ]
    })
  ]),
  "",
  ...columns([
    ["record", "buffer", "capacity", "produced", "overwritten", "dropped", "failed"],
    ...outcome.snapshot.records.map(({ capacity, dropped, failed, key, kind, overwritten, produced }) => [
      key,
      kind,
      capacity ?? "",
      produced,
      overwritten,
      dropped,
      failed
    ])
  ]),
  "",
  `sent ${outcome.sent} samples in ${outcome.seconds.toFixed(2)} s; every reader had ${
    outcome.achieved.toFixed(0)
  } a second, ${(outcome.achieved / rate * 100).toFixed(2)} % of what was asked`,
  `the journal took ${outcome.tally.archived} lines and refused ${outcome.tally.refused} of samples, as it is meant to`,
  `event loop delay p99 ${outcome.loopDelay.p99.toFixed(1)} ms, at most ${outcome.loopDelay.max.toFixed(1)} ms; CPU ${
    outcome.cpuShare.toFixed(0)
  } % of a core`
]

const parse = (args: ReadonlyArray<string>): Settings | "help" => {
  const { values } = parseArgs({
    // `pnpm bench soak -- --rate 100` hands the dashes on.
    args: args.filter((arg) => arg !== "--"),
    options: {
      for: { type: "string", default: "10s" },
      rate: { type: "string", default: "10000" },
      help: { type: "boolean", default: false }
    }
  })
  if (values.help) return "help"
  const duration = durationOf(values.for)
  if (Option.isNone(duration)) throw new Error(`--for takes a duration such as 500ms, 10s or 2m, got "${values.for}"`)
  if (!/^[1-9]\d*$/.test(values.rate)) throw new Error(`--rate takes a positive integer, got "${values.rate}"`)
  return { duration: duration.value, rate: Number(values.rate) }
}

/** Answers the exit code. */
export const main = async (args: ReadonlyArray<string>): Promise<number> => {
  let settings: Settings | "help"
  try {
    settings = parse(args)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    return 2
  }
  if (settings === "help") {
    console.log(help)
    return 0
  }
  console.log(
    `${settings.rate} samples a second for ${Duration.format(settings.duration)} through examples/telemetry\n`
  )
  const faults = await Effect.runPromise(
    soak(settings).pipe(
      Effect.match({
        onFailure: ({ message }) => [message],
        onSuccess: (outcome) => {
          console.log(reportOf(outcome, settings).join("\n"))
          return faultsOf(outcome, settings)
        }
      })
    )
  )
  if (faults.length === 0) console.log("passed: no reader lagged")
  for (const fault of faults) console.error(`FAILED: ${fault}`)
  return faults.length === 0 ? 0 : 1
}

// `import.meta.main`, where Node 22 should do as well
if (process.argv[1] === import.meta.filename) process.exitCode = await main(process.argv.slice(2))
