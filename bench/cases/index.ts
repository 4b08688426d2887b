/** All cases, in the order of the table. */
import type { Case } from "../contestant.ts"
import { backpressure } from "./backpressure.ts"
import { oneToFour } from "./oneToFour.ts"
import { oneToOne } from "./oneToOne.ts"
import { pingPong } from "./pingPong.ts"
import { pushOnly } from "./pushOnly.ts"
import { slowConsumer } from "./slowConsumer.ts"

export const cases: ReadonlyArray<Case> = [pushOnly, oneToOne, oneToFour, slowConsumer, pingPong, backpressure]
