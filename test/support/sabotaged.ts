/** Each law, over each subject that it binds, sabotaged: the law has to say so. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"

interface Subject {
  readonly name: string
  readonly promises: any
}
interface Law<in out S extends Subject> {
  readonly name: string
  readonly applies: (promises: S["promises"]) => boolean
  readonly check: (
    subject: S
  ) => Effect.Effect<void, {
    readonly law: string
    readonly subject: string
    readonly expected: string
    readonly seen: string
    readonly message: string
  }>
  readonly broken: (subject: S) => S
}

export const noticesSabotage = <S extends Subject>(laws: ReadonlyArray<Law<S>>, subjects: ReadonlyArray<S>): void =>
  describe.each(laws)("sabotaged, it breaks the law: $name", (law) => {
    for (const subject of subjects.filter(({ promises }) => law.applies(promises))) {
      it.effect(subject.name, () =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(law.check(law.broken(subject)))
          assert.isTrue(Exit.isFailure(exit), "the sabotage went unnoticed")
          const broken = yield* Effect.flip(exit)
          assert.deepStrictEqual([broken.law, broken.subject], [law.name, subject.name])
          assert.include(broken.message, `expected ${broken.expected}, but saw ${broken.seen}`)
        }))
    }
  })
