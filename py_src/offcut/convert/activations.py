"""What is left of a value when it is kept in 8 bits, as the simd backend keeps it.

Rounding that has photos can then make up for it: what a layer sees while it is rounded (gptq.py) is
what it will see in use, the small bias of enlargements included, whose halves round up. As there, a
convolution that goes into an Add is not rounded in between, a Concat's parts keep their own scales,
and what has few channels stays in floats. The arithmetic inside of convolutions is not imitated.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offcut.backends.simd.lower import LEAST_CHANNELS
from offcut.backends.simd.values import Quantization, quantization
from offcut.convert.statistics import ChannelStatistics
from offcut.graph import Graph, Node

__all__ = ["levels_of", "rounded"]

SAME = ("MaxPool", "Resize")  # operators that keep their input's scale


def levels_of(graph: Graph, statistics: Mapping[str, ChannelStatistics]) -> dict[str, Quantization]:
    """Return how each value is quantized that is kept in 8 bits."""
    users = graph.users()
    found: dict[str, Quantization] = {}
    for node in graph.nodes:
        shape = graph.shapes[node.name]
        if node.op in SAME and node.inputs[0] in found:
            found[node.name] = found[node.inputs[0]]
        if node.op not in ("Add", "Conv") or node.name not in statistics:
            continue
        into_add = node.op == "Conv" and [user.op for user in users.get(node.name, [])] == ["Add"]
        small = len(shape) != 4 or shape[1] < LEAST_CHANNELS or shape[2] * shape[3] == 1
        if not into_add and not small:
            row = statistics[node.name]
            bounds = float(row.minimum.min()), float(row.maximum.max())
            found[node.name] = quantization(*bounds, str(node.attributes.get("activation", "")))
    return found


def rounded(node: Node, y: np.ndarray, levels: Mapping[str, Quantization]) -> np.ndarray:
    """Return the node's value y as it is kept, float32."""
    q = levels.get(node.name)
    if q is None or node.op == "MaxPool":
        return y
    scale = np.float32(q.scale)
    steps = y / scale + np.float32(q.zero)
    whole = np.floor(steps + np.float32(0.5)) if node.op == "Resize" else np.rint(steps)
    return (np.clip(whole, 0, 255) - np.float32(q.zero)) * scale
