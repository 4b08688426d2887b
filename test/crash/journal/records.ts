/** What the process that is killed and the one that kills it both know: the records, their logs, and what a value says. */
import { Record } from "@sluice/core"
import { DiskLog, Journal } from "@sluice/disk"
import { Schema } from "effect"
import { crc32 } from "node:zlib"

export class Value extends Record.Service<Value>()("crash/Value", {
  schema: Schema.Struct({
    round: Schema.Int,
    producer: Schema.Int,
    /** From 0 in each round, by 1. */
    n: Schema.Int,
    /** Kills the process of whoever handles it. */
    isPoison: Schema.Boolean,
    fill: Schema.String,
    checksum: Schema.Int
  }),
  writers: "many"
}) {}
export type Told = typeof Value.schema.Type

export class Letter extends Record.Service<Letter>()("crash/Letter", {
  schema: Schema.Struct({ sequence: Schema.Int, attempts: Schema.Int }),
  writers: "many"
}) {}

export const kept = 3000
export const maxAttempts = 4
export const group = "handlers"
export const valueLog = DiskLog.backing({ retention: { count: kept } })
export const letterLog = DiskLog.backing()
/** Small segments, so that one is begun, copied from and let go of all the time. */
export const journal = (directory: string) => Journal.layer({ directory, segmentBytes: 64 * 1024 })

const checksumOf = ({ fill, isPoison, n, producer, round }: Omit<Told, "checksum">): number =>
  crc32(JSON.stringify([round, producer, n, isPoison, fill]))
export const told = (round: number, producer: number, n: number, isPoison: boolean): Told => {
  const value = { round, producer, n, isPoison, fill: "x".repeat((round * 7919 + producer * 104_729 + n * 611) % 6000) }
  return { ...value, checksum: checksumOf(value) }
}
export const isWhole = (value: Told): boolean => value.checksum === checksumOf(value)
export const keyOf = ({ n, producer, round }: Pick<Told, "n" | "producer" | "round">): string =>
  `${round} ${producer} ${n}`
