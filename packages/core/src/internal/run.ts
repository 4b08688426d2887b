/** A topology that was put together: it is checked, attaches, starts, knows when all is quiet, and drains. */
import { type Clock, type Context, Deferred, Duration, Effect, Exit, Latch, Option, Scope } from "effect"
import {
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
} from "../Fault.ts"
import { WriterConflict } from "../Producer.ts"
import type { ShutdownReport } from "../Snapshot.ts"
import { atMost } from "./atMost.ts"
import { type ComponentSpec, Input, Running } from "./component.ts"
import type { Cursor } from "./cursor.ts"
import { elapsedMillis } from "./elapsed.ts"
import { cyclesOf, type Member } from "./graph.ts"
import type { Claim, RecordRuntime } from "./recordRuntime.ts"
import { render, squash } from "./render.ts"
import { sayError } from "./say.ts"
import { storeOf } from "./store.ts"
import { type Failed, Supervision } from "./supervise.ts"

type AnyRecord = RecordRuntime<any>
type Fault = TopologyInvalid["faults"][number]

/** After the deadline of a drain, in milliseconds: what is interrupted is given so much, and the rest of the end so much. */
const afterDeadline = { interrupting: 500, closing: 250, all: 1000 } as const

export class Run {
  readonly name: string
  readonly components: ReadonlyArray<Running>
  readonly records: ReadonlyArray<AnyRecord>
  readonly members: ReadonlyArray<Member>
  /** Open once the drain has begun. */
  readonly stop = Latch.makeUnsafe(false)
  private readonly specs: ReadonlyArray<ComponentSpec>
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private readonly failed = Deferred.makeUnsafe<never, ComponentFailed>()
  private readonly quiet = new Set<Deferred.Deferred<void>>()
  private readonly supervisions: ReadonlyArray<Supervision>
  /** Components that are not over, and have not given up their readers. */
  private readonly running: Set<Running>
  /** For each record that is not closed, how many of those components write it. */
  private readonly writersLeft = new Map<AnyRecord, number>()
  /** Done once all records are closed, and once all components are over as well. */
  private readonly closed = Deferred.makeUnsafe<void>()
  /** Records whose close has begun, and those whose close has failed: their readers may never hear of an end. */
  private readonly closings = new Set<AnyRecord>()
  private readonly closedInVain = new Set<AnyRecord>()
  private readonly drained = Deferred.makeUnsafe<void>()
  /** What went wrong on the way down. */
  private readonly faults: Array<ShutdownReport["faults"][number]> = []

  /** `context` has the clock and the loggers that everything in it goes by. */
  constructor(
    name: string,
    specs: ReadonlyArray<ComponentSpec>,
    scope: Scope.Scope,
    context: Context.Context<never>,
    clock: Clock.Clock
  ) {
    this.name = name
    this.specs = specs
    this.context = context
    this.clock = clock
    const keysOf = (records: ReadonlyArray<AnyRecord>) => [...new Set(records.map(({ key }) => key))]
    this.members = specs.map(({ kind, name, reads, writes }) => ({
      name,
      kind,
      reads: keysOf(reads),
      writes: keysOf(writes)
    }))
    this.records = [...new Set(specs.flatMap(({ reads, writes }) => [...reads, ...writes]))]
    const { stop } = this
    // At each pause of each reader: mostly nobody asks.
    const onIdle = () => {
      if (this.quiet.size > 0) this.checkQuiet()
      if (this.closedInVain.size > 0) this.checkStranded()
    }
    this.components = specs.map((spec) => new Running(spec, { scope: Scope.forkUnsafe(scope), clock, stop, onIdle }))
    this.running = new Set(this.components)
    for (const record of this.records) this.writersLeft.set(record, 0)
    for (const { spec } of this.components) {
      for (const record of new Set(spec.writes)) this.writersLeft.set(record, this.writersLeft.get(record)! + 1)
    }
    this.supervisions = this.components.map((running) =>
      new Supervision(running, {
        context,
        onOver: (failed) => this.over(running, failed),
        onEnd: () => this.ended(running)
      })
    )
  }

  // ---- putting together

