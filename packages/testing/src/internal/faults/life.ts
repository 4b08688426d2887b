/**
 * A simulated disk from when it is switched on until its process dies or the power goes. A call changes the disk in the
 * turn in which it is answered. A sync covers what had been answered when it was asked for, and no more.
 */
import type { Directory, File, Storage } from "@sluice/disk/Storage"
import { Chance } from "./chance.ts"
import { Chronicle } from "./chronicle.ts"
import type { Content } from "./content.ts"
import { Entries } from "./entries.ts"
import { type Call, failed, type Failure, Plan, type Rates } from "./plan.ts"
import { SimulatedFile } from "./simulatedFile.ts"
import { type Turn, Turns } from "./turns.ts"

export interface Settings {
  readonly rates: Rates
  readonly bytesMax: number
  readonly readOnly: boolean
  readonly ignoresDatasync: boolean
  readonly ignoresDirectorySync: boolean
  readonly tearsSectors: boolean
  readonly turnsMax: number
  readonly turn: Turn
}

/** What a storage is asked. */
export interface Asked<A> {
  /** For the log and for errors. */
  readonly what: string
  /** Unless given, no fault can be planned for it. */
  readonly call?: Call
  readonly file?: string
  /** What it is to change: when the life ends before the answer, that may have happened. */
  readonly pending?: Pending
  readonly act: () => A
  /** What happens when it fails by plan. Unless given, nothing does. */
  readonly actFailing?: (failure: Failure) => A
}
type Pending = {
  readonly _tag: "Write"
  readonly content: Content
  readonly bytes: Uint8Array
  readonly position: number
} | { readonly _tag: "Create" | "Remove"; readonly folder: Folder; readonly name: string }

interface Folder {
  readonly path: string
  entries: Entries
  isLocked: boolean
}

export class Life {
  readonly chronicle: Chronicle
  readonly plan = new Plan()
  readonly chance: Chance
  settings: Settings
  readonly storage: Storage = {
    open: (path, mode) =>
      this.answer({
        what: `open ${path}`,
        act: () => {
          if (mode === "read" && !this.folders.has(path)) throw failed("ENOENT", `open ${path}`)
          return this.directory(path)
        }
      })
  }
  private readonly turns: Turns
  private readonly folders = new Map<string, Folder>()
  private readonly inFlight = new Set<Pending>()
  /** What was in flight when the life ended. */
  private end: ReadonlyArray<Pending> | undefined

  constructor(seed: number, settings: Settings, chronicle: Chronicle) {
    this.chance = new Chance(seed)
    this.settings = settings
    this.turns = new Turns(settings.turn)
    this.chronicle = chronicle
  }

  /** The content of the file of this name, or of this path where several directories have one. */
  file(name: string): Content {
    const found = [...this.folders.values()].flatMap(({ path, entries }) =>
      entries.names.filter((file) => file === name || `${path}/${file}` === name).map((file) => entries.get(file)!)
    )
    if (found.length === 1) return found[0]!
    throw new Error(`expected one file that is named "${name}", found ${found.length}`)
  }
  flip(name: string, offset: number): void {
    const content = this.file(name)
    if (!(offset >= 0 && offset < content.length)) {
      throw new Error(`expected an offset in "${name}" of ${content.length} bytes, got ${offset}`)
    }
    this.flipBit(name, content, offset)
  }

  /** The next life of the disk, after the power went or only the process died. */
  next(how: "powerLoss" | "crash", seed: number | undefined): Life {
    this.end ??= [...this.inFlight].map((pending) =>
      pending._tag === "Write" ? { ...pending, bytes: pending.bytes.slice() } : pending
    )
    const by = seed ?? this.chance.seed()
    const chance = new Chance(by)
    const life = new Life(chance.seed(), this.settings, new Chronicle(this.chronicle.told))
    const copied = new Map<Content, Content>()
    for (const { path, entries } of this.folders.values()) {
      life.folders.set(path, { path, entries: entries.clone(copied), isLocked: false })
    }
    for (const pending of this.end) {
      // A crash leaves what the kernel was at: none, a part or all. What it did do is then at the mercy of the power.
      if (how === "crash" && chance.happens(0.5)) continue
      if (pending._tag === "Write") {
        const part = how === "crash" && chance.happens(0.5) ? chance.below(pending.bytes.length + 1) : Infinity
        copied.get(pending.content)?.write(pending.position, pending.bytes.subarray(0, part))
      } else {
        const { entries } = life.folders.get(pending.folder.path)!
        if (pending._tag === "Remove") entries.remove(pending.name)
        else if (entries.get(pending.name) === undefined) entries.create(pending.name)
      }
    }
    if (how === "powerLoss") {
      for (const folder of life.folders.values()) {
        folder.entries = folder.entries.afterPowerLoss(chance, this.settings.tearsSectors)
      }
    }
    const found = [...life.folders.values()].map(({ path, entries }) =>
      `${path}: ${entries.names.map((name) => `${name} (${entries.get(name)!.length})`).join(" ") || "empty"}`
    )
    life.chronicle.tell(`--- ${how === "crash" ? "crash" : "power loss"}, seed ${by}; found ${found.join("; ")}`)
    return life
  }

