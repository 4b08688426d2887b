/**
 * The main thread's side of a SQLite log: one worker for one file. Writes of all records wait while a transaction is under
 * way, and then go into the next one together.
 */
import { Effect, Latch } from "effect"
import type { Calls, RecordState, Slot, Standing, Write } from "./sqliteCalls.ts"
import { Settling } from "./settling.ts"
import { polling, SqliteThread } from "./sqliteThread.ts"

const source = import.meta.url
const worker = new URL(`./sqliteWorker.${source.endsWith(".ts") ? "ts" : "js"}`, source)

/** A record of the file, as the connection knows it. */
export interface Client extends Slot {
  /** Takes all there is to be written; `written` or `notWritten` answers it. */
  readonly takeWrites: () => ReadonlyArray<Write>
  readonly written: (answers: ReadonlyArray<unknown>, state: RecordState) => void
  readonly notWritten: (cause: Error) => void
  /** How the record stands. */
  readonly stands: (state: RecordState) => void
  /** Whether it matters to someone what other processes write. */
  readonly watches: () => boolean
}

export class SqliteConnection {
  /** How many have been begun: what group commit saves. */
  transactions = 0
  /** Of all its records, whose calls share the turns. */
  readonly settling = new Settling()
  private readonly thread: SqliteThread<Calls>
  private readonly clients = new Map<number, Client>()
  private slots = 0
  /** Those that have something to write. */
  private readonly ready = new Set<Client>()
  private writing = false
  /** Waits for the writes to end. */
  private quiet: (() => void) | undefined
  private readonly watched = Latch.makeUnsafe(false)

  constructor(file: string, busyTimeout: number, warn: (message: string, cause: Error) => void) {
    this.thread = new SqliteThread(file, worker, {
      opening: () => ({
        file,
        busyTimeout,
        slots: Array.from(this.clients.values(), ({ key, limits, slot, version }) => ({ key, limits, slot, version }))
      }),
      opened: (standings) => this.stand(standings),
      lost: (failure) => this.lost(failure),
      warn: (failure) => warn("a SQLite log has lost its worker; the next call starts another one", failure)
    })
  }
  get open(): Effect.Effect<void, Error> {
    return this.thread.open
  }
  /** Lets everything that waits end, and closes the file. */
  readonly close: Effect.Effect<void> = Effect.callback((resume) => {
    this.quiet = () => {
      this.quiet = undefined
      this.thread.close(() => resume(Effect.void))
    }
    this.flush()
  })
  nextSlot(): number {
    return this.slots++
  }
  add(client: Client): Effect.Effect<void, Error> {
    const { key, limits, slot, version } = client
    return Effect.suspend(() => {
      this.clients.set(slot, client)
      return this.call("OpenSlot", { key, limits, slot, version })
    }).pipe(
      Effect.map((state) => client.stands(state)),
      Effect.onError(() => Effect.sync(() => this.clients.delete(slot)))
    )
  }
  remove({ slot }: Client): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.clients.delete(slot)
      return this.thread.isRunning
        ? Effect.ignore(this.call("CloseSlot", { slot }))
        : Effect.void
    })
  }
  call<Tag extends keyof Calls>(tag: Tag, asked: Calls[Tag]["asked"]): Effect.Effect<Calls[Tag]["answer"], Error> {
    return this.thread.call(tag, asked)
  }
  /** Takes the writes of `client` in a later turn, together with those of others. */
  schedule(client: Client): void {
    if (this.ready.size === 0) queueMicrotask(() => this.flush())
    this.ready.add(client)
  }
  /** A client has begun to watch. */
  watch(): void {
    this.watched.openUnsafe()
  }
  /** Asks whether other processes have written, in such intervals of milliseconds, while anyone watches. */
  poll(interval: number): Effect.Effect<never> {
    const look = Effect.suspend(() => {
      if (Array.from(this.clients.values()).some((client) => client.watches())) {
        return Effect.map(this.call("Poll", undefined), (standings) => this.stand(standings))
      }
      this.watched.closeUnsafe()
      return Effect.void
    })
    return polling(interval, this.watched, look)
  }

  private flush(): void {
    if (this.writing) return
    if (this.ready.size === 0) return this.quiet?.()
    const clients = Array.from(this.ready)
    this.ready.clear()
    this.writing = true
    this.transactions++
    const asked = clients.map((client) => ({ slot: client.slot, writes: client.takeWrites() }))
    this.thread.ask("Write", asked, (answer) => {
      this.writing = false
      if (answer._tag === "Failed") clients.forEach((client) => client.notWritten(answer.cause))
      else {
        const { standings, written } = answer.answer as Calls["Write"]["answer"]
        const states = new Map(standings)
        clients.forEach((client, index) => {
          client.written(written[index]!, states.get(client.slot)!)
          states.delete(client.slot)
        })
        // The same record, opened a second time.
        this.stand(states)
      }
      this.flush()
    }, buffersOf(asked))
  }
  private stand(standings: Iterable<Standing>): void {
    for (const [slot, state] of standings) this.clients.get(slot)?.stands(state)
  }
  private lost(failure: Error): void {
    for (const client of this.ready) {
      client.takeWrites()
      client.notWritten(failure)
    }
    this.ready.clear()
    this.writing = false
  }
}

const buffersOf = (asked: Calls["Write"]["asked"]): Array<ArrayBuffer> =>
  asked.flatMap(({ writes }) => writes.flatMap((write) => write._tag === "Append" ? [write.values.bytes.buffer] : []))
