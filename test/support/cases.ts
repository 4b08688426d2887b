/**
 * How many cases a property or crash suite runs: a budget in `pnpm test`, all of them in `pnpm test:full`. Half of them
 * come from a fixed seed, half from a fresh one (`SLUICE_SEED` to repeat a run); both are printed.
 */
const isFull = process.env["SLUICE_FULL"] === "1"
const fresh = Number(process.env["SLUICE_SEED"] ?? Math.floor(Math.random() * 2 ** 31))

export interface Cases {
  readonly seed: number
  readonly runs: number
}

export const casesOf = (
  suite: string,
  counts: { readonly budget: number; readonly full: number }
): ReadonlyArray<Cases> => {
  const runs = Math.ceil((isFull ? counts.full : counts.budget) / 2)
  console.log(`${suite}: ${runs} cases with seed 1, ${runs} with seed ${fresh}${isFull ? "" : " (budgeted)"}`)
  return [{ seed: 1, runs }, { seed: fresh, runs }]
}
