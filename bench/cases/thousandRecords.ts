/**
 * A thousand records with four consumers each, against one record with four: the same values in the same bursts, with a
 * turn of the event loop after each, and only where the next burst goes differs. A message is one value pushed and
 * handled four times, so what a thousand add is caches that miss, and whatever is paid per record.
 *
 * The records are in topologies of twenty, built in the first round and kept: four thousand consumers take seconds to
 * build, and what that leaves to collect would be collected while others are measured.
 */
import { Buffer, Consumer, Producer, Record, Topology } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import { Cause, Context, Deferred, Effect, Layer, PubSub, Scope, Stream } from "effect"
import { attend, type Case, type Contestant, type EffectPush, type Lap, type PlainPush } from "../contestant.ts"
import { Reading, readings, type Subscriber, WrongDelivery } from "../workload.ts"

const thousand = 1_000
const consumersPerRecord = 4
const recordsPerTopology = 20
const burst = 32
const capacity = 4 * burst

/** Stands for all of them in the types. */
interface Feed {
  readonly _: "Feed"
}

/** Consumers that are waited for together: to wait for each of four thousand would cost as much as their work. */
class Crowd {
  readonly members: ReadonlyArray<Member>
  private done = Deferred.makeUnsafe<void, WrongDelivery>()
  private failure: WrongDelivery | undefined
  private waitedFor = 0

  constructor(expected: ReadonlyArray<ReadonlyArray<Reading>>) {
    this.members = expected.map((values) => new Member(this, values))
  }
  reset(): void {
    this.done = Deferred.makeUnsafe()
    this.waitedFor = this.members.length
    for (const member of this.members) member.count = 0
  }
  memberDone(): void {
    if (--this.waitedFor === 0) Deferred.doneUnsafe(this.done, Effect.void)
  }
  fail(message: string): void {
    this.failure ??= new WrongDelivery({ message: `${message}; ${this.progress}` })
    Deferred.doneUnsafe(this.done, Effect.fail(this.failure))
  }
  readonly finished: Effect.Effect<void, WrongDelivery> = Effect.suspend(() => Deferred.await(this.done))
  readonly check: Effect.Effect<void, WrongDelivery> = Effect.suspend(() =>
    this.failure === undefined ? Effect.void : Effect.fail(this.failure)
  )
  get progress(): string {
    return `${this.waitedFor} of ${this.members.length} consumers have not had all of theirs`
  }
}

/** One of them: it expects `values`, in their order and no others. */
class Member implements Subscriber {
  count = 0
  private readonly crowd: Crowd
  private readonly values: ReadonlyArray<Reading>

  constructor(crowd: Crowd, values: ReadonlyArray<Reading>) {
    this.crowd = crowd
    this.values = values
  }
  readonly handleUnsafe = (value: Reading): undefined => {
    if (value !== this.values[this.count]) this.crowd.fail(`${value.sequence} came as number ${this.count}`)
    if (++this.count === this.values.length) this.crowd.memberDone()
  }
  readonly handle = (value: Reading): Effect.Effect<void> => Effect.sync(() => this.handleUnsafe(value))
  readonly lagged = (missed: number): void => this.crowd.fail(`lagged behind by ${missed}`)
  readonly failed = (cause: Cause.Cause<unknown>): void => this.crowd.fail(`ended early: ${Cause.pretty(cause)}`)
}

/** Opens a way to each of as many groups of subscribers as there are records. */
type Open<Push> = (
  groups: ReadonlyArray<ReadonlyArray<Subscriber>>
) => Effect.Effect<ReadonlyArray<Push>, never, Scope.Scope>

/** Burst after burst, each to the next of `records`. */
const spread = <Push>(
  name: string,
  records: number,
  open: Open<Push>,
  pushBurst: (push: Push, values: ReadonlyArray<Reading>) => Effect.Effect<void, unknown>
): Contestant => {
  const build = Effect.fnUntraced(function*(messages: number): Effect.fn.Return<Lap, never, Scope.Scope> {
    const values = readings(messages)
    const bursts = Array.from(
      { length: messages / burst },
      (_, index) => values.slice(index * burst, (index + 1) * burst)
    )
    const perRecord = Array.from(
      { length: records },
      (_, record) => bursts.filter((_, index) => index % records === record).flat()
    )
    const crowd = new Crowd(perRecord.flatMap((values) => Array.from({ length: consumersPerRecord }, () => values)))
    const pushes = yield* open(
      perRecord.map((_, record) => crowd.members.slice(record * consumersPerRecord, (record + 1) * consumersPerRecord))
    )
    const pushing = Effect.gen(function*() {
      for (let index = 0; index < bursts.length; index++) {
        yield* pushBurst(pushes[index % records]!, bursts[index]!)
        yield* Effect.yieldNow
      }
    }).pipe(Effect.mapError((error) => new WrongDelivery({ message: `a push failed: ${String(error)}` })))
    return {
      run: Effect.suspend(() => {
        crowd.reset()
        return Effect.andThen(pushing, crowd.finished)
      }),
      check: crowd.check,
      progress: () => crowd.progress
    }
  })
  let kept: Lap | undefined
  return {
    name,
    open: (messages) =>
      Effect.suspend(() =>
        kept !== undefined ? Effect.succeed(kept) : Effect.tap(
          // In a scope that nobody closes.
          Scope.provide(build(messages), Scope.makeUnsafe()),
          (lap) =>
            Effect.sync(() => {
              kept = lap
            })
        )
      )
  }
}
const effectBurst = (push: EffectPush, values: ReadonlyArray<Reading>) =>
  Effect.forEach(values, push, { discard: true })