  /** Checks the whole, and marks and claims what it is made of. It changes nothing where there is a fault. */
  readonly claim: Effect.Effect<void, TopologyInvalid> = Effect.suspend(() => {
    const [first, ...others] = this.check()
    if (first !== undefined) return Effect.fail(new TopologyInvalid({ faults: [first, ...others] }))
    for (const record of this.records) {
      record.topology = this
      const store = storeOf(record.buffer)
      if (store?.onItsWay !== undefined) store.onArrived = () => this.checkQuiet()
    }
    for (const running of this.components) {
      const claims = new Map<AnyRecord, Claim<any>>()
      for (const record of running.spec.writes) {
        if (!claims.has(record)) claims.set(record, record.claim(running.spec.name) as Claim<any>)
      }
      running.claims = running.spec.writes.map((record) => claims.get(record)!)
    }
    return Effect.void
  })
  private check(): ReadonlyArray<Fault> {
    const faults: Array<Fault> = []
    if (this.specs.length === 0) faults.push(new NoComponents())
    for (const name of repeated(this.members.map(({ name }) => name))) faults.push(new DuplicateName({ name }))
    const twiceDefined = new Set(this.specs.flatMap(({ misread }) => misread))
    for (const key of repeated(this.records.map(({ key }) => key))) {
      const definitions = new Set(
        this.records.filter((record) => record.key === key).map((record) => record.definition)
      )
      if (definitions.size === 1) faults.push(new TwoBuffers({ record: key }))
      else twiceDefined.add(key)
    }
    for (const key of twiceDefined) faults.push(new TwoDefinitions({ record: key }))
    for (const path of cyclesOf(this.members)) faults.push(new Cycle({ path }))
    for (const record of this.records) {
      if (record.topology !== undefined) faults.push(new RecordInUse({ record: record.key }))
      else if (record.isClosed) faults.push(new RecordIsClosed({ record: record.key }))
    }
    const groups = new Map<AnyRecord, Map<string, Array<string>>>()
    const writers = new Map<AnyRecord, string>()
    for (const { group, name, reads, writes } of this.specs) {
      if (group !== undefined) {
        const names = groups.get(reads[0]!) ?? new Map<string, Array<string>>()
        groups.set(reads[0]!, names.set(group, [...names.get(group) ?? [], name]))
      }
      for (const record of new Set(writes)) {
        const holder = writers.get(record)
        const conflict = record.conflict(name)
        if (conflict !== undefined) faults.push(conflict)
        else if (holder !== undefined && record.options.writers === "one") {
          faults.push(new WriterConflict({ record: record.key, holder, claimant: name }))
        } else writers.set(record, name)
      }
    }
    for (const [{ key }, names] of groups) {
      for (const [group, components] of names) {
        if (components.length > 1) faults.push(new DuplicateGroup({ record: key, group, components }))
      }
    }
    return faults
  }
  /** Subscribes the readers of the components, and opens what reads in a way of its own. Nothing runs yet. */
  get attach(): Effect.Effect<void, unknown> {
    return Effect.forEach(this.components, (running) => {
      const { open, reads } = running.spec
      const attached = open === undefined
        ? Effect.forEach(reads, (record, index) => Input.attach(record, running.spec, index))
        : Effect.map(open, (own) => {
          running.own = own
          // It reads for itself: of its cursor only what a Position has is ever asked.
          return reads.map((record) => new Input(record, own.position as Cursor<any>, running.spec, null))
        })
      return Effect.map(Scope.provide(attached, running.scope), (inputs) => void (running.inputs = inputs))
    }, { discard: true })
  }
  /** Gives everything back that was taken: it has not started. */
  readonly detach: Effect.Effect<void> = Effect.suspend(() => {
    for (const running of this.components) for (const claim of running.claims) claim.release()
    for (const record of this.records) this.unmark(record)
    return Effect.forEach(this.components, ({ scope }) => Effect.exit(Scope.close(scope, Exit.void)), { discard: true })
  })
  private unmark(record: AnyRecord): void {
    if (record.topology !== this) return
    record.topology = undefined
    const store = storeOf(record.buffer)
    if (store?.onItsWay !== undefined) store.onArrived = () => {}
  }

  // ---- running

