/** What happened on a disk: counts of this life, and the last lines of this life and those before it. */

export interface Counters {
  /** Calls that were answered with success. A short write or read is one. */
  readonly writes: number
  readonly reads: number
  readonly datasyncs: number
  readonly directorySyncs: number
  readonly bytesWritten: number
  readonly bytesRead: number
  /** Calls that were answered with an error. */
  readonly failures: number
}

const linesMax = 2000

export class Chronicle {
  readonly counters: { -readonly [counter in keyof Counters]: number } = {
    writes: 0,
    reads: 0,
    datasyncs: 0,
    directorySyncs: 0,
    bytesWritten: 0,
    bytesRead: 0,
    failures: 0
  }
  private lines: Array<string>
  constructor(lines: ReadonlyArray<string> = []) {
    this.lines = lines.slice()
  }

  tell(line: string): void {
    this.lines.push(line)
    if (this.lines.length >= 2 * linesMax) this.lines = this.lines.slice(-linesMax)
  }
  get told(): ReadonlyArray<string> {
    return this.lines.slice(-linesMax)
  }
}
