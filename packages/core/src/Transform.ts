/** A component that reads records as Streams and writes another: everything that Stream can do, supervised. */
import { Cause, Effect, Exit, type Layer, Stream } from "effect"
import {
  type Assembly,
  type Emits,
  type EmitsSelf,
  type Handled,
  type Intercept,
  Interceptor,
  type Reads
} from "./Component.ts"
import { streamOf } from "./internal/answer.ts"
import { declare, endWhenClosed, type Input, type Slot } from "./internal/component.ts"
import { Empty, Ended, Overrun } from "./internal/cursor.ts"
import { closedOf } from "./internal/reader.ts"
import { step } from "./internal/step.ts"
import type { RecordClass } from "./Record.ts"

/**
 * One input, or an object of inputs for a join. The output is written with `produceAsync`. The input gives one value at
 * a time, so that a failure costs the value at work; asking for the next one counts the last as handled. Operators with
 * a timer, such as `Stream.groupedWithin`, are slow on single values: put `Stream.buffer({ capacity })` before them, and
 * what is in that buffer counts as handled. When the inputs have ended and the output with them, the component is Done.
 *
 * A record is read once: an input that is run a second time in the same attempt (by merging two halves of it, or by
 * `Stream.retry`) is refused, and the component fails and says so. `Stream.broadcast` gives one run to several; `restart`
 * runs the whole again.
 */
export const layer: {
  <S1, K1 extends string, A, S2, K2 extends string, B, T extends Stream.Stream<NoInfer<B>, unknown, any>>(
    options: Reads & {
      readonly from: RecordClass<S1, K1, A>
      readonly to: RecordClass<S2, K2, B>
      readonly through: (values: Stream.Stream<A>) => T
    }
  ): Layer.Layer<never, never, S1 | S2 | Assembly | Handled<Stream.Services<T>>>
  <const F extends Emits, S2, K2 extends string, B, T extends Stream.Stream<NoInfer<B>, unknown, any>>(
    options: Reads & {
      readonly from: F
      readonly to: RecordClass<S2, K2, B>
      readonly through: (values: { readonly [K in keyof F]: Stream.Stream<RecordClass.Value<F[K]>> }) => T
    }
  ): Layer.Layer<never, never, EmitsSelf<F> | S2 | Assembly | Handled<Stream.Services<T>>>
} = (options: Options): Layer.Layer<never, never, any> => {
  const single = isRecord(options.from)
  const from: Emits = isRecord(options.from) ? { only: options.from } : options.from
  const names = Object.keys(from)
  return declare({
    ...options,
    kind: "Transform",
    reads: Object.values(from),
    ...(!single && { inputs: names }),
    writes: [options.to],
    attempt: Effect.fnUntraced(function*(running, slot) {
      const intercept = yield* Interceptor
      const streams = running.inputs.map((input) => inputOf(input, slot, intercept))
      const through = options.through(
        single ? streams[0] : Object.fromEntries(names.map((name, index) => [name, streams[index]]))
      )
      const output = streamOf(`component "${options.name}": \`through\``, through)
      yield* endWhenClosed(Stream.runForEach(output, running.claims[0]!.produceAsync), running, slot)
    })
  })
}

/** The input as a Stream that can be run once. */
const inputOf = (input: Input, slot: Slot, intercept: Intercept | undefined): Stream.Stream<unknown, unknown, any> => {
  let isRun = false
  return Stream.fromPull(Effect.suspend(() => {
    if (isRun) {
      return Effect.die(
        new Error(
          `transform "${slot.component}": its input of record "${input.record.key}" is run a second time, and each value `
            + `would come to one of the two runs alone. Run it once, and give it to several with \`Stream.broadcast\``
        )
      )
    }
    isRun = true
    return Effect.succeed(pullOf(input, slot, intercept))
  }))
}

/** The input as a pull: the values that the stream has pulled and not yet gone on from are what the slot holds. */
const pullOf = (
  input: Input,
  slot: Slot,
  intercept: Intercept | undefined
): Effect.Effect<readonly [unknown], unknown, any> => {
  const { cursor, record } = input
  let holding = false
  const pull: Effect.Effect<readonly [unknown], unknown, any> = step(() => {
    if (holding) {
      holding = false
      slot.end(1)
    }
    const polled = cursor.poll()
    if (polled === Empty) {
      slot.idle()
      return cursor.wait(pull)
    }
    if (polled === Ended) {
      return cursor.failure === undefined ? Cause.done() : Exit.fail(closedOf(record.key, cursor))
    }
    if (polled === Overrun) return Effect.andThen(input.lagged(), pull)
    holding = true
    slot.begin(1)
    if (intercept === undefined) return Exit.succeed([polled] as const)
    return Effect.as(intercept(slot.handling(record.key, [polled]), Effect.void), [polled] as const)
  })
  return pull
}

const isRecord = (from: RecordClass.Any | Emits): from is RecordClass.Any => typeof from === "function"

interface Options extends Reads {
  readonly from: RecordClass.Any | Emits
  readonly to: RecordClass.Any
  readonly through: (values: any) => Stream.Stream<any, unknown, any>
}
