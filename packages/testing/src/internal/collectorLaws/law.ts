/** Laws of collectors: what they run over, and on which clock they are checked. */
import { type Collector, type Log, Record } from "@sluice/core"
import type { Assembly } from "@sluice/core/Component"
import { type Effect, type Layer, Schema, type Scope } from "effect"
import { LawBroken, type LawOptions, type LawOver, timedLaw, type Timing } from "../law.ts"

export { LawBroken }

/** What is collected. */
export class Value extends Record.Service<Value>()("@sluice/testing/CollectorLaws/Value", {
  schema: Schema.Finite,
  writers: "many"
}) {}
/** Where dead letters go: one at a time, so that a letter waits until the one before it was read. */
export class Parked extends Record.Service<Parked>()("@sluice/testing/CollectorLaws/Parked", {
  schema: Schema.Finite,
  writers: "many",
  buffer: { kind: "Bounded", capacity: 1 }
}) {}

type Letters = Collector.DeadLetterOption<Parked, typeof Parked.key, number>
export type CollectOptions = Collector.CollectorOptions & { readonly deadLetter: Letters }
export type HandleOptions = CollectOptions & {
  readonly name: string
  readonly concurrency?: number
  readonly handle: (batch: Collector.Batch<number>) => Effect.Effect<void>
}

/** What the laws run over: collectors on an engine's logs. */
export interface Subject extends Timing {
  readonly name: string
  readonly promises: { readonly durability: Log.Durability }
  /** A new backing, whose log has nothing in it. */
  readonly backing: () => Log.LogBacking
  readonly make: (
    options: CollectOptions
  ) => Effect.Effect<
    Collector.Collector<number>,
    Log.LogFailed | Record.WriterConflict,
    Value | Log.LogOf<Value> | Parked | Scope.Scope
  >
  readonly layer: (
    options: HandleOptions
  ) => Layer.Layer<never, Log.LogFailed, Value | Log.LogOf<Value> | Parked | Assembly>
}

/** One guarantee. */
export interface Law extends LawOver<Subject> {}

export const law = (
  name: string,
  options: Omit<LawOptions<Subject>, "applies"> & Partial<Pick<LawOptions<Subject>, "applies">>
): Law => timedLaw<Subject>(name, { applies: () => true, ...options })
