"""What each operator's result shape follows from: one function for each, beside shapes.py.

A function takes the shapes of the operands that are there, and attributes of the right types, and
returns the result's shape. It raises ValueError (which unpacking does by itself) when they do not
fit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offcut.graph import Shape
from offcut.ops.conv import border_runs
from offcut.ops.pool import pooled_size
from offcut.ops.resize import COORDINATES, MODES, NEAREST

__all__ = ["MAX_ELEMENTS", "SHAPES"]

MAX_ELEMENTS = 1 << 28  # of one value: 1 GiB of float32
MAX_WINDOW = 1 << 13  # cells of padding, or of a kernel's reach, along one axis
MAX_TAPS = 1 << 20  # cells times kernel along one axis, where borders are told apart

Shapes = Sequence[Shape]
Attributes = Mapping[str, Any]
ShapeOf = Callable[[Shapes, Attributes], Sequence[int]]
SHAPES: dict[str, ShapeOf] = {}
ELEMENTWISE = "Abs Clip Elu Exp HardSigmoid HardSwish Identity LeakyRelu Log Relu Sigmoid".split()
ELEMENTWISE += ["Softplus", "Sqrt", "Tanh"]
BROADCAST = ("Add", "Div", "Max", "Min", "Mul", "Pow", "PRelu", "Sub")


def shape_of(*names: str) -> Callable[[ShapeOf], ShapeOf]:
    """Register the decorated function for the named operators."""

    def register(function: ShapeOf) -> ShapeOf:
        SHAPES.update(dict.fromkeys(names, function))
        return function

    return register


@shape_of(*ELEMENTWISE)
def elementwise(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return the operand's own."""
    return x[0]


@shape_of(*BROADCAST)
def broadcast(x: Shapes, a: Attributes) -> Sequence[int]:
    """Align the shapes at their ends; sizes of one repeat."""
    shape: list[int] = []
    for other in x:
        rank = max(len(shape), len(other))
        long, short = ([1] * (rank - len(s)) + list(s) for s in (shape, other))
        for p, q in zip(long, short, strict=True):
            if p != q and 1 not in (p, q):
                raise ValueError(f"{p} and {q} do not broadcast")
        shape = [q if p == 1 else p for p, q in zip(long, short, strict=True)]
    return shape


