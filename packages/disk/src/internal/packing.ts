/** Values on their way to another thread: copied into one piece of memory as they come, so that none is an object. */
import type { Packed } from "./sqliteCalls.ts"

export class Packing {
  private bytes = new Uint8Array(1024)
  private used = 0
  private readonly lengths: Array<number> = []
  private readonly times: Array<number> = []

  add(bytes: Uint8Array, time: number): void {
    const end = this.used + bytes.length
    if (end > this.bytes.length) {
      const larger = new Uint8Array(Math.max(end, 2 * this.bytes.length))
      larger.set(this.bytes.subarray(0, this.used))
      this.bytes = larger
    }
    this.bytes.set(bytes, this.used)
    this.used = end
    this.lengths.push(bytes.length)
    this.times.push(time)
  }
  /** It takes no more afterwards. The buffers of the answer are nobody else's, and can be transferred. */
  done(): Packed {
    return {
      bytes: this.bytes.subarray(0, this.used),
      lengths: Uint32Array.from(this.lengths),
      times: Float64Array.from(this.times)
    }
  }
}

/** The values again. They share one piece of memory. */
export const unpack = function*({ bytes, lengths, times }: Packed): Generator<{
  readonly bytes: Uint8Array
  readonly at: number
}> {
  let offset = 0
  for (const [index, length] of lengths.entries()) {
    yield { at: times[index]!, bytes: bytes.subarray(offset, offset += length) }
  }
}
