"""Turn one ONNX node into nodes of our IR, whatever its opset: operands that ONNX lets be computed
(axes, sizes, bounds) become attributes, and operators that are others in disguise are written out.

TRANSLATIONS maps an operator to its function, which takes a Site and returns the nodes; the last
nodes make the ONNX node's outputs. An operator that is missing there and cannot be folded is
unsupported. The functions stand in translate_elementwise.py, translate_movement.py (what moves
data), translate_products.py (normalisations, products, reductions), translate_quantized.py and
translate_windows.py (Conv, pools, Resize).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offcut.convert.onnx_reader import RawNode
from offcut.errors import ModelFormatError, UnsupportedOperatorError
from offcut.graph import Attribute, Node, Shape

__all__ = ["TRANSLATIONS", "Quantization", "Site", "Translation", "translates"]


@dataclass(frozen=True, slots=True)
class Quantization:
    """How a value was quantized in the file: the reals that its integers stand for."""

    scale: np.ndarray  # float64 (), or (c,) along `axis`
    zero_point: np.ndarray  # int64, same shape
    axis: int

    def same_as(self, other: Quantization) -> bool:
        """Return whether both map integers to the same reals."""
        pairs = ((self.scale, other.scale), (self.zero_point, other.zero_point))
        axes = self.axis == other.axis or self.scale.ndim == 0
        return axes and all(np.array_equal(mine, its) for mine, its in pairs)


@dataclass(frozen=True, slots=True)
class Site:
    """An ONNX node and what is known around it; `added` collects weights of a translation.

    quantized: the values that stand for integers, which the IR keeps as the reals they mean.
    """

    node: RawNode
    opset: int
    shapes: Mapping[str, Shape]
    constants: Mapping[str, np.ndarray]
    quantized: dict[str, Quantization]
    added: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The node's first output."""
        return self.node.outputs[0]

    def has(self, at: int) -> bool:
        """Return whether the optional input `at` is there, and not an empty placeholder."""
        if at >= len(self.node.inputs) or not self.node.inputs[at]:
            return False
        constant = self.constants.get(self.node.inputs[at])
        return constant is None or constant.size > 0

    def shape(self, at: int = 0) -> Shape:
        """Return the shape of input `at`."""
        return self.shapes[self.node.inputs[at]]

    def constant(self, at: int) -> np.ndarray:
        """Return the constant input `at`. Raises UnsupportedOperatorError when it is computed."""
        value = self.constants.get(self.node.inputs[at])
        if value is None:
            raise self.unsupported(f"input {at} is computed from the image, expected a constant")
        return value

    def weight(self, suffix: str, values: np.ndarray) -> str:
        """Add a weight that the translation needs; return its name."""
        name = f"{self.output}/{suffix}"
        self.added[name] = np.asarray(values, np.float32)
        return name

    def get(self, name: str, default: Any) -> Any:
        """Return an attribute of the ONNX node."""
        return self.node.attributes.get(name, default)

    def axis(self, default: int) -> int:
        """Return the attribute `axis`, counted from the front."""
        rank, axis = len(self.shape()), int(self.get("axis", default))
        if not -rank <= axis < rank:
            raise ModelFormatError(f"{self.node}: axis {axis} of {rank}")
        return axis % rank

    def axes(self, at: int = 1) -> tuple[int, ...]:
        """Return the axes that the attribute, or input `at` (newer opsets), names; sorted."""
        rank = len(self.shape())
        named = self.get("axes", ())
        if self.has(at):
            named = self.constant(at).reshape(-1).tolist()
        if any(not -rank <= axis < rank for axis in named):
            raise ModelFormatError(f"{self.node}: axes {list(named)} of {rank}")
        return tuple(sorted({int(axis) % rank for axis in named}))

    def make(self, op: str, *inputs: str, to: str = "", **attributes: Attribute) -> Node:
        """Return a node of the IR; it makes the ONNX node's first output unless `to` says else."""
        return Node(op, inputs, (to or self.output,), attributes)

    def unsupported(self, what: str) -> UnsupportedOperatorError:
        """Return the error that says what about this node is not supported."""
        return UnsupportedOperatorError(f"{self.node}, opset {self.opset}: {what}")


Translation = Callable[[Site], list[Node]]
TRANSLATIONS: dict[str, Translation] = {}


def translates(*names: str) -> Callable[[Translation], Translation]:
    """Register the decorated function as the translation of the named ONNX operators."""

    def register(function: Translation) -> Translation:
        TRANSLATIONS.update(dict.fromkeys(names, function))
        return function

    return register
