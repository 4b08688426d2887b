/** A law on backends that hear by a connection: what a subscriber is told once that has been cut. */
import { Effect } from "effect"
import { elapse } from "../law.ts"
import { Mismatch, render, same, settle } from "../trial.ts"
import { type Law, law } from "./law.ts"
import { deafened } from "./sabotage.ts"
import { attemptsOf, end, firsts, hears, listen, names, open, type Subscriber } from "./steps.ts"

/** What was missed of all that was made, in its order, and not told of by a gap where it would have stood. */
const untold = ({ heard }: Subscriber, made: ReadonlyArray<string>): ReadonlyArray<string> => {
  const missed: Array<string> = []
  let next = 0
  let isGap = false
  for (const signal of heard) {
    if (signal._tag === "Gap") {
      isGap = true
      continue
    }
    const at = made.indexOf(signal.payload.executionId, next)
    if (at < 0) return [...missed, `${signal.payload.executionId} out of its order`]
    if (!isGap) missed.push(...made.slice(next, at))
    next = at + 1
    isGap = false
  }
  return [...missed, ...made.slice(next)]
}

const cut = law(
  "who listens while the connection is cut hears of what completed meanwhile, or meets a gap in its place",
  {
    applies: ({ connection }) => connection === true,
    check: Effect.fnUntraced(function*(subject) {
      const worked = yield* open(subject)
      const subscriber = yield* listen(worked.backend)
      const made: Array<string> = []
      const ends = (executions: ReadonlyArray<string>) => {
        made.push(...executions)
        return end(subject, worked, executions)
      }
      yield* ends(names(3))
      yield* hears("a subscriber", subscriber, firsts(names(3)))
      for (let round = 0; round < 3; round++) {
        yield* worked.cut ?? new Mismatch({ expected: "a connection that can be cut", seen: "none" })
        yield* ends(names(3, `meanwhile ${round}, `))
        const isBack = () => attemptsOf(subscriber).at(-1) === `${made.at(-1)}/1`
        for (let second = 0; second < 60 && !isBack(); second++) {
          yield* elapse(subject, 1000)
          yield* ends([`second ${second} of ${round}`])
          yield* settle
        }
        yield* same("whether it hears again within a minute", isBack(), true)
        yield* ends(names(3, `after ${round}, `))
        for (let look = 0; look < 8 && !isBack(); look++) yield* settle
        yield* same(
          `what it was not told of, of ${render(subscriber.heard.length)} signals`,
          untold(subscriber, made),
          []
        )
      }
    }),
    broken: deafened
  }
)

export const reconnecting: ReadonlyArray<Law> = [cut]
