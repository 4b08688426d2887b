/**
 * The main thread's side of a store of flows: one worker for one file. It knows the last completion of the file that this
 * process has heard of, by its own transactions and by asking for those of others while somebody waits.
 */
import { type Filter, FlowError, StoreError } from "@sluice/core/Completion"
import { Effect, Latch } from "effect"
import type { Calls, History, Reading, Told, Verb } from "./flowCalls.ts"
import { byRealTime, patience, polling, SqliteThread } from "./sqliteThread.ts"

const source = import.meta.url
const worker = new URL(`./flowWorker.${source.endsWith(".ts") ? "ts" : "js"}`, source)

export interface ConnectionOptions {
  readonly file: string
  readonly busyTimeout: number
  readonly history: History
}
type Done<Tag extends Verb["_tag"]> = Extract<Calls[Tag]["answer"]["verdict"], { readonly _tag: "Done" }>["value"]

export class FlowConnection {
  private readonly thread: SqliteThread<Calls>
  /** Of the last completion heard of, and those that wait for one after it. */
  private last = 0
  private readonly waiting = new Set<() => void>()
  private readonly watched = Latch.makeUnsafe(false)

  constructor(options: ConnectionOptions, warn: (message: string, cause: Error) => void) {
    this.thread = new SqliteThread(options.file, worker, {
      opening: () => options,
      opened: (range) => this.heard(range.last),
      lost: () => undefined,
      warn: (failure) => warn("a store of flows has lost its worker; the next call starts another one", failure)
    })
  }
  get open(): Effect.Effect<void, Error> {
    return this.thread.open
  }
  /** Lets what has been asked for end, and closes the file. */
  readonly close: Effect.Effect<void> = Effect.callback((resume) => this.thread.close(() => resume(Effect.void)))
  get isClosed(): boolean {
    return this.thread.isClosing
  }
  /** A verb, which shares a transaction with others. What has been sent happens, also where whoever asked for it has been interrupted. */
  verb<Tag extends Verb["_tag"]>(
    tag: Tag,
    executionId: string,
    asked: Calls[Tag]["asked"]
  ): Effect.Effect<Done<Tag>, FlowError | StoreError> {
    return Effect.callback((resume) => {
      this.thread.ask(tag, asked, (answer) => {
        if (answer._tag === "Failed") return resume(Effect.fail(new StoreError({ cause: answer.cause })))
        const { last, verdict }: Told<Done<Tag>> = answer.answer
        this.heard(last)
        if (verdict._tag === "Done") return resume(Effect.succeed(verdict.value))
        const { detail, reason } = verdict
        resume(Effect.fail(new FlowError({ reason, executionId, detail })))
      })
    })
  }
  ask<Tag extends Exclude<keyof Calls, Verb["_tag"]>>(
    tag: Tag,
    asked: Calls[Tag]["asked"]
  ): Effect.Effect<Calls[Tag]["answer"], Error> {
    return this.thread.call(tag, asked)
  }
  /** What there is after a sequence: asks again until it is answered, and for ever once this has been closed. */
  read(from: number, filter: Filter): Effect.Effect<Reading> {
    return Effect.retry(this.ask("Read", { from, filter }), { schedule: patience, while: () => !this.isClosed }).pipe(
      byRealTime,
      Effect.tap((reading) => Effect.sync(() => this.heard(reading.range.last))),
      Effect.catch(() => Effect.never)
    )
  }
  /** Until something else than `sequence` is the last that has been heard of. */
  after(sequence: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      if (this.last !== sequence) return resume(Effect.void)
      const look = () => resume(Effect.void)
      this.waiting.add(look)
      this.watched.openUnsafe()
      return Effect.sync(() => void this.waiting.delete(look))
    })
  }
  /** Asks whether other processes have written, in such intervals of milliseconds, while anyone waits. */
  poll(interval: number): Effect.Effect<never> {
    const look = Effect.suspend(() => {
      if (this.waiting.size === 0) {
        this.watched.closeUnsafe()
        return Effect.void
      }
      return Effect.map(this.ask("Poll", undefined), (range) => {
        if (range !== undefined) this.heard(range.last)
      })
    })
    return polling(interval, this.watched, look)
  }

  private heard(last: number): void {
    if (last === this.last) return
    this.last = last
    const waiting = Array.from(this.waiting)
    this.waiting.clear()
    for (const look of waiting) look()
  }
}
