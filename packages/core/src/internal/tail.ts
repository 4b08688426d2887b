/** The newest values of a log by their sequences, without Effect: a ring that may begin at any of them. */

export class Tail<A> {
  /** The sequence of the next value. */
  head: number
  /** Nothing from before it is here. */
  private first: number
  private readonly capacity: number
  private readonly slots: Array<A> = []

  constructor(capacity: number, head: number) {
    this.capacity = capacity
    this.head = head
    this.first = head
  }
  push(value: A): void {
    this.slots[(this.head++ - this.first) % this.capacity] = value
  }
  has(sequence: number): boolean {
    return sequence < this.head && sequence >= this.first && sequence >= this.head - this.capacity
  }
  /** Only of a sequence that it has. */
  at(sequence: number): A {
    return this.slots[(sequence - this.first) % this.capacity]!
  }
  /** Begins anew, with nothing in it. */
  restart(head: number): void {
    this.head = head
    this.first = head
    this.slots.length = 0
  }
}
