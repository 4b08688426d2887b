/** Metrics that are read on demand: an exporter reads the statistics themselves, and nothing is updated meanwhile. */
import { Effect, Metric, type Scope } from "effect"

export type Attributes = { readonly [name: string]: string }
export type Register = (
  kind: "counter" | "gauge",
  name: string,
  help: string,
  attributes: Attributes,
  get: () => number
) => void

/** For the life of the scope. */
export const registering = (all: (register: Register) => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Effect.context<never>(), (context) =>
    Effect.asVoid(Effect.acquireRelease(
      Effect.sync(() => {
        const registrations: Array<Metric.Registration> = []
        all((kind, name, help, attributes, get) => {
          const options = { description: help, attributes }
          registrations.push(
            kind === "counter"
              ? Metric.registerUnsafe(Metric.counter(name, { ...options, incremental: true }), context, {
                ...unused,
                get: () => ({ count: get(), incremental: true })
              })
              : Metric.registerUnsafe(Metric.gauge(name, options), context, {
                ...unused,
                get: () => ({ value: get() })
              })
          )
        })
        return registrations
      }),
      (registrations) => Effect.sync(() => registrations.forEach(({ remove }) => remove()))
    )))

const unused = { update: () => {}, modify: () => {} }
