/** Collectors under random sequences of all that can happen to them, compared with what each invariant says. */
import { Deferred, Effect, Exit, Random, Schedule, type Scope } from "effect"
import { range } from "../bufferLaws/steps.ts"
import { exitOf, Mismatch, outcome, pass, render, rest, same, start, startStepwise, valueOf } from "../trial.ts"
import { type Law, law, Parked, type Subject } from "./law.ts"
import {
  actsOnRelease,
  aheadOfWatermark,
  forgetsProgress,
  leaky,
  lenient,
  losesProgress,
  misled,
  newAttempts,
  skipsAtTakeover
} from "./sabotage.ts"
import {
  type Batch,
  type Collected,
  openWorld,
  quiet,
  sequencesOf,
  tagOf,
  type Taking,
  taking,
  type World
} from "./steps.ts"

/** What a walk can be held to. */
export type Invariant =
  | "order"
  | "monotone"
  | "readAhead"
  | "inFlight"
  | "settled"
  | "resumes"
  | "delivered"
  | "attempts"
  | "permits"
  | "misuse"
  | "finishes"

/** A batch that is out, and how its use ends. */
interface Out {
  readonly batch: Batch
  readonly end: (exit: Exit.Exit<void, string>) => Effect.Effect<unknown, Mismatch>
}
interface Waiting {
  readonly taken: () => Exit.Exit<Batch, unknown> | undefined
  readonly interrupt: Effect.Effect<void>
  /** A handler: where its batch came before the interrupt, that is the end of it. */
  readonly isHandler: boolean
  /** It gives up its turn after each step, and so needs more of them. */
  readonly isStepping: boolean
  readonly end: Out["end"]
}
interface Limits {
  readonly batchMax: number
  readonly maxReadAhead: number
  readonly maxInFlight: number
  readonly maxAttempts: number
  readonly order: "any" | "strict"
}
/** One hold on the group, as the model sees it. */
interface Hold {
  readonly collector: Collected
  readonly close: Effect.Effect<void>
  readonly limits: Limits
  /** Where it began. */
  readonly base: number
  /** Sequences that were acknowledged, or that were put aside: by this hold. */
  readonly settled: Set<number>
  /** Sequences that are to be put aside. */
  readonly rejected: Set<number>
  readonly attempts: Map<number, number>
  out: Array<Out>
  waiting: Array<Waiting>
  /** Deliveries that were settled. */
  done: Array<Batch>
  seen: { readonly [name: string]: bigint }
}

