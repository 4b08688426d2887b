/** How long handlers take, from a sample: the first 64 values and one in 512 after, the last 256 of them kept. Milliseconds. */
const kept = 256

export class Latency {
  private readonly samples: Array<number> = []
  private next = 0
  private max = 0

  add(millis: number): void {
    this.samples[this.next] = millis
    this.next = (this.next + 1) % kept
    if (millis > this.max) this.max = millis
  }
  /** Nearest rank over the samples kept; `max` over all ever taken; zeros before the first. */
  summary(): { readonly p50: number; readonly p99: number; readonly max: number } {
    const sorted = this.samples.toSorted((a, b) => a - b)
    const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
    return { p50: rank(0.5), p99: rank(0.99), max: this.max }
  }
}
