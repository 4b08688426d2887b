/**
 * The journal at work: what has come since the last flush is written as one frame and flushed, which all
 * its callers share (group commit). One flush is under way at a time; what comes meanwhile is in the next.
 *
 * A write or a flush that fails is never tried again: nothing is known of what it left. Its callers and those that wait
 * are told, the segment ends where it was durable, and whoever comes next begins a new one.
 */
import type { Directory } from "../Storage.ts"
import { Block, type Done, type Failure, overheadBytes } from "./block.ts"
import { FrameWriter, type Writer } from "./frame.ts"
import {
  groupSection,
  type JournalState,
  type Located,
  recordSection,
  type RecordState,
  Segment
} from "./journalState.ts"
import { Reading } from "./reading.ts"
import { type Current, recover } from "./recovery.ts"
import { type Note, type ValuesSection, write, writeValues } from "./sections.ts"
import { Slots } from "./slots.ts"

export interface CoreOptions {
  readonly segmentBytes: number
  /** Of the directory. */
  readonly limitBytes: number
  /** Of values that are taken and not durable. */
  readonly queueCount: number
  readonly queueBytes: number
  readonly now: () => number
}
/** Anything but a value: written as it is when its flush begins. */
interface Change {
  readonly sections: () => ReadonlyArray<Note>
  readonly done: Done
}
/** Values of an old segment on their way to the current one. */
interface Move {
  readonly first: number
  readonly block: Block
  readonly done: Done
}
/** What one flush holds. */
interface Batch {
  readonly blocks: ReadonlyArray<Block>
  readonly changes: ReadonlyArray<Change>
  readonly moves: ReadonlyArray<Move>
}

/** So many callers are resumed in one turn of the event loop: what they produce is flushed while the next are. */
const resumedMax = 512
/** Memory of blocks is kept for others, up to so many pieces of up to so many bytes. */
const writersMax = 16
const writerBytesMax = 1024 * 1024
/** Microtasks between a flush and the next cut, so that the producers just woken are in it. */
const joins = 4
/** So much of a file that grows makes a spare, to leave it for. */
const grownMax = 256 * 1024
/** A segment of which no more than this part is live is copied forward. */
const copiedBelow = 1 / 8

export class JournalCore {
  readonly state: JournalState
  readonly reading: Reading
  readonly slots: Slots
  readonly options: CoreOptions
  private generation: number
  private current: Current | undefined
  private readonly writer = new FrameWriter()
  /** Of blocks that are stored. */
  private readonly writers: Array<Writer> = []
  /** Segments on their way out. */
  private readonly leaving = new Map<Segment, Promise<void>>()
  private trusting: Promise<void> = Promise.resolve()
  /** To be called once a segment is begun of a generation after theirs: then its checkpoint is durable. */
  private afterCheckpoint: Array<{ readonly generation: number; readonly done: (isSaid: boolean) => void }> = []
  /** Values that wait for a flush, by record: the first block that was begun comes first. */
  private blocks: Array<Block> = []
  private changes: Array<Change> = []
  /** Those that are to be told, in order; the first of them up to `told` have been. */
  private answers: Array<{ readonly block: Block; readonly failure: Failure | undefined }> = []
  private told = 0
  private moves: Array<Move> = []
  private queuedBytes = 0
  private queuedCount = 0
  private flushing = false
  private scheduled = false
  private copying: Promise<void> | undefined
  private closing: (() => void) | undefined
  private isClosed = false
  /** Since this was opened. */
  flushes = 0
  failures = 0
  rollovers = 0
  /** Told after each flush which records have moved, and when there may be room. */
  readonly listeners = new Map<RecordState, { readonly advanced: () => void; readonly roomMade: () => void }>()
  /** Told of what nobody waits for. */
  onProblem: (message: string, cause: unknown) => void = () => {}
  private warned = false

