/**
 * What a journal knows of its directory, without I/O: the records, where their values lie, and which segments are live. It
 * is moved by sections, the same ones when they are written and when they are read again at opening.
 *
 * The values of a record lie in extents: consecutive sequences in one segment. New values lengthen the record's last
 * extent; values that were copied forward leave their old extent for one in the current segment.
 */
import { GroupTable } from "@sluice/core/Engine"
import type { Block } from "./block.ts"
import type {
  Extent,
  GroupSection,
  IndexEntry,
  IndexSection,
  Note,
  RecordSection,
  Section,
  ValuesSection
} from "./sections.ts"

/** An index entry for each so many bytes of a segment: what a read passes over at most to find a sequence. */
const indexEvery = 16 * 1024

/** Where to look for a record's values in one segment: the offsets of frames, by sequence. */
export class SegmentIndex {
  private readonly records = new Map<number, { readonly firsts: Array<number>; readonly offsets: Array<number> }>()
  private readonly lastOffset = new Map<number, number>()

  /** A frame at `offset` has `first` of the record. `begins`: the extent begins with it. */
  add(record: number, first: number, offset: number, begins: boolean): void {
    if (!begins && offset - (this.lastOffset.get(record) ?? -indexEvery) < indexEvery) return
    this.lastOffset.set(record, offset)
    let entries = this.records.get(record)
    if (entries === undefined) this.records.set(record, entries = { firsts: [], offsets: [] })
    const at = floor(entries.firsts, first, itself) + 1
    entries.firsts.splice(at, 0, first)
    entries.offsets.splice(at, 0, offset)
  }
  /** The offset of a frame at or before that of `sequence`. */
  offsetOf(record: number, sequence: number): number | undefined {
    const entries = this.records.get(record)
    return entries?.offsets[floor(entries.firsts, sequence, itself)]
  }
  entries(): ReadonlyArray<IndexEntry> {
    return Array.from(
      this.records,
      ([record, { firsts, offsets }]) => firsts.map((first, i) => ({ record, first, offset: offsets[i]! }))
    ).flat()
  }
  static from({ entries }: IndexSection): SegmentIndex {
    const index = new SegmentIndex()
    for (const { first, offset, record } of entries) index.add(record, first, offset, true)
    return index
  }
}

/** A file of frames. */
export class Segment {
  readonly generation: number
  readonly slot: number
  /** Where its durable frames end. */
  end: number
  /** The generation in whose checkpoint its index is; its own where it is in none yet. */
  indexIn: number
  /** Undefined where it has not been needed since the journal was opened. */
  index: SegmentIndex | undefined
  readonly extents = new Set<Extent>()
  /** The extent of each record that new values lengthen. */
  readonly growing = new Map<number, Extent>()

  constructor(generation: number, slot: number, end: number, indexIn = generation) {
    this.generation = generation
    this.slot = slot
    this.end = end
    this.indexIn = indexIn
  }
  /** In bytes of values that are still kept. */
  live(): number {
    let bytes = 0
    for (const extent of this.extents) bytes += extent.bytes
    return bytes
  }
}

export interface Located {
  readonly extent: Extent
  readonly segment: Segment
}

/** What retention says of a record. */
export interface Limits {
  readonly count: number
  readonly bytes: number
  /** In milliseconds. */
  readonly age: number
  readonly keepsUnacknowledged: boolean
}

/** One record of a journal. */
export class RecordState {
  readonly id: number
  readonly key: string
  /** The sequence of the next value to become durable. */
  next = 0
  oldest = 0
  newestAt = -Infinity
  /** In order of sequence, without gaps. */
  readonly places: Array<Located> = []
  /** In bytes, of all places. */
  bytes = 0
  groups: GroupTable
  /** Undefined until the application opens it: then nothing of it goes. */
  limits: Limits | undefined
  /** Whether `oldest` has moved since it was written. */
  moved = false
  /** Values that are taken, and neither durable nor failed. */
  queued = 0
  /** What new values are added to. */
  open: Block | undefined
  /** Called when there are none of them any more. */
  whenStored: (() => void) | undefined

