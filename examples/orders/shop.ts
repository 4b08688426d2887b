/**
 * Takes orders over HTTP. 202 is a promise: the order is on the medium. Everything else says whether it is worth another
 * try: 400 and 413 are not, 503 is. A customer that got no answer sends the order again.
 */
import { Topology } from "@sluice/core"
import { ByteSize, Cause, type Duration, Effect, Layer, type Schema } from "effect"
import {
  HttpIncomingMessage,
  HttpRouter,
  type HttpServerError,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { Order, Orders } from "./records.ts"

export const bodyMax = ByteSize.kibibytes(16)

/** Claims the orders. `patience` is how long an order waits for room in the record before it is refused. */
export const routes = (options: { readonly patience: Duration.Input }) =>
  HttpRouter.use((router) =>
    Effect.gen(function*() {
      const { producer } = yield* Orders
      const orders = yield* producer("shop")
      const take = (order: Order) =>
        orders.produceAsync(order).pipe(
          Effect.as(answer(202, { id: order.id })),
          Effect.timeoutOrElse({
            duration: options.patience,
            // It may be stored all the same: the customer sends it again, with the same id.
            orElse: () => Effect.succeed(unavailable("the shop has more orders than it can hold"))
          }),
          Effect.catchTags({
            BufferClosed: () => Effect.succeed(unavailable("the shop is closing")),
            BufferFailed: ({ cause }) =>
              Effect.as(
                Effect.logError(`order ${order.id} could not be stored`, Cause.fail(cause)),
                unavailable("the order could not be stored")
              )
          })
        )
      yield* router.add(
        "POST",
        "/orders",
        HttpServerRequest.schemaBodyJson(Order).pipe(
          Effect.provideService(HttpIncomingMessage.MaxBodySize, bodyMax),
          Effect.matchEffect({ onFailure: (error) => Effect.succeed(malformed(error)), onSuccess: take })
        )
      )
    })
  )

/** How many orders wait to be shipped. */
export const status = HttpRouter.add(
  "GET",
  "/",
  Effect.gen(function*() {
    const { snapshot } = yield* Topology.Topology
    const { readers } = yield* snapshot
    const waiting = readers.find(({ record }) => record === Orders.key)?.pending ?? 0
    return answer(200, { waiting })
  })
)

export const layer = Layer.merge(routes({ patience: "5 seconds" }), status)

const answer = (status: number, body: { readonly [name: string]: string | number }) =>
  HttpServerResponse.jsonUnsafe(body, { status })

const unavailable = (error: string) =>
  HttpServerResponse.setHeader(answer(503, { error: `${error}: send the order again` }), "retry-after", "1")

const malformed = (error: HttpServerError.HttpServerError | Schema.SchemaError) => {
  if (error._tag === "SchemaError") return answer(400, { error: error.message })
  return error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
    ? answer(413, { error: `an order takes at most ${bodyMax} bytes` })
    : answer(400, { error: "the body is not JSON" })
}
