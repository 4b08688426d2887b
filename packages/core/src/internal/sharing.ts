/**
 * Layers are built once in a program, also where several topologies have them, and that is as it should be with the
 * services and records in them. A component is another matter: each topology has its own. So a layer in which components
 * declare themselves is built anew by each topology, once in each, and any other one is shared, as ever. Which it is shows
 * when it is built the first time.
 */
import { Context, Effect, Latch, Layer, type Scope } from "effect"

type AnyLayer = Layer.Layer<any, any, any>

/** Layers in which a component has declared itself. */
const declaring = new WeakSet<AnyLayer>()
/** Layers that have been built without a declaration. */
const plain = new WeakSet<AnyLayer>()
/** Layers that a topology is building for the first time: closed until it shows what they are. */
const learning = new WeakMap<AnyLayer, Latch.Latch>()
/** The program's own memo map behind each of those made here. */
const programs = new WeakMap<Layer.MemoMap, Layer.MemoMap>()

/** The layers of a topology within which something is being built, innermost first. */
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

/** Builds the components of a topology. Those of a topology among the layers of another one are its own. */
export const buildComponents = <A, E, R>(
  components: Layer.Layer<A, E, R>,
  memoMap: Layer.MemoMap,
  scope: Scope.Scope
): Effect.Effect<Context.Context<A>, E, R> =>
  Effect.provideService(
    Layer.buildWithMemoMap(components, sharingAllButComponents(programs.get(memoMap) ?? memoMap), scope),
    Within,
    undefined
  )

const sharingAllButComponents = (program: Layer.MemoMap): Layer.MemoMap => {
  const own = Layer.makeMemoMapUnsafe()
  /** Where this topology has built a layer: it finds it there again. */
  const builtIn = new Map<AnyLayer, Layer.MemoMap>()
  const getOrElseMemoize: Layer.MemoMap["getOrElseMemoize"] = (layer, scope, build) =>
    Effect.flatMap(Within, (outer) => {
      const memoized = (map: Layer.MemoMap) => {
        builtIn.set(layer, map)
        return map.getOrElseMemoize(
          layer,
          scope,
          (_, scope) => Effect.provideService(Effect.suspend(() => build(memoMap, scope)), Within, { layer, outer })
        )
      }
      const found: ReturnType<typeof build> = Effect.suspend(() => {
        const map = builtIn.get(layer) ?? (declaring.has(layer) ? own : plain.has(layer) ? program : undefined)
        if (map !== undefined) return memoized(map)
        const other = learning.get(layer)
        if (other !== undefined) return Effect.andThen(other.await, found)
        const latch = Latch.makeUnsafe(false)
        learning.set(layer, latch)
        return Effect.onExit(memoized(program), (exit) =>
          Effect.sync(() => {
            if (exit._tag === "Success" && !declaring.has(layer)) plain.add(layer)
            learning.delete(layer)
            latch.openUnsafe()
          }))
      })
      return found
    })
  const memoMap: Layer.MemoMap = Object.create(program, {
    get: { value: (layer: AnyLayer, scope: Scope.Scope) => own.get(layer, scope) ?? program.get(layer, scope) },
    getOrElseMemoize: { value: getOrElseMemoize }
  })
  programs.set(memoMap, program)
  return memoMap
}
