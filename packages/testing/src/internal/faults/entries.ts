/** Which files a directory has: as its openers see it, and as far as it is certain to survive a loss of power. */
import type { Chance } from "./chance.ts"
import { Content } from "./content.ts"

interface Change {
  readonly sequence: number
  readonly name: string
  /** `undefined` where the file was removed. */
  readonly content: Content | undefined
}

export class Entries {
  private seen = new Map<string, Content>()
  private durable = new Map<string, Content>()
  private unsynced: Array<Change> = []
  private sequence = 0

  get names(): ReadonlyArray<string> {
    return [...this.seen.keys()]
  }
  get isDurable(): boolean {
    return this.unsynced.length === 0
  }
  /** Stands for all changes so far, for a later `sync`. */
  get mark(): number {
    return this.sequence
  }
  get bytes(): number {
    return [...this.seen.values()].reduce((sum, { length }) => sum + length, 0)
  }

  get(name: string): Content | undefined {
    return this.seen.get(name)
  }
  create(name: string): Content {
    const content = new Content()
    this.change(name, content)
    return content
  }
  remove(name: string): void {
    this.change(name, undefined)
  }

  sync(mark: number): void {
    for (const change of this.takeUnsynced(mark)) apply(change, this.durable)
  }
  /** Each change is on the disk or not, and is not tried again. Openers go on seeing all of them. */
  failSync(mark: number, chance: Chance): void {
    const bias = chance.bias()
    for (const change of this.takeUnsynced(mark)) if (chance.happens(bias)) apply(change, this.durable)
  }

  /** As the next process finds it; `copied` holds the files of which there is a copy already. */
  clone(copied: Map<Content, Content>): Entries {
    const copy = (content: Content) => {
      const made = copied.get(content) ?? content.clone()
      copied.set(content, made)
      return made
    }
    const next = new Entries()
    for (const [name, content] of this.seen) next.seen.set(name, copy(content))
    for (const [name, content] of this.durable) next.durable.set(name, copy(content))
    next.unsynced = this.unsynced.map((change) => ({
      ...change,
      content: change.content === undefined ? undefined : copy(change.content)
    }))
    next.sequence = this.sequence
    return next
  }
  /** One of the ways in which it, and each file, may be found after a loss of power. */
  afterPowerLoss(chance: Chance, tears: boolean): Entries {
    const bias = chance.bias()
    const found = new Map(this.durable)
    for (const change of this.unsynced) if (chance.happens(bias)) apply(change, found)
    const next = new Entries()
    for (const [name, content] of found) next.seen.set(name, content.afterPowerLoss(chance, tears))
    next.durable = new Map(next.seen)
    return next
  }

  private change(name: string, content: Content | undefined): void {
    const change = { sequence: ++this.sequence, name, content }
    apply(change, this.seen)
    this.unsynced.push(change)
  }
  private takeUnsynced(mark: number): ReadonlyArray<Change> {
    const taken = this.unsynced.filter(({ sequence }) => sequence <= mark)
    this.unsynced = this.unsynced.filter(({ sequence }) => sequence > mark)
    return taken
  }
}

const apply = ({ name, content }: Change, to: Map<string, Content>): void => {
  if (content === undefined) to.delete(name)
  else to.set(name, content)
}
