/** Metrics that are read on demand: an exporter reads the statistics themselves, and nothing is updated meanwhile. */
import { Context, Effect, Metric, type Scope } from "effect"

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

const taken = new WeakMap<object, Map<string, Set<number>>>()
/**
 * A number from 1 that nobody else has for `name` in the same registry of metrics while the scope is open: a second series
 * of one name and attributes would hide the first.
 */
export const numberOf = (name: string): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) => {
        const registry = Context.get(context, Metric.MetricRegistry)
        let names = taken.get(registry)
        if (names === undefined) taken.set(registry, names = new Map())
        let numbers = names.get(name)
        if (numbers === undefined) names.set(name, numbers = new Set())
        let number = 1
        while (numbers.has(number)) number++
        numbers.add(number)
        return { names, numbers, number }
      }),
      ({ names, number, numbers }) =>
        Effect.sync(() => {
          numbers.delete(number)
          if (numbers.size === 0 && names.get(name) === numbers) names.delete(name)
        })
    ),
    ({ number }) => number
  )