const walk = Effect.fnUntraced(function*(subject: Subject, steps: number, held: ReadonlySet<Invariant> | undefined) {
  const world: World = yield* openWorld(subject)
  const { faults } = world
  const must = (invariant: Invariant, what: string, seen: unknown, expected: unknown) =>
    held === undefined || held.has(invariant) ? same(what, seen, expected) : Effect.void
  const pick = <A>(from: ReadonlyArray<A>): Effect.Effect<A> =>
    Effect.map(Random.nextIntBetween(0, from.length, { halfOpen: true }), (index) => from[index]!)
  const delivered = new Set<number>()
  let stored = -1
  yield* start(Effect.forever(world.letters.recv))

  const batchMax = yield* pick([1, 2])
  const maxInFlight = yield* pick([1, 2, 3, 4])
  const limits: Limits = {
    batchMax,
    maxInFlight,
    maxReadAhead: Math.max(batchMax * maxInFlight, yield* pick([1, 3, 5, 9])),
    maxAttempts: yield* pick([2, 3, Infinity]),
    order: yield* pick(["any", "any", "strict"] as const)
  }
  const commitEvery = { acks: yield* pick([1, 1, 3]), within: yield* pick([0, 50]) }

  const open = Effect.fnUntraced(function*() {
    const before = yield* world.committed
    const settled = new Set<number>()
    const rejected = new Set<number>()
    let made: Hold | undefined
    const { close, collector } = yield* world.hold({
      batch: { max: limits.batchMax },
      maxReadAhead: limits.maxReadAhead,
      maxInFlight: limits.maxInFlight,
      order: limits.order,
      retry: Schedule.spaced("100 millis"),
      commitEvery,
      ...(limits.maxAttempts < Infinity && { maxAttempts: limits.maxAttempts }),
      deadLetter: {
        record: Parked,
        as: ({ attempts, sequence }) => {
          const number = Number(sequence)
          // What a letter is written for without a reason does not count as settled.
          if (rejected.has(number) || attempts >= limits.maxAttempts) settled.add(number)
          delivered.add(number)
          return number
        }
      }
    })
    const base = yield* world.committed
    const { committed } = yield* valueOf("progress", collector.progress)
    // Where progress takes I/O, values that had no attempts left may have been put aside and committed meanwhile.
    const now = BigInt(yield* world.committed)
    const expected = committed > BigInt(before) && committed <= now ? committed : BigInt(before)
    yield* must("resumes", "where a hold resumes", [base, committed], [before, expected])
    made = {
      collector,
      close,
      limits,
      base,
      settled,
      rejected,
      attempts: new Map(Array.from(faults.attempts, ([sequence, attempt]) => [Number(sequence), attempt])),
      out: [],
      waiting: [],
      done: [],
      seen: {}
    }
    return made
  })

  yield* world.produce(3)
  let hold: Hold = yield* open()
  let earlier: Hold | undefined

  const came = Effect.fnUntraced(function*(batch: Batch, end: Out["end"]) {
    const sequences = sequencesOf(batch)
    yield* must("delivered", "the values of a batch", batch.values, sequences)
    yield* must("attempts", `whether ${sequences} were settled or are out`, [
      sequences.some((sequence) => hold.settled.has(sequence) || sequence <= hold.base),
      hold.out.some((other) => sequencesOf(other.batch).some((sequence) => sequences.includes(sequence)))
    ], [false, false])
    yield* must(
      "attempts",
      `the attempts of ${sequences}`,
      sequences.map(() => batch.attempt),
      sequences.map((sequence) => (hold.attempts.get(sequence) ?? 0) + 1)
    )
    for (const sequence of sequences) delivered.add(sequence)
    hold.out.push({ batch, end })
  })
  /** It has left flight: acknowledged, or as an attempt that failed. */
  const left = (out: Out, how: "settled" | "rejected" | "failed") => {
    hold.out = hold.out.filter((other) => other !== out)
    hold.done.push(out.batch)
    for (const sequence of sequencesOf(out.batch)) {
      if (how === "settled") hold.settled.add(sequence)
      else if (how === "rejected") hold.rejected.add(sequence)
      else hold.attempts.set(sequence, out.batch.attempt)
    }
  }
  const look = Effect.fnUntraced(function*(what: string) {
    yield* quiet
    if (hold.waiting.some(({ isStepping }) => isStepping)) yield* rest
    const { collector } = hold
    for (const waiting of hold.waiting) {
      const exit = waiting.taken()
      if (exit === undefined) continue
      hold.waiting = hold.waiting.filter((other) => other !== waiting)
      if (Exit.isSuccess(exit)) yield* came(exit.value, waiting.end)
      else yield* must("finishes", `how take fails after ${what}`, tagOf(exit), "LogFailed")
    }
    const progress = yield* valueOf("progress", collector.progress)
    const { committed, fetched, head, inFlight, watermark } = progress
    const engine = yield* world.committed
    yield* must("order", `committed ≤ stored ≤ watermark ≤ fetched < head after ${what}`, [
      committed <= BigInt(engine),
      BigInt(engine) <= watermark,
      watermark <= fetched,
      fetched < head,
      head === BigInt(world.head())
    ], [true, true, true, true, true])
    const now = { committed, watermark, fetched, head }
    yield* must(
      "monotone",
      `what went back after ${what}`,
      Object.entries(now).filter(([name, value]) => value < (hold.seen[name] ?? -1n)),
      []
    )
    yield* must("monotone", `whether what is stored went back after ${what}`, engine < stored, false)
    stored = engine
    hold.seen = now
    yield* must(
      "readAhead",
      `whether ${fetched} is within ${limits.maxReadAhead} of ${watermark} after ${what}`,
      fetched - watermark <= BigInt(limits.maxReadAhead),
      true
    )
    yield* must("inFlight", `whether ${inFlight} batches are too many`, inFlight > limits.maxInFlight, false)
    yield* must("permits", `batches in flight after ${what}`, inFlight, hold.out.length)
    yield* must(
      "settled",
      `what is committed and was not settled after ${what}`,
      range(hold.base + 1, engine + 1).filter((sequence) => !hold.settled.has(sequence)),
      []
    )
  })
  /** An exit of the batch's use, or a verb's. */
  const failed = (out: Out) => left(out, "failed")

  const byHand = Effect.fnUntraced(function*() {
    const take = yield* taking(hold.collector)
    hold.waiting.push({ ...take, isHandler: false, isStepping: false })
  })
  const handler = Effect.fnUntraced(function*(stepwise: boolean) {
    const done = Deferred.makeUnsafe<void, string>()
    let batch: Batch | undefined
    const handling = Effect.scoped(Effect.flatMap(hold.collector.take, (taken) => {
      batch = taken
      return Deferred.await(done)
    }))
    const fiber = stepwise ? (yield* startStepwise(handling)).fiber : yield* start(handling)
    hold.waiting.push({
      taken: () => {
        if (batch !== undefined) return Exit.succeed(batch)
        const exit = fiber.pollUnsafe()
        return exit !== undefined && Exit.isFailure(exit) ? Exit.failCause(exit.cause) : undefined
      },
      interrupt: Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), stepwise ? rest : quiet),
      isHandler: true,
      isStepping: stepwise,
      end: Effect.fnUntraced(function*(exit) {
        if (Exit.isFailure(exit) && exit.cause.reasons.some(({ _tag }) => _tag === "Interrupt")) fiber.interruptUnsafe()
        else Deferred.doneUnsafe(done, exit)
        yield* exitOf("a handler", fiber)
      })
    })
  })
  const interruptTake = Effect.gen(function*() {
    if (hold.waiting.length === 0) return
    const waiting = yield* pick(hold.waiting)
    hold.waiting = hold.waiting.filter((other) => other !== waiting)
    yield* waiting.interrupt
    const exit = waiting.taken()
    if (exit !== undefined && Exit.isSuccess(exit)) {
      yield* came(exit.value, waiting.end)
      if (waiting.isHandler) failed(hold.out.at(-1)!)
    } else if (!waiting.isHandler) yield* waiting.end(Exit.interrupt())
  })
  /** Those that were asked for are let go of, so that the next hold's are its own. */
  const leave = Effect.gen(function*() {
    while (hold.waiting.length > 0) yield* interruptTake
  })
  const someOut = <E, R>(use: (out: Out) => Effect.Effect<void, E, R>) =>
    Effect.suspend((): Effect.Effect<void, E, R> =>
      hold.out.length === 0 ? Effect.void : Effect.flatMap(pick(hold.out), use)
    )
  const inOrder = (out: Out) =>
    Effect.map(
      valueOf("progress", hold.collector.progress),
      ({ watermark }) => limits.order === "any" || out.batch.first === watermark + 1n
    )
  /** Progress without what time changes. */
  const standing = Effect.map(valueOf("progress", Effect.suspend(() => hold.collector.progress)), (progress) => ({
    ...progress,
    oldestUnackedAge: 0
  }))
  const refused = Effect.fnUntraced(function*(what: string, verb: Effect.Effect<unknown, unknown>, tags: string) {
    yield* quiet
    const before = yield* standing
    const tag = tagOf(yield* outcome(what, verb))
    yield* must("misuse", `whether ${what} is answered by ${tags}, not ${tag}`, tags.split("|").includes(tag), true)
    yield* quiet
    yield* must("misuse", `progress after ${what}`, yield* standing, before)
  })

  const ops: { readonly [name: string]: Effect.Effect<void, Mismatch, Scope.Scope> } = {
    produce: Effect.flatMap(pick([1, 2, 3]), (count) => world.produce(count)),
    take: Effect.suspend(() => hold.waiting.length < 3 ? byHand() : Effect.void),
    handle: Effect.suspend(() =>
      hold.waiting.length < 3 ? handler((hold.done.length + world.head()) % 2 === 0) : Effect.void
    ),
    ack: someOut(Effect.fnUntraced(function*(out) {
      if (!(yield* inOrder(out))) {
        return yield* refused("an ack ahead of others", hold.collector.ack(out.batch), "AckOutOfOrder")
      }
      left(out, "settled")
      yield* valueOf("ack", hold.collector.ack(out.batch))
    })),
    release: someOut(Effect.fnUntraced(function*(out) {
      const delay = yield* pick([0, 10, 500])
      failed(out)
      const release = delay === 10 ? hold.collector.release(out.batch) : hold.collector.release(out.batch, { delay })
      yield* valueOf("release", release)
    })),
    reject: someOut(Effect.fnUntraced(function*(out) {
      if (!(yield* inOrder(out))) {
        return yield* refused("a rejection ahead of others", hold.collector.reject(out.batch, "no"), "AckOutOfOrder")
      }
      left(out, "rejected")
      yield* valueOf("reject", hold.collector.reject(out.batch, "no"))
    })),
    succeed: someOut((out) => Effect.suspend(() => (left(out, "settled"), Effect.asVoid(out.end(Exit.void))))),
    fail: someOut((out) => Effect.suspend(() => (failed(out), Effect.asVoid(out.end(Exit.fail("no")))))),
    die: someOut((out) => Effect.suspend(() => (failed(out), Effect.asVoid(out.end(Exit.die("no")))))),
    interruptHandler: someOut((out) => Effect.suspend(() => (failed(out), Effect.asVoid(out.end(Exit.interrupt()))))),
    interruptTake,
    interruptAsItComes: Effect.gen(function*() {
      if (hold.waiting.length === 0) return
      yield* world.produce(1)
      const { isStepping } = hold.waiting[0]!
      yield* pass(yield* Random.nextIntBetween(0, isStepping ? 40 : 6))
      yield* interruptTake
    }),
    flush: Effect.gen(function*() {
      const { watermark } = yield* valueOf("progress", hold.collector.progress)
      const exit = yield* outcome("flush", hold.collector.flush)
      if (Exit.isFailure(exit)) return yield* must("finishes", "how flush fails", tagOf(exit), "LogFailed")
      const engine = BigInt(yield* world.committed)
      yield* must("finishes", "what is stored after a flush", [exit.value, engine], [watermark, watermark])
    }),
    commitFails: Effect.flatMap(
      pick(["before", "after"] as const),
      (when) => Effect.sync(() => void faults.commits.push(when))
    ),
    readFails: Effect.sync(() => void faults.reads++),
    time: Effect.flatMap(pick([1, 60, 100, 700]), (millis) => world.elapse(millis)),
    doubleAck: Effect.suspend(() =>
      hold.done.length === 0 ? Effect.void : Effect.flatMap(pick(hold.done), (batch) => {
        // One that was divided since, and of which the beginning is settled, is known no more.
        const tags = batch.first === batch.last ? "AlreadyAcked" : "AlreadyAcked|AckOutOfRange"
        return refused("a second ack", hold.collector.ack(batch), tags)
      })
    ),
    foreign: someOut(Effect.fnUntraced(function*({ batch }) {
      const { collector } = hold
      yield* refused("an ack of another group's", collector.ack({ ...batch, last: 9_999n }), "AckOutOfRange")
      yield* refused("a rejection of a later attempt", collector.reject({ ...batch, attempt: 99 }, ""), "AckOutOfRange")
      yield* refused("a release of a later epoch", collector.release({ ...batch, epoch: 1n << 60n }), "AckOutOfRange")
      yield* refused("an ack of an earlier epoch", collector.ack({ ...batch, epoch: -1n }), "StaleEpoch")
    })),
    // As if the process had ended: whoever held the group before neither knows nor ends.
    takeover: Effect.gen(function*() {
      yield* leave
      earlier = hold
      hold = yield* open()
    }),
    restart: Effect.gen(function*() {
      yield* leave
      yield* hold.close
      hold = yield* open()
    }),
    earlierGoesOn: Effect.gen(function*() {
      const [out] = earlier?.out.splice(0, 1) ?? []
      if (earlier === undefined || out === undefined) return
      yield* outcome("an earlier holder's ack", earlier.collector.ack(out.batch))
      yield* outcome("an earlier holder's flush", earlier.collector.flush)
      yield* refused("an ack of an earlier holder's", hold.collector.ack(out.batch), "StaleEpoch")
    })
  }
  const rare = new Set(["takeover", "restart", "foreign", "readFails", "commitFails", "earlierGoesOn", "reject"])
  const weighted = Object.keys(ops).flatMap((name) =>
    rare.has(name) ? [name] : ["produce", "take", "ack"].includes(name) ? [name, name, name, name] : [name, name]
  )
  for (let step = 0; step < steps; step++) {
    const name = yield* pick(weighted)
    yield* ops[name]!
    yield* look(`step ${step}, ${name}`)
  }

  // The faults are gone: everything is settled in the end.
  faults.clear()
  yield* leave
  // What failed last is tried again after 30 seconds at the latest.
  yield* world.elapse(31_000)
  for (let turn = 0; turn < 8 * world.head() + 20; turn++) {
    if ((yield* world.committed) === world.head() - 1) break
    yield* byHand()
    yield* look("the last step")
    for (const out of hold.out.toSorted((a, b) => Number(a.batch.first - b.batch.first))) {
      if (!(yield* inOrder(out))) continue
      left(out, "settled")
      yield* valueOf("ack", hold.collector.ack(out.batch))
    }
    yield* world.elapse(1000)
    yield* look("the last step")
  }
  yield* must("finishes", "what is committed in the end", yield* world.committed, world.head() - 1)
  yield* must("delivered", "what was never handed out", range(0, world.head()).filter((n) => !delivered.has(n)), [])

  // And as many batches can be handed out as ever.
  yield* leave
  yield* world.produce(limits.maxInFlight * limits.batchMax)
  const last: Array<Taking> = []
  yield* quiet
  for (let i = 0; i < limits.maxInFlight; i++) {
    const take = yield* taking(hold.collector)
    yield* quiet
    last.push(take)
  }
  yield* must(
    "permits",
    "batches handed out in the end",
    last.map(({ taken }) => {
      const exit = taken()
      return exit === undefined ? "waits" : tagOf(exit)
    }),
    last.map(() => "success")
  )
  yield* world.produce(1)
  const more = yield* taking(hold.collector)
  yield* quiet
  yield* must("inFlight", "one batch more", more.taken() === undefined ? "waits" : render(more.taken()), "waits")
})