  private constructor(
    directory: Directory,
    slots: Slots,
    options: CoreOptions,
    recovered: Awaited<ReturnType<typeof recover>>
  ) {
    this.slots = slots
    this.options = options
    this.state = recovered.state
    this.current = recovered.current
    this.generation = recovered.generation
    this.reading = new Reading(directory, slots, this.state)
    slots.onFailure = (cause) => this.onProblem("could not make or remove a file in the background", cause)
  }
  static async open(directory: Directory, options: CoreOptions): Promise<JournalCore> {
    const slots = new Slots(directory, options.segmentBytes)
    try {
      return new JournalCore(directory, slots, options, await recover(directory, slots))
    } catch (error) {
      await slots.close()
      throw error
    }
  }

  // ---- taking

  /** Whether a value would be refused now. */
  isFull(): boolean {
    return this.queuedCount >= this.options.queueCount || this.queuedBytes >= this.options.queueBytes ||
      this.isAtLimit()
  }
  /** A value of so many bytes can never be stored. */
  valueBytesMax(): number {
    return Math.floor(this.options.segmentBytes / 4)
  }
  /**
   * `value`: its bytes, or the text of which they are the UTF-8. One that does not fit is refused when those before it are
   * durable.
   */
  append(record: RecordState, at: number, version: number, value: Uint8Array | string, done: Done): void {
    const bytesMax = this.valueBytesMax()
    let block = record.open ?? this.open(record)
    let fits = true
    // A text of so many characters has at most three times as many bytes, which is enough to know for almost all.
    if (block.bytes + overheadBytes + 3 * value.length > bytesMax) {
      const bytes = overheadBytes + (typeof value === "string" ? Buffer.byteLength(value) : value.length)
      fits = bytes <= bytesMax
      if (!fits) {
        const cause = new RangeError(
          `a value of ${bytes - overheadBytes} bytes does not fit the journal, which takes up to ${
            bytesMax - overheadBytes
          }: a quarter of its segmentBytes`
        )
        block.refuse({ cause })
      } else if (block.bytes + bytes > bytesMax) block = this.open(record)
    }
    const before = block.bytes
    if (fits) block.add(at, version, value)
    block.dones.push(done)
    record.queued++
    this.queuedCount++
    this.queuedBytes += block.bytes - before
    this.schedule()
  }
  private open(record: RecordState): Block {
    const block = record.open = new Block(record, this.writers.pop())
    this.blocks.push(block)
    return block
  }
  /** Makes something durable that is not a value; `sections` is asked when its flush begins. */
  change(sections: () => ReadonlyArray<Note>, done: Done): void {
    this.changes.push({ sections, done })
    this.schedule()
  }
  private hasMore(): boolean {
    return this.blocks.length > 0 || this.changes.length > 0 || this.moves.length > 0
  }
  private schedule(): void {
    if (this.scheduled || this.flushing) return
    this.scheduled = true
    this.afterMicrotasks(joins)
  }
  private afterMicrotasks(left: number): void {
    queueMicrotask(() => {
      if (left > 0) return this.afterMicrotasks(left - 1)
      this.scheduled = false
      this.flush()
    })
  }

  // ---- flushing

