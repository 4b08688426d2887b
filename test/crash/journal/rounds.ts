/**
 * Rounds of a journal in a process that is killed: all of them on one directory, each of them checked on a copy of it, so
 * that the next one finds what the last left.
 */
import type { Log } from "@sluice/core"
import { Effect, Option } from "effect"
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Chance } from "../../../packages/testing/src/internal/faults/chance.ts"
import { startProcess } from "../process.ts"
import {
  group,
  isWhole,
  journal,
  kept,
  keyOf,
  Letter,
  letterLog,
  maxAttempts,
  type Told,
  Value,
  valueLog
} from "./records.ts"

export interface Tally {
  readonly rounds: number
  readonly acknowledged: number
  /** Of them and those whose acknowledgement was cut off. */
  readonly stored: number
  readonly handled: number
  readonly poison: number
  /** Dead letters, of poison and of what was on its last attempt beside it. */
  readonly letters: number
}

/** Rejects with the round, the seed and what was wrong. */
export const crash = async (
  { onRound, rounds, seed }: { readonly rounds: number; readonly seed: number; readonly onRound?: () => void }
): Promise<Tally> => {
  const directory = await mkdtemp(join(tmpdir(), "sluice-crash-"))
  const journal = new Rounds(join(directory, "journal"), join(directory, "copy"), new Chance(seed))
  // The first process may be killed before it makes it.
  await mkdir(join(directory, "journal"))
  try {
    for (let round = 0; round < rounds; round++) {
      await journal.round()
      onRound?.()
    }
    const tally = await journal.end()
    await rm(directory, { recursive: true })
    return tally
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    throw new Error(`seed ${seed}, round ${journal.count}: ${what}; the files are in ${directory}`, { cause: error })
  }
}

const must = (holds: boolean, what: () => string): void => {
  if (!holds) throw new Error(what())
}

/** What a process said before it was gone. */
interface Said {
  readonly sent: ReadonlyArray<{ readonly producer: number; readonly n: number }>
  readonly begun: ReadonlyArray<{ readonly sequence: number; readonly attempt: number }>
  readonly done: ReadonlyArray<number>
  readonly isKilled: boolean
}
/** What is in the directory. */
interface Found {
  readonly oldest: number
  readonly head: number
  readonly entries: ReadonlyArray<Log.Entry<Told>>
  readonly letters: ReadonlyArray<{ readonly sequence: number; readonly attempts: number }>
  readonly committed: number
  readonly attempts: ReadonlyMap<number, number>
}

class Rounds {
  private readonly directory: string
  private readonly copy: string
  private readonly chance: Chance
  count = 0
  /** By sequence, the key of every value that was ever found. */
  private readonly keys: Array<string> = []
  private readonly sequences = new Map<string, number>()
  private readonly poison = new Set<number>()
  private readonly handled = new Set<number>()
  /** How often what is not settled was handed out, as the last process left it. */
  private attempts: ReadonlyMap<number, number> = new Map()
  private letters = new Set<number>()
  private committed = -1
  private acknowledged = 0
  constructor(directory: string, copy: string, chance: Chance) {
    this.directory = directory
    this.copy = copy
    this.chance = chance
  }

