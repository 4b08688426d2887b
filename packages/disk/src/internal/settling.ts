/**
 * Calls that are due, a thousand in each turn of the event loop: a transaction stores more values than one turn should
 * tell of. They are called in the order in which they came.
 */
const callsPerTurn = 1_000

export class Settling {
  private due: Array<() => void> = []
  private next = 0
  private running = false

  /** The first of them are called before it returns, where none is due already. */
  add(calls: Iterable<() => void>): void {
    for (const call of calls) this.due.push(call)
    if (!this.running) this.run()
  }
  private readonly run = (): void => {
    this.running = true
    const end = Math.min(this.due.length, this.next + callsPerTurn)
    while (this.next < end) this.due[this.next++]!()
    this.running = this.next < this.due.length
    if (this.running) return void setImmediate(this.run)
    this.due = []
    this.next = 0
  }
}
