/** What a topology tells of itself: how it is now, and how its drain went. Schemas, so that it can be sent and stored. */
import { Schema } from "effect"
import { BufferStats } from "./Buffer.ts"

export const Status = Schema.Literals(["Starting", "Running", "Restarting", "Draining", "Done", "Failed"])
export type Status = typeof Status.Type

/** What the topology is doing, at one moment. Counts are since the start. */
export const Snapshot = Schema.Struct({
  records: Schema.Array(Schema.Struct({
    key: Schema.String,
    kind: Schema.String,
    /** Names of those who hold a claim now. */
    writers: Schema.Array(Schema.String),
    ...BufferStats.fields
  })),
  readers: Schema.Array(Schema.Struct({
    record: Schema.String,
    component: Schema.String,
    /** By what name a join reads it; null for every other component. */
    input: Schema.NullOr(Schema.String),
    pending: Schema.Int,
    received: Schema.Int,
    lagged: Schema.Int,
    conflated: Schema.Int
  })),
  components: Schema.Array(Schema.Struct({
    name: Schema.String,
    status: Status,
    restarts: Schema.Int,
    /** What its last failure had to say, without a stack: the log has the whole. */
    lastCause: Schema.NullOr(Schema.String),
    handled: Schema.Int,
    /** Values that a handler held when it failed or was interrupted. */
    abandoned: Schema.Int,
    inFlight: Schema.Int,
    /** Sampled, milliseconds. */
    latency: Schema.Struct({ p50: Schema.Finite, p99: Schema.Finite, max: Schema.Finite })
  }))
})
export type Snapshot = typeof Snapshot.Type

/** How the drain went. `took` is in milliseconds. */
export const ShutdownReport = Schema.Struct({
  withinDeadline: Schema.Boolean,
  took: Schema.Finite,
  /** Values that readers had not received when their component was over; only where there were any. */
  left: Schema.Array(Schema.Struct({ record: Schema.String, component: Schema.String, values: Schema.Int })),
  /** Components that were still at work at the deadline, or could not end: what held the drain up, and was interrupted. */
  interrupted: Schema.Array(Schema.String),
  /** Components that were interrupted too, but had nothing left to do than to wait for those. */
  waited: Schema.Array(Schema.String),
  /** What else went wrong on the way down: `what` is a record, its close, or a component. */
  faults: Schema.Array(Schema.Struct({ what: Schema.String, cause: Schema.String }))
})
export type ShutdownReport = typeof ShutdownReport.Type
