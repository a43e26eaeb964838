"""Which values are stored by channel, and which bent.

By channel: each channel takes as much of the value's range as it needs (offcut/spans.py). That
costs nothing, but what reads such a value must know a scale for each channel.

Bent: with finer steps where most of a Relu's results are. A bent plane (kernels/plane.h) costs its
writer and its readers a few instructions for each cell, so a value is bent only where that is
little: when it is small beside the feature maps of the first layers, or early, since all that
follows inherits its errors; and what is made of the image itself always.

All readers must be kernels that know such planes: what else reads one gets it through floats, which
is slow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from offcut.graph import Graph, Node

__all__ = ["bendable_values", "values_by_channel"]

# Cells of 16 channels: 64 channels at 80x80, and at 160x160 in the first quarter of the network.
MOST_CELLS, MOST_EARLY_CELLS, EARLY = 25_600, 102_400, 0.25
LEAST_OUTPUTS = 8  # fewer go to conv_narrow, which does not know bent planes
IMAGE_CHANNELS = 4


def bendable_values(graph: Graph, users: Mapping[str, list[Node]]) -> frozenset[str]:
    """Return the results of Conv and Add that are worth bending. users: who reads each value."""
    return frozenset(
        node.name
        for at, node in enumerate(graph.nodes)
        if node.op in ("Conv", "Add")
        and len(graph.shapes[node.name]) == 4
        and (
            _cells(graph, node.name) <= (MOST_EARLY_CELLS if _is_early(graph, at) else MOST_CELLS)
            or _reads_image(graph, node)
        )
        and _is_read_bent(graph, users, node.name)
    )


def _cells(graph: Graph, name: str) -> int:
    _, channels, height, width = graph.shapes[name]
    return -(-channels // 16) * height * width


def _is_early(graph: Graph, at: int) -> bool:
    return at < EARLY * len(graph.nodes)


def _reads_image(graph: Graph, node: Node) -> bool:
    source = node.inputs[0]
    return source in graph.inputs and graph.shapes[source][1] <= IMAGE_CHANNELS


def _is_read_bent(graph: Graph, users: Mapping[str, list[Node]], name: str) -> bool:
    """Return whether all readers of the value, and of what it is moved or pooled to, can do it."""

    def knows(node: Node) -> bool:
        dense = node.attributes.get("group", 1) == 1
        many = graph.shapes[node.name][1] >= LEAST_OUTPUTS
        return (dense and many) if node.op == "Conv" else _is_same_add(graph, node)

    return _all_readers(graph, users, name, ("Concat", "MaxPool"), knows)


def values_by_channel(graph: Graph, users: Mapping[str, list[Node]]) -> frozenset[str]:
    """Return the values that all their readers can read by channel. users: who reads each value."""

    def knows(node: Node) -> bool:
        return node.op == "Conv" or (_is_same_add(graph, node) and _joins(graph, users, node))

    moving = ("Concat", "MaxPool", "AveragePool", "Resize")
    return frozenset(
        node.name
        for node in graph.nodes
        if node.op in ("Conv", "Add") and _all_readers(graph, users, node.name, moving, knows)
    )


def _all_readers(
    graph: Graph,
    users: Mapping[str, list[Node]],
    name: str,
    moving: tuple[str, ...],
    knows: Callable[[Node], bool],
) -> bool:
    """Return whether all who read the value, or what `moving` operators make of it, know how."""
    if name in graph.outputs:
        return False
    return all(
        _all_readers(graph, users, node.name, moving, knows) if node.op in moving else knows(node)
        for node in users.get(name, [])
    )


def _is_same_add(graph: Graph, node: Node) -> bool:
    return node.op == "Add" and len({graph.shapes[name] for name in node.inputs}) == 1


def _joins(graph: Graph, users: Mapping[str, list[Node]], add: Node) -> bool:
    """Return whether a convolution can do the Add as it writes its result."""
    made = {node.name: node.op for node in graph.nodes}
    return any(
        made.get(name) == "Conv" and users[name] == [add] and name not in graph.outputs
        for name in add.inputs
    )
