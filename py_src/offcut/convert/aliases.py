"""Leave out nodes that only pass a value on; the value goes by one name then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Graph, Node
from offcut.ops.shape_rules import BROADCAST

__all__ = ["drop_expansions", "name_outputs", "remove_identities"]


def remove_identities(draft: Draft) -> Draft:
    """Leave out Identity, resizing and reshaping to the same size, and joining one part."""
    graph, alias = draft.graph, dict[str, str]()
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(alias.get(name, name) for name in node.inputs)
        passes = node.op == "Identity" or (len(inputs) == 1 and node.op == "Concat")
        if node.op in ("Expand", "Resize", "Reshape"):
            passes = graph.shapes[inputs[0]] == graph.shapes[node.name]
        if passes and node.name not in graph.outputs:
            alias[node.name] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
    return rebuilt(draft, nodes, draft.weights)


def name_outputs(draft: Draft) -> Draft:
    """Let the node before an Identity make the graph's output itself."""
    graph, alias = draft.graph, dict[str, str]()
    made = {node.name for node in graph.nodes}
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else ""
        free = source in made and source not in graph.outputs and source not in alias
        if node.op == "Identity" and node.name in graph.outputs and free:
            alias[source] = node.name
    nodes = [
        replace(
            node,
            inputs=tuple(alias.get(name, name) for name in node.inputs),
            outputs=tuple(alias.get(name, name) for name in node.outputs),
        )
        for node in graph.nodes
        if not (node.op == "Identity" and alias.get(node.inputs[0]) == node.name)
    ]
    return rebuilt(draft, nodes, draft.weights)


def drop_expansions(draft: Draft) -> Draft:
    """Leave out an Expand whose readers broadcast to the same shape without it."""
    graph = draft.graph
    expanded = {node.name: node.inputs[0] for node in graph.nodes if node.op == "Expand"}
    for node in graph.nodes:
        if not _broadcasts_alike(node, graph, expanded):
            for name in node.inputs:
                expanded.pop(name, None)
    for name in graph.outputs:
        expanded.pop(name, None)
    nodes = [
        replace(node, inputs=tuple(expanded.get(name, name) for name in node.inputs))
        for node in graph.nodes
        if node.name not in expanded
    ]
    return rebuilt(draft, nodes, draft.weights)


def _broadcasts_alike(node: Node, graph: Graph, expanded: dict[str, str]) -> bool:
    if node.op not in BROADCAST:
        return False
    shapes = [graph.shapes[expanded.get(name, name)] for name in node.inputs]
    return np.broadcast_shapes(*shapes) == graph.shapes[node.name]
