/**
 * Setup of the suites that run once more with fibers which yield after every few operations instead of every 2,048: what is
 * looked at in one step and acted on in another shows there. `SLUICE_OPS` says after how many.
 */
import { Scheduler } from "effect"

const ops = Number(process.env["SLUICE_OPS"])
if (!(Number.isInteger(ops) && ops > 0)) {
  throw new Error(`SLUICE_OPS must be a positive integer, got ${process.env["SLUICE_OPS"]}`)
}
;(Scheduler.MaxOpsBeforeYield as { defaultValue: () => number }).defaultValue = () => ops
