/** All cases, in the order of the table. */
import type { Case } from "../contestant.ts"
import type { FigureCase } from "../figures.ts"
import { absolute } from "./absolute.ts"
import { backpressure } from "./backpressure.ts"
import { batches } from "./batches.ts"
import { bursts } from "./bursts.ts"
import { chain } from "./chain.ts"
import { counters } from "./counters.ts"
import { handlers } from "./handlers.ts"
import { latency } from "./latency.ts"
import { latest } from "./latest.ts"
import { mailbox } from "./mailbox.ts"
import { memory } from "./memory.ts"
import { oneToFour } from "./oneToFour.ts"
import { oneToOne } from "./oneToOne.ts"
import { pingPong } from "./pingPong.ts"
import { pushOnly } from "./pushOnly.ts"
import { slowConsumer } from "./slowConsumer.ts"
import { statistics } from "./statistics.ts"
import { thousandRecords } from "./thousandRecords.ts"

export const cases: ReadonlyArray<Case | FigureCase> = [
  pushOnly,
  oneToOne,
  oneToFour,
  bursts,
  slowConsumer,
  pingPong,
  backpressure,
  latest,
  mailbox,
  chain,
  thousandRecords,
  batches,
  statistics,
  handlers,
  latency,
  counters,
  memory,
  absolute
]
