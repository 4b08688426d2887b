/** Which call fails, and how: what a test has asked for, and otherwise chance by rate. */
import type { Chance } from "./chance.ts"

/** What a storage is asked. `datasync` is a file's sync, `directorySync` that of a directory. */
export type Call = "open" | "list" | "remove" | "size" | "write" | "read" | "datasync" | "directorySync"

/** How a call fails: with the error of this code. `"short"`, of a write or a read, is no error: less is moved than asked. */
export type Failure = "EIO" | "ENOSPC" | "EROFS" | "EMFILE" | "short"

export interface Fault {
  readonly call: Call
  /** `"EIO"` unless given. */
  readonly as?: Failure
  /** The name of a file: only calls on that one. */
  readonly file?: string
  /** Lets so many calls that match go through first. */
  readonly after?: number
  /** How many calls fail: 1 unless given, `Infinity` for every one. */
  readonly times?: number
}

/** How likely each call is to fail, 0 unless given. `flip` is how likely a read is to find one bit flipped, for good. */
export type Rates = { readonly [call in Call | "shortWrite" | "shortRead" | "flip"]?: number }

export class Plan {
  private faults: Array<{ readonly fault: Fault; after: number; times: number }> = []

  add(fault: Fault): void {
    this.faults.push({ fault, after: fault.after ?? 0, times: fault.times ?? 1 })
  }

  /** How this call fails, if it does. The fault that was asked for first goes first. */
  next(call: Call, file: string | undefined, rates: Rates, chance: Chance): Failure | undefined {
    for (const planned of this.faults) {
      const { fault } = planned
      if (fault.call !== call || fault.file !== undefined && fault.file !== file) continue
      if (planned.after-- > 0) continue
      if (--planned.times <= 0) this.faults = this.faults.filter((other) => other !== planned)
      return fault.as ?? "EIO"
    }
    if (chance.happens(rates[call] ?? 0)) return "EIO"
    const short = call === "write" ? rates.shortWrite : call === "read" ? rates.shortRead : 0
    return chance.happens(short ?? 0) ? "short" : undefined
  }
}

/** The error of a call that did not do what was asked. */
export const failed = (code: string, what: string): Error & { readonly code: string } =>
  Object.assign(new Error(`${code}: the simulated disk did not ${what}`), { code })
