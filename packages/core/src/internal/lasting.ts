/** What is taken from the context that something is built in, for work that goes on after the build. */
import { Context, Effect, Layer, Scope, Tracer } from "effect"

/**
 * The services and references of the build. Not its scope: what a handler opened in it would stay open until shutdown. Nor
 * the span that the application was built in: it is over, or never will be, and nothing of the work is called under it.
 */
export const lastingContext: Effect.Effect<Context.Context<never>> = Effect.map(
  Effect.context<Scope.Scope | Tracer.ParentSpan | Layer.CurrentMemoMap>() as Effect.Effect<
    Context.Context<Scope.Scope | Tracer.ParentSpan | Layer.CurrentMemoMap>
  >,
  Context.omit(Scope.Scope, Tracer.ParentSpan, Layer.CurrentMemoMap)
)

/** With `context`, and nothing of that of whoever runs it. */
export const goingBy = <A, E>(context: Context.Context<never>, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.updateContext<A, E, never, never>(effect, () => context)
