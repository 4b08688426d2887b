/** Reading a journal's values by sequence, from whichever segments they lie in. */
import type { Stored } from "@sluice/core/Engine"
import type { Directory, File } from "../Storage.ts"
import { aligned, FrameReader, type Header, headerAt, isAt, isIntact, type Place } from "./frame.ts"
import { type JournalState, type Located, type RecordState, type Segment, SegmentIndex } from "./journalState.ts"
import { Damaged } from "./recovery.ts"
import { type IndexSection, read, readHead, readValue, skipValue } from "./sections.ts"
import { readAt, type SlotFiles } from "./slots.ts"

/** Read at once, so that reading on finds the next frames in memory; more of it where someone does read on. */
const chunkBytes = 64 * 1024
const chunkBytesInOrder = 1024 * 1024
const chunksMax = 8

/** A run of whole frames. */
interface Chunk {
  readonly generation: number
  readonly offset: number
  readonly end: number
  readonly bytes: Buffer
  readonly reader: FrameReader
  /** Where the last read ended: the position of the value `sequence` of a record. */
  ended: { readonly record: number; readonly sequence: number; readonly position: number } | undefined
}

/**
 * Reads the whole frames from a place on, up to `end` at most: as many as are read at once, or one that is longer. They take
 * `length` of the bytes; 0 where there is none.
 */
export const framesAt = async (
  file: File,
  { generation, offset, slot }: Place,
  end: number,
  atOnce = chunkBytesInOrder
): Promise<{ readonly bytes: Buffer; readonly length: number }> => {
  const isOurs = (header: Header | undefined, length: number): header is Header =>
    header !== undefined && isAt(header, { generation, offset: offset + length, slot })
  let bytes = await readAt(file, offset, Math.min(atOnce, end - offset))
  const first = headerAt(bytes, 0)
  if (isOurs(first, 0) && first.bytes > bytes.length && first.bytes <= end - offset) {
    bytes = await readAt(file, offset, aligned(first.bytes))
  }
  let length = 0
  while (offset + length < end) {
    const header = headerAt(bytes, length)
    if (!isOurs(header, length) || !isIntact(bytes, length, header)) break
    length += aligned(header.bytes)
  }
  return { bytes, length }
}

export class Reading {
  private readonly directory: Directory
  private readonly slots: SlotFiles
  private readonly state: JournalState
  /** Those used last are at the end. */
  private chunks: Array<Chunk> = []
  /** What a reader in order will ask for next: on its way while that one takes what it has. */
  private ahead: { readonly generation: number; readonly offset: number; readonly chunk: Promise<Chunk> } | undefined
  /** Of those, also of readers that went elsewhere. */
  private readonly onTheirWay = new Set<Promise<unknown>>()
  private isClosed = false

