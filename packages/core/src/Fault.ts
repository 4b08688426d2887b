/** What can be wrong with a topology: told all together before anything runs, or when a component has failed for good. */
import { Schema } from "effect"
import { render } from "./internal/render.ts"
import { WriterConflict } from "./Producer.ts"

/** Nothing declares itself in what `Topology.layer` was given. */
export class NoComponents extends Schema.TaggedError<NoComponents>()("NoComponents", {}) {
  override get message(): string {
    return `there is no component in it: give \`Topology.layer\` the layers of sources, consumers, transforms or collectors`
  }
}
/** Two components of a topology have the same name. */
export class DuplicateName extends Schema.TaggedError<DuplicateName>()("DuplicateName", { name: Schema.String }) {
  override get message(): string {
    return `two components are named "${this.name}": names must be unique in a topology`
  }
}
/** Two collectors of a topology are of the same group, which has one holder at a time. */
export class DuplicateGroup extends Schema.TaggedError<DuplicateGroup>()("DuplicateGroup", {
  record: Schema.String,
  group: Schema.String,
  components: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return `${
      this.components.map((name) => `"${name}"`).join(" and ")
    } collect record "${this.record}" in the same group `
      + `"${this.group}", which has one holder: give each a group of its own where each is to see every value, or make them `
      + `one collector with \`concurrency\``
  }
}
/** `path` closes on itself: record, component, record, ... */
export class Cycle extends Schema.TaggedError<Cycle>()("Cycle", { path: Schema.Array(Schema.String) }) {
  override get message(): string {
    return `values would go round: ${
      this.path.join(" → ")
    }. A topology drains from its sources down, so it has no cycles`
  }
}
/** Another topology that still runs has components on this record. */
export class RecordInUse extends Schema.TaggedError<RecordInUse>()("RecordInUse", { record: Schema.String }) {
  override get message(): string {
    return `record "${this.record}" is part of another topology that still runs: put all its components into one topology, `
      + `so that one drain can order them`
  }
}
/** The record takes no more values: by `close`, or since a topology that it was part of has drained. */
export class RecordIsClosed extends Schema.TaggedError<RecordIsClosed>()("RecordIsClosed", { record: Schema.String }) {
  override get message(): string {
    return `record "${this.record}" is closed: by its \`close\`, or since another topology that it was part of has drained. `
      + `Build its layer anew for each topology, with \`Layer.fresh\` or in the scope of the topology`
  }
}
/** Components of the topology have different buffers of the same record: its layer was made twice. */
export class TwoBuffers extends Schema.TaggedError<TwoBuffers>()("TwoBuffers", { record: Schema.String }) {
  override get message(): string {
    return `record "${this.record}" has two buffers, since its layer was made twice: what is written into one is not in the `
      + `other. Make it once, as a constant, or provide it once to the whole topology`
  }
}
/** Two record classes have the same key: the layer of one stands in for the other, or components have one each. */
export class TwoDefinitions extends Schema.TaggedError<TwoDefinitions>()("TwoDefinitions", { record: Schema.String }) {
  override get message(): string {
    return `two definitions have the key "${this.record}", so that components of one are given the record of the other, or are `
      + `taken for its neighbours: a key belongs to one record class`
  }
}
/** Everything that is wrong with the topology, found before any component runs. Its message lists the faults. */
export class TopologyInvalid extends Schema.TaggedError<TopologyInvalid>()("TopologyInvalid", {
  faults: Schema.NonEmptyArray(Schema.Union([
    NoComponents,
    WriterConflict,
    DuplicateName,
    DuplicateGroup,
    Cycle,
    RecordInUse,
    RecordIsClosed,
    TwoBuffers,
    TwoDefinitions
  ]))
}) {
  override get message(): string {
    const [first, ...others] = this.faults
    return others.length === 0
      ? `the topology has 1 fault: ${first.message}`
      : `the topology has ${this.faults.length} faults:\n${this.faults.map((fault) => `- ${fault.message}`).join("\n")}`
  }
}
/**
 * A component has failed for good. `why`: its restart schedule has ended or has died itself, no later attempt could succeed,
 * or it failed while the topology drained, which begins nothing anew.
 */
export class ComponentFailed extends Schema.TaggedError<ComponentFailed>()("ComponentFailed", {
  component: Schema.String,
  why: Schema.Literals(["restartEnded", "restartFailed", "final", "draining"]),
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `component "${this.component}" has failed for good, ${reasons[this.why]}: ${render(this.cause)}`
  }
}
const reasons = {
  restartEnded: "its restart schedule ended",
  restartFailed: "its restart schedule failed",
  final: "since no later attempt can succeed",
  draining: "since it failed while the topology drained"
} as const
