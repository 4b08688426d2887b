/**
 * Where it is shown. On a terminal the table is drawn over itself and the last log lines are part of it, so that
 * neither tears the other; elsewhere there is one line a second on stdout, and logs go to stderr.
 */
import type { Topology } from "@sluice/core"
import {
  Console,
  Context,
  Deferred,
  type Duration,
  Effect,
  Exit,
  FiberHandle,
  Layer,
  Logger,
  Schedule,
  Stdio,
  Terminal
} from "effect"
import { type Frame, lineOf, reportOf, tableOf } from "./table.ts"

export class Screen extends Context.Service<Screen, {
  /** Shows what `frame` reads, again and again. */
  readonly show: (frame: Effect.Effect<Frame>) => Effect.Effect<void>
  /** Returns when nobody reads the output any more, as after `| head`. */
  readonly gone: Effect.Effect<void>
  /** Shows the last frame, and the report below it. */
  readonly end: (report: Topology.ShutdownReport) => Effect.Effect<void>
}>()("telemetry/Screen") {}

interface Face {
  readonly every: Duration.Input
  readonly draw: (frame: Frame) => Effect.Effect<void>
  /** There is no frame where the program ended before it showed one. */
  readonly end: (frame: Frame | undefined, report: ReadonlyArray<string>) => Effect.Effect<void>
  readonly logger: Logger.Logger<unknown, void>
}

export const layer = Layer.unwrap(Effect.gen(function*() {
  const face = (yield* Stdio.Stdio.use((stdio) => stdio.stdoutIsTerminal)) ? yield* terminal : lines
  const screen = Effect.gen(function*() {
    const drawing = yield* FiberHandle.make()
    const gone = yield* Deferred.make<void>()
    // Never taken off again: what is written after that, such as the report, would throw where nobody listens.
    for (const output of [process.stdout, process.stderr]) {
      output.on("error", () => Deferred.doneUnsafe(gone, Exit.void))
    }
    let shown: Effect.Effect<Frame> | undefined
    return Screen.of({
      show: (frame) => {
        shown = frame
        return Effect.asVoid(
          FiberHandle.run(drawing, Effect.schedule(Effect.flatMap(frame, face.draw), Schedule.fixed(face.every)))
        )
      },
      gone: Deferred.await(gone),
      end: (report) =>
        Effect.gen(function*() {
          yield* FiberHandle.clear(drawing)
          yield* face.end(shown === undefined ? undefined : yield* shown, reportOf(report))
        })
    })
  })
  return Layer.merge(Layer.effect(Screen, screen), Logger.layer([face.logger]))
}))

const lines: Face = {
  every: "1 second",
  draw: (frame) => Console.log(lineOf(frame)),
  end: (frame, report) =>
    Console.log([...(frame === undefined ? [] : ["", ...tableOf(frame), ""]), ...report].join("\n")),
  logger: Logger.withConsoleError(Logger.formatLogFmt)
}

const messagesMax = 3
const keys = "keys: s start, x stop, r reset, + and - threshold, q quit"

const terminal = Effect.gen(function*() {
  const { columns, display, rows } = yield* Terminal.Terminal
  // What the terminal does not take is not shown; sampling goes on.
  const write = (text: string) => Effect.ignore(display(text))
  yield* Effect.acquireRelease(write("\x1b[?25l"), () => write("\x1b[?25h"))

  const messages: Array<string> = []
  let height = 0
  /** Over the lines drawn before, so none may wrap. */
  const drawOver = Effect.fnUntraced(function*(lines: ReadonlyArray<string>) {
    // A terminal that does not know its size says 0.
    const width = (yield* columns) || 80
    const up = height === 0 ? "" : `\x1b[${height}A`
    height = lines.length
    yield* write(`\r${up}${lines.map((line) => `${line.slice(0, width)}\x1b[K\n`).join("")}\x1b[J`)
  })
  return {
    every: "200 millis",
    // What is taller than the terminal scrolls away, and could not be drawn over.
    draw: (frame) =>
      Effect.flatMap(rows, (rows) => drawOver(tableOf(frame, [keys, ...messages]).slice(0, (rows || 24) - 1))),
    end: (frame, report) => drawOver([...(frame === undefined ? [] : [...tableOf(frame), ""]), ...messages, ...report]),
    logger: Logger.make(({ date, logLevel, message }) => {
      const text = Array.isArray(message) ? message.join(" ") : String(message)
      messages.push(`${date.toISOString().slice(11, 19)} ${logLevel.toUpperCase()} ${text}`)
      messages.splice(0, messages.length - messagesMax)
    })
  } satisfies Face
})
