"""How large a constant becomes when a node is folded: checked first, for a few bytes of graph must
not ask for gigabytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from offcut.convert.fold import ELEMENTWISE, Operands
from offcut.convert.onnx_reader import RawNode
from offcut.errors import ModelFormatError

__all__ = ["MAX_FOLDED", "check_growth"]

MAX_FOLDED = 1 << 23  # elements, where a constant grows


def check_growth(node: RawNode, x: Operands) -> None:
    """Raise ModelFormatError when folding the node would make too large a constant."""
    if node.op in GROWTH:
        count = GROWTH[node.op](node, x)
        if count > MAX_FOLDED:
            raise ModelFormatError(f"{node}: makes a constant of {count} elements: too large")


def _product(extents: Sequence[int]) -> int:
    return math.prod(max(1, int(extent)) for extent in extents)


def _broadcast_size(node: RawNode, x: Operands) -> int:
    return math.prod(np.broadcast_shapes(*(part.shape for part in x)))


def _gathered(node: RawNode, x: Operands) -> int:
    kept = list(x[0].shape)
    del kept[int(node.attributes.get("axis", 0))]
    return math.prod(kept) * x[1].size


def _scales(node: RawNode, x: Operands) -> int:
    """Return how many scales are made of those in the file; no more than there are values."""
    count = x[1].size * max(1, int(node.attributes.get("block_size", 0)))
    return 0 if count <= 2 * x[0].size else count


# How many elements come out, where that can be more than go in.
GROWTH: dict[str, Callable[[RawNode, Operands], int]] = {
    "Concat": lambda node, x: sum(part.size for part in x),
    "ConstantOfShape": lambda node, x: _product([*x[-1]]),
    "DequantizeLinear": lambda node, x: _scales(node, x),
    "Expand": lambda node, x: _product([*x[-1]]) * x[0].size,
    "Gather": _gathered,
    "QuantizeLinear": lambda node, x: _scales(node, x),
    "Tile": lambda node, x: _product([*x[-1]]) * x[0].size,
    "Where": _broadcast_size,
    **dict.fromkeys(ELEMENTWISE, _broadcast_size),
}