@shape_of("Softmax")
def softmax(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return the operand's own."""
    _axis(a.get("axis", -1), len(x[0]))
    return x[0]


@shape_of("InstanceNormalization")
def instance_normalization(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return the operand's own; scale and bias have one value per channel."""
    _demand(len(x[0]) > 2 and x[1:] == [(x[0][1],)] * 2, "scale and bias are per channel")
    _demand(a.get("epsilon", 1e-5) >= 0, "epsilon is negative")
    return x[0]


@shape_of("Conv")
def conv(x: Shapes, a: Attributes) -> Sequence[int]:
    """Count the places that the kernel takes along rows and columns."""
    (n, c, *size), (o, per_group, *kernel), group = x[0], x[1], a.get("group", 1)
    _demand(len(size) == len(kernel) == 2, "two spatial axes")
    _demand(group > 0 and c == per_group * group and o % group == 0, "channels fit the groups")
    extents = _slid(size, kernel, a)
    _demand(math.prod(extents) <= MAX_ELEMENTS, "a smaller result")
    if len(x) > 2 and x[2] != (o,):
        _demand(len(x[2]) == 3 and x[2][0] == o, "a bias per output channel")
        runs = _border_runs(size, kernel, a)
        _demand(x[2][1:] == runs, f"a bias of {runs} border runs")
    return n, o, *extents


@shape_of("ConvTranspose")
def conv_transpose(x: Shapes, a: Attributes) -> Sequence[int]:
    """Count the places that the spread kernels cover."""
    (n, c, *size), (w_in, per_group, *kernel), group = x[0], x[1], a.get("group", 1)
    _demand(len(size) == len(kernel) == 2, "two spatial axes")
    _demand(group > 0 and c == w_in and c % group == 0, "channels fit the groups")
    _demand(len(x) < 3 or x[2] == (per_group * group,), "a bias per output channel")
    strides, dilations, pads = _window(a)
    extra = a.get("output_padding", (0, 0))
    _demand(min(extra) >= 0, "output_padding from 0")
    extents = [
        strides[i] * (size[i] - 1)
        + extra[i]
        + dilations[i] * (kernel[i] - 1)
        + 1
        - pads[i]
        - pads[i + 2]
        for i in (0, 1)
    ]
    return n, per_group * group, *extents


@shape_of("MaxPool", "AveragePool")
def pool(x: Shapes, a: Attributes) -> Sequence[int]:
    """Count the windows along rows and columns."""
    n, c, *size = x[0]
    kernel = a["kernel_shape"]
    _demand(len(size) == 2 and min(kernel) > 0, "a window over two axes")
    _, _, pads = _window(a)
    _demand(all(pads[i] < kernel[i % 2] for i in range(4)), "padding below the window's size")
    return n, c, *_slid(size, kernel, a)


@shape_of("Resize")
def resize(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return the size asked for."""
    n, c, h, w = x[0]
    for key, known, default in (
        ("mode", MODES, "nearest"),
        ("coordinate_transformation_mode", COORDINATES, "half_pixel"),
        ("nearest_mode", NEAREST, "round_prefer_floor"),
    ):
        _demand(a.get(key, default) in known, f"{key} is one of {', '.join(known)}")
    scales = a.get("scales", ())
    _demand(len(scales) in (0, 2), "scales of rows and columns")
    for scale, size_in, size_out in zip(scales, (h, w), a["size"], strict=False):
        _demand(scale > 0 and abs(scale * size_in - size_out) <= 1, "scales that fit the size")
    return n, c, *a["size"]


@shape_of("GlobalAveragePool")
def global_average_pool(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return one cell per channel."""
    n, c, _, _ = x[0]
    return n, c, 1, 1


@shape_of("ReduceMean", "ReduceSum", "ReduceMax")
def reduce(x: Shapes, a: Attributes) -> Sequence[int]:
    """Leave the axes out, or keep them with one element."""
    axes = _axes(a["axes"], len(x[0]))
    keep = a.get("keepdims", 1)
    return [1 if i in axes else n for i, n in enumerate(x[0]) if keep or i not in axes]


@shape_of("Concat")
def concat(x: Shapes, a: Attributes) -> Sequence[int]:
    """Add the parts' extents up along the axis."""
    axis = _axis(a["axis"], len(x[0]))
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in x}
    _demand(len(rests) == 1 and len({len(s) for s in x}) == 1, "parts equal on other axes")
    return *x[0][:axis], sum(shape[axis] for shape in x), *x[0][axis + 1 :]


@shape_of("Reshape")
def reshape(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return the shape asked for, one -1 made to fit."""
    known = math.prod(extent for extent in a["shape"] if extent != -1)
    _demand(known > 0 and a["shape"].count(-1) <= 1, "sizes from 1, or one -1")
    total = math.prod(x[0])
    _demand(total % known == 0 and (-1 in a["shape"] or total == known), "as many elements")
    return [total // known if extent == -1 else extent for extent in a["shape"]]


@shape_of("Expand")
def expand(x: Shapes, a: Attributes) -> Sequence[int]:
    """Return the shape asked for."""
    _demand(list(broadcast([x[0], a["shape"]], a)) == list(a["shape"]), "a shape that x fills")
    return a["shape"]


@shape_of("Transpose")
def transpose(x: Shapes, a: Attributes) -> Sequence[int]:
    """Permute the axes."""
    _demand(sorted(a["perm"]) == list(range(len(x[0]))), "a permutation of the axes")
    return [x[0][axis] for axis in a["perm"]]


@shape_of("Slice")
def slice_(x: Shapes, a: Attributes) -> Sequence[int]:
    """Count what the ranges keep."""
    shape = list(x[0])
    for start, end, axis, step in zip(a["starts"], a["ends"], a["axes"], a["steps"], strict=True):
        at = _axis(axis, len(shape))
        shape[at] = len(range(*slice(start, end, step).indices(x[0][at])))
    _demand(len(_axes(a["axes"], len(shape))) == len(a["axes"]), "each axis once")
    return shape


@shape_of("Pad")
def pad(x: Shapes, a: Attributes) -> Sequence[int]:
    """Add the widths."""
    rank, pads, mode = len(x[0]), a["pads"], a.get("mode", "constant")
    _demand(len(pads) == 2 * rank and min(pads) >= 0, "a width from 0 per side")
    _demand(mode in ("constant", "edge", "reflect"), "a mode: constant, edge, reflect")
    reach = all(max(pads[i], pads[i + rank]) < n for i, n in enumerate(x[0]))
    _demand(mode != "reflect" or reach, "reflections inside x")
    return [n + pads[i] + pads[i + rank] for i, n in enumerate(x[0])]


@shape_of("MatMul")
def matmul(x: Shapes, a: Attributes) -> Sequence[int]:
    """Multiply the last two axes, broadcast the others."""
    p, q = x
    _demand(len(p) > 1 and len(q) > 1 and p[-1] == q[-2], "inner sizes that agree")
    return *broadcast([p[:-2], q[:-2]], a), p[-2], q[-1]


@shape_of("Gemm")
def gemm(x: Shapes, a: Attributes) -> Sequence[int]:
    """Multiply two matrices."""
    rows, inner = x[0][::-1] if a.get("transA", 0) else x[0]
    inner_b, columns = x[1][::-1] if a.get("transB", 0) else x[1]
    _demand(inner == inner_b, "inner sizes that agree")
    whole = list(broadcast([(rows, columns), *x[2:]], a)) == [rows, columns]
    _demand(whole, "a summand that broadcasts to the result")
    return rows, columns


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"expected {what}")


def _axis(axis: int, rank: int) -> int:
    _demand(-rank <= axis < rank, f"an axis of {rank}")
    return axis % rank


def _axes(axes: Sequence[int], rank: int) -> set[int]:
    return {_axis(axis, rank) for axis in axes}


def _window(a: Attributes) -> tuple[Sequence[int], Sequence[int], Sequence[int]]:
    """Return strides, dilations and pads of a sliding window."""
    strides, dilations = a.get("strides", (1, 1)), a.get("dilations", (1, 1))
    pads = a.get("pads", (0, 0, 0, 0))
    _demand(min(*strides, *dilations) > 0 and min(pads) >= 0, "strides from 1, pads from 0")
    return strides, dilations, pads


def _slid(size: Sequence[int], kernel: Sequence[int], a: Attributes) -> list[int]:
    strides, dilations, pads = _window(a)
    extents = []
    for i in (0, 1):
        reach = dilations[i] * (kernel[i] - 1) + 1
        both = pads[i], pads[i + 2]
        _demand(max(reach, *both) <= MAX_WINDOW, f"windows of at most {MAX_WINDOW} cells")
        _demand(reach <= size[i] + sum(both), "a window that fits into the padded input")
        ceil = a.get("ceil_mode", 0)
        extents.append(pooled_size(size[i], kernel[i], strides[i], dilations[i], both, ceil))
    return extents


def _border_runs(size: Sequence[int], kernel: Sequence[int], a: Attributes) -> Shape:
    strides, dilations, pads = _window(a)
    padded = (n + before + after for n, before, after in zip(size, pads, pads[2:], strict=False))
    _demand(all(n * k <= MAX_TAPS for n, k in zip(padded, kernel, strict=True)), "fewer taps")
    rows = (
        border_runs(size[i], kernel[i], strides[i], dilations[i], pads[i], pads[i + 2])
        for i in (0, 1)
    )
    return tuple(int(runs[-1]) + 1 for runs in rows)
