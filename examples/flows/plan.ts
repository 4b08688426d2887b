/** What a flow file says: steps with commands, and what each waits for. */
import type { Completion } from "@sluice/core"
import { Effect, FileSystem, Schema } from "effect"

const Id = Schema.String.check(Schema.isPattern(/^[\w.-]+$/, { message: "letters, digits, `_`, `-` and `.`" }))
const Ids = Schema.Array(Id)
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Group = Schema.Union([
  Schema.Struct({ allOf: Ids }),
  Schema.Struct({ anyOf: Ids }),
  Schema.Struct({ quorum: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), of: Ids })
])
const Common = {
  id: Id,
  /** Names of steps, all of which it waits for, and groups. Default: nothing, it runs at once. */
  needs: Schema.optionalKey(Schema.Array(Schema.Union([Id, Group]))),
  /** How often it runs again before it has failed. Default 0. */
  retries: Schema.optionalKey(Count),
  env: Schema.optionalKey(Schema.Record(Schema.String, Schema.String))
}
const Step = Schema.Union([
  /** A command and its arguments, run as they are. */
  Schema.Struct({ ...Common, run: Schema.NonEmptyArray(Schema.String) }),
  /** A line for `/bin/sh`. */
  Schema.Struct({ ...Common, shell: Schema.NonEmptyString })
])
export type Step = typeof Step.Type
const Flow = Schema.Struct({ name: Id, steps: Schema.NonEmptyArray(Step) })
export type Flow = typeof Flow.Type

export class FlowInvalid extends Schema.TaggedError<FlowInvalid>()("FlowInvalid", {
  file: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `${this.file}: ${this.detail}`
  }
}

/** Steps in an order in which each comes after what it waits for. */
export const read = Effect.fn("plan.read")(function*(file: string) {
  const invalid = (detail: string) => new FlowInvalid({ file, detail })
  const files = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(files.readFileString(file), () => invalid("it cannot be read"))
  const flow = yield* Effect.mapError(
    Schema.decodeEffect(Schema.fromJsonString(Flow))(text, { onExcessProperty: "error" }),
    (error) => invalid(error.message)
  )
  const steps = new Map(flow.steps.map((step) => [step.id, step]))
  if (steps.size < flow.steps.length) return yield* invalid("two steps have the same id")
  for (const { id, ...step } of flow.steps) {
    for (const group of groupsOf(step)) {
      const unknown = group.upstreams.find((upstream) => !steps.has(upstream))
      if (unknown !== undefined) {
        return yield* invalid(`step "${id}" needs "${unknown}", which is no step of the flow`)
      }
      if (new Set(group.upstreams).size < group.upstreams.length) {
        return yield* invalid(`step "${id}" needs the same step twice in one group`)
      }
    }
  }
  const ordered = new Map<string, Step>()
  while (ordered.size < steps.size) {
    const next = flow.steps.filter((step) =>
      !ordered.has(step.id) && groupsOf(step).every(({ upstreams }) => upstreams.every((id) => ordered.has(id)))
    )
    if (next.length === 0) {
      const rest = flow.steps.filter(({ id }) => !ordered.has(id)).map(({ id }) => id)
      return yield* invalid(`these steps wait for each other, or for ones that do: ${rest.join(", ")}`)
    }
    for (const step of next) ordered.set(step.id, step)
  }
  return { name: flow.name, steps: ordered } satisfies Plan
})
export interface Plan {
  readonly name: string
  readonly steps: ReadonlyMap<string, Step>
}

/** What a step waits for, as the store has it. */
export const groupsOf = ({ needs = [] }: Pick<Step, "needs">): ReadonlyArray<Completion.EdgeGroup> => {
  const single = needs.filter((need) => typeof need === "string")
  const groups = needs.filter((need) => typeof need !== "string").map((group): Completion.EdgeGroup =>
    "allOf" in group
      ? { policy: "allOf", upstreams: group.allOf }
      : "anyOf" in group
      ? { policy: "anyOf", upstreams: group.anyOf }
      : { policy: { quorum: group.quorum }, upstreams: group.of }
  )
  return single.length === 0 ? groups : [{ policy: "allOf", upstreams: single }, ...groups]
}
