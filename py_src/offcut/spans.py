"""How much of a value's range each of its channels takes, for backends that quantize activations.

After a Relu channels differ in size, and one that stays below a tenth of the largest would have but
a tenth of its levels. A span is a u8; the larger, the smaller the portion of the range:

    portion = (32 - span % 16) / 32 / 2^(span // 16)        1, 31/32, ..., 17/32, 1/2, 31/64, ...

Portions are exact in float32, so that every machine has the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from offcut.graph import Graph

__all__ = ["FOLLOWING", "MOST_SPAN", "portions_of", "spanned_values", "spans_for"]

MOST_SPAN = 96  # a portion of 1/64
ROOM = 1.25  # what a channel may grow to on other photos, of its largest value on those seen
FOLLOWING = ("", "Relu")  # activations that commute with a positive factor


def portions_of(spans: np.ndarray) -> np.ndarray:
    """Return the portion of the range for each span, float64 of the same shape."""
    whole = spans.astype(np.int64)
    return np.ldexp((32 - whole % 16) / 32, -(whole // 16))


def spans_for(largest: np.ndarray, high: float) -> np.ndarray:
    """Return the span of each channel, uint8 (c,). largest: (c,), seen; high: of all."""
    portions = portions_of(np.arange(MOST_SPAN + 1))  # falling
    wanted = np.maximum(largest, 0.0) * ROOM / max(high, 1e-30)
    enough = np.searchsorted(-portions, -wanted, side="right") - 1
    return np.maximum(enough, 0).astype(np.uint8)


def spanned_values(graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return the values whose channels have spans: results of Conv and Add that start at 0.

    What an Add alone reads is not among them, since it is seldom kept.
    """
    users = graph.users()
    return [
        node.name
        for node in graph.nodes
        if node.op in ("Conv", "Add")
        and node.name in ranges
        and ranges[node.name][0] >= 0
        and len(graph.shapes[node.name]) == 4
        and node.attributes.get("activation", "") in FOLLOWING
        and not (node.op == "Conv" and [user.op for user in users.get(node.name, [])] == ["Add"])
    ]