  constructor(directory: Directory, slots: SlotFiles, state: JournalState) {
    this.directory = directory
    this.slots = slots
    this.state = state
  }
  /** At most `max` values from `from` on, which is durable and kept when it is called; none where it has expired meanwhile. */
  async read(record: RecordState, from: number, max: number): Promise<ReadonlyArray<Stored>> {
    const values: Array<Stored> = []
    const end = Math.min(from + max, record.next)
    while (from + values.length < end) {
      const next = from + values.length
      if (next < record.oldest) break
      const place = record.placeOf(next)
      try {
        await this.readExtent(record, place, next, end, values)
        if (from + values.length > next) continue
        throw new Damaged(
          this.directory,
          place.segment.slot,
          0,
          `it should have sequence ${next} of record "${record.key}"`
        )
      } catch (error) {
        // Where it has expired or was copied forward meanwhile, its file may hold something else by now.
        if (next < record.oldest || record.placeOf(next).segment !== place.segment) continue
        // What comes before can be read; whoever reads on will see.
        if (values.length > 0) return values
        throw error
      }
    }
    return values
  }
  /** Reads from `next` on, up to `end` or the end of the extent. */
  private async readExtent(
    record: RecordState,
    { extent, segment }: Located,
    next: number,
    end: number,
    into: Array<Stored>
  ): Promise<void> {
    const start = next - into.length
    const last = Math.min(end, extent.first + extent.count)
    const index = await this.indexOf(segment)
    for (let offset = index.offsetOf(record.id, next); offset !== undefined && offset < segment.end;) {
      const after = this.collect(await this.chunkAt(segment, offset), offset, record, start + into.length, last, into)
      if (start + into.length >= last) return
      // The index may know a frame further on that has what is next.
      offset = Math.max(after, index.offsetOf(record.id, start + into.length) ?? after)
    }
  }
  /** Takes what the frames of a chunk have of a record from `next` up to `last`, and answers where the next frame begins. */
  private collect(
    chunk: Chunk,
    offset: number,
    record: RecordState,
    next: number,
    last: number,
    into: Array<Stored>
  ): number {
    const { bytes, reader } = chunk
    while (offset < chunk.end && next < last) {
      const header = headerAt(bytes, offset - chunk.offset)!
      reader.enter(offset - chunk.offset, header)
      while (reader.more && next < last) {
        const values = readHead(reader)
        if (values === undefined) {
          read(reader)
          continue
        }
        const after = reader.position + values.bytes
        const end = Math.min(values.first + values.count, last)
        if (values.record === record.id && values.first <= next && next < end) {
          const { ended } = chunk
          const isHere = ended?.record === record.id && ended.sequence === next
            && reader.position <= ended.position && ended.position < after
          if (isHere) reader.position = ended.position
          else for (let sequence = values.first; sequence < next; sequence++) skipValue(reader)
          while (next < end) into.push(readValue(reader, next++))
          chunk.ended = { record: record.id, sequence: next, position: reader.position }
        }
        reader.position = after
      }
      offset += aligned(header.bytes)
    }
    return offset
  }
  /** Whole frames from `offset` on, each of them checked. */
  private async chunkAt(segment: Segment, offset: number): Promise<Chunk> {
    const { generation } = segment
    const known = this.chunks.findIndex((chunk) =>
      chunk.generation === generation && chunk.offset <= offset && offset < chunk.end
    )
    if (known >= 0) {
      const [chunk] = this.chunks.splice(known, 1)
      this.chunks.push(chunk!)
      return chunk!
    }
    const { ahead } = this
    const isAhead = ahead !== undefined && ahead.generation === generation && ahead.offset === offset
    const isNext = isAhead || this.chunks.at(-1)?.generation === generation && this.chunks.at(-1)?.end === offset
    const load = () => this.load(segment, offset, isNext ? chunkBytesInOrder : chunkBytes)
    const chunk = await (isAhead ? ahead.chunk.catch(load) : load())
    this.chunks = [...this.chunks.slice(1 - chunksMax), chunk]
    if (isNext && chunk.end < segment.end && !this.isClosed) {
      const chunkAhead = this.load(segment, chunk.end, chunkBytesInOrder)
      this.ahead = { generation, offset: chunk.end, chunk: chunkAhead }
      // Where it fails, whoever asks for it asks again.
      const over = chunkAhead.catch(() => {}).finally(() => this.onTheirWay.delete(over))
      this.onTheirWay.add(over)
    }
    return chunk
  }
  /** Reads nothing ahead any more, and waits for what is on its way. */
  async close(): Promise<void> {
    this.isClosed = true
    this.ahead = undefined
    await Promise.all(this.onTheirWay)
  }
  private async load({ end, generation, slot }: Segment, offset: number, atOnce: number): Promise<Chunk> {
    const { bytes, length } = await this.slots.reading(
      slot,
      (file) => framesAt(file, { generation, offset, slot }, end, atOnce)
    )
    // What follows may be cut, or damaged: whoever gets there will see.
    if (length === 0) throw new Damaged(this.directory, slot, offset, "the frame there is not as it was written")
    return { generation, offset, end: offset + length, bytes, reader: new FrameReader(bytes), ended: undefined }
  }
  /** The index of a segment, from memory or from the checkpoint that has it. */
  async indexOf(segment: Segment): Promise<SegmentIndex> {
    if (segment.index !== undefined) return segment.index
    const holder = this.state.segments.get(segment.indexIn)
    if (holder === undefined) {
      throw new Error(
        `journal: generation ${segment.indexIn} should have the index of ${segment.generation}, and is gone`
      )
    }
    const { bytes, reader } = await this.chunkAt(holder, 0)
    reader.enter(0, headerAt(bytes, 0)!)
    while (reader.more) {
      const section = read(reader)
      if (section._tag === "Index" && section.generation === segment.generation) {
        return segment.index ??= SegmentIndex.from(section satisfies IndexSection)
      }
    }
    throw new Damaged(this.directory, holder.slot, 0, `it should have the index of generation ${segment.generation}`)
  }
  /** The sequence of the first value kept that was appended at `time` or later; the head where there is none. */
  async sequenceAt(record: RecordState, time: number): Promise<number> {
    const place = record.places.find(({ extent }) => extent.lastAt >= time)
    if (place === undefined) return record.next
    let low = place.extent.first
    let high = low + place.extent.count - 1
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      const [value] = await this.read(record, middle, 1)
      if (value !== undefined && value.at >= time) high = middle
      else low = middle + 1
    }
    return Math.max(low, record.oldest)
  }
}
