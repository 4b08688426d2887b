/**
 * What is in a file: as readers see it, and as far as it is certain to survive a loss of power. Nothing here waits or
 * fails by itself.
 *
 * A loss of power goes sector by sector: of each write that is not synced, each sector it touches has it or has not, in any
 * combination. A disk writes a sector whole, unless it tears.
 */
import type { Chance } from "./chance.ts"

export const sectorSize = 512

interface Write {
  readonly sequence: number
  readonly start: number
  readonly bytes: Uint8Array
}

export class Content {
  private cache = new Bytes()
  private durable = new Bytes()
  /** Writes that are not synced, in their order. */
  private unsynced: Array<Write> = []
  private sequence = 0

  get length(): number {
    return this.cache.length
  }
  /** Whether it has all that was ever written, should the power go now. */
  get isDurable(): boolean {
    return this.unsynced.length === 0
  }
  /** Stands for all that was written so far, for a later `sync`. */
  get mark(): number {
    return this.sequence
  }

  read(start: number, length: number): Uint8Array {
    return this.cache.slice(start, Math.min(start + length, this.cache.length))
  }
  write(start: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    const written = { sequence: ++this.sequence, start, bytes: bytes.slice() }
    this.cache.set(start, written.bytes)
    this.unsynced.push(written)
  }
  flip(offset: number, bit: number): void {
    this.cache.flip(offset, bit)
    this.durable.flip(offset, bit)
    // Copied, for the next life has these writes as well.
    this.unsynced = this.unsynced.map((write) => {
      if (offset < write.start || offset >= write.start + write.bytes.length) return write
      const bytes = write.bytes.slice()
      bytes[offset - write.start]! ^= 1 << bit
      return { ...write, bytes }
    })
  }

  sync(mark: number): void {
    for (const { start, bytes } of this.takeUnsynced(mark)) this.durable.set(start, bytes)
  }
  /**
   * The kernel gives up: what it was to write is on the disk or not, sector by sector, and it tries no more. Readers go on
   * seeing all of it. Says what was lost.
   */
  failSync(mark: number, chance: Chance): string {
    const given = this.takeUnsynced(mark)
    const bias = chance.bias()
    const kept = new Map<number, boolean>()
    const durable = this.durable.clone()
    for (const { sector, start, bytes } of given.flatMap(fragments)) {
      if (!kept.has(sector)) kept.set(sector, chance.happens(bias))
      if (kept.get(sector)) durable.set(start, bytes)
    }
    durable.length = chance.of(lengths(this.durable.length, given))
    this.durable = durable
    const lost = [...kept].flatMap(([sector, isKept]) => isKept ? [] : [sector])
    return `sectors lost: ${lost.join(" ") || "none"}, length on the disk: ${durable.length} of ${this.length}`
  }

  /** As the next process finds it: the kernel still has what was not synced. */
  clone(): Content {
    const copy = new Content()
    copy.cache = this.cache.clone()
    copy.durable = this.durable.clone()
    copy.unsynced = this.unsynced.slice()
    copy.sequence = this.sequence
    return copy
  }
  /** One of the ways in which it may be found after a loss of power. Tearing, a sector may have a part of a write. */
  afterPowerLoss(chance: Chance, tears: boolean): Content {
    const bias = chance.bias()
    const found = this.durable.clone()
    for (const { start, bytes } of this.unsynced.flatMap(fragments)) {
      if (!chance.happens(bias)) continue
      const cut = tears && chance.happens(0.5) ? chance.below(bytes.length + 1) : 0
      if (chance.happens(0.5)) found.set(start, bytes.subarray(0, bytes.length - cut))
      else found.set(start + cut, bytes.subarray(cut))
    }
    found.length = chance.of(lengths(this.durable.length, this.unsynced))
    const next = new Content()
    next.cache = found
    next.durable = found.clone()
    return next
  }

  private takeUnsynced(mark: number): ReadonlyArray<Write> {
    const taken = this.unsynced.filter(({ sequence }) => sequence <= mark)
    this.unsynced = this.unsynced.filter(({ sequence }) => sequence > mark)
    return taken
  }
}

/** The lengths that the writes took a file through. */
const lengths = (length: number, writes: ReadonlyArray<Write>): ReadonlyArray<number> => {
  const all = [length]
  for (const { start, bytes } of writes) {
    length = Math.max(length, start + bytes.length)
    if (length !== all.at(-1)) all.push(length)
  }
  return all
}

/** A write, cut where sectors end. */
const fragments = ({ start, bytes }: Write) => {
  const cut: Array<{ readonly sector: number; readonly start: number; readonly bytes: Uint8Array }> = []
  for (let at = start; at < start + bytes.length;) {
    const sector = Math.floor(at / sectorSize)
    const end = Math.min((sector + 1) * sectorSize, start + bytes.length)
    cut.push({ sector, start: at, bytes: bytes.subarray(at - start, end - start) })
    at = end
  }
  return cut
}

/** Bytes that grow; what was never set is zero, also where they were cut off before. */
class Bytes {
  private held = new Uint8Array(0)
  private used = 0

  get length(): number {
    return this.used
  }
  set length(length: number) {
    this.reserve(length)
    this.held.fill(0, length)
    this.used = length
  }
  set(start: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.reserve(start + bytes.length)
    this.held.set(bytes, start)
    this.used = Math.max(this.used, start + bytes.length)
  }
  slice(start: number, end: number): Uint8Array {
    return this.held.slice(start, Math.max(start, end))
  }
  flip(offset: number, bit: number): void {
    if (offset < this.used) this.held[offset]! ^= 1 << bit
  }
  clone(): Bytes {
    const copy = new Bytes()
    copy.held = this.held.slice(0, this.used)
    copy.used = this.used
    return copy
  }
  private reserve(length: number): void {
    if (length <= this.held.length) return
    const grown = new Uint8Array(Math.max(length, 2 * this.held.length))
    grown.set(this.held)
    this.held = grown
  }
}
