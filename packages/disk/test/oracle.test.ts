/**
 * The journal and SQLite give the same answers to the same random program, restarts included: two stores that have nothing
 * in common but the contract.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Log } from "@sluice/core"
import { DiskLog, Journal, SqliteLog, Storage } from "@sluice/disk"
import { Faults } from "@sluice/testing"
import { Cause, Effect, Exit, Layer, Option, Random, Schema, Scope } from "effect"
import { join } from "node:path"
import { casesOf } from "../../../test/support/cases.ts"
import { inTemporaryDirectory } from "./support/directory.ts"

const record = { key: "numbers", schema: Schema.Finite }
const retention = { count: 40, unacknowledged: "keep" } as const
type Numbers = Log.Log<number>

/** A store that can be restarted; what is open is closed with the scope. */
interface Store {
  readonly open: Effect.Effect<Numbers, unknown, Scope.Scope>
}
const journalOn = (storage: Storage.Storage): Store => ({
  open: Effect.flatMap(
    Layer.build(Journal.layer({ directory: "/journal", segmentBytes: 64 * 1024 })).pipe(
      Effect.provideService(Storage.CurrentStorage, storage)
    ),
    (journal) => Effect.provideContext(DiskLog.backing({ retention }).make(record), journal)
  )
})
const sqliteIn = (directory: string): Store => ({
  open: Effect.flatMap(
    Layer.build(SqliteLog.layer({ file: join(directory, "log.db") })),
    (file) => Effect.provideContext(SqliteLog.backing({ retention }).make(record), file)
  )
})

/** An answer as it can be compared: the value, or the tag of the error. */
const answer = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<unknown, never, R> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) return exit.value
    const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause)) as { readonly _tag?: string } | undefined
    return error?._tag === "LogFailed" ? Cause.pretty(exit.cause) : error?._tag ?? Cause.pretty(exit.cause)
  })

const pick = <A>(from: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, from.length - 1), (i) => from[i]!)

const compare = Effect.fnUntraced(function*(stores: readonly [Store, Store], steps: number) {
  let lives: ReadonlyArray<{ readonly log: Numbers; readonly scope: Scope.Closeable; group: Log.Group | undefined }> =
    []
  const both = Effect.fnUntraced(function*<A>(
    what: string,
    ask: (life: (typeof lives)[number]) => Effect.Effect<A, unknown, Scope.Scope>
  ) {
    const answers: Array<unknown> = []
    for (const life of lives) answers.push(yield* answer(Scope.provide(ask(life), life.scope)))
    assert.deepStrictEqual(answers[0], answers[1], what)
  })
  const restart = Effect.gen(function*() {
    for (const { scope } of lives) yield* Scope.close(scope, Exit.void)
    const opened: Array<(typeof lives)[number]> = []
    for (const { open } of stores) {
      const scope = yield* Scope.fork(yield* Effect.scope)
      opened.push({ scope, log: yield* Effect.orDie(Scope.provide(open, scope)), group: undefined })
    }
    lives = opened
  })
  yield* restart
  const kept: { readonly [name: string]: Effect.Effect<void, never, Scope.Scope> } = {
    produce: Effect.flatMap(pick([1, 3, 15]), (count) =>
      both("produce", ({ log }) =>
        Effect.gen(function*() {
          const answers: Array<unknown> = []
          for (let i = 0; i < count; i++) {
            // At the limit both refuse; what `tryProduce` took is durable once the next answer is.
            const head = yield* log.head
            answers.push(yield* answer(log.tryProduce(Number(head))))
            if (answers.at(-1) === "BufferFull") break
            yield* log.read(head, 1)
          }
          return answers
        }))),
    read: Effect.flatMap(
      Effect.all([pick([0, 1, 7, 30]), pick([1, 5, 100])]),
      ([back, max]) =>
        both("read", ({ log }) =>
          Effect.gen(function*() {
            const head = yield* log.head
            const from = head - BigInt(back)
            if (back === 0 || from < 0n) return "nothing"
            return (yield* log.read(from, max)).map(({ sequence, value }) => [sequence, value])
          }))
    ),
    oldest: both("oldest and head", ({ log }) => Effect.all([log.oldest, log.head])),
    acquire: Effect.flatMap(
      pick(["a", "b"]),
      (name) =>
        Effect.flatMap(
          pick(["oldest", "head", { sequence: 20n }] as const),
          (from) =>
            both("acquire", (life) =>
              Effect.map(life.log.acquire(name, { from }), (group) => {
                life.group = group
                return [group.committed, group.epoch, [...group.attempts]]
              }))
        )
    ),
    commit: Effect.flatMap(pick([0, 1, 5, 100]), (further) =>
      both("commit", ({ group, log }) =>
        group === undefined
          ? Effect.succeed("no group")
          : Effect.flatMap(log.groups, (groups) => {
            const committed = groups.reduce((most, { committed }) => committed > most ? committed : most, -1n)
            const through = committed + BigInt(further)
            return group.commit({ through, attempts: new Map([[through + 1n, 2]]) })
          }))),
    remove: Effect.flatMap(pick(["a", "b"]), (name) => both("removeGroup", ({ log }) => log.removeGroup(name))),
    groups: both(
      "groups",
      ({ log }) => Effect.map(log.groups, (groups) => groups.map(({ committed, name }) => [name, committed]).toSorted())
    ),
    latest: both("latest", ({ log }) => log.latest),
    restart
  }
  const names = Object.keys(kept).flatMap((name) =>
    name === "produce" || name === "commit" ? [name, name, name] : [name]
  )
  for (let step = 0; step < steps; step++) yield* kept[yield* pick(names)]!
})

describe.each(casesOf("journal and SQLite", { budget: 6, full: 200 }))("seed $seed", ({ runs, seed }) => {
  it.live("the journal and SQLite answer alike", () =>
    Effect.forEach(
      Array.from({ length: runs }, (_, index) => seed + index),
      (seed) =>
        Effect.gen(function*() {
          const directory = yield* inTemporaryDirectory
          yield* compare([journalOn(Faults.disk({ seed }).storage), sqliteIn(directory)], 60)
        }).pipe(Effect.scoped, Random.withSeed(seed)),
      { discard: true }
    ), 600_000)
})
