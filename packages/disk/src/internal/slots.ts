/**
 * The files of a journal. A slot is a file of the segments' size; a segment is what a slot holds at a time. One slot is made
 * ahead in the background and filled with zeros, since writing into blocks that a file has already is what makes an append
 * fast; slots whose segment is gone are used again as they are.
 */
import type { Directory, File } from "../Storage.ts"

/** Made and flushed at a time. Measured: with more the flushes of values in between wait for long, with less it takes long. */
const fillBytes = 128 * 1024
/** So many slots may be in doubt before they are written over. */
const doubtfulMax = 4
/** Files kept open for reading, at most, besides those in use. */
const openMax = 64

export const slotName = (slot: number): string => `segment-${String(slot).padStart(6, "0")}`
export const slotOf = (name: string): number | undefined => {
  const digits = /^segment-(\d{6,})$/.exec(name)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** What a segment is written to. */
export interface Target {
  readonly slot: number
  readonly file: File
  /** Whether its blocks are made by what is written to it, which makes each flush slower. */
  readonly grows: boolean
}

/** Files of slots that are open for reading. */
export class SlotFiles {
  protected readonly directory: Directory
  /** The one used last is at the end. */
  private readonly readers = new Map<number, { readonly file: Promise<File>; users: number }>()
  private isClosed = false

  constructor(directory: Directory) {
    this.directory = directory
  }
  /** Uses a slot's file for reading, and closes it once it has not been used for long. */
  async reading<A>(slot: number, use: (file: File) => Promise<A>): Promise<A> {
    if (this.isClosed) throw new Error(`${this.directory.path} is no longer read`)
    const known = this.readers.get(slot)
    const reader = known ?? { file: this.directory.open(slotName(slot), "read"), users: 0 }
    this.readers.delete(slot)
    this.readers.set(slot, reader)
    reader.users++
    try {
      const file = await reader.file.catch((error) => {
        this.readers.delete(slot)
        throw error
      })
      return await use(file)
    } finally {
      reader.users--
      await this.evict()
    }
  }
  private async evict(): Promise<void> {
    for (const [slot, { users }] of this.readers) {
      if (this.readers.size <= openMax) return
      if (users === 0) await this.forget(slot)
    }
  }
  protected async forget(slot: number): Promise<void> {
    const reader = this.readers.get(slot)
    this.readers.delete(slot)
    await reader?.file.then((file) => file.close()).catch(() => {})
  }
  /** Whoever reads after this was called gets the files that have these names now; reads under way may fail. */
  async forgetAll(): Promise<void> {
    await Promise.all([...this.readers.keys()].map((slot) => this.forget(slot)))
  }
  async close(): Promise<void> {
    this.isClosed = true
    await this.forgetAll()
  }
}

export class Slots extends SlotFiles {
  private readonly segmentBytes: number
  /** Of their full size and durable, with nothing that is needed. */
  private readonly spares: Array<number> = []
  private readonly doubtful: Array<Omit<Target, "file">> = []
  private preparing: Promise<void> | undefined
  /** Whether the last try to make a spare has failed: there is another one once a slot was taken. */
  private hasFailed = false
  private isClosing = false
  /** The last change of the directory. */
  private changing: Promise<unknown> = Promise.resolve()
  private lastSlot = -1
  /** Told when a background step has failed; what it was for is tried again when it is needed. */
  onFailure: (error: unknown) => void = () => {}

  constructor(directory: Directory, segmentBytes: number) {
    super(directory)
    this.segmentBytes = segmentBytes
  }
  /** A slot that was there at opening. */
  known(slot: number): void {
    this.lastSlot = Math.max(this.lastSlot, slot)
  }
  /**
   * A slot that nothing needs. One that was not filled is slow to write to, and may be a file that is not durable in its
   * directory, which no later sync makes certain where one has failed.
   */
  async spare(slot: number): Promise<void> {
    const isFilled = this.spares.length < 2 && !await this.grows(slot)
    // There may be two by now.
    if (!isFilled || this.spares.length >= 2) return this.remove(slot)
    this.spares.push(slot)
  }
  async grows(slot: number): Promise<boolean> {
    return await this.reading(slot, (file) => file.size()) < this.segmentBytes
  }
  get hasSpare(): boolean {
    return this.spares.length > 0
  }
  /** A slot to write a segment to, durable as a file. */
  async take(): Promise<Target> {
    await this.preparing
    this.hasFailed = false
    const spare = this.spares.shift()
    if (spare !== undefined) {
      return this.reopened({ slot: spare, grows: false }).catch((error) => {
        this.spares.push(spare)
        throw error
      })
    }
    if (this.doubtful.length < doubtfulMax) return this.create()
    const doubtful = this.doubtful.shift()!
    return this.reopened(doubtful).catch((error) => {
      this.doubtful.push(doubtful)
      throw error
    })
  }
  private async reopened({ grows, slot }: Omit<Target, "file">): Promise<Target> {
    return { slot, grows, file: await this.directory.open(slotName(slot), "write") }
  }
  /**
   * The first flush to a slot has failed, and may have left a first frame that is whole. Until a later generation is durable
   * the slot is only written over: a removal that is not durable would bring it back as the newest segment.
   */
  doubt(slot: Omit<Target, "file">): void {
    this.doubtful.push(slot)
  }
  /** A later generation is durable: none of them is in doubt any more. */
  async trust(): Promise<void> {
    const slots = this.doubtful.splice(0)
    for (const { slot } of slots) await this.spare(slot)
  }
  /** Makes a spare in the background, unless there is one. */
  prepare(): void {
    if (this.spares.length > 0 || this.preparing !== undefined || this.hasFailed) return
    const failed = (error: unknown) => {
      this.hasFailed = true
      this.onFailure(error)
    }
    this.preparing = this.fill().catch(failed).finally(() => {
      this.preparing = undefined
    })
  }
  private async create(): Promise<Target> {
    const slot = ++this.lastSlot
    try {
      return await this.alone(async () => {
        const file = await this.directory.open(slotName(slot), "create")
        try {
          await this.directory.sync()
          return { slot, file, grows: true }
        } catch (error) {
          await file.close().catch(() => {})
          throw error
        }
      })
    } catch (error) {
      await this.remove(slot)
      throw error
    }
  }
  /**
   * One change of the directory after the other, each with its sync: one that fails says nothing of what was changed before
   * it, and a later one does not make that certain.
   */
  private alone<A>(change: () => Promise<A>): Promise<A> {
    const changed = this.changing.then(change)
    this.changing = changed.catch(() => {})
    return changed
  }
  private async fill(): Promise<void> {
    const { file, slot } = await this.create()
    try {
      const zeros = new Uint8Array(Math.min(fillBytes, this.segmentBytes))
      for (let position = 0; position < this.segmentBytes; position += zeros.length) {
        // The next journal finds no use for what is left unfilled.
        if (this.isClosing) return await this.remove(slot)
        await writeAt(file, zeros.subarray(0, this.segmentBytes - position), position)
      }
      this.spares.push(slot)
    } catch (error) {
      await this.remove(slot)
      throw error
    } finally {
      await file.close().catch(() => {})
    }
  }
  private async remove(slot: number): Promise<void> {
    await this.forget(slot)
    await this.alone(async () => {
      await this.directory.remove(slotName(slot))
      await this.directory.sync()
    }).catch((error) => this.onFailure(error))
  }
  override async close(): Promise<void> {
    this.isClosing = true
    await this.preparing
    await this.changing
    await super.close()
  }
}

/** All of it, in as many writes as it takes, and durable. */
export const writeAt = (file: File, bytes: Uint8Array, position: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const write = (from: number): void => {
      if (from === bytes.length) return resolve()
      file.writeThrough(bytes.subarray(from), position + from, (error, written) => {
        if (error !== null) reject(error)
        else if (written === 0) reject(new Error("the file takes no more bytes"))
        else write(from + written)
      })
    }
    write(0)
  })
/** As much as there is, up to `bytes`. */
export const readAt = async (file: File, position: number, bytes: number): Promise<Buffer> => {
  const buffer = Buffer.allocUnsafe(bytes)
  let read = 0
  while (read < bytes) {
    const some = await new Promise<number>((resolve, reject) =>
      file.read(
        buffer.subarray(read),
        position + read,
        (error, count) => error === null ? resolve(count) : reject(error)
      )
    )
    if (some === 0) break
    read += some
  }
  return buffer.subarray(0, read)
}
