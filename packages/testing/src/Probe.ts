/**
 * A hand on the components of a topology that runs: await that one handles a value, hold it there, let values through
 * one by one, make a handling fail, and see what became of each.
 *
 * ```ts
 * const test = Effect.gen(function*() {
 *   const alarms = yield* Probe.component("alarms")
 *   yield* alarms.hold()
 *   const { values } = yield* alarms.awaitHandling() // stopped just before the handler
 *   yield* alarms.kill(Cause.die("no disk")) // costs this value, and the component restarts
 *   yield* alarms.release
 * })
 * test.pipe(Effect.provide(Probe.layer(App)))
 * ```
 *
 * A handling is what a component does with one value, or with one batch: a consumer's handler, a source's
 * `produceAsync`, and the moment at which a transform's stream gets a value (what the stream then does with it is not
 * seen). Whatever waits here waits for an event, not for a time, and returns once what follows from the event has
 * settled; it can be interrupted; and it waits for ever where the event does not come, unless it can tell: `NoHandling`.
 */
import { Topology } from "@sluice/core"
import { type Handling, type Intercept, Interceptor } from "@sluice/core/Component"
import { type Cause, Context, Effect, Exit, Latch, Layer, Schema } from "effect"
import { settle } from "./Blocked.ts"
import { type Handled, type Order, type ProbeSnapshot, Watched, type Where } from "./internal/watched.ts"

export type { Handled, Handling, ProbeSnapshot, Where }

/** One component, in the hand of a test. */
export interface ComponentProbe {
  readonly name: string
  /**
   * The handling that is held longest; or one that is at work, where the component is not held; or the next to begin.
   * A handling that has ended is not told any more: hold the component before its values come, or count them with
   * `awaitHandled`.
   */
  readonly awaitHandling: (where?: Where) => Effect.Effect<Handling, NoHandling>
  /** Returns once the component has handled `total` values since the probe's layer was built: it cannot come too late. */
  readonly awaitHandled: (total: number) => Effect.Effect<ProbeSnapshot, NoHandling>
  /**
   * From now on each handling (that `where` picks) stops before the handler runs, until it is stepped, killed or
   * released. One that is at work is not stopped. Another `hold` takes the place of the first; what that held stays so.
   */
  readonly hold: (where?: Where) => Effect.Effect<void>
  /**
   * Lets one handling through, the one that is held longest or else the next to begin, and returns when it has ended. A
   * hold stays in force. Interrupted while it waits for a handling to begin, it lets none through.
   */
  readonly step: (where?: Where) => Effect.Effect<Handled, NoHandling>
  /**
   * As `step`, but instead of the handler running, the handling fails with this cause: of a consumer as its handler
   * would, of a source as `produceAsync` would, of a transform as its input stream would. A handler that is at work
   * already is not touched.
   */
  readonly kill: (cause: Cause.Cause<unknown>, where?: Where) => Effect.Effect<Handled, NoHandling>
  /** Holds no more, and lets all that is held go on. */
  readonly release: Effect.Effect<void>
  readonly snapshot: Effect.Effect<ProbeSnapshot>
}

/** The topology has no component of this name; `components` has those that there are. */
export class NoSuchComponent extends Schema.TaggedError<NoSuchComponent>()("NoSuchComponent", {
  component: Schema.String,
  components: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const names = this.components.map((name) => `"${name}"`).join(", ")
    return `no component of the topology is named "${this.component}": there are ${names || "none"}`
  }
}

/**
 * What is waited for cannot come: the component is over, it runs without this probe, or the probe was closed. It is
 * looked for once, when everything has settled; a later end shows only where the component has failed for good and was
 * the first to do so. Nothing can tell that a component which runs will get no more values: there a wait goes on.
 */
export class NoHandling extends Schema.TaggedError<NoHandling>()("NoHandling", {
  component: Schema.String,
  reason: Schema.Literals(["Done", "Failed", "NotProbed", "ProbeClosed"])
}) {
  override get message(): string {
    return `component "${this.component}" will not handle what is waited for: ${reasons[this.reason]}`
  }
}
const reasons = {
  Done: "it is done",
  Failed: "it has failed for good, its restart schedule ended",
  NotProbed: "it runs without the probe. Build its topology in one place only, by Probe.layer(App)",
  ProbeClosed: "the probe's layer was closed"
}

/** The probe of one topology. */
export class Probe extends Context.Service<Probe, {
  readonly component: (name: string) => Effect.Effect<ComponentProbe, NoSuchComponent, Topology.Topology>
}>()("@sluice/testing/Probe") {}

/** The component of this name; every call answers with the same hold and the same counts. */
export const component = (
  name: string
): Effect.Effect<ComponentProbe, NoSuchComponent, Probe | Topology.Topology> =>
  Effect.flatMap(Probe, (probe) => probe.component(name))

