/**
 * A journal as a process sees it that only reads: it takes no lock and changes nothing. What is known comes from the newest
 * segment, as at opening; each look then goes on where the last one ended, and begins anew with the checkpoint of the next
 * segment once there is one.
 *
 * What is known may be older than what the files hold: the writer uses again what it has let go of. A frame says of which
 * generation it is, so that nothing else is taken for it, and the writer has said that a segment goes before it writes to
 * its file again. So a read that does not find what it looks for looks anew, and then knows why.
 */
import type { Listed, Stored } from "@sluice/core/Engine"
import type { Directory, File } from "../Storage.ts"
import { FrameReader, type Header, headerAt, headerBytes, isAt } from "./frame.ts"
import { JournalState, type RecordState, Segment } from "./journalState.ts"
import { framesAt, Reading } from "./reading.ts"
import { applyFrame, assertLast, firstOf } from "./recovery.ts"
import { readAt, SlotFiles, slotName, slotOf } from "./slots.ts"

/** What is known of the journal as of one segment, and of what has been appended to it. */
interface View {
  readonly state: JournalState
  readonly segment: Segment
  /** Of its first frame. */
  readonly crc: number
  readonly reading: Reading
}
interface First {
  readonly slot: number
  readonly header: Header
}

/** While a busy writer uses files again, what was found may be gone when it is read, or may have moved on while it was looked for. */
const triesMax = 16
/** Files that are opened at the same time. */
const atOnce = 32
/** Of the files that hold what is kept, so many are asked at each look whether that is still so. */
const liveMax = 16

export class Following {
  readonly directory: Directory
  private readonly files: SlotFiles
  private view!: View
  private looked: Promise<void> = Promise.resolve()
  private next: Promise<void> | undefined
  /** How many live files were asked so far. */
  private asked = 0
  /** Told of what nobody asks for. */
  onProblem: (message: string) => void = () => {}

  private constructor(directory: Directory) {
    this.directory = directory
    this.files = new SlotFiles(directory)
  }
  /** Undefined where there is no journal yet. */
  static async open(directory: Directory): Promise<Following | undefined> {
    const following = new Following(directory)
    for (let tries = triesMax;; tries--) {
      const firsts = await following.firstsOf(await following.slots())
      const view = await following.newestOf(firsts, 0)
      if (view !== undefined) {
        following.view = view
        await following.assertLast()
        return following
      }
      if (firsts.length === 0 || tries === 1) return undefined
    }
  }
  private async assertLast(): Promise<void> {
    const { segment } = this.view
    const { end } = segment
    try {
      await this.withFile(
        segment.slot,
        async (file) => assertLast(this.directory, segment, await readAt(file, 0, await file.size()))
      )
    } catch (error) {
      // The writer may have gone on since.
      await this.look()
      if (this.view.segment === segment && segment.end === end) throw error
    }
  }

  // ---- what is known

  records(): Iterable<RecordState> {
    return this.view.state.records.values()
  }
  head(key: string): number {
    return this.view.state.get(key)?.next ?? 0
  }
  oldest(key: string): number {
    return this.view.state.get(key)?.oldest ?? 0
  }
  groups(key: string, now: number): ReadonlyArray<Listed> {
    const groups = this.view.state.get(key)?.groups.list(now) ?? []
    // Of one that is held it is not written since when it is idle.
    return groups.map((group) => Number.isNaN(group.idleSince) ? { ...group, idleSince: now } : group)
  }

  // ---- reading

  /** At most `max` values from `from` on; none where that has expired or is still to come. */
  read(key: string, from: number, max: number): Promise<ReadonlyArray<Stored>> {
    return this.known(
      key,
      [],
      async (record, reading) => from < record.oldest || from >= record.next ? [] : reading.read(record, from, max)
    )
  }
  /** As of an engine: the head where there is none. */
  sequenceAt(key: string, time: number): Promise<number> {
    return this.known(key, 0, (record, reading) => reading.sequenceAt(record, time))
  }
  private async known<A>(
    key: string,
    otherwise: A,
    use: (record: RecordState, reading: Reading) => Promise<A>
  ): Promise<A> {
    for (let tries = triesMax;; tries--) {
      const { reading, state } = this.view
      const record = state.get(key)
      if (record === undefined) return otherwise
      try {
        return await use(record, reading)
      } catch (error) {
        if (tries === 1) throw error
        await this.look()
      }
    }
  }

  // ---- looking

