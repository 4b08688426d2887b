/**
 * A disk that fails, as disks do, under a journal of `@sluice/disk` or whatever else stands on its `Storage`: simulated in
 * memory, by a seed, so that what it did once it does again.
 *
 * ```ts
 * const disk = Faults.disk({ seed: 7, rates: { datasync: 0.01 } })
 * await write(disk.storage)
 * const found = disk.powerLoss() // what was not synced is there or not, sector by sector
 * await recover(found.storage)
 * ```
 *
 * What is written is in a cache, where readers see it. Until a `datasync` of the file has succeeded that was asked for after
 * the write was answered, a loss of power keeps of each write any of its sectors of 512 bytes, and any of the lengths that
 * the file had; and a file that was created or removed is there or not until the directory's `sync` has succeeded. This is
 * more than most file systems lose, and nothing that one may not.
 *
 * The functions are plain, as those of a `Storage` are. Nothing takes time: an answer comes some turns of the event loop
 * later, under the TestClock as well.
 */
import type { Storage } from "@sluice/disk/Storage"
import { Chronicle, type Counters } from "./internal/faults/chronicle.ts"
import { Life, type Settings } from "./internal/faults/life.ts"
import type { Call, Failure, Fault, Rates } from "./internal/faults/plan.ts"
import { eventLoop, type Turn } from "./internal/faults/turns.ts"

export type { Call, Counters, Failure, Fault, Rates, Turn }

export interface Options {
  /** 0 unless given. */
  readonly seed?: number
  /** Calls that fail by chance; none unless given. */
  readonly rates?: Rates
  /**
   * The most that all files together may hold, by their lengths; without a limit unless given. A write that fits in part is
   * short, one that does not fit at all fails with `ENOSPC`.
   */
  readonly bytesMax?: number
  /** Writing, creating and removing fail with `EROFS`, and so does the sync of what is not durable yet. */
  readonly readOnly?: boolean
  /** A weak disk: `datasync` succeeds and does nothing, so that a loss of power loses what was acknowledged. */
  readonly ignoresDatasync?: boolean
  /** The same of a directory's `sync`. */
  readonly ignoresDirectorySync?: boolean
  /** Whether a loss of power may leave a part of a write in a sector, cut at any byte. Unless set, a sector is all or nothing. */
  readonly tearsSectors?: boolean
  /** An answer comes after 1 to so many turns, so that answers overtake each other: 4 unless given; 1 keeps them in order. */
  readonly turnsMax?: number
  /** How a turn passes: `setImmediate` unless given. */
  readonly turn?: Turn
}

/** One life of a disk. */
export interface Disk {
  /** What a journal stands on. */
  readonly storage: Storage
  /** The next call of a kind fails; see `Fault` for which and how often. Not carried into a next life. */
  readonly inject: (fault: Fault) => void
  /** Changes the disk from now on, and in its next lives: that it is full, read-only, or worse than before. */
  readonly adjust: (options: Pick<Options, "rates" | "bytesMax" | "readOnly">) => void
  /** Flips one bit, by the seed, of a byte at rest. The name of the file, or its path. Throws where there is no such byte. */
  readonly flip: (name: string, offset: number) => void
  /** The bytes of a file as a reader sees them. Throws where there is no such file. */
  readonly contents: (name: string) => Uint8Array
  /**
   * Ends this life and gives the next one, which has what was durable and a chance choice of the rest. Calls under way and
   * all later ones of this life fail, and its locks are free. Called again it gives another outcome of the same moment;
   * which one, the seed says that is given, or else the disk's own.
   */
  readonly powerLoss: (seed?: number) => Disk
  /**
   * As `powerLoss`, but only the process dies: all that was answered is there, what was under way is there, or in part, or
   * not. What was not synced still is not.
   */
  readonly crash: (seed?: number) => Disk
  /** Of this life. */
  readonly counters: Counters
  /** What happened, in this life and those before it, a line each; the last 2000. For the message of a test that failed. */
  readonly log: ReadonlyArray<string>
}

export const disk = (options: Options = {}): Disk => {
  const { seed = 0, ...rest } = options
  const settings: Settings = {
    rates: {},
    bytesMax: Infinity,
    readOnly: false,
    ignoresDatasync: false,
    ignoresDirectorySync: false,
    tearsSectors: false,
    turnsMax: 4,
    turn: eventLoop,
    ...rest
  }
  return diskOf(new Life(seed, settings, new Chronicle([`--- a disk, seed ${seed}`])))
}

const diskOf = (life: Life): Disk => ({
  storage: life.storage,
  inject: (fault) => life.plan.add(fault),
  adjust: (options) => {
    life.settings = { ...life.settings, ...options }
  },
  flip: (name, offset) => life.flip(name, offset),
  contents: (name) => {
    const content = life.file(name)
    return content.read(0, content.length)
  },
  powerLoss: (seed) => diskOf(life.next("powerLoss", seed)),
  crash: (seed) => diskOf(life.next("crash", seed)),
  get counters() {
    return { ...life.chronicle.counters }
  },
  get log() {
    return life.chronicle.told
  }
})
