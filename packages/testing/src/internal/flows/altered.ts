/** A store with some verbs replaced, whatever it is made of. */
import type { Completion } from "@sluice/core"

export const alteredStore = (
  store: Completion.FlowStore,
  changes: Partial<Completion.FlowStore>
): Completion.FlowStore => ({
  add: (execution) => store.add(execution),
  addEdge: (edge) => store.addEdge(edge),
  complete: (end) => store.complete(end),
  replay: (executionId) => store.replay(executionId),
  promote: (executionId) => store.promote(executionId),
  unsettled: (page) => store.unsettled(page),
  get: (executionId) => store.get(executionId),
  list: (page) => store.list(page),
  ...changes
})
