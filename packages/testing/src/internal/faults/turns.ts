/** When answers come: each after a number of turns, counted by one clock, so that their order hangs on nothing else. */
/// <reference types="node" />

/** Runs something in a later turn of the event loop, as `setImmediate` does. */
export type Turn = (run: () => void) => void

export const eventLoop: Turn = (run) => void setImmediate(run)

export class Turns {
  now = 0
  private waiting: Array<{ readonly at: number; readonly run: () => void }> = []
  private isTurning = false
  private readonly turn: Turn
  constructor(turn: Turn) {
    this.turn = turn
  }

  after(turns: number, run: () => void): void {
    this.waiting.push({ at: this.now + turns, run })
    this.start()
  }
  private start(): void {
    if (this.isTurning || this.waiting.length === 0) return
    this.isTurning = true
    this.turn(() => {
      this.isTurning = false
      this.now++
      const due = this.waiting.filter(({ at }) => at <= this.now)
      this.waiting = this.waiting.filter(({ at }) => at > this.now)
      this.runAll(due)
    })
  }
  /** What one throws is its caller's, and keeps no other from its turn. */
  private runAll(due: ReadonlyArray<{ readonly run: () => void }>, from = 0): void {
    let at = from
    try {
      while (at < due.length) due[at++]!.run()
    } finally {
      if (at < due.length) this.runAll(due, at)
      else this.start()
    }
  }
}