const law1 = (
  name: string,
  invariants: ReadonlyArray<Invariant> | undefined,
  seeds: ReadonlyArray<number>,
  steps: number,
  broken: (subject: Subject) => Subject
): Law =>
  law(name, {
    check: (subject) =>
      Effect.forEach(
        seeds,
        (seed) =>
          Random.withSeed(
            Effect.scoped(walk(subject, steps, invariants && new Set(invariants))),
            seed
          ).pipe(
            Effect.mapError(({ expected, seen }) => new Mismatch({ expected, seen: `${seen}, with seed ${seed}` }))
          ),
        { discard: true }
      ),
    broken
  })

/** All invariants, over these seeds. */
export const interleaved = (seeds: ReadonlyArray<number>, steps: number): Law =>
  law1("under any interleaving of all this, every invariant holds", undefined, seeds, steps, actsOnRelease)

const some = (name: string, invariants: ReadonlyArray<Invariant>, broken: (subject: Subject) => Subject) =>
  law1(name, invariants, range(0, 6), 60, broken)

export const interleaving: ReadonlyArray<Law> = [
  some("committed ≤ watermark ≤ fetched ≤ head", ["order"], aheadOfWatermark),
  some("nothing of progress goes back within a hold", ["monotone"], losesProgress),
  some(
    "at most maxReadAhead values are fetched beyond the watermark",
    ["readAhead"],
    misled((options) => ({ ...options, maxReadAhead: 2 * (options.maxReadAhead ?? 1024) }))
  ),
  some(
    "at most maxInFlight batches are out at once",
    ["inFlight"],
    misled((options) => ({ ...options, maxInFlight: 1 + (options.maxInFlight ?? 16) }))
  ),
  some("what is committed was acknowledged or put aside", ["settled"], actsOnRelease),
  some("a hold resumes where the group has committed", ["resumes"], skipsAtTakeover),
  some(
    "nothing that was produced is never handed out",
    ["delivered"],
    misled((options) => ({ ...options, from: "head" }))
  ),
  some("a batch comes again only after it was given back, as one attempt more", ["attempts"], newAttempts),
  some("however batches end, as many can be out as before", ["permits"], leaky),
  some("misuse is refused by a typed error and changes nothing", ["misuse"], lenient),
  some("with the faults gone, everything is settled and committed", ["finishes"], forgetsProgress),
  interleaved(range(100, 110), 80)
]