const plainBurst = (push: PlainPush, values: ReadonlyArray<Reading>) =>
  Effect.suspend(() => {
    for (const value of values) if (!push(value)) return Effect.fail(`${value.sequence} was refused`)
    return Effect.void
  })

const ring = Buffer.spmcRing({ capacity })
const sluice = (
  layerOf: (record: FeedClass, subscriber: Subscriber, name: string) => Layer.Layer<never, never, Feed | Assembly>
): Open<Producer.Producer<Reading>> =>
  Effect.fnUntraced(function*(groups) {
    const producers: Array<Producer.Producer<Reading>> = []
    for (let start = 0; start < groups.length; start += recordsPerTopology) {
      const feeds = groups.slice(start, start + recordsPerTopology).map((subscribers, index) => {
        const record = feedOf(start + index)
        return {
          record,
          buffer: record.layerBuffer(ring),
          consumers: subscribers.map((subscriber, number) =>
            layerOf(record, subscriber, `${record.key}, consumer ${number}`)
          )
        }
      })
      const topology = Topology.layer(all(feeds.flatMap(({ consumers }) => consumers)), {
        onShutdown: () => Effect.void
      })
      const context = yield* Layer.build(Layer.provideMerge(topology, all(feeds.map(({ buffer }) => buffer))))
      for (const { record } of feeds) producers.push(yield* Context.get(context, record).producer("bench"))
    }
    return producers
  }, Effect.orDie)
const feedOf = (index: number) => Record.Service<Feed>()(`bench/feed/${index}`, { schema: Reading })
type FeedClass = ReturnType<typeof feedOf>
const all = <A, R>(layers: ReadonlyArray<Layer.Layer<A, never, R>>): Layer.Layer<A, never, R> =>
  Layer.mergeAll(...(layers as [Layer.Layer<A, never, R>, ...Array<Layer.Layer<A, never, R>>]))

const handled = sluice((record, { handle }, name) => Consumer.layer(record, { name, handle }))
const handledUnsafe = sluice((record, { handleUnsafe }, name) => Consumer.layer(record, { name, handleUnsafe }))

const produceToHandle = (name: string, records: number) =>
  spread<EffectPush>(
    name,
    records,
    (groups) => Effect.map(handled(groups), (producers) => producers.map(({ produce }) => produce)),
    effectBurst
  )
const produceUnsafeToHandleUnsafe = (name: string, records: number) =>
  spread<PlainPush>(
    name,
    records,
    (groups) =>
      Effect.map(handledUnsafe(groups), (producers) =>
        producers.map(({ produceUnsafe }) => (value) => produceUnsafe(value) === "Accepted")),
    plainBurst
  )
const publishToStream = spread<EffectPush>(
  "a thousand PubSubs, publish → Stream.fromPubSub runForEach",
  thousand,
  Effect.forEach((subscribers: ReadonlyArray<Subscriber>) =>
    Effect.gen(function*() {
      const pubsub = yield* PubSub.bounded<Reading>(capacity)
      for (const subscriber of subscribers) {
        yield* attend(subscriber, Stream.runForEach(Stream.fromPubSub(pubsub), subscriber.handle))
      }
      return (value) => PubSub.publish(pubsub, value)
    })
  ),
  effectBurst
)

const one = produceToHandle("Sluice, one record", 1)
const onePlain = produceUnsafeToHandleUnsafe("Sluice, one record", 1)

export const thousandRecords: Case = {
  name: "thousand-records",
  about: `${thousand} records with ${consumersPerRecord} consumers each against one; bursts of ${burst}`,
  messages: thousand * burst,
  laps: 6,
  matches: [
    {
      title: "Effect push, an Effect per value",
      ours: produceToHandle("Sluice, a thousand records", thousand),
      others: [one, publishToStream],
      targets: [{ contestant: one.name, pass: 1 / 1.8, stretch: 1 / 1.3 }]
    },
    {
      title: "plain push, plain handling",
      ours: produceUnsafeToHandleUnsafe("Sluice, a thousand records", thousand),
      others: [onePlain],
      // So little work that whatever else uses the caches of the machine shows: between 0.48 and 0.71 from run to run.
      targets: [{ contestant: onePlain.name, pass: 1 / 1.8, stretch: 1 / 1.3, gate: 0.35 }]
    }
  ]
}
