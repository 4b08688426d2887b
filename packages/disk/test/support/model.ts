/**
 * What a program on a journal has been told, and so may count on: which values are stored under which sequence, which are
 * unknown, and how far its groups are. `check` compares it with what is there after an opening.
 */
import type { Stored } from "@sluice/core/Engine"
import type { JournalEngine } from "../../src/internal/journalEngine.ts"
import type { Limits } from "../../src/internal/journalState.ts"

/** What may not be. */
export class Violation extends Error {}
export const must = (holds: boolean, what: () => string): void => {
  if (!holds) throw new Violation(what())
}

interface Sent {
  readonly id: number
  readonly length: number
  readonly at: number
  /** Told that it can never be stored. */
  isRefused: boolean
}
/** The bytes of a value say which one it is. */
const bytesOf = ({ id, length }: Sent): Uint8Array => {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = id * 31 + i * 7 + (i >>> 8)
  bytes.writeUInt32LE(id)
  return bytes
}

export interface GroupModel {
  /** Committed is at least `low`, since a commit of that returned, and at most `high`, which was asked for. */
  low: number
  high: number
  isThere: boolean | "maybe"
}

export class RecordModel {
  readonly key: string
  readonly limits: Limits
  /** By sequence: acknowledged, or found at an opening. */
  readonly stored: Array<Sent> = []
  /** Of this life: told as failed, or not told. */
  readonly unknown = new Map<number, Sent>()
  readonly groups = new Map<string, GroupModel>()
  /** Of the holds that were given so far. */
  epoch = 0
  private readonly segmentBytes: number

  constructor(key: string, limits: Limits, segmentBytes: number) {
    this.key = key
    this.limits = limits
    this.segmentBytes = segmentBytes
  }
  send(id: number, length: number, at: number): { readonly sent: Sent; readonly bytes: Uint8Array } {
    const sent = { id, length, at, isRefused: false }
    this.unknown.set(id, sent)
    return { sent, bytes: bytesOf(sent) }
  }
  acknowledged(sent: Sent): void {
    this.unknown.delete(sent.id)
    this.stored.push(sent)
  }
  /** What was read under consecutive sequences from `from` on. */
  checkRead(from: number, values: ReadonlyArray<Stored>): void {
    for (const [index, { bytes, sequence }] of values.entries()) {
      must(sequence === from + index, () => `${this.key} ${from + index} was read as ${sequence}`)
      const sent = this.stored[sequence]
      must(sent !== undefined, () => `${this.key} ${sequence} was read, and is not known`)
      must(
        Buffer.compare(bytes, bytesOf(sent!)) === 0,
        () => `${this.key} ${sequence} should be value ${sent!.id}, and is ${idOf(bytes)} of ${bytes.length} bytes`
      )
    }
  }
  /** After an opening: what is beyond what was acknowledged is something of the last life, in order, whole, and now known. */
  private adopt(oldest: number, values: ReadonlyArray<Stored>): void {
    // Some that were found have expired already: which ones, nobody knows.
    const expired = oldest - this.stored.length
    must(expired <= this.unknown.size, () => `${this.key} begins at ${oldest}, with ${this.stored.length} acknowledged`)
    for (let left = expired; left > 0; left--) {
      this.stored.push({ id: -1, length: 2 ** 30, at: -Infinity, isRefused: false })
    }
    for (const { bytes, sequence } of values) {
      if (sequence < this.stored.length) continue
      must(sequence === this.stored.length, () => `${this.key} ${this.stored.length} is missing before ${sequence}`)
      const sent = this.unknown.get(idOf(bytes))
      must(sent !== undefined, () => `${this.key} ${sequence} has ${idOf(bytes)}, which is nobody's or there twice`)
      must(!sent!.isRefused, () => `${this.key} ${sequence} has ${sent!.id}, which was refused`)
      must((this.stored.at(-1)?.id ?? -1) < sent!.id, () => `${this.key} ${sequence} has ${sent!.id} out of order`)
      this.acknowledged(sent!)
    }
  }
  /** Everything that a journal promises after an opening at `now`. */
  check(engine: JournalEngine, values: ReadonlyArray<Stored>, groups: ReadonlyMap<string, number>, now: number): void {
    const oldest = engine.oldest()
    const head = engine.head()
    must(0 <= oldest && oldest <= head, () => `${this.key} has ${oldest}..${head}`)
    must(head >= this.stored.length, () => `${this.key} ends at ${head}, and ${this.stored.length} were acknowledged`)
    must(values.length === head - oldest, () => `${this.key} has ${values.length} of ${oldest}..${head}`)
    this.adopt(oldest, values)
    this.checkRead(oldest, values)
    const allowed = this.oldestAllowed(now)
    must(oldest <= allowed, () => `${this.key} begins at ${oldest}, and at most ${allowed} may have expired`)
    for (const [name, group] of this.groups) {
      const committed = groups.get(name)
      const told = `${this.key} group ${name}`
      must(
        group.isThere === "maybe" || group.isThere === (committed !== undefined),
        () => `${told} is ${committed === undefined ? "lost" : "there again"}`
      )
      group.isThere = committed !== undefined
      if (committed === undefined) continue
      must(
        group.low <= committed && committed <= group.high,
        () => `${told} committed ${committed}, not ${group.low}..${group.high}`
      )
      must(
        !this.limits.keepsUnacknowledged || committed + 1 >= oldest,
        () => `${told} committed ${committed}, and ${oldest} is the oldest`
      )
      group.low = group.high = committed
    }
    must([...groups.keys()].every((name) => this.groups.has(name)), () => `${this.key} has a group of nobody's`)
    this.unknown.clear()
  }
  /** Up to which sequence values may be gone. */
  private oldestAllowed(now: number): number {
    const { age, bytes, count } = this.limits
    const { stored } = this
    let oldest = Math.max(0, stored.length - count)
    for (let at = stored.length - 1, kept = 0; at >= oldest; at--) {
      kept += 16 + stored[at]!.length
      // Of an extent that is gone in part its share is counted, which is not exact.
      if (kept >= bytes - this.segmentBytes / 4) {
        oldest = at
        break
      }
    }
    while (oldest < stored.length && stored[oldest]!.at < now - age) oldest++
    return oldest
  }
}
const idOf = (bytes: Uint8Array): number => Buffer.from(bytes).readUInt32LE()
