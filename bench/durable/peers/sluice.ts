/** Ours, as a user has it: a record on a log in a journal, with all defaults but what a case is about. */
import { type Engine, Log, Record } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Context, Effect, Layer, type Scope } from "effect"
import type { WrongDelivery } from "../../workload.ts"
import { inFlight, Item, type Item as Value, itemsOf, type Store } from "../ground.ts"

export class Items extends Record.Service<Items>()("bench/Items", { schema: Item }) {}
/** Another record of the same values. */
export const recordOf = (key: string): typeof Items => Record.Service<Items>()(key, { schema: Item }) as typeof Items

export const journal = (directory: string, options?: Omit<Journal.JournalOptions, "directory">) =>
  Effect.map(
    Effect.orDie(Layer.build(Journal.layer({ directory, ...options }))),
    (context) => Context.get(context, Journal.Journal)
  )
type Opened = Effect.Success<ReturnType<typeof journal>>

const backing = (retention: DiskLog.Retention | undefined) =>
  DiskLog.backing(retention === undefined ? {} : { retention })

/** The record, and what stores a value of it. */
export const open = (opened: Opened, record = Items, retention?: DiskLog.Retention) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      record.layerLog(backing(retention)).pipe(Layer.provide(Layer.succeed(Journal.Journal, opened)))
    )
    const { producer } = Context.get(context, record)
    const { produceAsync } = yield* producer("bench")
    const store: Store = produceAsync
    return { context, store }
  }).pipe(Effect.orDie)

/**
 * Stores values until the journal writes to files whose blocks are there, as it does all its life but for its beginning, and
 * has tidied up behind that.
 */
export const settled = (opened: Opened, store: Store): Effect.Effect<void, WrongDelivery> => {
  const items = itemsOf(1000, 100)
  return Effect.repeat(inFlight(store, items, 100), { until: () => opened.stats().rollovers > 1 }).pipe(
    Effect.andThen(Effect.sleep("100 millis"))
  )
}

/** The log alone, to be read. */
export const logOf = (
  opened: Opened,
  retention?: DiskLog.Retention
): Effect.Effect<Log.Log<Value>, never, Scope.Scope> =>
  backing(retention).make(Items).pipe(
    Effect.provideService(Journal.Journal, opened),
    Effect.orDie
  )

/** What is under the log, to be read as bytes. */
export const engineOf = (opened: Opened): Effect.Effect<Engine.Engine, never, Scope.Scope> =>
  opened.engine({
    key: Items.key,
    version: 0,
    limits: { count: Infinity, bytes: Infinity, age: Infinity, keepsUnacknowledged: true },
    groupIdleTimeout: Infinity
  })