  constructor(id: number, key: string) {
    this.id = id
    this.key = key
    this.groups = new GroupTable({ groupIdleTimeout: Infinity })
  }
  /** Where a sequence that is kept lies. */
  placeOf(sequence: number): Located {
    return this.places[floor(this.places, sequence, ({ extent }) => extent.first)]!
  }
  /** How far retention lets go now. */
  expiredBy(now: number): number {
    if (this.limits === undefined) return this.oldest
    const { age, bytes, count, keepsUnacknowledged } = this.limits
    let oldest = Math.max(this.oldest, this.next - count)
    let kept = this.bytes
    // By whole extents: at least what was asked for is kept, and at most a segment more.
    for (const { extent } of this.places) {
      kept -= extent.bytes
      if (kept < bytes && extent.lastAt >= now - age) break
      oldest = Math.max(oldest, extent.first + extent.count)
    }
    return keepsUnacknowledged ? Math.max(this.oldest, Math.min(oldest, this.groups.lowest() + 1)) : oldest
  }
  /** Whether retention keeps so much that a group has not committed that nothing more is to come in. */
  isHeld(segmentBytes: number): boolean {
    if (this.limits === undefined || !this.limits.keepsUnacknowledged) return false
    const lowest = this.groups.lowest() + 1
    const { bytes, count } = this.limits
    return this.next + this.queued - lowest >= count || (this.oldest >= lowest && this.bytes >= bytes + segmentBytes)
  }
}

export class JournalState {
  readonly records = new Map<number, RecordState>()
  private readonly byKey = new Map<string, RecordState>()
  /** Live ones, by generation, oldest first. */
  readonly segments = new Map<number, Segment>()
  private lastId = 0