  async round(): Promise<void> {
    const round = ++this.count
    const poison = this.chance.happens(0.1) ? this.chance.below(5) : -1
    const producers = 1 + this.chance.below(6)
    this.check(round, await this.process([round, producers, poison], this.moment()), await this.look())
  }
  /** Lets the rest be handled, however many processes that takes. */
  async end(): Promise<Tally> {
    for (let left = (this.poison.size + 1) * maxAttempts + 10, isKilled = true; isKilled; left--) {
      must(left > 0, () => "poison goes on killing")
      const said = await this.process([0, 0, -1])
      this.check(0, said, await this.look())
      isKilled = said.isKilled
    }
    must(
      this.committed === this.keys.length - 1,
      () => `everything is settled, and ${this.committed} of ${this.keys.length - 1} is committed`
    )
    for (const sequence of this.poison) must(this.letters.has(sequence), () => `poison ${sequence} is no dead letter`)
    return {
      rounds: this.count,
      acknowledged: this.acknowledged,
      stored: this.keys.length,
      handled: this.handled.size,
      poison: this.poison.size,
      letters: this.letters.size
    }
  }
  /** When to kill: some milliseconds after the start or after it is ready, or at a line. */
  private moment(): Moment {
    const { chance } = this
    const chosen = chance.next()
    return chosen < 0.2
      ? { startMillis: 100 + chance.next() * 250 }
      : chosen < 0.5
      ? { readyMillis: chance.next() * 150 }
      : { lines: 1 + Math.floor(chance.next() ** 2 * 600) }
  }
  private async process(args: ReadonlyArray<number>, moment: Moment = {}): Promise<Said> {
    const { ended, kill, lines: told } = startProcess(new URL("./child.ts", import.meta.url), [
      this.directory,
      ...args.map(String)
    ])
    const timers = [setTimeout(kill, 60_000)]
    if (moment.startMillis !== undefined) timers.push(setTimeout(kill, moment.startMillis))
    const lines: Array<ReadonlyArray<string>> = []
    for await (const line of told) {
      lines.push(line.split(" "))
      if (line === "ready" && moment.readyMillis !== undefined) timers.push(setTimeout(kill, moment.readyMillis))
      if (lines.length === moment.lines) kill()
    }
    const { errors, signal } = await ended
    for (const timer of timers) clearTimeout(timer)
    must(errors === "", () => errors)
    const of = (verb: string) => lines.filter(([first]) => first === verb).map(([, ...rest]) => rest.map(Number))
    return {
      sent: of("sent").map(([producer = -1, n = -1]) => ({ producer, n })),
      begun: of("begun").map(([sequence = -1, attempt = -1]) => ({ sequence, attempt })),
      done: of("done").map(([sequence = -1]) => sequence),
      isKilled: signal === "SIGKILL"
    }
  }
  private async look(): Promise<Found> {
    await rm(this.copy, { recursive: true, force: true })
    await cp(this.directory, this.copy, { recursive: true })
    return Effect.runPromise(Effect.scoped(found).pipe(Effect.provide(journal(this.copy))))
  }