  /** Answers as `call` does, with a promise. */
  answer<A>(asked: Asked<A>): Promise<A> {
    return new Promise((resolve, reject) =>
      this.call(asked, (error, value) => error === null ? resolve(value!) : reject(error))
    )
  }
  /** In a later turn, does what was asked or fails as planned, and answers. */
  call<A>(asked: Asked<A>, done: (error: Error | null, value: A | undefined) => void): void {
    const { act, actFailing, call, file, pending, what } = asked
    const failure = call === undefined || this.end !== undefined
      ? undefined
      : this.plan.next(call, file, this.settings.rates, this.chance)
    // Of a call that fails, only EIO may have changed something before.
    const changes = failure === undefined || failure === "EIO" || failure === "short"
    if (pending !== undefined && changes && !this.settings.readOnly && this.end === undefined) {
      this.inFlight.add(pending)
    }
    this.turns.after(1 + this.chance.below(this.settings.turnsMax), () => {
      if (this.end !== undefined) return done(failed("EIO", `${what}, of a life that has ended`), undefined)
      if (pending !== undefined) this.inFlight.delete(pending)
      let value: A
      try {
        if (failure !== undefined && actFailing === undefined) throw failed(failure, what)
        value = failure === undefined ? act() : actFailing!(failure)
      } catch (error) {
        this.chronicle.counters.failures++
        this.tell(`${what}: ${(error as Error).message}`)
        return done(error as Error, undefined)
      }
      this.tell(typeof value === "number" ? `${what}: ${value}` : what)
      done(null, value)
    })
  }

  tell(line: string): void {
    this.chronicle.tell(`${this.turns.now} ${line}`)
  }
  flipBit(name: string, content: Content, offset: number): void {
    const bit = this.chance.below(8)
    content.flip(offset, bit)
    this.tell(`bit ${bit} of byte ${offset} of ${name} flipped`)
  }
  /** How many bytes files may still grow by. */
  room(): number {
    const used = [...this.folders.values()].reduce((sum, { entries }) => sum + entries.bytes, 0)
    return Math.max(0, this.settings.bytesMax - used)
  }

  private directory(path: string): Directory {
    const folder = this.folders.get(path) ?? { path, entries: new Entries(), isLocked: false }
    this.folders.set(path, folder)
    return {
      path,
      list: () => this.answer({ what: `list ${path}`, call: "list", act: () => folder.entries.names }),
      open: (name, mode) => this.open(folder, name, mode),
      remove: (name) => this.remove(folder, name),
      sync: () => this.sync(folder),
      lock: () => this.lock(folder)
    }
  }

  private open(folder: Folder, name: string, mode: "create" | "write" | "read"): Promise<File> {
    const what = `open ${name} to ${mode}`
    return this.answer({
      what,
      call: "open",
      file: name,
      ...(mode === "create" ? { pending: { _tag: "Create", folder, name } } : {}),
      act: () => {
        if (this.settings.readOnly && mode !== "read") throw failed("EROFS", what)
        const there = folder.entries.get(name)
        if (mode === "create" && there !== undefined) throw failed("EEXIST", what)
        if (mode !== "create" && there === undefined) throw failed("ENOENT", what)
        return new SimulatedFile(this, name, there ?? folder.entries.create(name), mode !== "read")
      }
    })
  }

  private remove(folder: Folder, name: string): Promise<void> {
    const what = `remove ${name}`
    return this.answer({
      what,
      call: "remove",
      file: name,
      pending: { _tag: "Remove", folder, name },
      act: () => {
        if (this.settings.readOnly) throw failed("EROFS", what)
        if (folder.entries.get(name) === undefined) throw failed("ENOENT", what)
        folder.entries.remove(name)
      }
    })
  }

  private sync({ entries, path }: Folder): Promise<void> {
    const { mark } = entries
    const what = `sync directory ${path}`
    return this.answer({
      what,
      call: "directorySync",
      act: () => {
        if (this.settings.readOnly && !entries.isDurable) throw failed("EROFS", what)
        if (!this.settings.ignoresDirectorySync) entries.sync(mark)
        this.chronicle.counters.directorySyncs++
      },
      actFailing: (failure) => {
        entries.failSync(mark, this.chance)
        throw failed(failure, what)
      }
    })
  }

  private lock(folder: Folder): Promise<{ readonly release: () => Promise<void> }> {
    const unlock = async () => {
      // What has ended holds nothing: its owner closes down in peace.
      if (this.end !== undefined) return
      await this.answer({ what: `unlock ${folder.path}`, act: () => void (folder.isLocked = false) })
    }
    return this.answer({
      what: `lock ${folder.path}`,
      act: () => {
        if (folder.isLocked) throw lockedError()
        folder.isLocked = true
        let released: Promise<void> | undefined
        return { release: () => released ??= unlock() }
      }
    })
  }
}

const lockedError = (): Error => {
  const holder = "another opener of the simulated disk"
  return Object.assign(new Error(`the directory is locked by ${holder}`), { _tag: "Locked", holder })
}
