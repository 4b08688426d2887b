/**
 * Random programs on a journal, by seed: several lives on one simulated disk, each of them values, groups, reads and faults,
 * until a crash, a loss of power or a clean close. `model.ts` says what must be there after each.
 */
import type { Hold, Stored } from "@sluice/core/Engine"
import { Faults } from "@sluice/testing"
import { Cause, Effect, Exit } from "effect"
import { Chance } from "../../../testing/src/internal/faults/chance.ts"
import { JournalCore } from "../../src/internal/journalCore.ts"
import { JournalEngine } from "../../src/internal/journalEngine.ts"
import type { Limits } from "../../src/internal/journalState.ts"
import { Damaged } from "../../src/internal/recovery.ts"
import { type GroupModel, must, RecordModel, Violation } from "./model.ts"

export type DiskOptions = Pick<Faults.Options, "ignoresDatasync" | "ignoresDirectorySync">

/** Rejects with what went wrong, the seed and the last that the disk did. */
export const run = (seed: number, options: DiskOptions = {}): Promise<void> =>
  told(seed, new Program(seed, options), (program) => program.run())
/** The same for a program that is closed, after which one bit of what it wrote flips. */
export const flip = (seed: number): Promise<void> => told(seed, new Program(seed), (program) => program.flip())

const told = async (seed: number, program: Program, work: (program: Program) => Promise<void>): Promise<void> => {
  try {
    await work(program)
  } catch (error) {
    const what = error instanceof Violation ? error.message : error instanceof Error ? error.stack : String(error)
    throw new Error(`seed ${seed}: ${what}\n${program.disk.log.slice(-60).join("\n")}`, { cause: error })
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const turns = async (count: number) => {
  for (let left = count; left > 0; left--) await turn()
}
/** What takes longer is stuck. */
const turnsMax = 20_000
const inTime = async <A>(what: string, work: Promise<A>): Promise<A> => {
  const over = work.then(() => true, () => true)
  for (let left = turnsMax; !(await Promise.race([over, turn()])); left--) must(left > 0, () => `${what} is stuck`)
  return work
}
/** The end of a life answers everything that was under way with a failure, which nobody is told any more. */
class Life {
  readonly core: JournalCore
  readonly engines: ReadonlyMap<RecordModel, JournalEngine>
  readonly holds = new Map<GroupModel, Hold>()
  readonly busy = new Set<GroupModel>()
  pending = 0
  isOver = false
  constructor(core: JournalCore, engines: ReadonlyMap<RecordModel, JournalEngine>) {
    this.core = core
    this.engines = engines
  }
}

type Step = "append" | "turns" | "group" | "read" | "expire" | "fault" | "calm"
const steps: ReadonlyArray<Step> = [
  ...Array<Step>(4).fill("append"),
  ...Array<Step>(2).fill("turns"),
  ...Array<Step>(2).fill("group"),
  "read",
  "expire",
  "fault",
  "calm"
]

export class Program {
  disk: Faults.Disk
  readonly records: ReadonlyArray<RecordModel>
  readonly chance: Chance
  readonly segmentBytes: number
  private readonly limitSegments: number
  private readonly usualLength: number
  private now = 1_000_000
  private lastId = 0
  private broken: unknown
  /** Whether faults were asked for in this life of the disk that may still come. */
  private isAwaitingFaults = false

  constructor(seed: number, options: DiskOptions = {}) {
    const chance = this.chance = new Chance(seed)
    this.disk = Faults.disk({
      seed: chance.seed(),
      turnsMax: chance.of([1, 4, 8]),
      tearsSectors: chance.happens(0.5),
      ...options
    })
    this.segmentBytes = chance.of([4, 4, 8, 16, 64]) * 1024
    this.limitSegments = chance.of([6, 12, 1000])
    // Frames of one size end where frames of a recycled file began.
    this.usualLength = chance.of([0, 8, 100, 500])
    this.records = Array.from(
      { length: 1 + chance.below(3) },
      (_, index) => new RecordModel(`record ${index}`, this.limits(), this.segmentBytes)
    )
  }
  private limits(): Limits {
    const { chance } = this
    const limits = { count: Infinity, bytes: Infinity, age: Infinity, keepsUnacknowledged: chance.happens(0.6) }
    if (chance.happens(0.5)) limits.count = 1 + chance.below(100)
    if (chance.happens(0.3)) limits.bytes = 1 + chance.below(2 * this.segmentBytes)
    if (chance.happens(0.2)) limits.age = 1 + chance.below(2000)
    return limits
  }

  async run(): Promise<void> {
    const { chance } = this
    for (let lives = 2 + chance.below(5); lives > 0; lives--) {
      const life = await this.open()
      await this.live(life, lives > 1)
    }
    const life = await this.open()
    life.isOver = true
  }

  async flip(): Promise<void> {
    const { chance, disk } = this
    const life = await this.open()
    const calm: ReadonlyArray<Step> = ["append", "append", "turns", "group"]
    for (let left = 20 + chance.below(60); left > 0; left--) await this.step(life, calm)
    await this.settled(life)
    await inTime("closing", life.core.close())
    life.isOver = true
    const names = await (await disk.storage.open("/journal")).list()
    for (let left = 10; left > 0; left--) {
      const flipped = disk.crash()
      const name = chance.of(names)
      const { length } = flipped.contents(name)
      if (length > 0) {
        flipped.flip(name, chance.happens(0.3) ? chance.below(Math.min(64, length)) : chance.below(length))
      }
      await this.checkFlipped(flipped)
    }
  }
  /** Each value is as it was acknowledged, or an error says where it was. */
  private async checkFlipped(disk: Faults.Disk): Promise<void> {
    const isTold = (error: unknown) =>
      error instanceof Damaged && /segment-\d+ is damaged at byte \d+/.test(error.message)
    let core: JournalCore
    try {
      core = await this.openCore(disk)
    } catch (error) {
      if (isTold(error)) return
      throw error
    }
    for (const [record, engine] of this.engines(core)) {
      must(
        engine.head() === record.stored.length,
        () => `${record.key} ends at ${engine.head()}, and ${record.stored.length} were acknowledged`
      )
      const groups = await groupsOf(engine)
      for (const [name, { high, isThere, low }] of record.groups) {
        const committed = groups.get(name)
        must(
          isThere === "maybe"
            || (committed === undefined ? !isThere : isThere && low <= committed && committed <= high),
          () => `${record.key} group ${name} committed ${committed}, not ${low}..${high}`
        )
      }
      for (let at = engine.oldest(); at < engine.head(); at++) {
        const exit = await inTime("reading", Effect.runPromiseExit(engine.read(at, 1 + this.chance.below(20))))
        if (Exit.isSuccess(exit)) record.checkRead(at, exit.value)
        else must(isTold(Cause.squash(exit.cause)), () => Cause.pretty(exit.cause))
      }
    }
  }

  // ---- a life

  /** Opens, by chance with faults first, and checks what is there. */
  async open(): Promise<Life> {
    const { chance, disk } = this
    const faults = chance.happens(0.2)
    disk.adjust({ rates: faults ? this.rates() : {} })
    let core: JournalCore | undefined
    try {
      core = await this.openCore()
    } catch (error) {
      if (error instanceof Damaged || error instanceof Violation || !faults) throw error
    }
    disk.adjust({ rates: {} })
    core ??= await this.openCore()
    return this.check(core)
  }
  private async openCore(disk = this.disk): Promise<JournalCore> {
    const directory = await disk.storage.open("/journal")
    const { limitSegments, segmentBytes } = this
    const core = await inTime(
      "opening",
      JournalCore.open(directory, {
        segmentBytes,
        limitBytes: limitSegments * segmentBytes,
        queueCount: 200,
        queueBytes: 64 * 1024,
        now: () => this.now
      })
    )
    return core
  }
  private async check(core: JournalCore): Promise<Life> {
    const life = new Life(core, this.engines(core))
    for (const [record, engine] of life.engines) {
      const values = await this.readAll(engine)
      record.check(engine, values, await groupsOf(engine), this.now)
    }
    return life
  }
  engines(core: JournalCore): ReadonlyMap<RecordModel, JournalEngine> {
    return new Map(
      this.records.map((record) => [
        record,
        new JournalEngine(core, { key: record.key, version: 3, limits: record.limits, groupIdleTimeout: Infinity })
      ])
    )
  }
  private async readAll(engine: JournalEngine): Promise<ReadonlyArray<Stored>> {
    const values: Array<Stored> = []
    for (let from = engine.oldest(); from < engine.head(); from = engine.oldest() + values.length) {
      const some = await inTime("reading", Effect.runPromise(engine.read(from, 1 + this.chance.below(100))))
      must(some.length > 0, () => `nothing was read at ${from}`)
      values.push(...some)
    }
    return values
  }

  /** Does this and that, and ends. */
  private async live(life: Life, mayClose: boolean): Promise<void> {
    const { chance } = this
    if (chance.happens(0.6)) this.disk.adjust({ rates: this.rates() })
    for (let left = chance.below(60); left > 0; left--) {
      await this.step(life)
      if (this.broken !== undefined) throw this.broken
    }
    if (chance.happens(0.3)) await this.calmed(life)
    const end = chance.below(mayClose ? 3 : 2)
    if (end === 2) {
      await inTime("closing", life.core.close())
      await this.settled(life)
      life.isOver = true
      const { log } = this.disk
      await turns(30)
      must(this.disk.log.length === log.length, () => "closed, it touches its directory")
      if (!this.isAwaitingFaults && chance.happens(0.5)) return
    }
    life.isOver = true
    if (this.broken !== undefined) throw this.broken
    this.disk = chance.happens(0.5) ? this.disk.crash() : this.disk.powerLoss()
    this.disk.adjust({ rates: {}, bytesMax: Infinity })
    this.isAwaitingFaults = false
  }
  private async step(life: Life, of = steps): Promise<void> {
    const { chance } = this
    const record = chance.of(this.records)
    const engine = life.engines.get(record)!
    this.now += chance.below(100)
    switch (chance.of(of)) {
      case "append":
        for (let left = chance.of([1, 1, 3, 20]); left > 0; left--) this.append(life, record)
        return
      case "turns":
        return turns(chance.of([1, 5, 20, 60]))
      case "group":
        return this.group(life, record, engine)
      case "read":
        return this.read(life, record, engine)
      case "expire":
        return engine.expire()
      case "fault":
        return this.fault()
      case "calm":
        if (chance.happens(0.2)) await this.calmed(life)
    }
  }
  private append(life: Life, record: RecordModel): void {
    const { chance } = this
    const engine = life.engines.get(record)!
    if (engine.isFull()) return
    const lengthMax = life.core.valueBytesMax() - 16
    const length = 4 + (chance.happens(0.8) ? this.usualLength : chance.below(chance.of([30, 1000, lengthMax + 20])))
    const { bytes, sent } = record.send(++this.lastId, length, this.now)
    life.pending++
    engine.append(bytes, (failure) => {
      if (life.isOver) return
      life.pending--
      if (failure === undefined) record.acknowledged(sent)
      else sent.isRefused = length > lengthMax
      if (failure === undefined && engine.head() < record.stored.length) {
        this.broken = new Violation(`${record.key} is at ${engine.head()} with ${record.stored.length} acknowledged`)
      }
    })
  }
  private read(life: Life, record: RecordModel, engine: JournalEngine): void {
    const { chance } = this
    const [oldest, head] = [engine.oldest(), engine.head()]
    if (oldest === head) return
    const from = oldest + chance.below(head - oldest)
    void this.later(life, engine.read(from, 1 + chance.below(50)), (values) => {
      must(values.length > 0 || engine.oldest() > from, () => `nothing of ${record.key} was read at ${from}`)
      record.checkRead(from, values)
    })
  }
  private group(life: Life, record: RecordModel, engine: JournalEngine): void {
    const { chance } = this
    const name = chance.of(["a", "b"])
    const group = record.groups.get(name) ?? { low: 0, high: 0, isThere: false }
    record.groups.set(name, group)
    if (life.busy.has(group)) return
    const hold = life.holds.get(group)
    const [oldest, head] = [engine.oldest(), engine.head()]
    if (hold === undefined) {
      const wasThere = group.isThere === true
      if (!wasThere) {
        group.low = Math.min(group.isThere === false ? Infinity : group.low, oldest - 1)
        group.high = Math.max(group.isThere === false ? -1 : group.high, head - 1)
        group.isThere = "maybe"
      }
      return this.groupStep(life, group, engine.acquire(name, chance.of(["oldest", "head"])), (hold) => {
        must(hold.epoch > record.epoch, () => `${record.key} gave epoch ${hold.epoch} after ${record.epoch}`)
        must(
          group.low <= hold.committed && hold.committed <= group.high,
          () => `${record.key} group ${name} is at ${hold.committed}, not ${group.low}..${group.high}`
        )
        record.epoch = hold.epoch
        group.isThere = true
        group.low = group.high = hold.committed
        life.holds.set(group, hold)
      })
    }
    if (chance.happens(0.7)) {
      const through = Math.min(head - 1, group.high + chance.below(head - group.high))
      if (through < group.high) return
      group.high = through
      return this.groupStep(life, group, engine.commit(hold, through, new Map([[through + 1, 2]])), ({ _tag }) => {
        must(_tag === "Committed", () => `a commit of ${record.key} through ${through} was ${_tag}`)
        group.low = through
      })
    }
    life.holds.delete(group)
    if (chance.happens(0.5)) return Effect.runSync(engine.release(hold))
    group.isThere = "maybe"
    return this.groupStep(life, group, engine.removeGroup(name), () => {
      group.isThere = false
    })
  }
  private groupStep<A>(life: Life, group: GroupModel, step: Effect.Effect<A, unknown>, then: (a: A) => void): void {
    life.busy.add(group)
    void this.later(life, step, then).finally(() => life.busy.delete(group))
  }
  /** Goes on with its outcome, unless it fails: for what was under way, or was not there. */
  private async later<A>(life: Life, effect: Effect.Effect<A, unknown>, then: (a: A) => void): Promise<void> {
    life.pending++
    const exit = await Effect.runPromiseExit(effect)
    if (life.isOver) return
    life.pending--
    try {
      if (Exit.isSuccess(exit)) then(exit.value)
    } catch (error) {
      this.broken ??= error
    }
  }

  // ---- faults

  private rates(): Faults.Rates {
    const { chance } = this
    const rate = (high: number) => chance.happens(0.4) ? high * chance.next() : 0
    return {
      datasync: rate(0.2),
      write: rate(0.1),
      shortWrite: rate(0.5),
      read: rate(0.1),
      shortRead: rate(0.5),
      directorySync: rate(0.5),
      open: rate(0.1),
      remove: rate(0.5),
      size: rate(0.1)
    }
  }
  private fault(): void {
    const { chance, disk } = this
    if (chance.happens(0.3)) return disk.adjust({ bytesMax: chance.of([1, 3, 6]) * this.segmentBytes })
    this.isAwaitingFaults = true
    disk.inject({
      call: chance.of(["datasync", "write", "directorySync", "open", "remove", "read"]),
      as: chance.of(["EIO", "EIO", "ENOSPC"]),
      after: chance.below(5),
      times: chance.of([1, 2, 5])
    })
  }
  /** Once the faults are gone, the journal takes values again. */
  private async calmed(life: Life): Promise<void> {
    const { chance, disk } = this
    await this.settled(life)
    // Those that were asked for and have not come are used up by calls that matter to nobody.
    disk.adjust({ rates: {}, bytesMax: Infinity })
    if (this.broken !== undefined) throw this.broken
    const record = chance.of(this.records)
    const taken = async () => {
      const { pending } = life
      this.append(life, record)
      const before = record.unknown.size
      if (life.pending === pending) return true
      const sent = [...record.unknown.values()].at(-1)!
      await this.settled(life)
      return sent.isRefused || record.unknown.size < before
    }
    // What was injected and is still to come may fail a few.
    for (let left = 60; !(await taken()); left--) {
      must(left > 0, () => `${record.key} takes nothing any more`)
    }
  }
  private async settled(life: Life): Promise<void> {
    for (let left = turnsMax; life.pending > 0; left--) {
      must(left > 0, () => `${life.pending} are never answered`)
      await turn()
    }
  }
}

export const groupsOf = async (engine: JournalEngine): Promise<ReadonlyMap<string, number>> =>
  new Map((await Effect.runPromise(engine.groups)).map(({ committed, name }) => [name, committed]))