  private flush(): void {
    if (this.flushing) return
    if (!this.hasMore()) return this.closing?.()
    if (this.isClosed) return this.failAll(new Error("the journal is closed"), undefined)
    this.flushing = true
    const batch = this.cut()
    const { current } = this
    if (current !== undefined && !(current.grows && this.slots.hasSpare)) {
      const frame = this.frameOf(batch, current.segment, false)
      if (current.segment.end + frame.bytes.length <= this.options.segmentBytes) {
        return this.store(current, frame, batch)
      }
    }
    this.begin().then(
      (next) => this.store(next, this.frameOf(batch, next.segment, true), batch),
      (error) => this.failed(error, batch)
    )
  }
  /** Takes what goes into the next frame. */
  private cut(): Batch {
    const bytesMax = this.valueBytesMax()
    let bytes = 0
    let count = 0
    for (const block of this.blocks) {
      if (count > 0 && bytes + block.bytes > bytesMax) break
      count++
      bytes += block.bytes
      if (block.record.open === block) block.record.open = undefined
    }
    const blocks = this.blocks.splice(0, count)
    const { changes, moves } = this
    this.changes = []
    this.moves = []
    return { blocks, changes, moves }
  }
  private frameOf(
    { blocks, changes, moves }: Batch,
    segment: Segment,
    isFirst: boolean
  ): { readonly bytes: Uint8Array; readonly placed: ReadonlyArray<ValuesSection> } {
    const { state, writer } = this
    const placed: Array<ValuesSection> = []
    writer.begin()
    if (isFirst) { for (const section of state.checkpoint(segment.generation)) write(writer, section) }
    for (const { sections } of changes) for (const section of sections()) write(writer, section)
    for (const { block, first } of moves) placed.push(writeValues(writer, first, block))
    for (const block of blocks) {
      const { record } = block
      // Two of the same record do not fit one frame.
      if (block.count > 0) placed.push(writeValues(writer, record.next, block))
      if (record.moved) write(writer, { _tag: "Oldest", record: record.id, oldest: record.oldest })
    }
    const bytes = writer.finish({ generation: segment.generation, offset: segment.end, slot: segment.slot }, isFirst)
    return { bytes, placed }
  }
  /** A segment to go on with; it is one of the journal's once its first frame is durable. */
  private async begin(): Promise<Current> {
    const { slot, ...target } = await this.slots.take()
    return { segment: new Segment(++this.generation, slot, 0), ...target }
  }
  private store(
    to: Current,
    frame: { readonly bytes: Uint8Array; readonly placed: ReadonlyArray<ValuesSection> },
    batch: Batch
  ): void {
    if (frame.bytes.length > this.options.segmentBytes) {
      const cause = new Error(
        `what a segment begins with does not fit one of ${this.options.segmentBytes} bytes: raise segmentBytes`
      )
      return this.failed(cause, batch, to)
    }
    const { file, segment } = to
    let written = 0
    const next = (): void =>
      file.writeThrough(frame.bytes.subarray(written), segment.end + written, (error, count) => {
        if (error !== null) return this.failed(error, batch, to)
        if (count === 0) return this.failed(new Error("the file takes no more bytes"), batch, to)
        written += count
        if (written < frame.bytes.length) next()
        else this.stored(to, frame.bytes.length, frame.placed, batch)
      })
    next()
  }
  private stored(
    to: Current,
    bytes: number,
    placed: ReadonlyArray<ValuesSection>,
    batch: Batch
  ): void {
    const { state } = this
    const { segment } = to
    const before = this.current
    if (before !== to) {
      this.current = to
      this.rollovers++
      state.segments.set(segment.generation, segment)
      before?.file.close().catch((error) => this.onProblem("could not close a segment", error))
    }
    for (const section of placed) state.placed(section, segment, segment.end)
    segment.end += bytes
    this.flushes++
    for (const { bytes, dones, record, writer } of batch.blocks) {
      this.queuedBytes -= bytes
      this.queuedCount -= dones.length
      record.queued -= dones.length
      record.moved = false
      this.expire(record)
      this.reuse(writer)
    }
    if (before !== to) {
      this.trusting = this.trusting.then(() => this.slots.trust()).catch(this.couldNotLetGo)
      this.tidy(segment)
    } else if (this.closing === undefined) {
      const some = this.options.segmentBytes / 4
      if (segment.end > (to.grows ? Math.min(some, grownMax) : some)) this.slots.prepare()
    }
    this.flushing = false
    // So many do not wait for those who are woken now: the disk has work while they run.
    const isBusy = this.queuedCount >= resumedMax / 2
    if (isBusy) this.flush()
    this.answer(batch, undefined)
    for (const { record } of batch.blocks) this.listeners.get(record)?.advanced()
    this.tellRoom()
    if (!isBusy) this.goOn()
  }
  private goOn(): void {
    this.flushing = false
    if (this.hasMore()) this.schedule()
    else if (this.closing !== undefined) this.closing()
    else {
      // Whoever was woken joins the next cut.
      this.scheduled = true
      this.afterMicrotasks(joins)
    }
  }
  private failed(cause: unknown, batch: Batch, to?: Current): void {
    this.failures++
    const { current } = this
    this.current = undefined
    for (const one of new Set([current, to])) {
      one?.file.close().catch(() => {})
      if (one !== undefined && one !== current) this.slots.doubt({ slot: one.segment.slot, grows: one.grows })
    }
    this.failAll(cause, batch)
    this.goOn()
  }
  /** Those of the flush, and those that wait for the next. */
  private failAll(cause: unknown, batch: Batch | undefined): void {
    const { blocks, changes, moves } = this
    this.blocks = []
    this.changes = []
    this.moves = []
    this.queuedBytes = 0
    this.queuedCount = 0
    for (const { record } of blocks) record.open = undefined
    for (const { dones, record } of [...(batch?.blocks ?? []), ...blocks]) record.queued -= dones.length
    if (batch !== undefined) this.answer(batch, { cause })
    this.answer({ blocks, changes, moves }, { cause })
    this.tellRoom()
  }
  private answer({ blocks, changes, moves }: Batch, failure: Failure | undefined): void {
    for (const { done } of changes) done(failure)
    for (const { done } of moves) done(failure)
    const isTelling = this.answers.length > 0
    for (const block of blocks) this.answers.push({ block, failure })
    if (!isTelling) this.answerSome()
  }
  /** Tells the producers in order, so many in a turn of the event loop. */
  private readonly answerSome = (): void => {
    for (let left = resumedMax; this.answers.length > 0; this.told = 0) {
      const { block: { dones, record, refusals }, failure } = this.answers[0]!
      while (this.told < dones.length) {
        if (left-- === 0) return void setImmediate(this.answerSome)
        const index = this.told++
        dones[index]!(failure ?? refusals?.get(index))
      }
      this.answers.shift()
      if (record.queued === 0) record.whenStored?.()
    }
  }
  private reuse(writer: Writer): void {
    if (this.writers.length >= writersMax || writer.capacity > writerBytesMax) return
    writer.clear()
    this.writers.push(writer)
  }
  private tellRoom(): void {
    for (const { roomMade } of this.listeners.values()) roomMade()
  }

