/** What an order is, and what becomes of one that nobody can ship: two records in one journal on disk. */
import { Record } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Layer, Schema } from "effect"
import { join } from "node:path"

const text = (lengthMax: number) => Schema.String.check(Schema.isNonEmpty(), Schema.isMaxLength(lengthMax))

export const Order = Schema.Struct({
  /** The customer's: an order that is sent again has the same, so that the carrier can tell. */
  id: text(64),
  item: text(200),
  quantity: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })),
  to: text(200)
})
export type Order = typeof Order.Type

export class Orders extends Record.Service<Orders>()("shop/Orders", { schema: Order }) {}

/** Dead letters. */
export class Refused extends Record.Service<Refused>()("shop/Refused", {
  schema: Schema.Struct({
    sequence: Schema.BigInt,
    attempts: Schema.Int,
    reason: Schema.String,
    /** As it was stored, for whoever looks into it. */
    order: Schema.String
  })
}) {}

/** The records share the journal, and so each flush of it. */
export const layer = (directory: string) =>
  Layer.merge(Orders.layerLog(DiskLog.backing()), Refused.layerLog(DiskLog.backing())).pipe(
    Layer.provide(Journal.layer({ directory: join(directory, "journal") }))
  )
