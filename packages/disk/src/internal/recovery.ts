/**
 * Opening a journal: finds the newest segment, whose checkpoint says all that was so before it, and replays its frames up
 * to the first that is not whole. Only that one segment is read as a whole, so that opening costs the same however much
 * the directory holds.
 *
 * A crash can leave at most one frame half written: the last. So a frame that is not whole ends the newest segment, unless
 * a whole one of the same generation comes after it, which only damage explains: that is reported, never skipped.
 */
import type { Directory, File } from "../Storage.ts"
import {
  aligned,
  format,
  FrameReader,
  type Header,
  headerAt,
  headerBytes,
  isAt,
  isIntact,
  nextMagic,
  type Place
} from "./frame.ts"
import { JournalState, Segment } from "./journalState.ts"
import { read } from "./sections.ts"
import { readAt, slotName, slotOf, type Slots, type Target, writeAt } from "./slots.ts"

/** The medium has lost what was durable, or it is not a journal of ours. Says where. */
export class Damaged extends Error {
  readonly file: string
  readonly position: number
  constructor(directory: Directory, slot: number, position: number, what: string) {
    super(`${directory.path}/${slotName(slot)} is damaged at byte ${position}: ${what}`)
    this.file = slotName(slot)
    this.position = position
  }
}

interface Found {
  readonly slot: number
  /** Of its first frame, where that can be one. */
  readonly header: Header | undefined
}

/** Where to go on writing. */
export interface Current extends Omit<Target, "slot"> {
  readonly segment: Segment
}
export interface Recovered {
  readonly state: JournalState
  /** Where to go on; undefined in a directory that has nothing yet. */
  readonly current: Current | undefined
  /** Of the newest segment. */
  readonly generation: number
}

export const recover = async (directory: Directory, slots: Slots): Promise<Recovered> => {
  const state = new JournalState()
  const found: Array<Found> = []
  for (const name of await directory.list()) {
    const slot = slotOf(name)
    if (slot === undefined) continue
    slots.known(slot)
    found.push({ slot, header: await slots.reading(slot, (file) => firstOf(directory, file, slot)) })
  }
  const candidates = found.filter(({ header }) => header !== undefined)
    .toSorted((a, b) => b.header!.generation - a.header!.generation)
  let newest: Replayed | undefined
  for (const { header, slot } of candidates) {
    newest = await slots.reading(slot, (file) => replay(directory, file, state, slot, header!))
    if (newest !== undefined) break
  }
  const generation = newest?.segment.generation ?? 0
  const live = new Map(Array.from(state.segments.values(), (segment) => [segment.slot, segment.generation]))
  for (const [slot, generation] of live) {
    const holds = found.find((one) => one.slot === slot)?.header?.generation
    if (holds !== generation) {
      throw new Damaged(directory, slot, 0, `it should hold generation ${generation}, and holds ${holds ?? "none"}`)
    }
  }
  const rest = found.map(({ slot }) => slot).filter((slot) => !live.has(slot))
  const doubtful: Array<number> = []
  for (const slot of rest) {
    const isVoid = await slots.reading(slot, (file) => assertOlder(directory, file, slot, generation))
    if (!isVoid) doubtful.push(slot)
  }
  const current = newest === undefined ? undefined : await goOn(directory, slots, newest)
  try {
    // Only now: that they are not needed may be said by the last frame.
    for (const slot of doubtful) await makeVoid(directory, slot)
    for (const slot of rest) await slots.spare(slot)
  } catch (error) {
    await current?.file.close().catch(() => {})
    throw error
  }
  return { state, current, generation }
}

const goOn = async (directory: Directory, slots: Slots, { last, segment }: Replayed): Promise<Current> => {
  const file = await directory.open(slotName(segment.slot), "write")
  try {
    // What a crash left may be in the page cache alone, and after a flush that failed the kernel takes it for written: so it
    // is written again, and durable before anybody reads it.
    await writeAt(file, last.bytes, last.offset)
    return { segment, file, grows: await slots.grows(segment.slot) }
  } catch (error) {
    await file.close().catch(() => {})
    throw error
  }
}