  /** Starts the components: those that read first, sources last. */
  start(): void {
    const order = this.supervisions.map((supervision, index) => ({ supervision, spec: this.specs[index]! }))
      .toSorted((a, b) => Number(a.spec.kind === "Source") - Number(b.spec.kind === "Source"))
    for (const { supervision } of order) supervision.start()
  }
  /** No slot of it runs any more. */
  private over({ spec }: Running, failed: Failed | undefined): void {
    if (failed !== undefined) {
      const failure = new ComponentFailed({
        component: spec.name,
        why: failed.why,
        cause: squash(failed.by ?? failed.cause)
      })
      Deferred.doneUnsafe(this.failed, failure)
      Effect.runForkWith(this.context)(sayError(failure.message, failed.cause))
    }
    this.checkQuiet()
  }
  /** It has given up its readers too. */
  private ended(running: Running): void {
    this.running.delete(running)
    for (const record of new Set(running.spec.writes)) {
      const left = this.writersLeft.get(record)
      if (left === undefined) continue
      this.writersLeft.set(record, left - 1)
      if (left === 1 && this.stop.isOpen()) this.closeInOrder(record)
    }
    this.checkQuiet()
    this.checkDrained()
  }

  readonly awaitFailure: Effect.Effect<never, ComponentFailed> = Effect.suspend(() => Deferred.await(this.failed))
  /** A failure goes first: where a component has failed, all may well be quiet. */
  readonly awaitDone: Effect.Effect<void, ComponentFailed> = Effect.suspend(() =>
    Effect.raceFirst(this.awaitFailure, this.awaitQuiet)
  )
  private readonly awaitQuiet: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (true) {
      if (this.isQuiet()) {
        yield* this.known
        if (this.isQuiet() && this.components.every(nothingPending)) return
      }
      const waiting = Deferred.makeUnsafe<void>()
      this.quiet.add(waiting)
      yield* Effect.ensuring(Deferred.await(waiting), Effect.sync(() => this.quiet.delete(waiting)))
    }
  })
  /** Asks those readers how much is ready for them that take a turn to say it. */
  readonly known: Effect.Effect<void> = Effect.suspend(() => {
    const asking = this.components.flatMap(({ inputs, outcome }) =>
      outcome === undefined ? inputs.flatMap(({ known }) => known ?? []) : []
    )
    return asking.length === 0 ? Effect.void : Effect.all(asking, { concurrency: "unbounded", discard: true })
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
        && running.inputs.every((input) => input.isIdle()))
    ) && this.records.every(({ buffer }) => (storeOf(buffer)?.onItsWay?.() ?? 0) === 0)
  }

  // ---- the drain

  /**
   * Ends everything, from the sources down, within `timeout`, and what does not end by itself within a second more. Answers
   * with the report, and how many milliseconds of that second are left.
   */
  drain(timeout: Duration.Duration): Effect.Effect<readonly [ShutdownReport, number]> {
    return Effect.gen({ self: this }, function*() {
      const began = elapsedMillis(this.clock)
      const took = () => elapsedMillis(this.clock) - began
      const deadline = Duration.toMillis(timeout)
      const leftOf = (millis: number) => Math.max(0, deadline + millis - took())
      this.stop.openUnsafe()
      for (const [record, writers] of this.writersLeft) if (writers === 0) this.closeInOrder(record)
      this.checkDrained()
      const finished = yield* atMost(deadline, Deferred.await(this.drained))
      const [waited, interrupted] = partition([...this.running], (running) => this.waits(running))
      if (Option.isNone(finished)) {
        this.tellUnclosed()
        for (const [index, running] of this.components.entries()) {
          if (this.running.has(running)) this.supervisions[index]!.interrupt()
        }
        yield* atMost(leftOf(afterDeadline.interrupting), Deferred.await(this.drained))
        for (const record of this.writersLeft.keys()) {
          // One that still waits for producers, or for its writers: it is closed under them.
          if (this.closings.has(record) && record.nobodyWaits.isOpen()) continue
          this.closings.add(record)
          record.refuse()
          this.close(record, Effect.void)
        }
        yield* atMost(leftOf(afterDeadline.interrupting + afterDeadline.closing), Deferred.await(this.closed))
        for (const { inputs, scope, spec } of this.running) {
          for (const input of inputs) input.left = input.pending()
          this.faults.push({
            what: `component "${spec.name}"`,
            cause: "it could not be interrupted, and is left behind"
          })
          // Here, so that the scope of the topology does not wait for what its readers do at their end.
          Effect.runForkWith(this.context)(Scope.close(scope, Exit.void))
        }
      }
      const late = took() - deadline - afterDeadline.all
      if (late > afterDeadline.all / 4) {
        this.faults.push({
          what: "the event loop",
          cause: `it was blocked, and the end is ${Math.round(late)} ms late`
        })
      }
      for (const record of this.records) this.unmark(record)
      const report: ShutdownReport = {
        withinDeadline: Option.isSome(finished),
        took: Math.round(took()),
        left: this.components.flatMap(({ inputs, spec }) =>
          inputs.filter(({ left }) => left > 0).map(({ left, record }) => ({
            record: record.key,
            component: spec.name,
            values: left
          }))
        ),
        interrupted: interrupted.map(({ spec }) => spec.name),
        waited: waited.map(({ spec }) => spec.name),
        faults: [...this.faults]
      }
      return [report, leftOf(afterDeadline.all)] as const
    })
  }
  /** A record whose writers are over closes, once those outside the topology that wait for room now have got it. */
  private closeInOrder(record: AnyRecord): void {
    if (this.closings.has(record)) return
    this.closings.add(record)
    record.refuse()
    this.close(record, record.nobodyWaits.await)
  }
  private close(record: AnyRecord, after: Effect.Effect<void>): void {
    Effect.runForkWith(this.context)(Effect.andThen(after, record.close)).addObserver((exit) => {
      if (Exit.isFailure(exit)) {
        this.faults.push({ what: `the close of record "${record.key}"`, cause: render(squash(exit.cause)) })
        this.closedInVain.add(record)
      }
      this.writersLeft.delete(record)
      this.checkStranded()
      this.checkDrained()
    })
  }
  private checkDrained(): void {
    if (!this.stop.isOpen() || this.writersLeft.size > 0) return
    Deferred.doneUnsafe(this.closed, Effect.void)
    if (this.running.size === 0) Deferred.doneUnsafe(this.drained, Effect.void)
  }
  /** Whether a component that is not over has nothing left to do, and only waits for a record of its to be closed. */
  private waits(running: Running): boolean {
    const { claims, inputs, own, slots, spec } = running
    // It has what it holds to write, and the record takes nothing, which somebody else is to change.
    if (claims.some((claim, index) => claim.isWaiting && this.isHeldUp(spec.writes[index]!))) return true
    return inputs.some(({ record }) => this.writersLeft.has(record) || this.closedInVain.has(record))
      && slots.every(({ inFlight, state }) => inFlight === 0 && state === "Running")
      && (own !== undefined || inputs.every((input) => input.pending() === 0))
  }
  private isHeldUp(record: AnyRecord): boolean {
    return (storeOf(record.buffer)?.onItsWay?.() ?? 0) > 0
      || Array.from(this.running).some(({ inputs }) => inputs.some((input) => input.record === record))
  }
  /** Ends those that have read what there is, and whose record could not tell them that there will be no more. */
  private checkStranded(): void {
    if (this.closedInVain.size === 0) return
    for (const [index, running] of this.components.entries()) {
      const { inputs, outcome } = running
      if (outcome !== undefined || running.isEnding || !this.waits(running)) continue
      if (inputs.length > 0 && inputs.every(({ record }) => this.closedInVain.has(record))) {
        this.supervisions[index]!.interrupt()
      }
    }
  }
  /** Says of each record that is not closed at the deadline what keeps it, unless it is a component. */
  private tellUnclosed(): void {
    for (const [record, writers] of this.writersLeft) {
      const onItsWay = storeOf(record.buffer)?.onItsWay?.() ?? 0
      if (onItsWay > 0) {
        this.faults.push({
          what: `record "${record.key}"`,
          cause: `its store has not answered for ${onItsWay} value(s)`
        })
      }
      if (writers > 0) continue
      this.faults.push(
        record.nobodyWaits.isOpen()
          ? { what: `the close of record "${record.key}"`, cause: "it has not returned" }
          : {
            what: `record "${record.key}"`,
            cause: `${record.waiting} producer(s) outside the topology wait for room in it, or for its store`
          }
      )
    }
  }
}

const nothingPending = ({ inputs, outcome }: Running): boolean =>
  outcome !== undefined || inputs.every((input) => input.pending() === 0)

/** Those that are there more than once, each once. */
const repeated = (texts: ReadonlyArray<string>): ReadonlyArray<string> => {
  const seen = new Set<string>()
  return [...new Set(texts.filter((text) => seen.size === seen.add(text).size))]
}
const partition = <A>(all: ReadonlyArray<A>, holds: (a: A) => boolean): readonly [Array<A>, Array<A>] => [
  all.filter(holds),
  all.filter((a) => !holds(a))
]
