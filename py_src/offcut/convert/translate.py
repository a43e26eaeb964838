"""Turn one ONNX node into nodes of our IR, whatever its opset: operands that ONNX lets be computed
(axes, sizes, bounds) become attributes, and operators that are others in disguise are written out.

TRANSLATIONS maps an operator to its function, which takes a Site and returns the nodes; the last
nodes make the ONNX node's outputs. An operator that is missing there and cannot be folded is
unsupported. Windowed operators (Conv, pools, Resize) are in translate_windows.py, those that move
data in translate_movement.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from offcut.convert.onnx_reader import RawNode
from offcut.errors import ModelFormatError, UnsupportedOperatorError
from offcut.graph import Attribute, Node, Shape

__all__ = ["TRANSLATIONS", "Site", "Translation", "translates"]


@dataclass(frozen=True, slots=True)
class Site:
    """An ONNX node and what is known around it; `added` collects weights of a translation."""

    node: RawNode
    opset: int
    shapes: Mapping[str, Shape]
    constants: Mapping[str, np.ndarray]
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


@translates("Identity", "Dropout")
def identity(site: Site) -> list[Node]:
    """Write what does nothing at inference as Identity."""
    return [site.make("Identity", site.node.inputs[0])]


@translates("Cast")
def cast(site: Site) -> list[Node]:
    """Write a cast between floats as Identity: the IR computes in float32."""
    if site.get("to", 1) not in (1, 10, 11, 16):
        raise site.unsupported("casts computed values to integers")
    return identity(site)


@translates("Relu", "Sigmoid", "Tanh", "HardSwish")
def unary(site: Site) -> list[Node]:
    """Copy an operator without attributes."""
    return [site.make(site.node.op, site.node.inputs[0])]


@translates("LeakyRelu")
def leaky_relu(site: Site) -> list[Node]:
    """Copy the slope."""
    return [site.make("LeakyRelu", site.node.inputs[0], alpha=float(site.get("alpha", 0.01)))]


@translates("HardSigmoid")
def hard_sigmoid(site: Site) -> list[Node]:
    """Copy slope and offset."""
    alpha, beta = float(site.get("alpha", 0.2)), float(site.get("beta", 0.5))
    return [site.make("HardSigmoid", site.node.inputs[0], alpha=alpha, beta=beta)]


@translates("Clip")
def clip(site: Site) -> list[Node]:
    """Make the bounds, which are inputs since opset 11, attributes; write ReLU as such."""
    low, high = float(site.get("min", -np.inf)), float(site.get("max", np.inf))
    if site.has(1):
        low = float(site.constant(1))
    if site.has(2):
        high = float(site.constant(2))
    x = site.node.inputs[0]
    low, high = max(low, -3.4e38), min(high, 3.4e38)  # JSON knows no infinity
    if low == 0 and high == 3.4e38:
        return [site.make("Relu", x)]
    return [site.make("Clip", x, min=low, max=high)]


@translates("Add", "Sub", "Mul", "Div")
def binary(site: Site) -> list[Node]:
    """Copy the operator; broadcasting is numpy's since opset 7."""
    return [site.make(site.node.op, *site.node.inputs)]


@translates("Sum")
def sum_(site: Site) -> list[Node]:
    """Write a sum of many as a chain of Adds."""
    total, *rest = site.node.inputs
    if not rest:
        return identity(site)
    nodes: list[Node] = []
    for at, name in enumerate(rest, 1):
        to = site.output if at == len(rest) else f"{site.output}/sum{at}"
        nodes.append(site.make("Add", total, name, to=to))
        total = to
    return nodes


@translates("Neg")
def neg(site: Site) -> list[Node]:
    """Write a negation as a product."""
    return [site.make("Mul", site.node.inputs[0], site.weight("minus", np.array(-1, np.float32)))]


@translates("Pow")
def pow_(site: Site) -> list[Node]:
    """Write a square as a product; no other power is supported."""
    if site.constant(1).size != 1 or float(site.constant(1).item()) != 2:
        raise site.unsupported("raises to another power than 2")
    return [site.make("Mul", site.node.inputs[0], site.node.inputs[0])]


@translates("BatchNormalization")
def batch_normalization(site: Site) -> list[Node]:
    """Write the frozen normalisation as a product and a sum per channel, for `fuse` to fold."""
    if site.get("training_mode", 0) or not site.get("spatial", 1):
        raise site.unsupported("only the inference form, per channel, is supported")
    scale, bias, mean, variance = (site.constant(at).astype(np.float64) for at in range(1, 5))
    if not scale.shape == bias.shape == mean.shape == variance.shape == (site.shape()[1],):
        raise ModelFormatError(f"{site.node}: its weights do not fit {site.shape()[1]} channels")
    factor = scale / np.sqrt(variance + site.get("epsilon", 1e-5))
    shape = (-1, *[1] * (len(site.shape()) - 2))  # broadcasts over (n, c, h, w)
    middle = f"{site.output}/scaled"
    scaling = site.weight("scale", factor.reshape(shape))
    shift = site.weight("shift", (bias - mean * factor).reshape(shape))
    return [
        site.make("Mul", site.node.inputs[0], scaling, to=middle),
        site.make("Add", middle, shift),
    ]


@translates("InstanceNormalization")
def instance_normalization(site: Site) -> list[Node]:
    """Copy; the statistics are the image's own, so nothing folds."""
    epsilon = float(site.get("epsilon", 1e-5))
    return [site.make("InstanceNormalization", *site.node.inputs, epsilon=epsilon)]


@translates("MatMul")
def matmul(site: Site) -> list[Node]:
    """Copy."""
    return [site.make("MatMul", *site.node.inputs)]


@translates("Gemm")
def gemm(site: Site) -> list[Node]:
    """Copy with its attributes."""
    inputs = [name for name in site.node.inputs if name]
    alpha, beta = float(site.get("alpha", 1.0)), float(site.get("beta", 1.0))
    a, b = int(site.get("transA", 0)), int(site.get("transB", 0))
    return [site.make("Gemm", *inputs, alpha=alpha, beta=beta, transA=a, transB=b)]


@translates("Softmax")
def softmax(site: Site) -> list[Node]:
    """Copy the axis. Before opset 13 all axes from it on were one, which only the last fits."""
    rank = len(site.shape())
    axis = int(site.get("axis", -1 if site.opset >= 13 else 1)) % rank
    tail = site.shape()[axis + 1 :]
    if site.opset < 13 and any(extent != 1 for extent in tail):
        raise site.unsupported(f"axis {axis} of {rank} means several axes before opset 13")
    return [site.make("Softmax", site.node.inputs[0], axis=axis)]


@translates("ReduceMean")
def reduce_mean(site: Site) -> list[Node]:
    """Make the axes, an input since opset 18, an attribute; write the spatial mean as such."""
    rank = len(site.shape())
    axes = site.get("axes", ())
    if site.has(1):
        axes = site.constant(1).reshape(-1).tolist()
    elif not axes and site.get("noop_with_empty_axes", 0):
        return identity(site)
    places = tuple(sorted(int(axis) % rank for axis in axes)) or tuple(range(rank))
    keep = int(site.get("keepdims", 1))
    if keep and rank == 4 and places == (2, 3):
        return [site.make("GlobalAveragePool", site.node.inputs[0])]
    return [site.make("ReduceMean", site.node.inputs[0], axes=places, keepdims=keep)]
