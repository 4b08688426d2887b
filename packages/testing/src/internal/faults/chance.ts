/** Chance by a seed: the same seed gives the same numbers. Mulberry32, by Tommy Ettinger: small, and even enough for tests. */
export class Chance {
  private state: number
  constructor(seed: number) {
    this.state = seed | 0
  }

  /** At least 0 and below 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  /** An integer at least 0 and below `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }
  happens(rate: number): boolean {
    return rate > 0 && this.next() < rate
  }
  of<A>(choices: ReadonlyArray<A>): A {
    return choices[this.below(choices.length)]!
  }
  /** How likely each of many things is to have happened: often none of them or all, which coins alone would hardly show. */
  bias(): number {
    return this.of([0, 1, 0.5, this.next()])
  }
  seed(): number {
    return this.below(2 ** 32)
  }
}
