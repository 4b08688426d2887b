/** A topology that was put together: it attaches, starts, knows when all is quiet, and drains. */
import { Cause, Clock, Deferred, type Duration, Effect, Fiber, Latch, Option, Scope } from "effect"
import { ComponentFailed, Cycle, DuplicateName, RecordInUse, TopologyInvalid } from "../Fault.ts"
import { WriterConflict } from "../Producer.ts"
import type { ShutdownReport } from "../Snapshot.ts"
import { type ComponentSpec, Input, Running } from "./component.ts"
import { cyclesOf, type Member } from "./graph.ts"
import type { Claim, RecordRuntime } from "./recordRuntime.ts"
import { supervise } from "./supervise.ts"

export class Run {
  readonly components: ReadonlyArray<Running>
  readonly records: ReadonlyArray<RecordRuntime<any>>
  readonly members: ReadonlyArray<Member>
  /** Open once the drain has begun. */
  readonly stop = Latch.makeUnsafe(false)
  private readonly failed = Deferred.makeUnsafe<never, ComponentFailed>()
  private readonly quiet = new Set<Deferred.Deferred<void>>()
  private readonly fibers = new Map<Running, Fiber.Fiber<void, unknown>>()

  constructor(specs: ReadonlyArray<ComponentSpec>, scope: Scope.Scope, clock: Clock.Clock) {
    this.members = specs.map(({ kind, name, reads, writes }) => ({
      name,
      kind,
      reads: reads.map(({ key }) => key),
      writes: writes.map(({ key }) => key)
    }))
    this.records = [...new Set(specs.flatMap(({ reads, writes }) => [...reads, ...writes]))]
    const { stop } = this
    const onIdle = () => this.checkQuiet()
    this.components = specs.map((spec) => new Running(spec, { scope: Scope.forkUnsafe(scope), clock, stop, onIdle }))
  }

  /** Checks the whole, claims what components write and subscribes their readers. Nothing runs yet. */
  readonly attach: Effect.Effect<void, TopologyInvalid> = Effect.suspend(() =>
    Effect.andThen(
      this.claim,
      Effect.forEach(this.components, (running) =>
        Effect.forEach(running.spec.reads, (record) =>
          Input.attach(record, running.spec)).pipe(
            Scope.provide(running.scope),
            Effect.map((inputs) => void (running.inputs = inputs))
          ), { discard: true })
    )
  )

  /** All claims, or all faults: nothing stays claimed where there is one. */
  private readonly claim: Effect.Effect<void, TopologyInvalid> = Effect.suspend(() => {
    const faults: Array<TopologyInvalid["faults"][number]> = []
    const names = this.members.map(({ name }) => name)
    for (const name of new Set(names.filter((name, index) => names.indexOf(name) < index))) {
      faults.push(new DuplicateName({ name }))
    }
    for (const path of cyclesOf(this.members)) faults.push(new Cycle({ path }))
    for (const record of this.records) {
      if (record.topology !== undefined) faults.push(new RecordInUse({ record: record.key }))
    }
    for (const running of this.components) {
      const claims = running.spec.writes.map((record) => record.claim(running.spec.name))
      running.claims = claims.filter((claim): claim is Claim<any> => !(claim instanceof WriterConflict))
      for (const claim of claims) if (claim instanceof WriterConflict) faults.push(claim)
    }
    const [first, ...others] = faults
    if (first !== undefined) {
      for (const running of this.components) for (const claim of running.claims) claim.release()
      return Effect.fail(new TopologyInvalid({ faults: [first, ...others] }))
    }
    for (const record of this.records) record.topology = this
    return Effect.void
  })

  /** Starts the components: those that read first, sources last. */
  readonly start: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.components.toSorted((a, b) => Number(a.spec.kind === "Source") - Number(b.spec.kind === "Source")),
      (running) =>
        Effect.map(
          Effect.forkDetach(this.component(running)),
          (fiber) => this.fibers.set(running, fiber)
        ),
      { discard: true }
    )
  )
  private component(running: Running): Effect.Effect<void> {
    return supervise(running).pipe(
      Effect.catch((cause) => {
        const failure = new ComponentFailed({ component: running.spec.name, cause: Cause.squash(cause) })
        Deferred.doneUnsafe(this.failed, failure)
        return Effect.logError(failure.message, cause)
      }),
      Effect.ensuring(Effect.sync(() => this.checkQuiet()))
    )
  }

  readonly awaitFailure: Effect.Effect<never, ComponentFailed> = Effect.suspend(() => Deferred.await(this.failed))
  /** A failure goes first: where a component has failed, all may well be quiet. */
  readonly awaitDone: Effect.Effect<void, ComponentFailed> = Effect.suspend(() =>
    Effect.raceFirst(this.awaitFailure, this.awaitQuiet)
  )
  private readonly awaitQuiet: Effect.Effect<void> = Effect.suspend(() => {
    if (this.isQuiet()) return Effect.void
    const waiting = Deferred.makeUnsafe<void>()
    this.quiet.add(waiting)
    return Effect.ensuring(Deferred.await(waiting), Effect.sync(() => this.quiet.delete(waiting)))
  })
  private checkQuiet(): void {
    if (this.quiet.size === 0 || !this.isQuiet()) return
    for (const waiting of this.quiet) Deferred.doneUnsafe(waiting, Effect.void)
    this.quiet.clear()
  }
  private isQuiet(): boolean {
    return this.components.every((running) =>
      running.outcome !== undefined
      || (running.spec.kind !== "Source" && running.total("inFlight") === 0
        && running.inputs.every(({ cursor }) => cursor.pending() === 0))
    )
  }

  /** Ends everything, from the sources down, within `timeout`. */
  drain(timeout: Duration.Duration): Effect.Effect<ShutdownReport> {
    return Effect.gen({ self: this }, function*() {
      const began = yield* Clock.currentTimeMillis
      yield* this.stop.open
      const finished = yield* Effect.all(
        [
          ...this.records.map((record) => this.closeInOrder(record)),
          ...this.components.map(({ over }) => over.await)
        ],
        { concurrency: "unbounded", discard: true }
      ).pipe(Effect.timeoutOption(timeout))
      const late = this.components.filter(({ outcome }) => outcome === undefined)
      yield* this.interrupt(late)
      for (const record of this.records) {
        yield* record.close
        record.topology = undefined
      }
      return {
        withinDeadline: Option.isSome(finished),
        took: (yield* Clock.currentTimeMillis) - began,
        left: this.components.flatMap(({ inputs, spec }) =>
          inputs.filter(({ left }) => left > 0).map(({ left, record }) => ({
            record: record.key,
            component: spec.name,
            values: left
          }))
        ),
        interrupted: late.map(({ spec }) => spec.name)
      }
    })
  }
  /** A record closes when its writers are over, and those outside the topology that wait for room have got it. */
  private closeInOrder(record: RecordRuntime<any>): Effect.Effect<void> {
    const writers = this.components.filter(({ spec }) => spec.writes.includes(record))
    return Effect.forEach(writers, ({ over }) => over.await, { discard: true }).pipe(
      Effect.andThen(record.nobodyWaits.await),
      Effect.andThen(record.close)
    )
  }
  /** A handler that cannot be interrupted is not waited for without end. */
  private interrupt(late: ReadonlyArray<Running>): Effect.Effect<void> {
    if (late.length === 0) return Effect.void
    return Fiber.interruptAll(late.flatMap((running) => this.fibers.get(running) ?? [])).pipe(
      Effect.timeoutOption("1 second"),
      Effect.asVoid
    )
  }
}
