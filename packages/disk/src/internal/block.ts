/** Values of one record on their way into a frame, written as they are there, and who waits for them. */
import { Writer } from "./frame.ts"
import type { RecordState } from "./journalState.ts"

export interface Failure {
  readonly cause: unknown
}
export type Done = (failure?: Failure) => void

/** Of a value that is stored, beside its bytes. */
export const overheadBytes = 16

export class Block {
  readonly record: RecordState
  /** In its order: each is called once. */
  readonly dones: Array<Done> = []
  /** Why one of them cannot be stored, whatever comes: told when it is its turn. */
  refusals: Map<number, Failure> | undefined
  /** Of those that are written. */
  count = 0
  firstAt = Number.NaN
  lastAt = Number.NaN
  readonly writer: Writer

  constructor(record: RecordState, writer = new Writer()) {
    this.record = record
    this.writer = writer
  }
  get bytes(): number {
    return this.writer.bytes
  }
  /** `value`: its bytes, or the text of which they are the UTF-8. */
  add(at: number, version: number, value: Uint8Array | string): void {
    const { writer } = this
    if (this.count++ === 0) this.firstAt = at
    this.lastAt = at
    writer.f64(at)
    writer.u32(version)
    if (typeof value === "string") writer.text(value)
    else writer.block(value)
  }
  refuse(failure: Failure): void {
    this.refusals ??= new Map()
    this.refusals.set(this.dones.length, failure)
  }
}