  private check(round: number, { begun, done, sent }: Said, found: Found): void {
    const { committed, entries, head, letters, oldest } = found
    const known = this.keys.length
    must(head >= known, () => `the head went back from ${known} to ${head}`)
    must(
      oldest <= Math.max(0, Math.min(head - kept, committed + 1)),
      () => `${oldest} is the oldest of ${head}, with ${committed} committed`
    )
    must(entries.length === head - oldest, () => `${oldest}..${head} has ${entries.length} values`)
    for (const [index, { sequence, value }] of entries.entries()) {
      must(Number(sequence) === oldest + index, () => `${oldest + index} is ${sequence}`)
      this.checkValue(round, oldest + index, Option.getOrUndefined(value))
    }
    this.checkSent(round, sent)
    this.checkHandled(begun, done, found)
    for (const { attempts, sequence } of letters) {
      must(attempts === maxAttempts, () => `dead letter ${sequence} had ${attempts} attempts`)
      must(
        this.letters.has(sequence) || this.hasNoAttemptLeft(sequence),
        () => `${sequence} is a dead letter, and had attempts left`
      )
    }
    this.letters = new Set(letters.map(({ sequence }) => sequence))
    must(committed >= this.committed, () => `committed went back from ${this.committed} to ${committed}`)
    for (let at = this.committed + 1; at <= committed; at++) {
      must(this.handled.has(at) || this.letters.has(at), () => `${at} is committed, and neither handled nor put aside`)
    }
    this.committed = committed
    this.attempts = found.attempts
  }
  /** Whole, where it was before, and otherwise of this round and once. */
  private checkValue(round: number, sequence: number, value: Told | undefined): void {
    if (value === undefined || !isWhole(value)) throw new Error(`the value of ${sequence} is not whole`)
    const key = keyOf(value)
    const before = this.keys[sequence]
    if (before !== undefined) return must(before === key, () => `${sequence} was ${before}, and is ${key}`)
    must(value.round === round, () => `${sequence} is of round ${value.round}, and new in ${round}`)
    must(!this.sequences.has(key), () => `${key} is at ${this.sequences.get(key)} and at ${sequence}`)
    this.keys[sequence] = key
    this.sequences.set(key, sequence)
    if (value.isPoison) this.poison.add(sequence)
  }
  /** All that was acknowledged is there, in its producer's order, and of the rest at most what was under way. */
  private checkSent(round: number, sent: Said["sent"]): void {
    this.acknowledged += sent.length
    for (const producer of new Set(sent.map(({ producer }) => producer))) {
      const count = sent.filter((one) => one.producer === producer).length
      let last = -1
      for (let n = 0; n < count; n++) {
        const sequence = this.sequences.get(keyOf({ round, producer, n }))
        if (sequence === undefined) throw new Error(`${n} of producer ${producer} was acknowledged, and is not there`)
        must(sequence > last, () => `${n} of producer ${producer} is out of order`)
        last = sequence
      }
      must(
        !this.sequences.has(keyOf({ round, producer, n: count + 1 })),
        () => `${count + 1} of producer ${producer} is there, and was never sent`
      )
    }
  }
  private hasNoAttemptLeft(sequence: number): boolean {
    return (this.attempts.get(sequence) ?? 0) >= maxAttempts
  }
  /** It went on where the last one had committed, but for what goes ahead, having been tried before, and for dead letters. */
  private checkHandled(begun: Said["begun"], done: Said["done"], { attempts, letters }: Found): void {
    for (const sequence of done) this.handled.add(sequence)
    const first = begun.reduce(
      (least, { attempt, sequence }) => attempt > 1 ? least : Math.min(least, sequence),
      Infinity
    )
    const passed = new Set([...begun, ...letters].map(({ sequence }) => sequence))
    const left = first === Infinity ? -1 : this.keys.findIndex((_, at) =>
      // A letter may be on the way.
      at > this.committed && !passed.has(at) && !this.hasNoAttemptLeft(at)
    )
    must(
      left < 0 || left >= first,
      () => `it went on at ${first}, with ${this.committed} committed, and left ${left} out`
    )
    must(
      begun.every(({ sequence }) => sequence > this.committed),
      () => `it handed out again what was committed: ${this.committed}`
    )
    for (const { attempt, sequence } of begun) {
      const before = this.attempts.get(sequence) ?? 0
      must(
        attempt === before + 1 && attempt <= maxAttempts,
        () => `${sequence} was handed out as attempt ${attempt}, after ${before}`
      )
    }
    // The process may be gone before a handler says that it has begun.
    for (const [sequence, attempt] of attempts) {
      const before = this.attempts.get(sequence) ?? 0
      must(attempt <= before + 1, () => `${sequence} had ${before} attempts, and has ${attempt}`)
    }
  }
}
interface Moment {
  readonly startMillis?: number
  readonly readyMillis?: number
  readonly lines?: number
}

const found = Effect.gen(function*() {
  const log = yield* valueLog.make<Told>(Value)
  const letters = yield* letterLog.make<typeof Letter.schema.Type>(Letter)
  const all = <A>(log: Log.Log<A>) =>
    Effect.gen(function*() {
      const [oldest, head] = [yield* log.oldest, yield* log.head]
      const entries: Array<Log.Entry<A>> = []
      for (let at = oldest; at < head; at = oldest + BigInt(entries.length)) entries.push(...yield* log.read(at, 500))
      return { oldest: Number(oldest), head: Number(head), entries }
    })
  const listed = (yield* log.groups).find(({ name }) => name === group)
  return {
    ...yield* all(log),
    letters: (yield* all(letters)).entries.map(({ value }) => Option.getOrThrow(value)),
    committed: Number(listed?.committed ?? -1),
    attempts: new Map(
      listed === undefined
        ? []
        : Array.from((yield* log.acquire(group, { from: "oldest" })).attempts, ([at, count]) => [Number(at), count])
    )
  }
})
