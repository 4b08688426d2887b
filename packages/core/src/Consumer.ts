/** A component that handles the values of a record: one at a time, all that are ready at once, or by a plain function. */
import { type Array, Effect, type Layer } from "effect"
import {
  type Assembly,
  type Emits,
  type EmitsSelf,
  type Emitter,
  type Handled,
  Interceptor,
  type Reads
} from "./Component.ts"
import { declare, emitterOf } from "./internal/component.ts"
import { HandlerLoop } from "./internal/handlerLoop.ts"
import type { RecordClass } from "./Record.ts"

export type { Emits, Emitter } from "./Component.ts"

/**
 * One of `handle`, `handleBatch` and `handleUnsafe`. A handler that fails or dies costs the value or batch it held,
 * counted as abandoned, and nothing else: it runs again by `restart`, with the same reader.
 */
export const layer: {
  <Self, Key extends string, A, H extends AnyHandled, const M extends Emits = {}>(
    record: RecordClass<Self, Key, A>,
    options: Reads & {
      /** Records that the handler writes; `emit` has their producers. Two names of one record have the same. */
      readonly emits?: M
      /** It may fail with anything, also with different things. */
      readonly handle: (value: A, emit: Emitter<M>) => H
      /** How many values are handled at once; order is kept at 1, the default. */
      readonly concurrency?: number
    }
  ): Layer.Layer<never, never, Self | Assembly | Handled<Effect.Services<H>> | EmitsSelf<M>>
  <Self, Key extends string, A, H extends AnyHandled, const M extends Emits = {}>(
    record: RecordClass<Self, Key, A>,
    options: Reads & {
      readonly emits?: M
      /** All that is ready at once; a failure costs the whole batch. */
      readonly handleBatch: (values: Array.NonEmptyReadonlyArray<A>, emit: Emitter<M>) => H
      /** The largest batch, in values. Default 256. */
      readonly batchMax?: number
    }
  ): Layer.Layer<never, never, Self | Assembly | Handled<Effect.Services<H>> | EmitsSelf<M>>
  <Self, Key extends string, A>(
    record: RecordClass<Self, Key, A>,
    options: Reads & {
      /** A plain function: the fastest handler there is. It must not return an Effect, which would never run. */
      readonly handleUnsafe: (value: A) => undefined
    }
  ): Layer.Layer<never, never, Self | Assembly>
} = (record: RecordClass.Any, options: Options): Layer.Layer<never, never, any> => {
  const emits = options.emits ?? {}
  const batchMax = options.batchMax ?? 256
  if (!Number.isInteger(batchMax) || batchMax < 1) {
    throw new RangeError(`consumer "${options.name}": \`batchMax\` must be a positive integer, got ${batchMax}`)
  }
  return declare({
    ...options,
    kind: "Consumer",
    reads: [record],
    writes: Object.values(emits),
    slots: options.concurrency ?? 1,
    attempt: (running, slot) => {
      const input = running.inputs[0]!
      const emit = emitterOf(emits, running)
      const { handle, handleBatch, handleUnsafe } = options
      const loop = handleBatch !== undefined
        ? new HandlerLoop(slot, input, "handleBatch", (values) => handleBatch(values as any, emit), batchMax)
        : handleUnsafe !== undefined
        ? new HandlerLoop(slot, input, "handleUnsafe", handleUnsafe, 0)
        : new HandlerLoop(slot, input, "handle", (value) => handle!(value, emit), 0)
      return Effect.flatMap(Interceptor, (intercept) => loop.run(intercept))
    }
  })
}

/** What a handler answers with. */
type AnyHandled = Effect.Effect<void, unknown, any>

interface Options extends Reads {
  readonly emits?: Emits
  readonly handle?: (value: unknown, emit: any) => Effect.Effect<void, unknown, any>
  readonly handleBatch?: (values: Array.NonEmptyReadonlyArray<unknown>, emit: any) => Effect.Effect<void, unknown, any>
  readonly handleUnsafe?: (value: unknown) => undefined
  readonly batchMax?: number
  readonly concurrency?: number
}
