"""Operators that the converter computes once and for all, on constant arrays.

Exporters spell sizes out as small graphs of Shape, Gather, Slice, Cast and the like; with static
shapes all of that is constant. A function takes the node and its input arrays (an empty one where
absent) and returns the output. These operators need no definition at run time, so they live here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from offcut.convert.onnx_reader import RawNode
from offcut.convert.onnx_tensor import DATA_TYPES
from offcut.errors import ModelFormatError, UnsupportedOperatorError

__all__ = ["ELEMENTWISE", "FOLDS", "NEEDS_SHAPE_ONLY", "Operands", "axes_of", "fold"]
__all__ += ["slices_of", "target_shape"]

MAX_RANGE = 1 << 20  # numbers that a Range makes
NEEDS_SHAPE_ONLY = frozenset({"Shape", "Size"})

Operands = Sequence[np.ndarray]
Fold = Callable[[RawNode, Operands], np.ndarray]
FOLDS: dict[str, Fold] = {}
F = TypeVar("F", bound=Fold)


def fold(*names: str) -> Callable[[F], F]:
    """Register the decorated function as the folding of the named ONNX operators."""

    def register(function: F) -> F:
        FOLDS.update(dict.fromkeys(names, function))
        return function

    return register


@fold("Constant")
def constant(node: RawNode, x: Operands) -> np.ndarray:
    """Return the value that the node carries, whichever of the attributes holds it."""
    for key, dtype in (("value_int", np.int64), ("value_float", np.float32)):
        if key in node.attributes:
            return np.array(node.attributes[key], dtype)
        if f"{key}s" in node.attributes:
            return np.array(node.attributes[f"{key}s"], dtype)
    if "value" not in node.attributes:
        raise UnsupportedOperatorError(f"{node}: a constant of this kind is not supported")
    return np.asarray(node.attributes["value"])


@fold("Shape")
def shape(node: RawNode, x: Operands) -> np.ndarray:
    """Return the sizes of x, from `start` to `end` (opset 15)."""
    part = slice(node.attributes.get("start", 0), node.attributes.get("end"))
    return np.array(x[0].shape[part], np.int64)


@fold("Size")
def size(node: RawNode, x: Operands) -> np.ndarray:
    """Return the number of elements."""
    return np.array(x[0].size, np.int64)


@fold("Gather")
def gather(node: RawNode, x: Operands) -> np.ndarray:
    """Return the slices of x[0] at the indices x[1] along `axis`."""
    return np.take(x[0], x[1], node.attributes.get("axis", 0))


@fold("Cast")
def cast(node: RawNode, x: Operands) -> np.ndarray:
    """Return x in another type; floats lose their fraction on the way to integers."""
    kind = DATA_TYPES.get(node.attributes["to"])
    if kind is None:
        raise UnsupportedOperatorError(f"{node}: data type {node.attributes['to']} is unknown")
    return x[0].astype(np.float32 if kind.name == "bfloat16" else kind.dtype)


@fold("Concat")
def concat(node: RawNode, x: Operands) -> np.ndarray:
    """Join along `axis`."""
    return np.concatenate(x, node.attributes["axis"])


@fold("Unsqueeze")
def unsqueeze(node: RawNode, x: Operands) -> np.ndarray:
    """Insert axes of size 1, named by attribute or (opset 13) by input."""
    return np.expand_dims(x[0], axes_of(node, x))


@fold("Squeeze")
def squeeze(node: RawNode, x: Operands) -> np.ndarray:
    """Remove axes of size 1, named by attribute or (opset 13) by input; all when not named."""
    return np.squeeze(x[0], axes_of(node, x) or None)


@fold("Reshape")
def reshape(node: RawNode, x: Operands) -> np.ndarray:
    """Return x[0] in the shape x[1]: -1 is inferred, 0 copies unless `allowzero`."""
    return x[0].reshape(target_shape(node, x[0].shape, x[1]))


@fold("Slice")
def slice_(node: RawNode, x: Operands) -> np.ndarray:
    """Return a part of x[0]; the bounds stand in attributes or (opset 10) in inputs."""
    ranges = [slice(None)] * x[0].ndim
    for axis, part in slices_of(node, x):
        ranges[axis] = part
    return x[0][tuple(ranges)]


@fold("Transpose")
def transpose(node: RawNode, x: Operands) -> np.ndarray:
    """Permute the axes; reversed when no permutation is given."""
    return x[0].transpose(node.attributes.get("perm"))


@fold("ConstantOfShape", "Expand", "Tile")
def spread(node: RawNode, x: Operands) -> np.ndarray:
    """Return an array of a shape that an input states, made of few values."""
    wanted = tuple(int(extent) for extent in x[-1])
    if node.op == "Tile":
        return np.tile(x[0], wanted)
    if node.op == "Expand":
        return np.array(np.broadcast_to(x[0], np.broadcast_shapes(x[0].shape, wanted)))
    value = np.asarray(node.attributes.get("value", np.zeros(1, np.float32)))
    return np.full(wanted, value.reshape(-1)[0], value.dtype)


@fold("Range")
def range_(node: RawNode, x: Operands) -> np.ndarray:
    """Return the numbers from x[0] to x[1], exclusive, in steps of x[2]."""
    start, limit, step = (value.item() for value in x)
    if step == 0 or abs((limit - start) / step) > MAX_RANGE:
        raise ModelFormatError(f"{node}: from {start} to {limit} by {step}: too many numbers")
    return np.arange(start, limit, step, dtype=x[0].dtype)


@fold("Where")
def where(node: RawNode, x: Operands) -> np.ndarray:
    """Choose between x[1] and x[2]."""
    return np.where(x[0], x[1], x[2])


@fold("Div")
def div(node: RawNode, x: Operands) -> np.ndarray:
    """Divide; integers round towards zero."""
    if x[0].dtype.kind != "f":
        if not np.all(x[1]):
            raise ModelFormatError(f"{node}: divides a constant by zero")
        return (np.sign(x[0]) * np.sign(x[1]) * (np.abs(x[0]) // np.abs(x[1]))).astype(x[0].dtype)
    return x[0] / x[1]


@fold("ReduceProd", "ReduceMax", "ReduceMin", "ReduceSum")
def reduce(node: RawNode, x: Operands) -> np.ndarray:
    """Reduce along the axes named; along all when none is."""
    ufunc: np.ufunc = {
        "ReduceMax": np.maximum,
        "ReduceMin": np.minimum,
        "ReduceProd": np.multiply,
        "ReduceSum": np.add,
    }[node.op]
    axes = axes_of(node, x) or tuple(range(x[0].ndim))
    keep = bool(node.attributes.get("keepdims", 1))
    return np.asarray(ufunc.reduce(x[0], axis=axes, keepdims=keep, dtype=x[0].dtype))


ELEMENTWISE: dict[str, Callable[..., np.ndarray]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "Identity": np.asarray,
    "Less": np.less,
    "Log": np.log,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": np.power,
    "Reciprocal": np.reciprocal,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
}


@fold(*ELEMENTWISE)
def elementwise(node: RawNode, x: Operands) -> np.ndarray:
    """Apply the operator's numpy function."""
    if node.op in ("Max", "Min"):
        return np.asarray(functools.reduce(ELEMENTWISE[node.op], x))
    return np.asarray(ELEMENTWISE[node.op](*x))


