/** A length of time on the command line: `10s` as people type it, or `10 seconds` as Effect does; none is zero. */
import { Duration, Option } from "effect"

const units = { ms: "millis", s: "seconds", m: "minutes", h: "hours" } as const

export const durationOf = (text: string): Option.Option<Duration.Duration> =>
  Duration.fromInput(
    text.replace(/^([\d.]+)\s*(ms|s|m|h)$/, (_, amount, unit: keyof typeof units) =>
      `${amount} ${units[unit]}`) as Duration.Input
  ).pipe(Option.filter(Duration.isGreaterThan(Duration.zero)))
