/**
 * Layers are built once in a program, also where several topologies have them, and that is as it should be with the
 * services and records in them. A component is another matter: each topology has its own. So a layer in which components
 * declare themselves is built anew by each topology, and any other one is shared, as ever. Which it is shows when it is
 * built the first time.
 */
import { Context, Effect, Latch, Layer } from "effect"

type AnyLayer = Layer.Layer<any, any, any>

/** Layers in which a component has declared itself. */
const declaring = new WeakSet<AnyLayer>()
/** Layers that a topology is building for the first time: closed until it shows what they are. */
const learning = new WeakMap<AnyLayer, Latch.Latch>()
/** Layers that have been built without a declaration. */
const plain = new WeakSet<AnyLayer>()

/** The layers within which something is being built, innermost first. */
interface Within {
  readonly layer: AnyLayer
  readonly outer: Within | undefined
}
const Within: Context.Reference<Within | undefined> = Context.Reference<Within | undefined>("@sluice/core/Within", {
  defaultValue: () => undefined
})

/** A component declares itself: all layers around it are its topology's own. */
export const declares: Effect.Effect<void> = Effect.map(Within, (within) => {
  for (let at = within; at !== undefined; at = at.outer) declaring.add(at.layer)
})

/** The memo map with which a topology builds its components. */
export const sharingAllButComponents = (shared: Layer.MemoMap): Layer.MemoMap => {
  const own = Layer.makeMemoMapUnsafe()
  const getOrElseMemoize: Layer.MemoMap["getOrElseMemoize"] = (layer, scope, build) =>
    Effect.flatMap(Within, (outer) => {
      const within = <A, E, R>(building: Effect.Effect<A, E, R>) =>
        Effect.provideService(building, Within, { layer, outer })
      const memoized = (map: Layer.MemoMap) =>
        map.getOrElseMemoize(layer, scope, (_, scope) => within(Effect.suspend(() => build(memoMap, scope))))
      const known = (): ReturnType<typeof build> | undefined =>
        declaring.has(layer) ? memoized(own) : plain.has(layer) ? memoized(shared) : undefined
      const learn: ReturnType<typeof build> = Effect.suspend(() => {
        const found = known()
        if (found !== undefined) return found
        const other = learning.get(layer)
        if (other !== undefined) return Effect.andThen(other.await, learn)
        const latch = Latch.makeUnsafe(false)
        learning.set(layer, latch)
        return Effect.onExit(memoized(shared), (exit) =>
          Effect.sync(() => {
            if (exit._tag === "Success" && !declaring.has(layer)) plain.add(layer)
            learning.delete(layer)
            latch.openUnsafe()
          }))
      })
      return learn
    })
  const memoMap: Layer.MemoMap = Object.create(shared, {
    get: { value: (layer: AnyLayer, scope: any) => own.get(layer, scope) ?? shared.get(layer, scope) },
    getOrElseMemoize: { value: getOrElseMemoize }
  })
  return memoMap
}
