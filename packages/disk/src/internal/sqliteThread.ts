/**
 * The main thread's side of a worker that has a SQLite database. Calls are answered in the order in which they are made.
 *
 * A worker that ends, whatever the reason, fails all calls that wait; the next call starts another one.
 */
import { Clock, Effect, type Latch, Schedule } from "effect"
import { type Transferable, Worker } from "node:worker_threads"

export type Reply =
  | { readonly _tag: "Answered"; readonly answer: unknown }
  | { readonly _tag: "Failed"; readonly message: string }
export type Answer =
  | { readonly _tag: "Answered"; readonly answer: any }
  | { readonly _tag: "Failed"; readonly cause: Error }

/** What can be asked for, and what is answered, by the name of the call. `Open` comes first, `Close` last. */
export type CallsOf<Calls> =
  & { readonly [Tag in keyof Calls]: { readonly asked: unknown; readonly answer: unknown } }
  & {
    readonly Open: { readonly asked: { readonly file: string; readonly busyTimeout: number } }
    readonly Close: { readonly asked: undefined }
  }
export interface Hooks<Calls extends CallsOf<Calls>> {
  /** What `Open` asks each worker for. */
  readonly opening: () => Calls["Open"]["asked"]
  readonly opened: (answer: Calls["Open"]["answer"]) => void
  /** The worker has ended, and the calls that wait are about to fail. */
  readonly lost: (failure: Error) => void
  readonly warn: (failure: Error) => void
}

export class SqliteThread<Calls extends CallsOf<Calls>> {
  readonly file: string
  private readonly source: URL
  private readonly hooks: Hooks<Calls>
  private worker: Worker | undefined
  private waiting: Array<(answer: Answer) => void> = []
  private phase: "Opening" | "Open" | "Closing" = "Opening"

  /** `source` is the worker's file. */
  constructor(file: string, source: URL, hooks: Hooks<Calls>) {
    this.file = file
    this.source = source
    this.hooks = hooks
  }
  readonly open: Effect.Effect<void, Error> = Effect.callback((resume) => {
    this.start((answer) => {
      if (answer._tag === "Failed") return resume(Effect.fail(answer.cause))
      this.phase = "Open"
      resume(Effect.void)
    })
  })
  /** Lets what has been asked for end, and closes the file; what is asked for from now on fails. */
  close(done: () => void): void {
    this.phase = "Closing"
    const { worker } = this
    if (worker === undefined) return done()
    worker.once("exit", done)
    this.post(worker, "Close", undefined, () => undefined, [])
  }
  get isClosing(): boolean {
    return this.phase === "Closing"
  }
  get isRunning(): boolean {
    return this.phase === "Open" && this.worker !== undefined
  }
  call<Tag extends keyof Calls & string>(
    tag: Tag,
    asked: Calls[Tag]["asked"]
  ): Effect.Effect<Calls[Tag]["answer"], Error> {
    return Effect.callback((resume) => {
      this.ask(tag, asked, (answer) => {
        resume(answer._tag === "Failed" ? Effect.fail(answer.cause) : Effect.succeed(answer.answer))
      })
    })
  }
  ask(
    tag: keyof Calls & string,
    asked: unknown,
    done: (answer: Answer) => void,
    transferred: ReadonlyArray<Transferable> = []
  ): void {
    if (this.phase === "Closing") {
      return queueMicrotask(() => done({ _tag: "Failed", cause: this.failure("it is closed") }))
    }
    this.post(this.worker ?? this.start(), tag, asked, done, transferred)
  }

  private post(
    worker: Worker,
    tag: string,
    asked: unknown,
    done: (answer: Answer) => void,
    transferred: ReadonlyArray<Transferable>
  ): void {
    // First, since it throws where something cannot be sent: nobody waits for an answer to that.
    worker.postMessage({ _tag: tag, asked }, transferred)
    // An application that has nothing else to do than to wait for an answer stays alive for it.
    if (this.waiting.push(done) === 1) worker.ref()
  }
  private start(opened: (answer: Answer) => void = () => undefined): Worker {
    const started = this.worker = new Worker(this.source, { name: "sluice-sqlite" })
    started.on("message", (reply: Reply) => this.replied(started, reply))
    started.on("error", (cause) => this.lost(started, this.failure("its worker failed", cause)))
    started.on("exit", (code) => this.lost(started, this.failure(`its worker ended with code ${code}`)))
    this.post(started, "Open", this.hooks.opening(), (answer) => {
      if (answer._tag === "Answered") this.hooks.opened(answer.answer)
      opened(answer)
      if (answer._tag === "Failed") this.lost(started, answer.cause)
    }, [])
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
    if (this.phase === "Open") this.hooks.warn(failure)
    this.hooks.lost(failure)
    for (const done of waiting) done({ _tag: "Failed", cause: failure })
  }
}

/** By the real time also in a test, since threads and other processes go by no other. */
export const byRealTime: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.provideService(
  Clock.Clock,
  Clock.Clock.defaultValue()
)
/** Between calls while they fail: each may start a worker, with a warning. */
export const patience = Schedule.min([Schedule.exponential("50 millis"), Schedule.spaced("5 seconds")]).pipe(
  Schedule.jittered
)
/** Looks in such intervals of milliseconds, while somebody watches. */
export const polling = (
  interval: number,
  watched: Latch.Latch,
  look: Effect.Effect<void, unknown>
): Effect.Effect<never> =>
  watched.await.pipe(
    Effect.andThen(Effect.sleep(interval)),
    Effect.andThen(Effect.retry(look, patience)),
    Effect.forever,
    Effect.orDie,
    byRealTime
  )
