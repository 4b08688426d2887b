/** The graph of a topology: who feeds whom, where it closes on itself, and how it is drawn. Without Effect's runtime. */
import { Graph } from "effect"

export interface Node {
  readonly name: string
  readonly kind: "Record" | "Source" | "Consumer" | "Transform" | "Collector" | "Listener" | "Reconciler"
}
export interface Member extends Node {
  /** Keys of records. */
  readonly reads: ReadonlyArray<string>
  readonly writes: ReadonlyArray<string>
}
export interface Drawing {
  readonly edges: ReadonlyArray<{ readonly from: string; readonly to: string }>
  readonly mermaid: string
  readonly dot: string
}

/** One path per group of nodes that feed each other: record, component, record, ..., back to the first. */
export const cyclesOf = (members: ReadonlyArray<Member>): ReadonlyArray<ReadonlyArray<string>> => {
  const graph = graphOf(members)
  return Graph.stronglyConnectedComponents(graph).flatMap((group) => {
    // No component is its own record: one alone feeds nobody.
    if (group.length === 1) return []
    const inside = new Set(group)
    const part = Graph.mutate(graph, (mutable) => {
      for (const index of Array.from(Graph.indices(Graph.nodes(graph)))) {
        if (!inside.has(index)) Graph.removeNode(mutable, index)
      }
    })
    const cycle = Graph.findCycle(part)
    if (cycle._tag === "None") return []
    // The path ends where it begins. It is told from the record on that was declared first.
    const path = cycle.value.path.slice(0, -1)
    const records = path.filter((index) => nodeOf(graph, index).kind === "Record")
    const start = path.indexOf(Math.min(...records))
    return [[...path.slice(start), ...path.slice(0, start + 1)].map((index) => nodeOf(graph, index).name)]
  })
}

export const drawingOf = (members: ReadonlyArray<Member>): Drawing => {
  const graph = graphOf(members)
  const edges = Array.from(Graph.values(Graph.edges(graph)), (edge) => ({
    from: nodeOf(graph, edge.source).name,
    to: nodeOf(graph, edge.target).name
  }))
  const nodeLabel = (node: Node) => node.name
  const edgeLabel = (edge: string) => edge
  return {
    edges,
    mermaid: Graph.toMermaid(graph, {
      direction: "LR",
      nodeLabel,
      edgeLabel,
      nodeShape: (node) => shapes[node.kind].mermaid
    }),
    // Effect's DOT has no shapes: each node line gets its own.
    dot: Graph.toGraphViz(graph, { graphName: "topology", nodeLabel, edgeLabel }).replaceAll(
      /^ {2}"(\d+)" \[/gm,
      (line, index) => `${line}shape=${shapes[nodeOf(graph, Number(index)).kind].dot}, `
    )
  }
}

const shapes = {
  Record: { mermaid: "cylindrical", dot: "cylinder" },
  Source: { mermaid: "stadium", dot: "ellipse" },
  Consumer: { mermaid: "rectangle", dot: "box" },
  Transform: { mermaid: "rectangle", dot: "box" },
  Collector: { mermaid: "subroutine", dot: "box" },
  Listener: { mermaid: "hexagon", dot: "hexagon" },
  Reconciler: { mermaid: "hexagon", dot: "hexagon" }
} as const

const graphOf = (members: ReadonlyArray<Member>): Graph.DirectedGraph<Node, string> =>
  Graph.directed<Node, string>((mutable) => {
    const records = new Map<string, number>()
    const recordIndex = (key: string): number => {
      let index = records.get(key)
      if (index === undefined) {
        records.set(key, index = Graph.addNode<Node, string>(mutable, { name: key, kind: "Record" }))
      }
      return index
    }
    for (const member of members) {
      const index = Graph.addNode<Node, string>(mutable, { name: member.name, kind: member.kind })
      for (const key of member.reads) Graph.addEdge(mutable, recordIndex(key), index, "is read by")
      for (const key of member.writes) Graph.addEdge(mutable, index, recordIndex(key), "writes")
    }
    return undefined
  })

const nodeOf = (graph: Graph.DirectedGraph<Node, string>, index: number): Node => {
  const node = Graph.getNode(graph, index)
  if (node._tag === "None") throw new Error(`graph: node ${index} of an edge is not in the graph`)
  return node.value
}