  // ---- letting go

  /** Lets go of what retention allows; what is gone is said with the record's next values. */
  expire(record: RecordState): void {
    const oldest = record.oldest
    this.state.expire(record, record.expiredBy(this.options.now()))
    if (record.oldest !== oldest) this.free()
  }
  /** What has expired and is not written yet. */
  private oldest(): ReadonlyArray<Note> {
    return [...this.state.records.values()].filter(({ moved }) => moved).map(({ id, oldest }) => ({
      _tag: "Oldest",
      record: id,
      oldest
    }))
  }
  /** Segments of which nothing is kept go: their files are used again, or removed. */
  private free(): void {
    for (const segment of this.state.segments.values()) {
      if (segment.extents.size === 0 && segment !== this.current?.segment && !this.leaving.has(segment)) {
        const going = this.letGo(segment).catch(this.couldNotLetGo)
        this.leaving.set(segment, going.finally(() => this.leaving.delete(segment)))
      }
    }
  }
  private readonly couldNotLetGo = (error: unknown): void => this.onProblem("could not let go of a segment", error)
  private async letGo(segment: Segment): Promise<void> {
    const { segments } = this.state
    const indexed = [...segments.values()].filter((other) => other !== segment && other.indexIn === segment.generation)
    for (const other of indexed) await this.reading.indexOf(other)
    segments.delete(segment.generation)
    let isSaid = indexed.length === 0 &&
      await new Promise<boolean>((resolve) =>
        this.change(
          () => [{ _tag: "Freed", generation: segment.generation }],
          (failure) => resolve(failure === undefined)
        )
      )
    if (!isSaid && !this.isClosed) {
      // The next checkpoint says it too, and has the indexes that the segment had. One that is on its way may still name it.
      isSaid = await new Promise((done) => this.afterCheckpoint.push({ generation: this.generation, done }))
    }
    if (isSaid) await this.slots.spare(segment.slot)
  }
  /** After a segment was begun. */
  private tidy({ generation }: Segment): void {
    const isDone = (one: { readonly generation: number }) => one.generation < generation
    for (const { done } of this.afterCheckpoint.filter(isDone)) done(true)
    this.afterCheckpoint = this.afterCheckpoint.filter((one) => !isDone(one))
    for (const record of this.state.records.values()) this.expire(record)
    this.free()
    this.copying ??= this.copyForward().catch((error) => this.onProblem("could not copy values forward", error))
      .finally(
        () => {
          this.copying = undefined
        }
      )
    this.warn()
  }
  /** Copies what little is live in old segments to the current one, so that they can go. */
  private async copyForward(): Promise<void> {
    const { segmentBytes } = this.options
    for (const segment of this.state.segments.values()) {
      if (segment === this.current?.segment || this.isClosed || this.closing !== undefined) continue
      if (segment.extents.size === 0 || segment.live() > segmentBytes * copiedBelow) continue
      for (const extent of segment.extents) {
        const record = this.state.records.get(extent.record)!
        while (extent.count > 0 && segment.extents.has(extent) && this.closing === undefined) {
          await this.copySome(record, { extent, segment })
        }
      }
    }
    this.free()
  }
  private async copySome(record: RecordState, { extent }: Located): Promise<void> {
    const { first } = extent
    const stored = await this.reading.read(record, first, Math.min(extent.count, 512))
    // It may have expired meanwhile, or all may be about to end.
    if (extent.first !== first || stored.length === 0 || this.closing !== undefined) return
    const block = new Block(record)
    for (const { at, bytes, version } of stored) {
      if (block.count > 0 && block.bytes + overheadBytes + bytes.length > this.valueBytesMax()) break
      block.add(at, version, bytes)
    }
    await new Promise<void>((resolve, reject) => {
      const done: Done = (failure) => failure === undefined ? resolve() : reject(failure.cause)
      this.moves.push({ first, block, done })
      this.schedule()
    })
  }