  get(key: string): RecordState | undefined {
    return this.byKey.get(key)
  }
  /** A record that the directory has not had yet. */
  add(key: string): RecordState {
    return this.addAs(this.lastId + 1, key)
  }
  private addAs(id: number, key: string): RecordState {
    const record = new RecordState(id, key)
    this.lastId = Math.max(this.lastId, id)
    this.records.set(id, record)
    this.byKey.set(key, record)
    return record
  }
  /** Values are durable in a frame at `offset` of `segment`. */
  placed({ bytes, count, first, firstAt, lastAt, record: id }: ValuesSection, segment: Segment, offset: number): void {
    const record = this.records.get(id)!
    const isNew = first === record.next
    if (!isNew) this.cutOut(record, first, first + count)
    const growing = segment.growing.get(id)
    const isNext = growing !== undefined && growing.first + growing.count === first
    if (isNext) {
      growing.count += count
      growing.bytes += bytes
      growing.lastAt = lastAt
    } else {
      const extent: Extent = { record: id, first, count, bytes, firstAt, lastAt }
      this.addPlace(record, { extent, segment })
      segment.growing.set(id, extent)
    }
    record.bytes += bytes
    segment.index ??= new SegmentIndex()
    segment.index.add(id, first, offset, !isNext)
    if (isNew) {
      record.next += count
      record.newestAt = Math.max(record.newestAt, lastAt)
    } else this.cutOut(record, 0, record.oldest)
  }
  private addPlace(record: RecordState, place: Located): void {
    place.segment.extents.add(place.extent)
    const at = floor(record.places, place.extent.first, ({ extent }) => extent.first)
    record.places.splice(at + 1, 0, place)
  }
  /** Sequences from `from` up to `to` are gone, or elsewhere. What part of an extent takes is counted by its share. */
  private cutOut(record: RecordState, from: number, to: number): void {
    const at = Math.max(0, floor(record.places, from, ({ extent }) => extent.first))
    for (let i = at; i < record.places.length && record.places[i]!.extent.first < to;) {
      const { extent, segment } = record.places[i]!
      const { bytes, count, first } = extent
      const gone = Math.min(first + count, to) - Math.max(first, from)
      if (gone <= 0) {
        i++
        continue
      }
      const share = gone === count ? bytes : Math.floor(bytes * gone / count)
      record.bytes -= share
      const after = first + count - to
      if (from <= first) {
        extent.first += gone
        extent.count -= gone
        extent.bytes -= share
      } else {
        extent.count = from - first
        extent.bytes = Math.floor((bytes - share) * extent.count / (count - gone))
        if (after > 0) {
          this.addPlace(record, {
            segment,
            extent: { ...extent, first: to, count: after, bytes: bytes - share - extent.bytes }
          })
        }
        i++
        continue
      }
      if (extent.count > 0) return
      segment.extents.delete(extent)
      if (segment.growing.get(record.id) === extent) segment.growing.delete(record.id)
      record.places.splice(i, 1)
    }
  }
  /** Everything of the record below `oldest` has expired. */
  expire(record: RecordState, oldest: number): void {
    if (oldest <= record.oldest) return
    record.oldest = oldest
    record.moved = true
    this.cutOut(record, 0, oldest)
  }
  /** A section that was read at opening. */
  apply(section: Section, segment: Segment, offset: number): void {
    switch (section._tag) {
      case "Record": {
        const record = this.records.get(section.id) ?? this.addAs(section.id, section.key)
        record.next = section.next
        this.expire(record, section.oldest)
        record.newestAt = section.newestAt
        record.groups.epoch = section.epoch
        return
      }
      case "Values":
        return this.placed(section, segment, offset)
      case "Group": {
        const { groups } = this.records.get(section.record)!
        groups.restore(section.name, section)
        groups.epoch = Math.max(groups.epoch, section.epoch)
        return
      }
      case "Removed":
        return void this.records.get(section.record)!.groups.remove(section.name)
      case "Oldest":
        return this.expire(this.records.get(section.record)!, section.oldest)
      case "Segment": {
        const { end, extents, generation, indexIn, slot } = section
        const older = new Segment(generation, slot, end, indexIn)
        this.segments.set(generation, older)
        for (const extent of extents) {
          const record = this.records.get(extent.record)!
          this.addPlace(record, { extent, segment: older })
          record.bytes += extent.bytes
        }
        return
      }
      case "Freed": {
        const freed = this.segments.get(section.generation)
        for (const { count, first, record } of freed?.extents ?? []) {
          this.expire(this.records.get(record)!, first + count)
        }
        return void this.segments.delete(section.generation)
      }
      case "Index": {
        const indexed = this.segments.get(section.generation)
        if (indexed !== undefined) indexed.index = SegmentIndex.from(section)
      }
    }
  }
  /**
   * What the first frame of a segment of generation `generation` begins with: all that is known. The indexes of segments
   * whose index is in no live segment go with it; they have to be in memory.
   */
  checkpoint(generation: number): ReadonlyArray<Note> {
    const sections: Array<Note> = []
    for (const record of this.records.values()) {
      sections.push(recordSection(record))
      for (const [name] of record.groups.entries()) sections.push(groupSection(record, name))
    }
    const older = [...this.segments.values()]
    for (const segment of older) {
      if (!this.segments.has(segment.indexIn) || segment.indexIn === segment.generation) {
        segment.indexIn = generation
        segment.index ??= new SegmentIndex()
        sections.push({ _tag: "Index", generation: segment.generation, entries: segment.index.entries() })
      }
    }
    const lists: ReadonlyArray<Note> = older.map((segment) => ({
      _tag: "Segment",
      generation: segment.generation,
      slot: segment.slot,
      end: segment.end,
      indexIn: segment.indexIn,
      extents: [...segment.extents]
    }))
    const records = sections.filter(({ _tag }) => _tag !== "Index")
    return [...records, ...lists, ...sections.filter(({ _tag }) => _tag === "Index")]
  }
}

export const recordSection = ({ groups, id, key, newestAt, next, oldest }: RecordState): RecordSection => ({
  _tag: "Record",
  id,
  key,
  next,
  oldest,
  epoch: groups.epoch,
  newestAt
})
export const groupSection = (record: RecordState, name: string): GroupSection => {
  const { attempts, committed, epoch, held, idleSince } = record.groups.get(name)!
  return {
    _tag: "Group",
    record: record.id,
    name,
    epoch,
    committed,
    idleSince: held ? Number.NaN : idleSince,
    attempts
  }
}

/** The index of the last at or below `value`, in ascending order; -1 where there is none. */
const floor = <A>(ascending: ReadonlyArray<A>, value: number, of: (a: A) => number): number => {
  let low = 0
  let high = ascending.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (of(ascending[middle]!) <= value) low = middle + 1
    else high = middle
  }
  return low - 1
}
const itself = (value: number): number => value
