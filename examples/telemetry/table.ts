/** What the program shows, as text: a table, one line for where there is no terminal, and the report of the drain. */
import type { Topology } from "@sluice/core"
import { Option } from "effect"
import type { Tally } from "./control.ts"
import type { Aggregate, Alert } from "./records.ts"

/** Everything that is shown, read at one moment. */
export interface Frame {
  readonly now: number
  readonly snapshot: Topology.Snapshot
  readonly aggregate: Option.Option<typeof Aggregate.schema.Type>
  readonly alert: Option.Option<typeof Alert.schema.Type>
  readonly threshold: Option.Option<number>
  readonly sampling: boolean
  readonly tally: Tally
}

/** The most telling lines first: a small terminal shows the top of it. */
export const tableOf = (frame: Frame, notes: ReadonlyArray<string> = []): ReadonlyArray<string> => {
  const { snapshot, tally } = frame
  return [
    `telemetry  ${seconds(frame)} s  ${samplesOf(frame)}`,
    ...machineOf(frame),
    `alerts ${tally.alerts}  threshold ${Option.getOrElse(frame.threshold, () => "none")} %${lastAlertOf(frame)}`,
    `journal ${tally.archived} archived, ${tally.refused} refused, ${tally.waited} waited (${
      tally.waitedMillis.toFixed(0)
    } ms)`,
    ...notes,
    "",
    ...columns([
      ["component", "status", "handled", "waiting", "missed", "skipped", "p50 ms", "p99 ms", "abandoned", "restarts"],
      ...snapshot.components.map((component) => {
        const readers = snapshot.readers.filter((reader) => reader.component === component.name)
        return [
          component.name,
          component.status,
          component.handled,
          sum(readers, (reader) => reader.pending),
          sum(readers, (reader) => reader.lagged),
          sum(readers, (reader) => reader.conflated),
          component.latency.p50.toFixed(2),
          component.latency.p99.toFixed(2),
          component.abandoned,
          component.restarts
        ]
      })
    ]),
    "",
    ...columns([
      ["record", "buffer", "capacity", "produced", "held", "overwritten", "dropped"],
      ...snapshot.records.map((record) => [
        record.key,
        record.kind,
        record.capacity ?? "",
        record.produced,
        record.held,
        record.overwritten,
        record.dropped
      ])
    ])
  ]
}

export const lineOf = (frame: Frame): string => {
  const { tally } = frame
  const missed = sum(frame.snapshot.readers, (reader) => reader.lagged)
  return [
    `${seconds(frame).padStart(5)} s`,
    samplesOf(frame),
    ...machineOf(frame),
    `alerts ${tally.alerts}${lastAlertOf(frame)}`,
    `missed ${missed}`,
    `refused ${tally.refused}`,
    `waited ${tally.waited}`
  ].join("  ")
}

export const reportOf = (report: Topology.ShutdownReport): ReadonlyArray<string> => [
  `shutdown report: ${report.withinDeadline ? "drained" : "not drained at the deadline"}, took ${
    report.took.toFixed(0)
  } ms`,
  `  left unread: ${
    report.left.map(({ component, record, values }) => `${values} of ${record} by ${component}`).join(", ") || "nothing"
  }`,
  `  interrupted: ${report.interrupted.join(", ") || "nothing"}`
]

const seconds = (frame: Frame): string => ((frame.now - frame.tally.since) / 1000).toFixed(1)

const samplesOf = (frame: Frame): string =>
  `${frame.sampling ? "sampling" : "stopped"}  samples ${frame.tally.samples}${
    Option.match(frame.aggregate, { onNone: () => "", onSome: ({ perSecond }) => ` (${perSecond.toFixed(1)}/s)` })
  }`

const machineOf = (frame: Frame): ReadonlyArray<string> =>
  Option.match(frame.aggregate, {
    onNone: () => [],
    onSome: ({ cores, cpu, load, loopDelay, memory }) => [
      `cpu ${cpu.toFixed(0)} % (${cores.map((core) => core.toFixed(0)).join(" ")})  memory ${
        memory.toFixed(0)
      } %  load ${load.toFixed(2)}  event loop late ${loopDelay.mean.toFixed(1)} ms, at most ${
        loopDelay.max.toFixed(1)
      } ms`
    ]
  })

const lastAlertOf = (frame: Frame): string =>
  Option.match(frame.alert, { onNone: () => "", onSome: ({ message }) => ` (last: ${message})` })

const sum = <A>(values: ReadonlyArray<A>, of: (value: A) => number): number =>
  values.reduce((sum, value) => sum + of(value), 0)

/** Rows of equal width; the first two columns are text, the others numbers. */
export const columns = (rows: ReadonlyArray<ReadonlyArray<string | number>>): ReadonlyArray<string> => {
  const texts = rows.map((row) => row.map(String))
  const widths = texts[0]!.map((_, column) => Math.max(...texts.map((row) => row[column]!.length)))
  return texts.map((row) =>
    row.map((text, column) => column < 2 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)).join("  ")
  )
}
