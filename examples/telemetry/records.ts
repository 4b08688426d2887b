/**
 * What the program is made of: seven records, each a schema and a buffer. The buffers here are the defaults; any of
 * them is replaced from outside by `RECORDS_<KEY>_KIND` and `RECORDS_<KEY>_CAPACITY`, for instance
 * `RECORDS_TELEMETRY_JOURNAL_CAPACITY=64`, and the buffer of `Sample` also by `--buffer`.
 */
import { Record } from "@sluice/core"
import { Layer, Schema } from "effect"

/** One look at the machine. Busy and total time of each core count milliseconds since boot: two samples tell the load. */
export class Sample extends Record.Service<Sample>()("telemetry/Sample", {
  schema: Schema.Struct({
    /** Milliseconds since the epoch. */
    at: Schema.Finite,
    cores: Schema.Array(Schema.Struct({ busy: Schema.Finite, total: Schema.Finite })),
    memoryUsed: Schema.Finite,
    memoryTotal: Schema.Finite,
    /** The load average over one minute. */
    load: Schema.Finite,
    /** How late the event loop was since the sample before, in milliseconds. */
    loopDelay: Schema.Finite
  }),
  // Half a second at 200 Hz: who falls further behind is told how many samples it missed.
  buffer: { kind: "SpmcRing", capacity: 100 }
}) {}

/** What the samples of about one second come to. Shares are percentages. */
export class Aggregate extends Record.Service<Aggregate>()("telemetry/Aggregate", {
  schema: Schema.Struct({
    at: Schema.Finite,
    /** From the first sample to the last. */
    millis: Schema.Finite,
    samples: Schema.Int,
    perSecond: Schema.Finite,
    cpu: Schema.Finite,
    cores: Schema.Array(Schema.Finite),
    memory: Schema.Finite,
    load: Schema.Finite,
    loopDelay: Schema.Struct({ mean: Schema.Finite, max: Schema.Finite })
  }),
  buffer: { kind: "SpmcRing", capacity: 60 }
}) {}

export class Alert extends Record.Service<Alert>()("telemetry/Alert", {
  schema: Schema.Struct({
    at: Schema.Finite,
    kind: Schema.Literals(["threshold", "deviation"]),
    message: Schema.String
  }),
  buffer: { kind: "SpmcRing", capacity: 16 }
}) {}

/** The CPU share, in percent, above which an aggregate is an alert. Only the newest one counts. */
export class Threshold extends Record.Service<Threshold>()("telemetry/Threshold", {
  schema: Schema.Finite,
  buffer: { kind: "SingleLatest" }
}) {}

/** What the operator pressed. */
export class Key extends Record.Service<Key>()("telemetry/Key", {
  schema: Schema.Literals(["s", "x", "r", "+", "-", "q"]),
  buffer: { kind: "SpmcRing", capacity: 32 }
}) {}

/** An order to the sampler. A mailbox: an order that was not carried out yet is replaced by the next one. */
export class Command extends Record.Service<Command>()("telemetry/Command", {
  schema: Schema.Literals(["start", "stop", "reset"]),
  buffer: { kind: "Mailbox" }
}) {}

/** Lines for the archive, from several writers. Bounded: the archive is slower than they are together. */
export class Journal extends Record.Service<Journal>()("telemetry/Journal", {
  schema: Schema.String,
  buffer: { kind: "Bounded", capacity: 8 },
  writers: "many"
}) {}

export const layer = Layer.mergeAll(
  Sample.layerConfig,
  Aggregate.layerConfig,
  Alert.layerConfig,
  Threshold.layerConfig,
  Key.layerConfig,
  Command.layerConfig,
  Journal.layerConfig
)
