/**
 * Opening a journal: finds the newest segment, whose checkpoint says all that was so before it, and replays its frames up
 * to the first that is not whole. Only that one segment is read as a whole, so that opening costs the same however much
 * the directory holds.
 *
 * A crash can leave at most one frame half written: the last. So a frame that is not whole ends the newest segment, unless
 * a whole one of the same generation comes after it, which only damage explains: that is reported, never skipped.
 */
import type { Directory, File } from "../Storage.ts"
import { aligned, format, FrameReader, type Header, headerAt, headerBytes, isIntact, nextMagic } from "./frame.ts"
import { JournalState, Segment } from "./journalState.ts"
import { read } from "./sections.ts"
import { datasync, readAt, slotName, slotOf, type Slots } from "./slots.ts"

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

export interface Recovered {
  readonly state: JournalState
  /** Where to go on; undefined in a directory that has nothing yet. */
  readonly current: { readonly segment: Segment; readonly file: File } | undefined
  /** The highest so far. */
  readonly generation: number
}

export const recover = async (directory: Directory, slots: Slots): Promise<Recovered> => {
  const state = new JournalState()
  const found: Array<Found> = []
  for (const name of await directory.list()) {
    const slot = slotOf(name)
    if (slot === undefined) continue
    slots.known(slot)
    const header = await slots.reading(slot, (file) => readAt(file, 0, headerBytes).then((head) => headerAt(head, 0)))
    if (header !== undefined && header.format > format) {
      throw new Error(
        `${directory.path} was written in format ${header.format}, and this version reads up to ${format}: update @sluice/disk`
      )
    }
    const isOne = header !== undefined && header.offset === 0 && header.slot === slot && header.isFirst
    found.push({ slot, header: isOne ? header : undefined })
  }
  const candidates = found.filter(({ header }) => header !== undefined)
    .toSorted((a, b) => b.header!.generation - a.header!.generation)
  const generation = candidates[0]?.header!.generation ?? 0
  let current: Segment | undefined
  for (const { header, slot } of candidates) {
    current = await slots.reading(slot, (file) => replay(directory, file, state, slot, header!))
    if (current !== undefined) break
  }
  await assertNothingLost(directory, slots, found, current)
  const live = new Set<number>()
  for (const { generation, slot } of state.segments.values()) {
    live.add(slot)
    const header = found.find((one) => one.slot === slot)?.header
    if (header?.generation !== generation) {
      throw new Damaged(directory, slot, 0, `it should hold generation ${generation}, and holds ${header?.generation}`)
    }
  }
  for (const { slot } of found) if (!live.has(slot)) await slots.spare(slot)
  if (current === undefined) return { state, current: undefined, generation }
  const file = await directory.open(slotName(current.slot), "write")
  // What a crash of this process left may only be in the page cache: nobody reads it before it is durable.
  await datasync(file)
  return { state, current: { segment: current, file }, generation }
}

/** Applies the frames of a segment; undefined where its first is not whole. */
const replay = async (
  directory: Directory,
  file: File,
  state: JournalState,
  slot: number,
  { generation }: Header
): Promise<Segment | undefined> => {
  const bytes = await readAt(file, 0, await file.size())
  const segment = new Segment(generation, slot, 0)
  const isOurs = (position: number): Header | undefined => {
    const header = headerAt(bytes, position)
    return header !== undefined && header.generation === generation && header.offset === position
        && header.slot === slot && isIntact(bytes, position, header)
      ? header
      : undefined
  }
  for (let header = isOurs(0); header !== undefined; header = isOurs(segment.end)) {
    const reader = new FrameReader(bytes, segment.end, header)
    while (reader.more) state.apply(read(reader), segment, segment.end)
    segment.end += aligned(header.bytes)
  }
  for (let at = nextMagic(bytes, segment.end); at !== undefined; at = nextMagic(bytes, at + 1)) {
    if (at > segment.end && isOurs(at) !== undefined) {
      throw new Damaged(directory, slot, segment.end, `the frame there is not whole, and one at ${at} is`)
    }
  }
  if (segment.end === 0) return undefined
  state.segments.set(generation, segment)
  return segment
}

/** A segment whose first frame is gone must not be taken for one that has never been begun. */
const assertNothingLost = async (
  directory: Directory,
  slots: Slots,
  found: ReadonlyArray<Found>,
  current: Segment | undefined
): Promise<void> => {
  for (const { slot } of found) {
    if (slot === current?.slot) continue
    await slots.reading(slot, async (file) => {
      const head = headerAt(await readAt(file, 0, headerBytes), 0)
      const isOlder = head !== undefined && head.offset === 0 && head.slot === slot
        && head.generation < (current?.generation ?? 0)
      if (isOlder) return
      const bytes = await readAt(file, 0, await file.size())
      for (let at = nextMagic(bytes, 1); at !== undefined; at = nextMagic(bytes, at + 1)) {
        const header = headerAt(bytes, at)
        if (header === undefined) continue
        const isNewer = header.offset === at && header.slot === slot && header.generation > (current?.generation ?? 0)
        if (isNewer && isIntact(bytes, at, header)) {
          throw new Damaged(directory, slot, 0, `its first frame is not whole, and one at ${at} is`)
        }
      }
    })
  }
}
