/**
 * Frames: what one flush appends to a segment, whole or not at all. Little-endian; a frame begins at a multiple of 16.
 *
 *     0  magic       u32   "SLJ1"
 *     4  crc         u32   CRC-32 of all that follows, to the end of the sections
 *     8  length      u32   of the sections, in bytes
 *    12  format      u16   the format's version
 *    14  kind        u16   0: values and groups; 1: the first of a segment, which begins with a checkpoint
 *    16  generation  f64   of the segment: no two segments have the same, in all the life of a directory
 *    24  offset      u32   of the frame in its segment
 *    28  slot        u32   of the segment's file
 *    32  sections
 *
 * Generation and offset are under the CRC, so that what a recycled segment held before is never taken for data. The file
 * format as a whole is in docs/durability.md.
 */
import { crc32 } from "node:zlib"

export const format = 1
export const alignment = 16
export const headerBytes = 32
const magic = 0x314a4c53
const magicBytes = Buffer.from("SLJ1")

export const aligned = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/** Where a frame is. */
export interface Place {
  readonly generation: number
  readonly offset: number
  readonly slot: number
}
export interface Header extends Place {
  readonly crc: number
  readonly isFirst: boolean
  readonly format: number
  /** With its header, to the end of its sections. */
  readonly bytes: number
}

/** Writes one thing behind the other into memory of its own. */
export class Writer {
  protected buffer = Buffer.alloc(64 * 1024)
  private view = viewOf(this.buffer)
  protected end = 0

  /** So far. */
  get bytes(): number {
    return this.end
  }
  /** How much fits before it needs more memory. */
  get capacity(): number {
    return this.buffer.length
  }
  /** Begins anew, in the same memory. */
  clear(): void {
    this.end = 0
  }
  u8(value: number): void {
    const position = this.take(1)
    this.view.setUint8(position, value)
  }
  u32(value: number): void {
    const position = this.take(4)
    this.view.setUint32(position, value, true)
  }
  f64(value: number): void {
    const position = this.take(8)
    this.view.setFloat64(position, value, true)
  }
  raw(bytes: Uint8Array): void {
    const position = this.take(bytes.length)
    this.buffer.set(bytes, position)
  }
  block(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.raw(bytes)
  }
  /** As the block of its UTF-8. */
  text(text: string): void {
    const start = this.take(4)
    const position = this.take(3 * text.length)
    const length = this.buffer.write(text, position)
    this.end = position + length
    this.view.setUint32(start, length, true)
  }
  /** What has been written. Valid until it writes more. */
  written(): Uint8Array {
    return this.buffer.subarray(0, this.end)
  }
  /** The position of so many bytes more. */
  protected take(bytes: number): number {
    const position = this.end
    this.end += bytes
    if (this.end > this.buffer.length) {
      const larger = Buffer.alloc(Math.max(2 * this.buffer.length, this.end))
      larger.set(this.buffer.subarray(0, position))
      this.buffer = larger
      this.view = viewOf(larger)
    }
    return position
  }
}
/** Writes one frame after the other, each in the memory of the last. */
export class FrameWriter extends Writer {
  begin(): void {
    this.end = headerBytes
  }
  /** The frame, padded to a multiple of the alignment. Valid until the next `begin`. */
  finish(place: Place, isFirst: boolean): Uint8Array {
    const { end } = this
    const padded = aligned(end)
    this.take(padded - end)
    const { buffer } = this
    buffer.fill(0, end, padded)
    buffer.writeUInt32LE(magic, 0)
    buffer.writeUInt32LE(end - headerBytes, 8)
    buffer.writeUInt16LE(format, 12)
    buffer.writeUInt16LE(isFirst ? 1 : 0, 14)
    buffer.writeDoubleLE(place.generation, 16)
    buffer.writeUInt32LE(place.offset, 24)
    buffer.writeUInt32LE(place.slot, 28)
    buffer.writeUInt32LE(crc32(buffer.subarray(8, end)), 4)
    return buffer.subarray(0, padded)
  }
}
// Measured: a view's numbers cost a fraction of those of a Buffer's methods.
const viewOf = ({ buffer, byteOffset, length }: Buffer): DataView => new DataView(buffer, byteOffset, length)

/** The header at `position`, if there can be one, whatever its CRC. */
export const headerAt = (buffer: Buffer, position: number): Header | undefined => {
  if (position + headerBytes > buffer.length || buffer.readUInt32LE(position) !== magic) return undefined
  return {
    crc: buffer.readUInt32LE(position + 4),
    bytes: headerBytes + buffer.readUInt32LE(position + 8),
    format: buffer.readUInt16LE(position + 12),
    isFirst: buffer.readUInt16LE(position + 14) === 1,
    generation: buffer.readDoubleLE(position + 16),
    offset: buffer.readUInt32LE(position + 24),
    slot: buffer.readUInt32LE(position + 28)
  }
}
/** Whether it was written for this very place, and is not left over from what the file held before. */
export const isAt = (header: Header, { generation, offset, slot }: Place): boolean =>
  header.generation === generation && header.offset === offset && header.slot === slot
/** Whether the frame at `position`, all of which is in the buffer, is as it was written. */
export const isIntact = (buffer: Buffer, position: number, { bytes, crc }: Header): boolean =>
  position + bytes <= buffer.length && crc32(buffer.subarray(position + 8, position + bytes)) === crc

/** The next position from `position` on at which a frame could begin. */
export const nextMagic = (buffer: Buffer, position: number): number | undefined => {
  let found = buffer.indexOf(magicBytes, position)
  while (found >= 0 && found % alignment !== 0) found = buffer.indexOf(magicBytes, found + 1)
  return found < 0 ? undefined : found
}

/** Reads the sections of frames that are intact, one frame after the other. */
export class FrameReader {
  position = 0
  end = 0
  private readonly buffer: Buffer
  private readonly view: DataView

  constructor(buffer: Buffer) {
    this.buffer = buffer
    this.view = viewOf(buffer)
  }
  /** Goes to the first section of the frame at `position`. */
  enter(position: number, { bytes }: Header): this {
    this.position = position + headerBytes
    this.end = position + bytes
    return this
  }
  get more(): boolean {
    return this.position < this.end
  }
  peek(): number {
    return this.view.getUint8(this.position)
  }
  u8(): number {
    return this.view.getUint8(this.advance(1))
  }
  u32(): number {
    return this.view.getUint32(this.advance(4), true)
  }
  f64(): number {
    return this.view.getFloat64(this.advance(8), true)
  }
  /** Shares the buffer's memory. */
  block(): Uint8Array {
    const length = this.u32()
    return this.buffer.subarray(this.position, this.position += length)
  }
  text(): string {
    return Buffer.from(this.block()).toString()
  }
  skip(bytes: number): void {
    this.position += bytes
  }
  private advance(bytes: number): number {
    const { position } = this
    this.position += bytes
    return position
  }
}