/** The header of the first frame of a file; undefined where there is none, of whatever it once was. It need not be whole. */
export const firstOf = async (directory: Directory, file: File, slot: number): Promise<Header | undefined> => {
  const header = headerAt(await readAt(file, 0, headerBytes), 0)
  if (header === undefined || !header.isFirst || !isAt(header, { ...header, offset: 0, slot })) return undefined
  if (header.format <= format) return header
  const isWhole = isIntact(await readAt(file, 0, Math.min(header.bytes, await file.size())), 0, header)
  if (!isWhole) return undefined
  throw new Error(
    `${directory.path} was written in format ${header.format}, and this version reads up to ${format}: update @sluice/disk`
  )
}

interface Replayed {
  readonly segment: Segment
  /** Its last frame. */
  readonly last: { readonly offset: number; readonly bytes: Uint8Array }
}

/** Applies the frames of a segment; undefined where its first is not whole. */
const replay = async (
  directory: Directory,
  file: File,
  state: JournalState,
  slot: number,
  { generation }: Header
): Promise<Replayed | undefined> => {
  const bytes = await readAt(file, 0, await file.size())
  const segment = new Segment(generation, slot, 0)
  const wholeAt = (offset: number) => wholeHeader(bytes, offset, { generation, offset, slot })
  let last = 0
  const reader = new FrameReader(bytes)
  for (let header = wholeAt(0); header !== undefined; header = wholeAt(segment.end)) {
    last = segment.end
    applyFrame(state, segment, reader, segment.end, header)
  }
  if (segment.end === 0) return undefined
  assertLast(directory, segment, bytes)
  state.segments.set(generation, segment)
  return { segment, last: { offset: last, bytes: bytes.subarray(last, segment.end) } }
}

const wholeHeader = (bytes: Buffer, position: number, place: Place): Header | undefined => {
  const header = headerAt(bytes, position)
  return header !== undefined && isAt(header, place) && isIntact(bytes, position, header) ? header : undefined
}

/** Applies a whole frame, which is at `position` of what is read and at the end of the segment as it was so far. */
export const applyFrame = (
  state: JournalState,
  segment: Segment,
  reader: FrameReader,
  position: number,
  header: Header
): void => {
  reader.enter(position, header)
  while (reader.more) state.apply(read(reader), segment, segment.end)
  segment.end += aligned(header.bytes)
}

/** Of a segment's whole file: nothing of it comes after the end, else the frame there is damaged. */
export const assertLast = (directory: Directory, { end, generation, slot }: Segment, bytes: Buffer): void => {
  for (let at = nextMagic(bytes, end); at !== undefined; at = nextMagic(bytes, at + 1)) {
    if (at > end && wholeHeader(bytes, at, { generation, offset: at, slot }) !== undefined) {
      throw new Damaged(directory, slot, end, `the frame there is not whole, and one at ${at} is`)
    }
  }
}

/**
 * A segment whose first frame is gone must not be taken for one that has never been begun. Answers whether the file cannot
 * come to hold one that was begun: it has none, or one of before.
 */
const assertOlder = async (directory: Directory, file: File, slot: number, generation: number): Promise<boolean> => {
  const bytes = await readAt(file, 0, await file.size())
  for (let at = nextMagic(bytes, 0); at !== undefined; at = nextMagic(bytes, at + 1)) {
    const header = headerAt(bytes, at)
    if (header === undefined || header.generation <= generation || !isAt(header, { ...header, offset: at, slot })) {
      continue
    }
    if (isIntact(bytes, at, header)) {
      throw new Damaged(directory, slot, 0, `its first frame is not whole, and one at ${at} is`)
    }
  }
  const begun = bytes.subarray(0, headerBytes)
  const first = headerAt(bytes, 0)
  return begun.every((byte) => byte === 0)
    || (first !== undefined && isAt(first, { ...first, offset: 0, slot }) && isIntact(bytes, 0, first))
}
/**
 * A flush that failed may have left a first frame on the medium that the page cache no longer shows, since another that
 * failed was written over it: after a loss of power it would be the newest, without what was acknowledged since.
 */
const makeVoid = async (directory: Directory, slot: number): Promise<void> => {
  const file = await directory.open(slotName(slot), "write")
  try {
    await writeAt(file, new Uint8Array(headerBytes), 0)
  } finally {
    await file.close()
  }
}
