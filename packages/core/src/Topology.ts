/**
 * The components and records of one application: their graph, supervision, statistics and ordered shutdown.
 *
 * It is checked as a whole before anything runs; then readers attach, and only then sources start, so no first value is
 * lost. Its drain is the last finalizer added and so the first to run, while every service that handlers use is open:
 * per record its writers end, it closes, its readers finish what is held, and so on down the graph.
 */
import { Cause, Clock, Context, Duration, Effect, Exit, Layer, Option, Scope } from "effect"
import { Assembly } from "./Component.ts"
import type { ComponentFailed, TopologyInvalid } from "./Fault.ts"
import { atMost } from "./internal/atMost.ts"
import { effectOf } from "./internal/answer.ts"
import { Builder } from "./internal/component.ts"
import { type Drawing, drawingOf } from "./internal/graph.ts"
import { registerMetrics, snapshotOf } from "./internal/inspect.ts"
import { goingBy, lastingContext } from "./internal/lasting.ts"
import { numberOf } from "./internal/metrics.ts"
import { withoutRecords } from "./internal/recordRuntime.ts"
import { unreadVariables } from "./internal/recordConfig.ts"
import { Run } from "./internal/run.ts"
import { sayInfo, sayWarning } from "./internal/say.ts"
import { endOnSecondSignal, hearSignals } from "./internal/secondSignal.ts"
import { buildComponents } from "./internal/sharing.ts"
import { watchStalls } from "./internal/stall.ts"
import { inBackground } from "./internal/worker.ts"
import type { ShutdownReport, Snapshot } from "./Snapshot.ts"

export {
  ComponentFailed,
  Cycle,
  DuplicateGroup,
  DuplicateName,
  NoComponents,
  RecordInUse,
  RecordIsClosed,
  TopologyInvalid,
  TwoBuffers,
  TwoDefinitions
} from "./Fault.ts"
export { ShutdownReport, Snapshot, Status } from "./Snapshot.ts"

/** Edges by name, and the same as Mermaid and as DOT. */
export interface Graph extends Drawing {}

/** In the context of every handler of its components too; there, and nowhere else, it may be asked before it has started. */
export class Topology extends Context.Service<Topology, {
  readonly snapshot: Effect.Effect<Snapshot>
  readonly graph: Effect.Effect<Graph>
  /** Fails when a component has failed for good. */
  readonly awaitFailure: Effect.Effect<never, ComponentFailed>
  /**
   * Returns when every source has ended and nothing that they produced is waiting in a record, held by a handler, or on its
   * way into the store of a log. What could not be stored is not waited for, nor is what a transform keeps in its own
   * operators, such as a window still open.
   */
  readonly awaitDone: Effect.Effect<void, ComponentFailed>
}>()("@sluice/core/Topology") {}

export interface TopologyOptions {
  /**
   * The deadline of the drain: what has not finished by then is interrupted, and whatever hangs (a handler, the close of a
   * buffer or of an engine, a store that does not answer, `onShutdown`) holds the end up for a second more at the most.
   * Default 5 seconds.
   */
  readonly drainTimeout?: Duration.Input
  /**
   * Gets the report, which is logged when there is none. It has the time that is left of the deadline and a second; what it
   * fails with, and that it has not returned by then, is logged.
   */
  readonly onShutdown?: (report: ShutdownReport) => Effect.Effect<void>
  /**
   * Whether the `sluice_*` series are registered. They cost nothing while values flow, but some 8 kB for each component,
   * which counts where there are thousands. Default true.
   */
  readonly metrics?: boolean
  /**
   * The attribute `topology` of those series. Where a topology of that name runs already, `-2`, `-3` and so on is added.
   * Default `"topology"`.
   */
  readonly name?: string
}

/**
 * Puts the components together, refuses them with all their faults at once, starts them, and adds the drain as the first
 * finalizer to run. Nothing is claimed, marked or acquired before the whole has been checked, and what fails after that
 * gives everything back: a topology starts whole or not at all. Layers of components may be used in several topologies: each
 * has components of its own, on the records and services that it is provided with.
 */
