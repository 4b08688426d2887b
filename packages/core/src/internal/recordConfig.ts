/**
 * A record's buffer from configuration, leaf by leaf: path `["records", key, field]`, else the single name
 * `RECORDS_<KEY>_<FIELD>`. Environment providers split names on `_`, so a struct at the path would never be found.
 */
import { Config, ConfigProvider, Effect, Option, Schema, type Scope, String as Str } from "effect"
import type { BufferConfig } from "../Buffer.ts"

const fields = ["kind", "capacity", "strategy"] as const
type Field = typeof fields[number]
const strategies = ["suspend", "dropping", "sliding"] as const
const kinds = ["SpmcRing", "SingleLatest", "Mailbox", "Bounded", "Queue", "PubSub"] as const

/**
 * `plant/HotReading`, `kind` → `RECORDS_PLANT_HOT_READING_KIND`. What is not ASCII is named by its code point, so that other
 * keys have other names: `Öl`, `kind` → `RECORDS_U00D6_L_KIND`.
 */
export const variableOf = (key: string, field: Field): string => `${stemOf(key)}_${field.toUpperCase()}`
const stemOf = (key: string): string =>
  ["RECORDS", ...key.split(/([^\0-\x7f])/u).map(nameOf)].filter((part) => part !== "").join("_")
/** Of a character that is not ASCII, or of what stands between two of them. */
const nameOf = (part: string): string =>
  /[^\0-\x7f]/.test(part)
    ? `U${part.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`
    : Str.constantCase(part)

/** What the configuration says of a record: one of our kinds, or the name of a backing of the application's. */
export type Chosen = { readonly config: BufferConfig } | { readonly backing: string }

export const chosenBuffer = (
  key: string,
  definition: BufferConfig,
  backings: ReadonlyArray<string>
): Effect.Effect<Chosen, Config.ConfigError, Scope.Scope> =>
  Effect.gen(function*() {
    yield* reserve(key)
    const { capacity: capacityText, kind: kindText, strategy: strategyText } = yield* leaves(key)
    const refuse = (field: Field, expected: string, got: string | undefined) =>
      Effect.fail(configError(
        `record "${key}": ${variableOf(key, field)} (or records.${key}.${field}) ${expected}, got ${
          JSON.stringify(got)
        }`
      ))

    const kind = kindText ?? definition.kind
    if (backings.includes(kind)) {
      for (const [field, text] of [["capacity", capacityText], ["strategy", strategyText]] as const) {
        if (text !== undefined) {
          return yield* refuse(field, `does not apply to the backing "${kind}", which is set up in code`, text)
        }
      }
      return { backing: kind }
    }
    if (!isOneOf(kinds, kind)) {
      return yield* refuse("kind", `must be one of ${[...kinds, ...backings].join(", ")}`, kind)
    }
    const takesCapacity = kind !== "SingleLatest" && kind !== "Mailbox"
    if (capacityText !== undefined && !takesCapacity) {
      return yield* refuse("capacity", `does not apply: a ${kind} holds one value`, capacityText)
    }
    const capacity = capacityText === undefined
      ? "capacity" in definition ? definition.capacity : 1024
      : Number(capacityText)
    if (!Number.isInteger(capacity) || capacity < 1) {
      return yield* refuse("capacity", "must be a positive integer", capacityText)
    }
    const takesStrategy = kind === "Queue" || kind === "PubSub"
    if (strategyText !== undefined && !takesStrategy) {
      return yield* refuse("strategy", `applies to Queue and PubSub, not to a ${kind}`, strategyText)
    }
    const strategy = strategyText ?? ("strategy" in definition ? definition.strategy : "suspend")
    if (!isOneOf(strategies, strategy)) {
      return yield* refuse("strategy", `must be one of ${strategies.join(", ")}`, strategyText)
    }
    return {
      config: takesStrategy ? { kind, capacity, strategy } : takesCapacity ? { kind, capacity } : { kind }
    }
  })

/** Names under RECORDS_ in the configuration that no record has read: misspelt, or of a record that reads no config. */
export const unreadVariables: Effect.Effect<ReadonlyArray<string>> = Effect.gen(function*() {
  const provider = yield* ConfigProvider.ConfigProvider
  const { known } = namesOf(provider)
  const unread: Array<string> = []
  const walk = (path: ReadonlyArray<string>): Effect.Effect<void, ConfigProvider.SourceError> =>
    Effect.flatMap(provider.load(path), (node) => {
      if (node === undefined) return Effect.void
      const name = path.join("_")
      if (node.value !== undefined && path.length > 1 && !known.has(name)) unread.push(name)
      if (node._tag === "Value") return Effect.void
      const children = node._tag === "Record"
        ? [...node.keys]
        : Array.from({ length: node.length }, (_, i) => String(i))
      return Effect.forEach(children, (child) => walk([...path, child]), { discard: true })
    })
  yield* Effect.ignore(walk(["RECORDS"]))
  return unread
})

interface Names {
  /** Keys of the records that read this configuration now, by the stem of their variables. */
  readonly owners: Map<string, { readonly key: string; uses: number }>
  /** Every variable that a record has looked for. */
  readonly known: Set<string>
}
const names = new WeakMap<ConfigProvider.ConfigProvider, Names>()
const namesOf = (provider: ConfigProvider.ConfigProvider): Names => {
  let found = names.get(provider)
  if (found === undefined) names.set(provider, found = { owners: new Map(), known: new Set() })
  return found
}

/** Two records of which one variable would speak are refused. */
const reserve = (key: string): Effect.Effect<void, Config.ConfigError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const { known, owners } = namesOf(yield* ConfigProvider.ConfigProvider)
      const stem = stemOf(key)
      const owner = owners.get(stem) ?? { key, uses: 0 }
      if (owner.key !== key) {
        return yield* Effect.fail(configError(
          `records "${owner.key}" and "${key}" would both be configured by ${stem}_KIND: rename one of them, or give one `
            + `of them its buffer in code with \`layer\` or \`layerBuffer\``
        ))
      }
      owner.uses++
      owners.set(stem, owner)
      for (const field of fields) known.add(variableOf(key, field))
      return { owners, stem, owner }
    }),
    ({ owner, owners, stem }) => Effect.sync(() => --owner.uses === 0 && owners.delete(stem))
  )

const leaves = (key: string) =>
  Config.all({ kind: leaf(key, "kind"), capacity: leaf(key, "capacity"), strategy: leaf(key, "strategy") })

const leaf = (key: string, field: Field) =>
  Config.schema(Schema.String, ["records", key, field]).pipe(
    Config.orElse(() => Config.schema(Schema.String, variableOf(key, field))),
    Config.option,
    Config.map(Option.getOrUndefined)
  )

const configError = (message: string) => new Config.ConfigError(new ConfigProvider.SourceError({ message }))

const isOneOf = <const L extends ReadonlyArray<string>>(literals: L, text: string): text is L[number] =>
  literals.includes(text)
