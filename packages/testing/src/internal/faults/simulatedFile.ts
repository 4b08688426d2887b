/** A file of a simulated disk that is open. It closes after what is in flight. */
import type { File } from "@sluice/disk/Storage"
import type { Content } from "./content.ts"
import type { Asked, Life } from "./life.ts"
import { failed, type Failure } from "./plan.ts"

type Done = (error: Error | null, moved: number) => void

export class SimulatedFile implements File {
  private readonly life: Life
  private readonly name: string
  private readonly content: Content
  private readonly isWritable: boolean
  private inFlight = 0
  private closing: PromiseWithResolvers<void> | undefined
  constructor(life: Life, name: string, content: Content, isWritable: boolean) {
    this.life = life
    this.name = name
    this.content = content
    this.isWritable = isWritable
  }

  write(bytes: Uint8Array, position: number, done: Done): void {
    const { content, life } = this
    const what = `write ${this.name} ${position}..${position + bytes.length}`
    if (!this.isWritable) return this.refuse(`${what}, which is open to read`, 0, done)
    const write = (isShort: boolean) => {
      if (life.settings.readOnly) throw failed("EROFS", what)
      const fits = Math.min(bytes.length, Math.max(0, content.length - position) + life.room())
      if (fits === 0 && bytes.length > 0) throw failed("ENOSPC", what)
      const written = isShort ? this.part(fits) : fits
      content.write(position, bytes.subarray(0, written))
      life.chronicle.counters.writes++
      life.chronicle.counters.bytesWritten += written
      return written
    }
    this.ask(
      {
        what,
        call: "write",
        pending: { _tag: "Write", content, bytes, position },
        act: () => write(false),
        actFailing: (failure) => {
          if (failure === "short") return write(true)
          // What of it got into the cache before it failed, nobody knows.
          if (failure === "EIO") content.write(position, bytes.subarray(0, life.chance.below(bytes.length + 1)))
          throw failed(failure, what)
        }
      },
      0,
      done
    )
  }

  read(into: Uint8Array, position: number, done: Done): void {
    const { content, life } = this
    const what = `read ${this.name} ${position}..${position + into.length}`
    const read = (isShort: boolean) => {
      const there = content.read(position, into.length).length
      if (there > 0 && life.chance.happens(life.settings.rates.flip ?? 0)) {
        life.flipBit(this.name, content, position + life.chance.below(there))
      }
      const read = isShort ? this.part(there) : there
      into.set(content.read(position, read))
      life.chronicle.counters.reads++
      life.chronicle.counters.bytesRead += read
      return read
    }
    this.ask(
      {
        what,
        call: "read",
        act: () => read(false),
        actFailing: (failure) => {
          if (failure === "short") return read(true)
          throw failed(failure, what)
        }
      },
      0,
      done
    )
  }

  datasync(done: (error: Error | null) => void): void {
    const { content, life } = this
    const { mark } = content
    const what = `datasync ${this.name}`
    this.ask(
      {
        what,
        call: "datasync",
        act: () => {
          if (life.settings.readOnly && !content.isDurable) throw failed("EROFS", what)
          if (!life.settings.ignoresDatasync) content.sync(mark)
          life.chronicle.counters.datasyncs++
        },
        actFailing: (failure: Failure) => {
          throw failed(failure, `${what}, ${content.failSync(mark, life.chance)}`)
        }
      },
      undefined,
      done
    )
  }

  writeThrough(bytes: Uint8Array, position: number, done: Done): void {
    this.write(bytes, position, (error, written) => {
      if (error !== null) return done(error, 0)
      this.datasync((error) => done(error, error === null ? written : 0))
    })
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.ask(
        { what: `size of ${this.name}`, call: "size", act: () => this.content.length },
        0,
        (error, size) => error === null ? resolve(size) : reject(error)
      )
    )
  }
  close(): Promise<void> {
    if (this.closing !== undefined) return this.closing.promise
    this.closing = Promise.withResolvers()
    if (this.inFlight === 0) this.closing.resolve()
    return this.closing.promise
  }

  /** Answers an error with `nothing`. */
  private ask<A>(asked: Asked<A>, nothing: A, done: (error: Error | null, value: A) => void): void {
    if (this.closing !== undefined) return this.refuse(`${asked.what}, which is closed`, nothing, done)
    this.inFlight++
    this.life.call({ ...asked, file: this.name }, (error, value) => {
      this.inFlight--
      try {
        done(error, value ?? nothing)
      } finally {
        if (this.inFlight === 0) this.closing?.resolve()
      }
    })
  }
  private refuse<A>(what: string, nothing: A, done: (error: Error | null, value: A) => void): void {
    const act = () => {
      throw failed("EBADF", what)
    }
    this.life.call({ what, act }, (error) => done(error, nothing))
  }
  /** Some of it, and not all where there is more than one byte. */
  private part(length: number): number {
    return length > 1 ? 1 + this.life.chance.below(length - 1) : length
  }
}
