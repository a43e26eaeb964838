"""Know between which bounds values lie, and leave out limits that change nothing.

A quantized (QDQ) graph limits every value; most of these limits lie behind another one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from offcut.convert.draft import Draft, rebuilt
from offcut.graph import Node

__all__ = ["merge_clips"]

Bounds = tuple[float, float]
FREE: Bounds = (-math.inf, math.inf)


def merge_clips(draft: Draft) -> Draft:
    """Make one limit of two in a row, and none of one that its value keeps anyway."""
    graph, alias = draft.graph, dict[str, str]()
    bounds: dict[str, Bounds] = {}
    nodes: dict[str, Node] = {}  # by output, in order
    for node in graph.nodes:
        node = replace(node, inputs=tuple(alias.get(name, name) for name in node.inputs))
        limits = _limits(node)
        if limits is not None:
            source = node.inputs[0]
            low, high = bounds.get(source, FREE)
            idle = limits[0] <= low and high <= limits[1]
            if idle and node.name not in graph.outputs:
                alias[node.name] = source
                continue
            before = nodes.get(source)
            inner = _limits(before) if before is not None else None
            if before is not None and inner is not None:
                limits = _clamped(inner, limits)
                node = replace(node, inputs=before.inputs)
            node = _limiting(node, limits)
        known = [bounds.get(name, FREE) for name in node.inputs]
        bounds[node.name] = _result(node, known)
        nodes[node.name] = node
    return rebuilt(draft, nodes.values(), draft.weights)


def _limits(node: Node) -> Bounds | None:
    """Return between what the node limits its operand; None when it does something else."""
    if node.op == "Relu":
        return 0.0, math.inf
    if node.op == "Clip":
        low, high = node.attributes.get("min", -math.inf), node.attributes.get("max", math.inf)
        return float(low), float(high)  # type: ignore[arg-type]  # floats by its op
    return None


def _clamped(inner: Bounds, outer: Bounds) -> Bounds:
    """Return the limits that act as `inner` first and `outer` then."""
    low, high = (min(max(bound, outer[0]), outer[1]) for bound in inner)
    return low, high


def _limiting(node: Node, limits: Bounds) -> Node:
    """Return the node with other limits, as Relu where that is what they are."""
    if limits == (0.0, math.inf):
        return Node("Relu", node.inputs, node.outputs)
    finite = {k: v for k, v in zip(("min", "max"), limits, strict=True) if math.isfinite(v)}
    return Node("Clip", node.inputs, node.outputs, finite)


def _result(node: Node, known: list[Bounds]) -> Bounds:
    """Return the bounds of the node's result, from those of its operands."""
    if node.op in RESULTS:
        return RESULTS[node.op]
    if node.op in KEEPING and node.attributes.get("mode") != "cubic":
        return min(low for low, _ in known), max(high for _, high in known)
    limits = _limits(node)
    if limits is not None:
        return _clamped(known[0], limits)
    return FREE


RESULTS: Mapping[str, Bounds] = {
    "HardSigmoid": (0.0, 1.0),
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 1.0),
    "Tanh": (-1.0, 1.0),
}
# Operators whose results lie between their operands' bounds; linear Resize but not cubic.
KEEPING = "Concat Expand GlobalAveragePool Identity MaxPool Reshape Resize Slice Transpose".split()