  /** Finds out what has come until now. */
  look(): Promise<void> {
    // One that is under way may have passed what the caller asks for: the next begins after it, for all who wait.
    return this.next ??= this.looked.catch(() => {}).then(() => {
      this.next = undefined
      return this.looked = this.lookNow()
    })
  }
  private async lookNow(): Promise<void> {
    await this.advance(this.view.state, this.view.segment)
    for (let left = triesMax; left > 0; left--) {
      const view = await this.newer()
      if (view === undefined) return
      this.tellTakenBack(this.view, view)
      this.view = view
      // A name may be that of another file by now.
      await this.files.forgetAll()
    }
  }
  /** Applies the whole frames that were appended to a segment since, up to its length as it is now. */
  private async advance(state: JournalState, segment: Segment): Promise<void> {
    const { generation, slot } = segment
    await this.withFile(slot, async (file) => {
      const size = await file.size()
      for (;;) {
        const place = { generation, offset: segment.end, slot }
        const next = headerAt(await readAt(file, segment.end, headerBytes), 0)
        if (next === undefined || !isAt(next, place)) return
        const { bytes, length } = await framesAt(file, place, size)
        if (length === 0) return
        const reader = new FrameReader(bytes)
        while (segment.end < place.offset + length) {
          const position = segment.end - place.offset
          applyFrame(state, segment, reader, position, headerAt(bytes, position)!)
        }
      }
    })
  }
  /** What a newer segment says, where there is one. */
  private async newer(): Promise<View | undefined> {
    const { segment, state } = this.view
    const live = new Set(Array.from(state.segments.values(), ({ slot }) => slot))
    live.delete(segment.slot)
    const slots = await this.slots()
    // A segment is begun in a file that holds nothing live. By the others it is found where several were begun since.
    const kept = slots.filter((slot) => live.has(slot))
    const some = kept.map((_, index) => kept[(this.asked + index) % kept.length]!).slice(0, liveMax)
    this.asked += some.length
    const firsts = await this.firstsOf([...slots.filter((slot) => !live.has(slot)), ...some])
    const view = await this.newestOf(firsts, segment.generation)
    if (view !== undefined || firsts.some((first) => isBeginningOf(first, this.view))) return view
    // Its first flush failed, and its file was used again or removed: nothing of it counts.
    for (let tries = triesMax; tries > 0; tries--) {
      const view = await this.newestOf(await this.firstsOf(await this.slots()), 0)
      if (view === undefined) continue
      const { generation, slot } = view.segment
      if (generation >= segment.generation || state.segments.get(generation)?.slot === slot) return view
    }
    throw new Error(
      `${this.directory.path} no longer has the segment that was read last, and none after it: was another journal put there?`
    )
  }
  /** The newest of them that comes after a generation and is whole. */
  private async newestOf(firsts: ReadonlyArray<First>, after: number): Promise<View | undefined> {
    const newer = firsts.filter(({ header }) => header.generation > after)
      .toSorted((a, b) => b.header.generation - a.header.generation)
    for (const { header: { crc, generation }, slot } of newer) {
      const state = new JournalState()
      const segment = new Segment(generation, slot, 0)
      await this.advance(state, segment)
      if (segment.end === 0) continue
      state.segments.set(generation, segment)
      return { state, segment, crc, reading: new Reading(this.directory, this.files, state) }
    }
    return undefined
  }
  /** What was seen of a flush that then failed was never acknowledged, and others have its sequences. */
  private tellTakenBack(before: View, now: View): void {
    const { end, generation, slot } = before.segment
    const isCut = (now.state.segments.get(generation)?.end ?? end) < end
    const isBehind = [...before.state.records.values()].some(({ key, next }) => (now.state.get(key)?.next ?? 0) < next)
    if (isCut || isBehind) {
      this.onProblem(
        `what was read last of ${
          slotName(slot)
        } is of a flush that failed: it was not stored, and others get its sequences`
      )
    }
  }

  // ---- files

  private async slots(): Promise<ReadonlyArray<number>> {
    const names = await this.directory.list()
    return names.map(slotOf).filter((slot) => slot !== undefined)
  }
  private async firstsOf(slots: ReadonlyArray<number>): Promise<ReadonlyArray<First>> {
    const firsts: Array<First> = []
    for (let from = 0; from < slots.length; from += atOnce) {
      await Promise.all(
        slots.slice(from, from + atOnce).map(async (slot) => {
          const header = await this.withFile(slot, (file) => firstOf(this.directory, file, slot))
          if (header !== undefined) firsts.push({ slot, header })
        })
      )
    }
    return firsts
  }
  /** The file that has this name now; undefined where there is none. */
  private async withFile<A>(slot: number, use: (file: File) => Promise<A>): Promise<A | undefined> {
    let file: File
    try {
      file = await this.directory.open(slotName(slot), "read")
    } catch (error) {
      if (isNotThere(error)) return undefined
      throw error
    }
    try {
      return await use(file)
    } finally {
      await file.close()
    }
  }
  /** After what is under way. */
  async close(): Promise<void> {
    await (this.next ?? this.looked).catch(() => {})
    await this.files.close()
  }
}

const isBeginningOf = ({ header, slot }: First, { crc, segment }: View): boolean =>
  slot === segment.slot && header.generation === segment.generation && header.crc === crc

/** Whether it says that there is no such file or directory. */
export const isNotThere = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOENT"
