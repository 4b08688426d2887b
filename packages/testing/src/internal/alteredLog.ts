/** A log with some of its members replaced. Its class keeps them on instances and prototypes, so they are named here. */
import type { Log } from "@sluice/core"

export const alteredLog = <A>(log: Log.Log<A>, changes: Partial<Log.Log<A>>): Log.Log<A> => ({
  record: log.record,
  kind: log.kind,
  produce: log.produce,
  tryProduce: log.tryProduce,
  produceAsync: log.produceAsync,
  produceUnsafe: log.produceUnsafe,
  subscribe: log.subscribe,
  latest: log.latest,
  stats: log.stats,
  close: log.close,
  durability: log.durability,
  oldest: log.oldest,
  head: log.head,
  read: log.read,
  subscribeFrom: log.subscribeFrom,
  acquire: log.acquire,
  groups: log.groups,
  removeGroup: log.removeGroup,
  ...changes
})
