/**
 * The components and records of one application: their graph, supervision, statistics and ordered shutdown.
 *
 * It is checked as a whole before anything runs; then readers attach, and only then sources start, so no first value is
 * lost. Its drain is the last finalizer added and so the first to run, while every service that handlers use is open:
 * per record its writers end, it closes, its readers finish what is held, and so on down the graph.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, Scope } from "effect"
import { Assembly } from "./Component.ts"
import type { ComponentFailed, TopologyInvalid } from "./Fault.ts"
import { Builder } from "./internal/component.ts"
import { type Drawing, drawingOf } from "./internal/graph.ts"
import { registerMetrics, snapshotOf } from "./internal/inspect.ts"
import { unreadVariables } from "./internal/recordConfig.ts"
import { Run } from "./internal/run.ts"
import { endOnSecondSignal } from "./internal/secondSignal.ts"
import { watchStalls } from "./internal/stall.ts"
import type { ShutdownReport, Snapshot } from "./Snapshot.ts"

export { ComponentFailed, Cycle, DuplicateName, RecordInUse, TopologyInvalid } from "./Fault.ts"
export { ShutdownReport, Snapshot, Status } from "./Snapshot.ts"

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
 * then is interrupted. The report goes to `onShutdown`, and is logged when there is none. `metrics` (default true) says
 * whether the `sluice_*` series are registered: they cost nothing while values flow, but some 8 kB for each component,
 * which counts where there are thousands.
 */
export const layer = <A, E, R>(components: Layer.Layer<A, E, R>, options?: {
  readonly drainTimeout?: Duration.Input
  readonly onShutdown?: (report: ShutdownReport) => Effect.Effect<void>
  readonly metrics?: boolean
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
      yield* Effect.uninterruptible(Effect.gen(function*() {
        yield* run.attach
        if (options?.metrics ?? true) yield* Scope.provide(registerMetrics(run), scope)
        yield* Effect.forkIn(watchStalls(run), scope)
        yield* Scope.addFinalizerExit(scope, (exit) =>
          Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
            ? Effect.scoped(Effect.andThen(endOnSecondSignal, drain))
            : drain)
        yield* run.start
      }))
      yield* warnOfUnreadVariables
      return Context.add(context, Topology, {
        snapshot: Effect.sync(() => snapshotOf(run)),
        graph: Effect.sync(() => drawingOf(run.members)),
        awaitFailure: run.awaitFailure,
        awaitDone: run.awaitDone
      })
    }) as Effect.Effect<any, any, any>
  )

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
