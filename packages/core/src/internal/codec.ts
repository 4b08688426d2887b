/** A record's values as the bytes under which an engine stores them, and back: the JSON of the schema's encoded form. */
import { Exit, Option, Schema } from "effect"
import type { RecordInfo } from "../Buffer.ts"
import { utf8 } from "./encoding.ts"
import { render } from "./render.ts"

/** What an engine needs of a record's schema. */
export interface Codec<in out A> {
  /** What values are stored with. */
  readonly version: number
  /** Throws where the value does not fit the schema. The bytes may be a view of a larger buffer. */
  readonly encode: (value: A) => Uint8Array
  /** As `encode`, as the text of which those bytes are the UTF-8. */
  readonly encodeText: (value: A) => string
  /** None where the bytes do not decode, and for a version that is later, or has no migration. Never throws. */
  readonly decode: (version: number, bytes: Uint8Array) => Option.Option<A>
}

/** Compiles a record's schemas: make it once. A schema that answers asynchronously encodes and decodes nothing. */
export const codecOf = <A>(record: Omit<RecordInfo<A>, "key">): Codec<A> => {
  const { migrations = {}, schema, version = 0 } = record
  const { Buffer } = utf8
  const encoder = new utf8.TextEncoder()
  // Measured: a Buffer of short texts, which come from a pool, costs a third of an encoder's or less.
  const toBytes = (text: string) => Buffer === undefined ? encoder.encode(text) : Buffer.from(text, "utf8")
  const decoder = new utf8.TextDecoder("utf-8", { fatal: true })
  const toText = (bytes: Uint8Array): string => {
    if (Buffer === undefined) return decoder.decode(bytes)
    // Measured: half of a decoder's time. What is not UTF-8 it replaces, and then the decoder has to say so.
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
    return text.includes("\uFFFD") ? decoder.decode(bytes) : text
  }
  const encode = Schema.encodeSync(Schema.toCodecJson(schema))
  type Decode = (json: unknown) => Exit.Exit<A, unknown>
  const compile = (codec: Schema.Codec<A, any>): Decode => Schema.decodeUnknownExit(Schema.toCodecJson(codec))
  const current = compile(schema)
  const earlier = new Map(Object.entries(migrations).map(([from, codec]) => [Number(from), compile(codec)]))
  const encodeText = (value: A): string => {
    const json = JSON.stringify(encode(value))
    if (json === undefined) throw new TypeError(`${render(value)} has no JSON`)
    return json
  }
  return {
    version,
    encode: (value) => toBytes(encodeText(value)),
    encodeText,
    decode: (from, bytes) => {
      const decode = from === version ? current : earlier.get(from)
      if (decode === undefined) return Option.none()
      try {
        const decoded = decode(JSON.parse(toText(bytes)))
        return Exit.isSuccess(decoded) ? Option.some(decoded.value) : Option.none()
      } catch {
        return Option.none()
      }
    }
  }
}
