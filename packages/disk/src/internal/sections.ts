/**
 * Sections: what frames are made of. A frame says what has happened; the checkpoint at the beginning of a segment says all
 * that was so until then, so that opening reads no older segment.
 */
import type { Stored } from "@sluice/core/Engine"
import type { Block } from "./block.ts"
import type { FrameReader, FrameWriter } from "./frame.ts"

const tags = { record: 1, values: 2, group: 3, removed: 4, oldest: 5, segment: 6, index: 7, freed: 8 } as const

/** A record, by its number in this directory; first of all sections that name it. */
export interface RecordSection {
  readonly _tag: "Record"
  readonly id: number
  readonly key: string
  readonly next: number
  readonly oldest: number
  /** Of its groups, the highest so far. */
  readonly epoch: number
  readonly newestAt: number
}
/** Values under consecutive sequences: new ones, or old ones that were copied from an old segment. */
export interface ValuesSection {
  readonly _tag: "Values"
  readonly record: number
  readonly first: number
  readonly count: number
  /** With their times, lengths and versions. */
  readonly bytes: number
  readonly firstAt: number
  readonly lastAt: number
}
/** A group as it is from now on. `idleSince` is NaN where it is held. */
export interface GroupSection {
  readonly _tag: "Group"
  readonly record: number
  readonly name: string
  readonly epoch: number
  readonly committed: number
  readonly idleSince: number
  readonly attempts: ReadonlyMap<number, number>
}
export interface RemovedSection {
  readonly _tag: "Removed"
  readonly record: number
  readonly name: string
}
/** Everything of a record below `oldest` has expired. */
export interface OldestSection {
  readonly _tag: "Oldest"
  readonly record: number
  readonly oldest: number
}
/** Where a record's values lie in a segment: consecutive sequences. */
export interface Extent {
  readonly record: number
  first: number
  count: number
  /** As in `ValuesSection`. */
  bytes: number
  readonly firstAt: number
  lastAt: number
}
/** A segment that was live when the checkpoint was written, other than the one it begins. */
export interface SegmentSection {
  readonly _tag: "Segment"
  readonly generation: number
  readonly slot: number
  /** Where its frames end. */
  readonly end: number
  /** The generation of the segment whose checkpoint has its index. */
  readonly indexIn: number
  readonly extents: ReadonlyArray<Extent>
}
/** Where to begin to look for a sequence: the offset of a frame that has `first` of the record. */
export interface IndexEntry {
  readonly record: number
  readonly first: number
  readonly offset: number
}
/** The index of a segment. */
export interface IndexSection {
  readonly _tag: "Index"
  readonly generation: number
  readonly entries: ReadonlyArray<IndexEntry>
}
/** Nothing of a segment is kept: its file may hold another by now. */
export interface FreedSection {
  readonly _tag: "Freed"
  readonly generation: number
}
export type Section =
  | RecordSection
  | ValuesSection
  | GroupSection
  | RemovedSection
  | OldestSection
  | SegmentSection
  | IndexSection
  | FreedSection
/** Those that are written as they are. */
export type Note = Exclude<Section, ValuesSection>

/** Writes the values of a block, the first of which has sequence `first`. */
export const writeValues = (writer: FrameWriter, first: number, block: Block): ValuesSection => {
  const { bytes, count, firstAt, lastAt, record: { id: record } } = block
  writer.u8(tags.values)
  writer.u32(record)
  writer.f64(first)
  writer.u32(count)
  writer.u32(bytes)
  writer.raw(block.writer.written())
  return { _tag: "Values", record, first, count, bytes, firstAt, lastAt }
}
export const write = (writer: FrameWriter, section: Note): void => {
  switch (section._tag) {
    case "Record":
      writer.u8(tags.record)
      writer.u32(section.id)
      writer.text(section.key)
      writer.f64(section.next)
      writer.f64(section.oldest)
      writer.f64(section.epoch)
      return writer.f64(section.newestAt)
    case "Group":
      writer.u8(tags.group)
      writer.u32(section.record)
      writer.text(section.name)
      writer.f64(section.epoch)
      writer.f64(section.committed)
      writer.f64(section.idleSince)
      writer.u32(section.attempts.size)
      for (const [sequence, count] of section.attempts) {
        writer.f64(sequence)
        writer.u32(count)
      }
      return
    case "Removed":
      writer.u8(tags.removed)
      writer.u32(section.record)
      return writer.text(section.name)
    case "Oldest":
      writer.u8(tags.oldest)
      writer.u32(section.record)
      return writer.f64(section.oldest)
    case "Segment":
      writer.u8(tags.segment)
      writer.f64(section.generation)
      writer.u32(section.slot)
      writer.u32(section.end)
      writer.f64(section.indexIn)
      writer.u32(section.extents.length)
      for (const extent of section.extents) {
        writer.u32(extent.record)
        writer.f64(extent.first)
        writer.u32(extent.count)
        writer.u32(extent.bytes)
        writer.f64(extent.firstAt)
        writer.f64(extent.lastAt)
      }
      return
    case "Index":
      writer.u8(tags.index)
      writer.f64(section.generation)
      writer.u32(section.entries.length)
      for (const { first, offset, record } of section.entries) {
        writer.u32(record)
        writer.f64(first)
        writer.u32(offset)
      }
      return
    case "Freed":
      writer.u8(tags.freed)
      return writer.f64(section.generation)
  }
}

