/**
 * How to put a log on a store of one's own: an `Engine` keeps bytes, and `make` builds the whole contract of a `Log` from
 * it: encoding, waiting for room, readers, waiting at the head. `LogLaws` of `@sluice/testing` say whether it holds.
 *
 * `inBackground` is for what an engine does beside being called, such as to expire and to poll; `render` makes a message of
 * whatever it was failed with.
 *
 * An engine with one writer process keeps its groups in a `GroupTable`, which decides who holds what; how it stores the
 * table is the engine's own.
 */
import { Effect, type Scope } from "effect"
import type { RecordInfo } from "./Buffer.ts"
import { assertPositive } from "./internal/capacity.ts"
import type { Engine } from "./internal/engine.ts"
import { makeLog } from "./internal/engineLog.ts"
import { render as renderUnknown } from "./internal/render.ts"
import { inBackground as runInBackground } from "./internal/worker.ts"
import type { Log, LogFailed } from "./Log.ts"

export { type Codec, codecOf } from "./internal/codec.ts"
export type { Engine, Stored } from "./internal/engine.ts"
export { type Committed, type GroupState, GroupTable, type Hold, type Listed } from "./internal/groupTable.ts"
export type { Place } from "./internal/logState.ts"

/**
 * The log of a record over an engine, until the scope closes: what the `make` of a `LogBacking` answers with. Closing the
 * log closes the engine; the scope does not, it only ends what readers still ask for. It fails where the newest value
 * cannot be read, so that `latest` has it from the start.
 *
 * `produceAsync` returns once its value is as durable as the engine says; interrupted while the engine has it, the value
 * may be stored all the same. The other verbs return once the engine has taken the value: what it then fails to store is
 * counted in `failed`, no longer in `produced`, and told in the log, at most once a second. A value that does not fit its schema fails
 * `produceAsync` with `BufferFailed`, makes `tryProduce` die and `produceUnsafe` throw, and is counted and told by
 * `produce`.
 *
 * Readers that keep up get the values as they were produced. One that is further behind than `tailMax`, by default 1024,
 * gets them as they were stored, `readMax` at a time, by default 256; its `tryRecv` then waits for the engine. While the
 * engine cannot read it waits, and tries again for as long as it takes. A value that does not decode is passed over,
 * counted among those that the reader missed, and told in the log.
 */
export const make = <A>(
  record: RecordInfo<A>,
  engine: Engine,
  options?: { readonly tailMax?: number; readonly readMax?: number }
): Effect.Effect<Log<A>, LogFailed, Scope.Scope> =>
  Effect.suspend(() => {
    const { readMax = 256, tailMax = 1024 } = options ?? {}
    assertPositive(`record "${record.key}"`, "tailMax", tailMax)
    assertPositive(`record "${record.key}"`, "readMax", readMax)
    return makeLog(record, engine, { tailMax, readMax })
  })

/**
 * Runs `work` beside everything else until the scope closes, which interrupts it and does not wait for it. It ends by
 * returning. Anything else (a defect, a failure, an interrupt from within) is told in the log, with `what` as its subject,
 * and it is begun anew, after a second.
 */
export const inBackground: (
  what: string,
  work: Effect.Effect<void, unknown>
) => Effect.Effect<void, never, Scope.Scope> = runInBackground

/**
 * Whatever a call failed with as a text for a message: as `String` would, an object without a text of its own as JSON. It
 * never throws, whatever the value does where it is looked at.
 */
export const render: (value: unknown) => string = renderUnknown