export const layer = <A, E, R>(
  components: Layer.Layer<A, E, R>,
  options?: TopologyOptions
): Layer.Layer<A | Topology, E | TopologyInvalid, Exclude<R, Topology | Assembly>> =>
  Layer.fromBuildMemo((memoMap, scope) =>
    Effect.gen(function*() {
      const builder = new Builder()
      let run: Run | undefined
      const ofRun = <B, E2>(use: (run: Run) => Effect.Effect<B, E2>): Effect.Effect<B, E2> =>
        Effect.suspend(() =>
          run === undefined
            ? Effect.die(new Error("the topology has not started: ask it in a handler, not while layers are built"))
            : use(run)
        )
      const topology = Topology.of({
        snapshot: ofRun((run) => Effect.map(run.known, () => snapshotOf(run))),
        graph: ofRun((run) => Effect.sync(() => drawingOf(run.members))),
        awaitFailure: ofRun((run) => run.awaitFailure),
        awaitDone: ofRun((run) => run.awaitDone)
      })
      const built = yield* buildComponents(components, memoMap, scope).pipe(
        Effect.provideService(Assembly, builder as never),
        Effect.provideService(Topology, topology)
      )
      // With the loggers and the clock that the topology is built with, whoever closes its scope.
      const context = withoutRecords(yield* lastingContext)
      const name = options?.name ?? "topology"
      const number = yield* Scope.provide(numberOf(name), scope)
      const assembled = new Run(
        number === 1 ? name : `${name}-${number}`,
        builder.specs,
        scope,
        context,
        yield* Clock.Clock
      )
      const drainTimeout = Duration.fromInputUnsafe(options?.drainTimeout ?? "5 seconds")
      const drain = goingBy(
        context,
        Effect.flatMap(assembled.drain(drainTimeout), ([report, millis]) => tell(report, millis, options?.onShutdown))
      )
      // What has started is drained, and what has not gives everything back.
      yield* Effect.uninterruptibleMask((restore) =>
        Effect.gen(function*() {
          yield* assembled.claim
          yield* Effect.onError(restore(goingBy(context, assembled.attach)), () => assembled.detach)
          run = assembled
          if (options?.metrics ?? true) yield* Scope.provide(registerMetrics(assembled), scope)
          yield* Scope.provide(hearSignals, scope)
          yield* Scope.provide(inBackground("the watch for stalled records", watchStalls(assembled)), scope)
          yield* Scope.addFinalizerExit(scope, (exit) =>
            Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
              ? Effect.scoped(Effect.andThen(endOnSecondSignal, drain))
              : drain)
          assembled.start()
        })
      )
      yield* warnOfUnreadVariables
      return Context.add(built, Topology, topology)
    }) as Effect.Effect<any, any, any>
  )

/** Tells the report within `millis`, whatever becomes of `onShutdown`. */
const tell = (
  report: ShutdownReport,
  millis: number,
  onShutdown: TopologyOptions["onShutdown"]
): Effect.Effect<void> =>
  onShutdown === undefined ? logReport(report) : Effect.flatMap(
    atMost(millis, Effect.suspend(() => effectOf("`onShutdown` of the topology", onShutdown(report)))),
    (exit) =>
      Option.isNone(exit)
        ? sayWarning(`onShutdown of the topology has not returned in time, and is left behind`)
        : Exit.isFailure(exit.value)
        ? sayWarning(`onShutdown of the topology failed`, exit.value.cause)
        : Effect.void
  )

const logReport = (report: ShutdownReport): Effect.Effect<void> => {
  const left = report.left.map(({ component, record, values }) => `${values} of ${record} by ${component}`)
  const line = `topology drained in ${report.took} ms`
  if (report.withinDeadline && left.length === 0 && report.faults.length === 0) return sayInfo(line)
  const parts = [
    ["interrupted at the deadline", report.interrupted],
    ["interrupted while they waited for those", report.waited],
    ["left unread", left],
    ["went wrong", report.faults.map(({ cause, what }) => `${what}: ${cause}`)]
  ] as const
  return sayWarning(
    [line, ...parts.filter(([, what]) => what.length > 0).map(([how, what]) => `${how}: ${what.join(", ")}`)].join("; ")
  )
}

const warnOfUnreadVariables: Effect.Effect<void> = Effect.flatMap(
  unreadVariables,
  (names) =>
    names.length === 0
      ? Effect.void
      : sayWarning(
        `no record reads ${names.join(", ")}: check the spelling, and that the record's layer is \`layerConfig\``
      )
)