/** What a section of values begins with. `bytes` is what the values take. */
export type ValuesHead = Pick<ValuesSection, "record" | "first" | "count" | "bytes">
/** Where the next section is one of values, goes to the first of them; else stays, and answers undefined. */
export const readHead = (reader: FrameReader): ValuesHead | undefined => {
  if (reader.peek() !== tags.values) return undefined
  reader.skip(1)
  return { record: reader.u32(), first: reader.f64(), count: reader.u32(), bytes: reader.u32() }
}
/** A value, from where the reader stands. Shares the buffer's memory. */
export const readValue = (reader: FrameReader, sequence: number): Stored => ({
  sequence,
  at: reader.f64(),
  version: reader.u32(),
  bytes: reader.block()
})
/** Passes over a value, and answers when it was appended. */
export const skipValue = (reader: FrameReader): number => {
  const at = reader.f64()
  reader.skip(4)
  reader.skip(reader.u32())
  return at
}

/** The next section; of values only what they have in common. */
export const read = (reader: FrameReader): Section => {
  const values = readHead(reader)
  if (values !== undefined) {
    const firstAt = skipValue(reader)
    let lastAt = firstAt
    for (let left = values.count; left > 1; left--) lastAt = skipValue(reader)
    return { _tag: "Values", ...values, firstAt, lastAt }
  }
  const tag = reader.u8()
  switch (tag) {
    case tags.record:
      return {
        _tag: "Record",
        id: reader.u32(),
        key: reader.text(),
        next: reader.f64(),
        oldest: reader.f64(),
        epoch: reader.f64(),
        newestAt: reader.f64()
      }
    case tags.group: {
      const record = reader.u32()
      const name = reader.text()
      const epoch = reader.f64()
      const committed = reader.f64()
      const idleSince = reader.f64()
      const attempts = new Map<number, number>()
      for (let left = reader.u32(); left > 0; left--) attempts.set(reader.f64(), reader.u32())
      return { _tag: "Group", record, name, epoch, committed, idleSince, attempts }
    }
    case tags.removed:
      return { _tag: "Removed", record: reader.u32(), name: reader.text() }
    case tags.oldest:
      return { _tag: "Oldest", record: reader.u32(), oldest: reader.f64() }
    case tags.segment: {
      const generation = reader.f64()
      const slot = reader.u32()
      const end = reader.u32()
      const indexIn = reader.f64()
      const extents: Array<Extent> = []
      for (let left = reader.u32(); left > 0; left--) {
        extents.push({
          record: reader.u32(),
          first: reader.f64(),
          count: reader.u32(),
          bytes: reader.u32(),
          firstAt: reader.f64(),
          lastAt: reader.f64()
        })
      }
      return { _tag: "Segment", generation, slot, end, indexIn, extents }
    }
    case tags.index: {
      const generation = reader.f64()
      const entries: Array<IndexEntry> = []
      for (let left = reader.u32(); left > 0; left--) {
        entries.push({ record: reader.u32(), first: reader.f64(), offset: reader.u32() })
      }
      return { _tag: "Index", generation, entries }
    }
    case tags.freed:
      return { _tag: "Freed", generation: reader.f64() }
    default:
      throw new Error(`journal: there is no section ${tag}, at ${reader.position - 1} of a frame that is intact`)
  }
}
