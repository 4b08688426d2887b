/**
 * The person at the keyboard. Keys are a record like any other: one transform reads commands from them, another the
 * threshold, and the consumer of the commands starts, stops and resets. Where there is no terminal, each line on stdin
 * is a key.
 */
import { Consumer, Source, Transform } from "@sluice/core"
import { Clock, Deferred, Effect, Layer, Option, Result, Schema, Stdio, Stream, Terminal } from "effect"
import { Control } from "./control.ts"
import { Command, Key, Threshold } from "./records.ts"

const isKey = Schema.is(Key.schema)

export const Keyboard = Source.layer(Key, {
  name: "keyboard",
  stream: Stream.unwrap(Effect.gen(function*() {
    const { quit } = yield* Control
    const terminal = yield* Stdio.Stdio.use((stdio) => stdio.stdinIsTerminal)
    return (terminal ? presses : lines).pipe(
      Stream.filter(isKey),
      Stream.tap((key) => key === "q" ? Deferred.succeed(quit, undefined) : Effect.void)
    )
  }))
})

/** Ctrl-C, Ctrl-D and Esc are keys here too, and end the input: that is a wish to quit. */
const presses = Stream.unwrap(Effect.gen(function*() {
  const inputs = yield* Terminal.Terminal.use((terminal) => terminal.readInput)
  return Stream.fromQueue(inputs).pipe(
    Stream.map(({ input }) => Option.getOrElse(input, () => "")),
    Stream.concat(Stream.make("q"))
  )
}))

/** The end of standard input is no wish to quit: a program in the background has none. */
const lines = Stream.fromEffectRepeat(Effect.flatMap(Terminal.Terminal, (terminal) => terminal.readLine)).pipe(
  Stream.catch(() => Stream.empty)
)

const commands = { s: "start", x: "stop", r: "reset" } as const

const Commands = Transform.layer({
  name: "commands",
  from: Key,
  to: Command,
  through: Stream.filterMap((key) =>
    key in commands ? Result.succeed(commands[key as keyof typeof commands]) : Result.failVoid
  )
})

/** `scan` begins with the threshold of the start, so that there is one before the first key. */
const Thresholds = (initial: number) =>
  Transform.layer({
    name: "thresholds",
    from: Key,
    to: Threshold,
    through: (keys) =>
      keys.pipe(
        Stream.filter((key) => key === "+" || key === "-"),
        Stream.scan(() => initial, (percent, key) => Math.min(100, Math.max(0, percent + (key === "+" ? 5 : -5))))
      )
  })

const Switch = Consumer.layer(Command, {
  name: "switch",
  handle: Effect.fnUntraced(function*(command) {
    const { sampling, tally } = yield* Control
    if (command === "start") yield* sampling.open
    if (command === "stop") yield* sampling.close
    if (command === "reset") tally.reset(yield* Clock.currentTimeMillis)
  })
})

export const layer = (options: { readonly threshold: number }) =>
  Layer.mergeAll(Commands, Thresholds(options.threshold), Switch)
