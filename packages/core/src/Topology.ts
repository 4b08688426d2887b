/**
 * The components and records of one application: their graph, supervision, statistics and ordered shutdown.
 *
 * It is checked as a whole before anything runs; then readers attach, and only then sources start, so no first value is
 * lost. Its drain is the last finalizer added and so the first to run, while every service that handlers use is open:
 * per record its writers end, it closes, its readers finish what is held, and so on down the graph.
 */
import { Cause, Clock, Context, Deferred, Duration, Effect, Fiber, Latch, Layer, Option, Schema, Scope } from "effect"
import { BufferStats } from "./Buffer.ts"
import { Assembly } from "./Component.ts"
import { Builder, type ComponentSpec, Input, Running } from "./internal/component.ts"
import { cyclesOf, type Drawing, drawingOf, type Member } from "./internal/graph.ts"
import { unreadVariables } from "./internal/recordConfig.ts"
import { type Claim, type RecordRuntime } from "./internal/recordRuntime.ts"
import { supervise } from "./internal/supervise.ts"
import { WriterConflict } from "./Record.ts"

/** Two components of a topology have the same name. */
export class DuplicateName extends Schema.TaggedError<DuplicateName>()("DuplicateName", { name: Schema.String }) {
  override get message(): string {
    return `two components are named "${this.name}": names must be unique in a topology`
  }
}
/** `path` closes on itself: record, component, record, ... */
export class Cycle extends Schema.TaggedError<Cycle>()("Cycle", { path: Schema.Array(Schema.String) }) {
  override get message(): string {
    return `values would go round: ${
      this.path.join(" → ")
    }. A topology drains from its sources down, so it has no cycles`
  }
}
/** Everything that is wrong with the topology, found before any component runs. Its message lists the faults. */
export class TopologyInvalid extends Schema.TaggedError<TopologyInvalid>()("TopologyInvalid", {
  faults: Schema.NonEmptyArray(Schema.Union([WriterConflict, DuplicateName, Cycle]))
}) {
  override get message(): string {
    return `the topology has ${this.faults.length} fault(s):\n${
      this.faults.map((fault) => `- ${fault.message}`).join("\n")
    }`
  }
}
/** A component's restart schedule ended. */
export class ComponentFailed extends Schema.TaggedError<ComponentFailed>()("ComponentFailed", {
  component: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `component "${this.component}" has failed for good, its restart schedule ended: ${String(this.cause)}`
  }
}

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
    pending: Schema.Int,
    received: Schema.Int,
    lagged: Schema.Int,
    conflated: Schema.Int
  })),
  components: Schema.Array(Schema.Struct({
    name: Schema.String,
    status: Status,
    restarts: Schema.Int,
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
  /** Components that had not finished at the deadline. */
  interrupted: Schema.Array(Schema.String)
})
export type ShutdownReport = typeof ShutdownReport.Type

/** Edges by name, and the same as Mermaid and as DOT. */
export interface Graph extends Drawing {}

export class Topology extends Context.Service<Topology, {
  readonly snapshot: Effect.Effect<Snapshot>
  readonly graph: Effect.Effect<Graph>
  /** Fails when a component has failed for good. */
  readonly awaitFailure: Effect.Effect<never, ComponentFailed>
  /**
   * Returns when every source has ended and nothing that they produced is waiting in a record or held by a handler.
   * What a transform keeps in its own operators, such as a window still open, is not waited for.
   */
  readonly awaitDone: Effect.Effect<void, ComponentFailed>
}>()("@sluice/core/Topology") {}

/**
 * Puts the components together, refuses them with all their faults at once, starts them, and adds the drain as the
 * first finalizer to run. `drainTimeout` (default 5 seconds) is the deadline of the whole drain: what has not finished
 * then is interrupted. The report goes to `onShutdown`, and is logged when there is none.
 */
export const layer = <A, E, R>(components: Layer.Layer<A, E, R>, options?: {
  readonly drainTimeout?: Duration.Input
  readonly onShutdown?: (report: ShutdownReport) => Effect.Effect<void>
}): Layer.Layer<A | Topology, E | TopologyInvalid, Exclude<R, Topology | Assembly>> =>
  Layer.fromBuildMemo((memoMap, scope) =>
    Effect.gen(function*() {
      const builder = new Builder()
      const context = yield* Layer.buildWithMemoMap(components, memoMap, scope).pipe(
        Effect.provideService(Assembly, builder as never)
      )
      const run = new Run(builder.specs, scope, yield* Clock.Clock)
      const drain = Effect.flatMap(
        run.drain(Duration.fromInputUnsafe(options?.drainTimeout ?? "5 seconds")),
        options?.onShutdown ?? logReport
        // With the loggers and the clock that the topology was built with, whoever closes its scope.
      ).pipe(Effect.provideContext(yield* Effect.context<never>()))
      // Uninterruptible: what has started is drained.
      yield* Effect.uninterruptible(
        run.attach.pipe(Effect.andThen(Scope.addFinalizer(scope, drain)), Effect.andThen(run.start))
      )
      yield* warnOfUnreadVariables
      return Context.add(context, Topology, run.service)
    }) as Effect.Effect<any, any, any>
  )

/** A topology that was put together and runs. */
class Run {
  private readonly components: ReadonlyArray<Running>
  private readonly records: ReadonlyArray<RecordRuntime<any>>
  private readonly stop = Latch.makeUnsafe(false)
  private readonly failed = Deferred.makeUnsafe<never, ComponentFailed>()
  private readonly quiet = new Set<Deferred.Deferred<void>>()
  private readonly fibers = new Map<Running, Fiber.Fiber<void, unknown>>()
  private readonly members: ReadonlyArray<Member>

  constructor(specs: ReadonlyArray<ComponentSpec>, scope: Scope.Scope, clock: Clock.Clock) {
    this.members = membersOf(specs)
    this.records = [...new Set(specs.flatMap(({ reads, writes }) => [...reads, ...writes]))]
    this.components = specs.map((spec) =>
      new Running(spec, {
        scope: Scope.forkUnsafe(scope),
        clock,
        stop: this.stop,
        onIdle: () => this.checkQuiet()
      })
    )
  }

  /** Checks the whole, claims what components write and subscribes their readers. Nothing runs yet. */
  readonly attach: Effect.Effect<void, TopologyInvalid> = Effect.suspend(() =>
    Effect.andThen(
      claimAll(this.components, this.members),
      Effect.forEach(this.components, (running) =>
        Effect.forEach(running.spec.reads, (record) =>
          Input.attach(record, running.spec)).pipe(
            Scope.provide(running.scope),
            Effect.map((inputs) => void (running.inputs = inputs))
          ), { discard: true })
    )
  )

  /** Starts the components: those that read first, sources last. */
  readonly start: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.components.toSorted((a, b) => Number(a.spec.kind === "Source") - Number(b.spec.kind === "Source")),
      (running) =>
        Effect.map(
          Effect.forkDetach(this.run(running)),
          (fiber) => this.fibers.set(running, fiber)
        ),
      { discard: true }
    )
  )

  private run(running: Running): Effect.Effect<void> {
    return supervise(running).pipe(
      Effect.catch((cause) => {
        const failure = new ComponentFailed({ component: running.spec.name, cause: Cause.squash(cause) })
        Deferred.doneUnsafe(this.failed, failure)
        return Effect.logError(failure.message, cause)
      }),
      Effect.ensuring(Effect.sync(() => this.checkQuiet()))
    )
  }

  /** Lets those know who wait for everything to be handled. */
  private checkQuiet(): void {
    if (this.quiet.size === 0 || !this.isQuiet()) return
    for (const waiting of this.quiet) Deferred.doneUnsafe(waiting, Effect.void)
    this.quiet.clear()
  }
  private isQuiet(): boolean {
    return this.components.every((running) =>
      running.outcome !== undefined
      || (running.spec.kind !== "Source" && running.inFlight() === 0
        && running.inputs.every(({ cursor }) => cursor.pending() === 0))
    )
  }

  /** Ends everything, from the sources down. Runs once: what is over stays over. */
  drain(timeout: Duration.Duration): Effect.Effect<ShutdownReport> {
    return Effect.gen({ self: this }, function*() {
      const began = yield* Clock.currentTimeMillis
      yield* this.stop.open
      const closings = this.records.map((record) =>
        Effect.andThen(
          Effect.forEach(this.writersOf(record), (writer) => writer.over.await, { discard: true }),
          record.close
        )
      )
      const ended = this.components.map((running) => running.over.await)
      const finished = yield* Effect.all([...closings, ...ended], { concurrency: "unbounded", discard: true }).pipe(
        Effect.timeoutOption(timeout)
      )
      const late = this.components.filter((running) => running.outcome === undefined)
      yield* this.interrupt(late)
      for (const record of this.records) yield* record.close
      return {
        withinDeadline: Option.isSome(finished),
        took: (yield* Clock.currentTimeMillis) - began,
        left: this.components.flatMap((running) =>
          running.inputs.filter((input) => input.left > 0).map((input) => ({
            record: input.record.key,
            component: running.spec.name,
            values: input.left
          }))
        ),
        interrupted: late.map((running) => running.spec.name)
      }
    })
  }
  /** A handler that cannot be interrupted is not waited for without end. */
  private interrupt(late: ReadonlyArray<Running>): Effect.Effect<void> {
    if (late.length === 0) return Effect.void
    return Fiber.interruptAll(late.flatMap((running) => this.fibers.get(running) ?? [])).pipe(
      Effect.timeoutOption("1 second"),
      Effect.asVoid
    )
  }
  private writersOf(record: RecordRuntime<any>): ReadonlyArray<Running> {
    return this.components.filter((running) => running.spec.writes.includes(record))
  }

  get service(): Context.Service.Shape<typeof Topology> {
    return {
      snapshot: Effect.sync(() => this.snapshot()),
      graph: Effect.sync(() => drawingOf(this.members)),
      awaitFailure: Deferred.await(this.failed),
      // A failure goes first: where a component has failed, all may well be quiet.
      awaitDone: Effect.raceFirst(Deferred.await(this.failed), this.awaitQuiet)
    }
  }
  private readonly awaitQuiet: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isQuiet()) return Effect.void
    const waiting = Deferred.makeUnsafe<void>()
    this.quiet.add(waiting)
    return Effect.ensuring(Deferred.await(waiting), Effect.sync(() => this.quiet.delete(waiting)))
  })
  private snapshot(): Snapshot {
    const draining = this.stop.isOpen()
    return {
      records: this.records.map((record) => ({
        key: record.key,
        kind: record.buffer.kind,
        writers: Array.from(record.claims, (claim) => claim.name),
        ...record.buffer.stats()
      })),
      readers: this.components.flatMap((running) =>
        running.inputs.map(({ cursor, left, record }) => ({
          record: record.key,
          component: running.spec.name,
          pending: running.outcome === undefined ? cursor.pending() : left,
          received: cursor.received,
          lagged: cursor.lagged,
          conflated: cursor.conflated
        }))
      ),
      components: this.components.map((running) => ({
        name: running.spec.name,
        status: statusOf(running, draining),
        restarts: running.restarts,
        lastCause: running.lastCause,
        handled: running.handled,
        abandoned: running.abandoned,
        inFlight: running.inFlight(),
        latency: running.latency.summary()
      }))
    }
  }
}