/**
 * An application whose topology the probe has a hand on: `Probe.layer(App)` gives what `App` gives, and the `Probe`. The
 * topology must be built by this layer; one that runs already, elsewhere in the same layers, is not seen. `hold` names
 * components that are held from the start: a source's first value, and what is handled before the test's first step.
 *
 * When the layer closes, all that is held is released before the topology drains, so that a test that fails while it
 * holds something fails at once: under the TestClock, the deadline of the drain would never come. `releaseOnClose: false`
 * leaves it held, for a test of that deadline.
 */
export const layer = <A, E, R>(app: Layer.Layer<A | Topology.Topology, E, R>, options?: {
  readonly hold?: ReadonlyArray<string>
  readonly releaseOnClose?: boolean
}): Layer.Layer<A | Topology.Topology | Probe, E, R> =>
  Layer.unwrap(Effect.sync(() => {
    const held = options?.hold ?? []
    const components = new Map<string, Watched>()
    const watched = (name: string): Watched => {
      const found = components.get(name) ?? new Watched()
      components.set(name, found)
      return found
    }
    for (const name of held) watched(name).hold(any)

    const below = Layer.effectContext(Effect.gen(function*() {
      const closed = yield* Effect.acquireRelease(Latch.make(), (latch) => latch.open)
      // One that stands there already keeps its place, next to the handler.
      const inner = yield* Interceptor
      const intercept: Intercept = (handling, handle) =>
        watched(handling.component).around(handling, inner === undefined ? handle : inner(handling, handle))
      const probe = Probe.of({
        component: Effect.fn("Probe.component")(function*(name) {
          const topology = yield* Topology.Topology
          const known = (yield* topology.snapshot).components.map(({ name }) => name)
          const unknown = [name, ...held].find((name) => !known.includes(name))
          if (unknown !== undefined) return yield* new NoSuchComponent({ component: unknown, components: known })
          return probeOf(name, watched(name), inVain(name, watched(name), topology, closed))
        })
      })
      return Context.make(Probe, probe).pipe(Context.add(Interceptor, intercept))
    }))
    const release = Effect.sync(() => components.forEach((component) => component.release()))
    // Built after the topology, so closed before it.
    const above = Layer.effectDiscard(
      Effect.addFinalizer(() => options?.releaseOnClose === false ? Effect.void : release)
    )
    return above.pipe(Layer.provideMerge(app), Layer.provideMerge(below))
  }))

const any: Where = () => true

const probeOf = (name: string, watched: Watched, inVain: Effect.Effect<never, NoHandling>): ComponentProbe => {
  /** The test goes on when the component has: its fiber is still inside the event that ends the wait. */
  const until = <A>(state: () => A | undefined): Effect.Effect<A, NoHandling> =>
    Effect.tap(Effect.raceFirst(watched.changes.until(state), inVain), settle)
  const ordered = (where: Where, verdict: Exit.Exit<void, unknown>): Effect.Effect<Handled, NoHandling> =>
    Effect.acquireUseRelease(
      Effect.sync((): Order => {
        const order = { where, verdict, handled: undefined }
        watched.place(order)
        return order
      }),
      (order) => until(() => order.handled),
      (order) => Effect.sync(() => watched.withdraw(order))
    )
  return {
    name,
    awaitHandling: (where = any) =>
      Effect.suspend(() => {
        const since = watched.began
        return until(() => watched.handling(where, since))
      }),
    awaitHandled: (total) =>
      Effect.map(until(() => watched.handled >= total ? true : undefined), () => watched.snapshot()),
    hold: (where = any) => Effect.sync(() => watched.hold(where)),
    step: (where = any) => ordered(where, Exit.void),
    kill: (cause, where = any) => ordered(where, Exit.failCause(cause)),
    release: Effect.sync(() => watched.release()),
    snapshot: Effect.sync(() => watched.snapshot())
  }
}

/** Fails if a wait for the component is known to be in vain. */
const inVain = Effect.fnUntraced(function*(
  name: string,
  watched: Watched,
  topology: Topology.Topology["Service"],
  closed: Latch.Latch
) {
  const because = (reason: NoHandling["reason"]) => Effect.fail(new NoHandling({ component: name, reason }))
  yield* settle
  const found = (yield* topology.snapshot).components.find((component) => component.name === name)
  if (found?.status === "Done" || found?.status === "Failed") return yield* because(found.status)
  const moved = found !== undefined && found.handled + found.abandoned + found.inFlight > 0
  if (moved && watched.began === 0) return yield* because("NotProbed")
  return yield* Effect.raceFirst(
    Effect.catch(topology.awaitFailure, (failure) => failure.component === name ? because("Failed") : Effect.never),
    Effect.flatMap(closed.await, () => because("ProbeClosed"))
  )
})
