/** What can be wrong with a topology: told all together before anything runs, or when a component has failed for good. */
import { Schema } from "effect"
import { WriterConflict } from "./Producer.ts"

/** Two components of a topology have the same name. */
export class DuplicateName extends Schema.TaggedError<DuplicateName>()("DuplicateName", { name: Schema.String }) {
  override get message(): string {
    return `two components are named "${this.name}": names must be unique in a topology`
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
/** Everything that is wrong with the topology, found before any component runs. Its message lists the faults. */
export class TopologyInvalid extends Schema.TaggedError<TopologyInvalid>()("TopologyInvalid", {
  faults: Schema.NonEmptyArray(Schema.Union([WriterConflict, DuplicateName, Cycle, RecordInUse]))
}) {
  override get message(): string {
    return `the topology has ${this.faults.length} fault(s):\n${
      this.faults.map((fault) => `- ${fault.message}`).join("\n")
    }`
  }
}
/** A component's restart schedule ended. */
export class ComponentFailed extends Schema.TaggedError<ComponentFailed>()("ComponentFailed", {
  component: Schema.String,
  cause: Schema.Defect()
}) {
  override get message(): string {
    return `component "${this.component}" has failed for good, its restart schedule ended: ${String(this.cause)}`
  }
}
