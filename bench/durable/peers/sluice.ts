/** Ours, as a user has it: a record on a log in a journal, with all defaults but what a case is about. */
import { Log, Record } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Context, Effect, Layer, type Scope } from "effect"
import { Item, type Item as Value, type Store } from "../ground.ts"

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

/** The log alone, to be read. */
export const logOf = (
  opened: Opened,
  retention?: DiskLog.Retention
): Effect.Effect<Log.Log<Value>, never, Scope.Scope> =>
  backing(retention).make(Items).pipe(
    Effect.provideService(Journal.Journal, opened),
    Effect.orDie
  )
