import { Buffer, Consumer, Record, Topology } from "@sluice/core"
import { Effect, Layer, Schema } from "effect"
import v8 from "node:v8"; import vm from "node:vm"
v8.setFlagsFromString("--expose-gc"); const gc = vm.runInNewContext("gc")
const heap = () => { gc(); gc(); return process.memoryUsage().heapUsed }
class Ping extends Record.Service<Ping>()("bench/Ping", { schema: Schema.Int }) {}
const N = +process.argv[2]! || 2000
const build = (n: number) => Effect.gen(function*() {
  const consumers = Array.from({ length: n }, (_, i) => Consumer.layer(Ping, { name: "c" + i, handle: () => Effect.void }))
  return yield* Layer.build(Layer.provideMerge(Topology.layer(Layer.mergeAll(...consumers as any) as any, { onShutdown: () => Effect.void }), Ping.layerBuffer(Buffer.spmcRing({ capacity: 16 }))) as any)
})
await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
  yield* Effect.scoped(build(200) as any)
  const before = heap()
  const t = performance.now()
  const keep = yield* build(N) as any
  yield* Effect.sleep(200)
  const ms = performance.now() - t
  console.log((heap() - before) / N, "bytes per consumer;", ms - 200, "ms")
  if (process.argv[3]) v8.writeHeapSnapshot(process.argv[3])
  return keep
})) as any)
