/**
 * The main thread's side of a SQLite log: one worker for one file. Calls are answered in the order in which they are made.
 * Writes of all records wait while a transaction is under way, and then go into the next one together.
 *
 * A worker that ends, whatever the reason, fails all calls that wait; the next call starts another one.
 */
import { Effect, Latch } from "effect"
import { Worker } from "node:worker_threads"
import type { Call, Calls, RecordState, Reply, Slot, Standing, Write } from "./sqliteCalls.ts"
import { Settling } from "./settling.ts"

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

type Answer = { readonly _tag: "Answered"; readonly answer: any } | { readonly _tag: "Failed"; readonly cause: Error }

export class SqliteConnection {
  readonly file: string
  /** How many have been begun: what group commit saves. */
  transactions = 0
  /** Of all its records, whose calls share the turns. */
  readonly settling = new Settling()
  private readonly busyTimeout: number
  private readonly warn: (message: string, cause: Error) => void
  private worker: Worker | undefined
  private waiting: Array<(answer: Answer) => void> = []
  private readonly clients = new Map<number, Client>()
  private slots = 0
  /** Those that have something to write. */
  private readonly ready = new Set<Client>()
  private writing = false
  /** Waits for the writes to end. */
  private quiet: (() => void) | undefined
  private readonly watched = Latch.makeUnsafe(false)
  private phase: "Opening" | "Open" | "Closing" = "Opening"

  constructor(file: string, busyTimeout: number, warn: (message: string, cause: Error) => void) {
    this.file = file
    this.busyTimeout = busyTimeout
    this.warn = warn
  }
  readonly open: Effect.Effect<void, Error> = Effect.callback((resume) => {
    this.start((answer) => {
      if (answer._tag === "Failed") return resume(Effect.fail(answer.cause))
      this.phase = "Open"
      resume(Effect.void)
    })
  })
  /** Lets everything that waits end, and closes the file. */
  readonly close: Effect.Effect<void> = Effect.callback((resume) => {
    this.quiet = () => {
      this.phase = "Closing"
      this.quiet = undefined
      const { worker } = this
      if (worker === undefined) return resume(Effect.void)
      worker.once("exit", () => resume(Effect.void))
      this.post(worker, { _tag: "Close", asked: undefined }, () => undefined)
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
      return this.phase === "Open" && this.worker !== undefined
        ? Effect.ignore(this.call("CloseSlot", { slot }))
        : Effect.void
    })
  }
  call<Tag extends keyof Calls>(tag: Tag, asked: Calls[Tag]["asked"]): Effect.Effect<Calls[Tag]["answer"], Error> {
    return Effect.callback((resume) => {
      this.ask({ _tag: tag, asked } as Call, (answer) => {
        resume(answer._tag === "Failed" ? Effect.fail(answer.cause) : Effect.succeed(answer.answer))
      })
    })
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
    const once = Effect.suspend(() => {
      if (Array.from(this.clients.values()).some((client) => client.watches())) {
        return Effect.matchEffect(this.call("Poll", undefined), {
          onSuccess: (standings) => Effect.sync(() => this.stand(standings)),
          // Each time starts a worker, with a warning.
          onFailure: () => realSleep(5_000)
        })
      }
      this.watched.closeUnsafe()
      return Effect.void
    })
    return this.watched.await.pipe(Effect.andThen(realSleep(interval)), Effect.andThen(once), Effect.forever)
  }

  private flush(): void {
    if (this.writing) return
    if (this.ready.size === 0) return this.quiet?.()
    const clients = Array.from(this.ready)
    this.ready.clear()
    this.writing = true
    this.transactions++
    const asked = clients.map((client) => ({ slot: client.slot, writes: client.takeWrites() }))
    this.ask({ _tag: "Write", asked }, (answer) => {
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
    })
  }
  private stand(standings: Iterable<Standing>): void {
    for (const [slot, state] of standings) this.clients.get(slot)?.stands(state)
  }
  private ask(call: Call, done: (answer: Answer) => void): void {
    if (this.phase === "Closing") {
      return queueMicrotask(() => done({ _tag: "Failed", cause: this.failure("it is closed") }))
    }
    this.post(this.worker ?? this.start(), call, done)
  }
  private post(worker: Worker, call: Call, done: (answer: Answer) => void): void {
    // An application that has nothing else to do than to wait for an answer stays alive for it.
    if (this.waiting.push(done) === 1) worker.ref()
    worker.postMessage(call, call._tag === "Write" ? buffersOf(call.asked) : [])
  }
  private start(opened: (answer: Answer) => void = () => undefined): Worker {
    const started = this.worker = new Worker(worker, { name: "sluice-sqlite" })
    started.on("message", (reply: Reply) => this.replied(started, reply))
    started.on("error", (cause) => this.lost(started, this.failure("its worker failed", cause)))
    started.on("exit", (code) => this.lost(started, this.failure(`its worker ended with code ${code}`)))
    const { busyTimeout, clients, file } = this
    const slots = Array.from(clients.values(), ({ key, limits, slot, version }) => ({ key, limits, slot, version }))
    this.post(started, { _tag: "Open", asked: { file, busyTimeout, slots } }, (answer) => {
      if (answer._tag === "Answered") this.stand(answer.answer)
      opened(answer)
      if (answer._tag === "Failed") this.lost(started, answer.cause)
    })
    return started
  }
  private replied(worker: Worker, reply: Reply): void {
    if (worker !== this.worker) return
    const done = this.waiting.shift()!
    if (this.waiting.length === 0 && this.phase !== "Closing") worker.unref()
    done(reply._tag === "Failed" ? { _tag: "Failed", cause: new Error(reply.message) } : reply)
  }
  private failure(what: string, cause?: unknown): Error {
    return new Error(`SQLite, "${this.file}": ${what}`, { cause })
  }
  private lost(worker: Worker, failure: Error): void {
    if (worker !== this.worker) return
    this.worker = undefined
    void worker.terminate()
    const { waiting } = this
    this.waiting = []
    if (this.phase === "Open") this.warn("a SQLite log has lost its worker; the next call starts another one", failure)
    for (const client of this.ready) {
      client.takeWrites()
      client.notWritten(failure)
    }
    this.ready.clear()
    this.writing = false
    for (const done of waiting) done({ _tag: "Failed", cause: failure })
  }
}

/** By the real time also in a test, since other processes go by no other. */
const realSleep = (millis: number): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const timer = setTimeout(() => resume(Effect.void), millis)
    return Effect.sync(() => clearTimeout(timer))
  })

const buffersOf = (asked: Calls["Write"]["asked"]): Array<ArrayBuffer> =>
  asked.flatMap(({ writes }) => writes.flatMap((write) => write._tag === "Append" ? [write.values.bytes.buffer] : []))