def axes_of(node: RawNode, x: Operands) -> tuple[int, ...]:
    """Return the axes that a node names by attribute, or by its second input."""
    if len(x) > 1:
        return tuple(int(axis) for axis in x[1].reshape(-1))
    return tuple(node.attributes.get("axes", ()))


def target_shape(node: RawNode, shape_in: tuple[int, ...], wanted: np.ndarray) -> tuple[int, ...]:
    """Return a Reshape's target with its zeros copied and its -1 inferred."""
    keep_zero = bool(node.attributes.get("allowzero", 0))
    target = [
        shape_in[at] if extent == 0 and not keep_zero and at < len(shape_in) else int(extent)
        for at, extent in enumerate(wanted)
    ]
    total, known = 1, 1
    for extent in shape_in:
        total *= extent
    for extent in target:
        known *= extent if extent != -1 else 1
    if -1 in target and known > 0:
        target[target.index(-1)] = total // known
        known *= total // known
    if known != total or any(extent < 0 for extent in target):
        raise ModelFormatError(f"{node}: cannot reshape {shape_in} to {wanted.tolist()}")
    return tuple(target)


def slices_of(node: RawNode, x: Operands) -> list[tuple[int, slice]]:
    """Return (axis, range) for each axis that a Slice cuts, from attributes or inputs."""
    if len(x) > 1:
        starts, ends = x[1].tolist(), x[2].tolist()
        axes = x[3].tolist() if len(x) > 3 and x[3].size else range(len(starts))
        steps = x[4].tolist() if len(x) > 4 and x[4].size else [1] * len(starts)
    else:
        starts, ends = node.attributes["starts"], node.attributes["ends"]
        axes = node.attributes.get("axes", range(len(starts)))
        steps = [1] * len(starts)
    rows = zip(axes, starts, ends, steps, strict=True)
    return [(axis, _range(start, end, step)) for axis, start, end, step in rows]


def _range(start: int, end: int, step: int) -> slice:
    """Return Python's slice; ONNX says "to the very beginning" by an end far below zero."""
    return slice(start, None if step < 0 and end < -(1 << 30) else end, step)