const membersOf = (specs: ReadonlyArray<ComponentSpec>): ReadonlyArray<Member> =>
  specs.map(({ kind, name, reads, writes }) => ({
    name,
    kind,
    reads: reads.map(({ key }) => key),
    writes: writes.map(({ key }) => key)
  }))

/** All claims, or all faults: nothing stays claimed where there is one. */
const claimAll = (
  components: ReadonlyArray<Running>,
  members: ReadonlyArray<Member>
): Effect.Effect<void, TopologyInvalid> =>
  Effect.suspend(() => {
    const faults: Array<WriterConflict | DuplicateName | Cycle> = []
    const names = new Set<string>()
    const twice = new Set<string>()
    for (const { spec: { name } } of components) (names.has(name) ? twice : names).add(name)
    for (const name of twice) faults.push(new DuplicateName({ name }))
    for (const path of cyclesOf(members)) faults.push(new Cycle({ path }))
    for (const running of components) {
      const claims: Array<Claim<any>> = []
      for (const record of running.spec.writes) {
        const claim = record.claim(running.spec.name)
        if (claim instanceof WriterConflict) faults.push(claim)
        else claims.push(claim)
      }
      running.claims = claims
    }
    const [first, ...others] = faults
    if (first === undefined) return Effect.void
    for (const running of components) for (const claim of running.claims) claim.release()
    return Effect.fail(new TopologyInvalid({ faults: [first, ...others] }))
  })

const statusOf = (running: Running, draining: boolean): Status => {
  if (running.outcome !== undefined) return running.outcome === "Failed" ? "Failed" : "Done"
  if (draining) return "Draining"
  const states = running.slots.map((slot) => slot.state)
  return states.includes("Running") ? "Running" : states.includes("Restarting") ? "Restarting" : "Starting"
}

const logReport = (report: ShutdownReport): Effect.Effect<void> => {
  const left = report.left.map(({ component, record, values }) => `${values} of ${record} by ${component}`)
  const line = `topology drained in ${Math.round(report.took)} ms`
  return report.withinDeadline && left.length === 0
    ? Effect.logInfo(line)
    : Effect.logWarning(
      `${line}; interrupted at the deadline: ${report.interrupted.join(", ") || "nothing"}; left unread: ${
        left.join(", ") || "nothing"
      }`
    )
}

const warnOfUnreadVariables: Effect.Effect<void> = Effect.flatMap(
  unreadVariables,
  (names) =>
    names.length === 0
      ? Effect.void
      : Effect.logWarning(
        `no record reads ${names.join(", ")}: check the spelling, and that the record's layer is \`layerConfig\``
      )
)
