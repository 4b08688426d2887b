/** A value as the bytes under which a log keeps it. */
import { Exit, Schema } from "effect"

interface Utf8 {
  readonly TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }
  readonly TextDecoder: new(label: "utf-8", options: { readonly fatal: true }) => {
    readonly decode: (bytes: Uint8Array) => string
  }
  readonly Buffer?: {
    from(text: string, encoding: "utf8"): Uint8Array
    from(memory: ArrayBufferLike, offset: number, length: number): Uint8Array
  }
}
/** Every platform has it but for Node's Buffer, and the types of none of them are ours. */
export const utf8 = globalThis as unknown as Utf8

/**
 * Encodes as the JSON of the schema's encoded form. A value that does not fit its schema, which a log in memory does not
 * check, is given as JSON writes it, or as no bytes where it cannot.
 */
export const lenientEncoder = <A>(schema: Schema.Codec<A, any>): (value: A) => Uint8Array => {
  const text = new utf8.TextEncoder()
  const encode = Schema.encodeUnknownExit(Schema.toCodecJson(schema))
  return (value) => {
    try {
      const encoded = encode(value)
      return text.encode(JSON.stringify(Exit.isSuccess(encoded) ? encoded.value : value) ?? "")
    } catch {
      return text.encode("")
    }
  }
}
