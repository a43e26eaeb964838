"""Which values are stored bent: with finer steps where most of a Relu's results are.

A bent plane (kernels/plane.h) costs its writer and its readers a few instructions for each cell, so
a value is bent only where that is little: when it is small beside the feature maps of the first
layers, or early, since all that follows inherits its errors; and what is made of the image itself
always. All its readers must be kernels that know bent planes: what else reads one gets it through
floats, which is slow.
"""

from __future__ import annotations

from collections.abc import Mapping

from offcut.graph import Graph, Node

__all__ = ["bendable_values"]

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
    if name in graph.outputs:
        return False
    for node in users.get(name, []):
        if node.op in ("Concat", "MaxPool"):
            known = _is_read_bent(graph, users, node.name)
        elif node.op == "Conv":
            outputs = graph.shapes[node.name][1]
            known = node.attributes.get("group", 1) == 1 and outputs >= LEAST_OUTPUTS
        else:  # of an Add that a convolution does as it writes its result
            known = node.op == "Add" and len({graph.shapes[i] for i in node.inputs}) == 1
        if not known:
            return False
    return True
