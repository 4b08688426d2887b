/**
 * What all components have in common: they are Layers that declare themselves to the topology being put together, are
 * supervised by it, and give their types to handlers. `Source`, `Consumer` and `Transform` are the components.
 */
import { type Array, Context, type Effect, type Schedule, type Scope } from "effect"
import type { Producer } from "./Producer.ts"
import type { Lagged } from "./Reader.ts"
import type { RecordClass } from "./Record.ts"

/**
 * The topology while it is put together: what a component's Layer asks for and only `Topology.layer` gives, so that a
 * component cannot be added, in vain, to a topology that already runs.
 */
export class Assembly extends Context.Service<Assembly, { readonly "~@sluice/core/Assembly": never }>()(
  "@sluice/core/Assembly"
) {}

/** Records that a handler writes, by the name it calls them. */
export type Emits = { readonly [name: string]: RecordClass.Any }
/** The producers of those records, claimed for the component. */
export type Emitter<M extends Emits> = { readonly [K in keyof M]: Producer<RecordClass.Value<M[K]>> }
export type EmitsSelf<M extends Emits> = RecordClass.Self<M[keyof M]>

/** A handler that needs a Scope would hold what it opens until shutdown: wrap it in `Effect.scoped`. */
export interface UnscopedHandler {
  readonly "~@sluice/core/UnscopedHandler": never
}
/** What a component needs for its handler. */
export type Handled<R> =
  | Exclude<R, Scope.Scope>
  | ([Extract<R, Scope.Scope>] extends [never] ? never : UnscopedHandler)

/** What a component is about to handle: one value, or a batch. */
export interface Handling {
  readonly component: string
  readonly record: string
  readonly values: Array.NonEmptyReadonlyArray<unknown>
  /** Which of the component's slots, from 0. */
  readonly slot: number
  /** Which run of the slot, from 1: a restart makes it one more. */
  readonly attempt: number
}
/**
 * Stands around every handling of every component: a consumer's handler, a source's `produceAsync`, and the moment at
 * which a transform's stream gets a value. It may delay, fail or replace `handle`. For tests: see `Probe` in
 * `@sluice/testing`. Read from the context that a component's Layer is built with; by default there is none, and it
 * costs nothing.
 */
export interface Intercept {
  (handling: Handling, handle: Effect.Effect<void, unknown, any>): Effect.Effect<void, unknown, any>
}
export const Interceptor: Context.Reference<Intercept | undefined> = Context.Reference<Intercept | undefined>(
  "@sluice/core/Interceptor",
  { defaultValue: () => undefined }
)

export interface Supervised {
  /** Unique in the topology: it names the component in claims, logs, snapshots and reports. */
  readonly name: string
  /**
   * How long to wait before the component runs again after a failure or a defect. It starts anew once a value has been
   * handled since the last failure; when it ends, the component has failed for good. Default: exponential from 100 ms,
   * capped at 30 s, with jitter, without end.
   */
  readonly restart?: Schedule.Schedule<unknown, unknown>
}
export interface Reads extends Supervised {
  /** Told each time the component's reader has fallen behind, besides the count and a warning at most once a second. */
  readonly onLag?: (lagged: Lagged) => Effect.Effect<void>
}