  // ---- limits

  private maxSegments(): number {
    return Math.max(4, Math.floor(this.options.limitBytes / this.options.segmentBytes))
  }
  /** Commits and copies still find room there: a segment and a quarter of one are theirs. */
  private isAtLimit(): boolean {
    const { segmentBytes } = this.options
    const used = (this.current?.segment.end ?? segmentBytes) + this.queuedBytes
    return this.state.segments.size >= this.maxSegments() - 2 && used > segmentBytes * 3 / 4
  }
  private warn(): void {
    const { size } = this.state.segments
    // Two of them are for commits and copies.
    const isNear = size >= 0.8 * (this.maxSegments() - 2)
    if (isNear && !this.warned) {
      const holders = [...this.state.records.values()].toSorted((a, b) => b.bytes - a.bytes).slice(0, 3)
      this.onProblem(
        `holds ${size} segments of at most ${this.maxSegments()}, after which values are refused; most of it are ${
          holders.map((record) => {
            const groups = record.groups.holding(record.oldest)
            return `record "${record.key}" (${record.bytes} bytes${
              groups.length === 0 ? "" : `, kept by ${groups.map((name) => `group "${name}"`).join(", ")}`
            })`
          }).join(", ")
        }`,
        undefined
      )
    }
    this.warned = isNear
  }

  // ---- the end

  /** Stores what was taken, and closes the files. Nothing is taken afterwards. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.closing = resolve
      this.change(() => this.oldest(), () => {})
    })
    this.isClosed = true
    for (const { done } of this.afterCheckpoint) done(false)
    await Promise.all([this.copying, this.trusting, ...this.leaving.values(), this.reading.close()])
    const { current } = this
    this.current = undefined
    await current?.file.close()
    await this.slots.close()
  }
  /** A record by its key, which is written before its first value. */
  record(key: string): RecordState {
    const known = this.state.get(key)
    if (known !== undefined) return known
    const record = this.state.add(key)
    this.change(() => [recordSection(record)], (failure) => {
      // A checkpoint says it again.
      if (failure !== undefined) this.onProblem(`could not store the name of record "${key}"`, failure.cause)
    })
    return record
  }
  /** A group as it is now. */
  saveGroup(record: RecordState, name: string, done: Done): void {
    // Where it is gone by then, the record says which epoch it had.
    const gone = () => record.groups.get(name) === undefined
    this.change(() => [gone() ? recordSection(record) : groupSection(record, name)], done)
  }
  removeGroup(record: RecordState, name: string, done: Done): void {
    this.change(() => [{ _tag: "Removed", record: record.id, name }], done)
  }
}
