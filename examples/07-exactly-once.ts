/**
 * Effects exactly once: a collector hands a batch out at least once, and a sink with transactions makes that once. One
 * batch is in flight, in order; the sink stores the last sequence and the epoch in the transaction of the effect itself,
 * skips what it has, and refuses a holder that is older than one it has seen. The log is in memory here, and forgets its
 * groups with the process: then the group begins `from` what the sink has.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Collector, Log, Record, Source, Topology } from "@sluice/core"
import { Console, Context, Data, Effect, Layer, Logger, Schedule, Schema, Stream } from "effect"
import { DatabaseSync } from "node:sqlite"

class Payment extends Record.Service<Payment>()("bank/Payment", {
  schema: Schema.Struct({ account: Schema.String, cents: Schema.Int })
}) {}

/** A later holder of the group has written to the sink: this one must not. */
class Fenced extends Data.TaggedError("Fenced")<{ readonly epoch: bigint }> {}

class Ledger extends Context.Service<Ledger, {
  /** The last sequence that the sink has; -1 before the first. */
  readonly last: Effect.Effect<bigint>
  /** Answers with how many values were new. */
  readonly apply: (batch: Collector.Batch<typeof Payment.schema.Type>) => Effect.Effect<number, Fenced>
  readonly balances: Effect.Effect<ReadonlyArray<{ readonly account: string; readonly cents: number }>>
}>()("bank/Ledger") {}

const SqliteLedger = Layer.effect(
  Ledger,
  Effect.gen(function*() {
    const db = yield* Effect.acquireRelease(
      Effect.sync(() => new DatabaseSync(":memory:", { readBigInts: true })),
      (db) => Effect.sync(() => db.close())
    )
    db.exec(`
      CREATE TABLE balance (account TEXT PRIMARY KEY, cents INTEGER NOT NULL) STRICT;
      CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL, epoch INTEGER NOT NULL) STRICT;
      INSERT INTO progress VALUES (1, -1, 0);
    `)
    const progress = db.prepare("SELECT last, epoch FROM progress")
    const advance = db.prepare("UPDATE progress SET last = ?, epoch = ?")
    const add = db.prepare(
      "INSERT INTO balance VALUES (?, ?) ON CONFLICT DO UPDATE SET cents = cents + excluded.cents"
    )
    const stored = () => progress.get() as { readonly last: bigint; readonly epoch: bigint }

    return {
      last: Effect.sync(() => stored().last),
      balances: Effect.sync(() =>
        db.prepare("SELECT account, cents FROM balance ORDER BY account").all().map(({ account, cents }) => ({
          account: String(account),
          cents: Number(cents)
        }))
      ),
      apply: ({ epoch, first, last: through, values }) =>
        Effect.suspend(() => {
          db.exec("BEGIN IMMEDIATE")
          try {
            const { epoch: newest, last } = stored()
            if (epoch < newest) {
              db.exec("ROLLBACK")
              return Effect.fail(new Fenced({ epoch }))
            }
            // What the sink has already is skipped, also where only a part of the batch is.
            const fresh = values.slice(Math.max(0, Number(last - first + 1n)))
            for (const { account, cents } of fresh) add.run(account, cents)
            advance.run(through > last ? through : last, epoch)
            db.exec("COMMIT")
            return Effect.succeed(fresh.length)
          } catch (cause) {
            db.exec("ROLLBACK")
            return Effect.die(cause)
          }
        })
    }
  })
)

// The second batch is in the ledger when its handler dies: nobody acknowledges it, and it is handed out again.
let dies = true
const Booking = Layer.unwrap(Effect.gen(function*() {
  const ledger = yield* Ledger
  return Collector.layer(Payment, {
    name: "booking",
    group: "ledger",
    from: { sequence: (yield* ledger.last) + 1n },
    batch: { max: 2 },
    maxInFlight: 1,
    order: "strict",
    retry: Schedule.spaced("10 millis"),
    handle: (batch) =>
      Effect.gen(function*() {
        const fresh = yield* ledger.apply(batch)
        yield* Console.log(`${batch.first}..${batch.last}, attempt ${batch.attempt}: ${fresh} booked`)
        if (batch.first === 2n && dies) {
          dies = false
          return yield* Effect.die("the power is gone before the acknowledgement")
        }
      })
  })
}))

const Payments = Source.layer(Payment, {
  name: "payments",
  stream: Stream.make(
    { account: "Ada", cents: 1_000 },
    { account: "Grace", cents: 250 },
    { account: "Ada", cents: -300 },
    { account: "Grace", cents: 50 },
    { account: "Ada", cents: 7 },
    { account: "Edsger", cents: 42 }
  )
})

const App = Topology.layer(Layer.mergeAll(Payments, Booking), { onShutdown: () => Effect.void }).pipe(
  Layer.provide(Payment.layerLog(Log.memory())),
  Layer.provideMerge(SqliteLedger),
  Layer.provide(Logger.layer([]))
)

const program = Effect.gen(function*() {
  const { awaitDone } = yield* Topology.Topology
  yield* awaitDone
  const { balances } = yield* Ledger
  for (const { account, cents } of yield* balances) yield* Console.log(`${account}: ${cents} cents`)
})

NodeRuntime.runMain(Effect.provide(program, App))
