"""Lowering of convolutions whose input is in floats, and of the products that are such ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offcut.backends.simd.attributes import integer, text
from offcut.backends.simd.conv_shape import Shape, bias_of, geometry, windows_scratch
from offcut.backends.simd.draft import Argument, Pack, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.values import Grid, Value
from offcut.graph import Node

__all__ = ["ACTIVATIONS", "TILE", "emit_float", "emit_product", "lower_gemm"]

ACTIVATIONS = {"": 0, "Relu": 1, "Relu6": 2, "HardSwish": 3, "Sigmoid": 4}  # kernels/activation.h
TILE = 4  # output channels that a product of floats takes at a time (float.h)
WIDTHS = {"conv_float_windows": 1, "conv_float_pixel": 32}  # in other kernels
TAPS = 36
QUAD = 16  # outputs of a row that Winograd takes at a time: four floats per tap
QUADS = 4  # a panel is a multiple of this, whatever the build's vectors hold
COLUMNS_BYTES = 384 << 10  # of a panel's inputs in Winograd, so that they stay in the cache
# In conv_float, which reads all weights for each panel: those of deep ones fit no cache.
DEEP_BYTES = 1200 << 10
ROW = 8192  # pixels that a narrow 1x1 convolution takes at a time
LEAST_PANELS = 16  # so that all threads have some
WINOGRAD_MOST = 1 << 16  # inputs times outputs: beyond, the weights take too much memory

Weights = Callable[[], np.ndarray]


def emit_float(lw: Lowering, node: Node, shape: Shape, source: Value, activation: str) -> None:
    """Emit a Conv of floats, with the Add that follows if it can be done on the way."""
    bias, run_args = bias_of(lw, node, shape)
    weights = lw.model.weights[node.inputs[1]]
    name, args, values = node.name, dict(run_args), [source]
    add = lw.only_user(node.name)
    other = _residual(lw, node, add) if add else None
    if add and other:
        name = add.name
        args["residual"] = Table(other.places)
        args["activation_last"] = ACTIVATIONS[text(add, "activation", "")]
        values.append(other)
        lw.done.add(name)
    args["activation"] = ACTIVATIONS[activation]
    out = lw.draft.float_value(shape.o, shape.grid)
    emit_product(lw, shape, weights.decode, bias, args, (*values, out), name)
    lw.floats[name] = out


def _residual(lw: Lowering, node: Node, add: Node) -> Value | None:
    """Return the value that `add` adds to the result of `node`; None to leave it alone."""
    if add.op != "Add" or add.inputs[0] == add.inputs[1]:
        return None
    other = add.inputs[1] if add.inputs[0] == node.name else add.inputs[0]
    shapes = lw.graph.shapes
    same = shapes[other] == shapes[node.name] == shapes[add.name]
    if not same or text(add, "activation", "") not in ACTIVATIONS:
        return None
    return lw.floats.get(other) if lw.range_of(add.name) is None else None


def emit_product(
    lw: Lowering,
    shape: Shape,
    weights: Weights,
    bias: np.ndarray,
    args: dict[str, Argument],
    values: tuple[Value, ...],
    name: str,
) -> None:
    """Emit the float convolution of values[0] to values[-1]; bias: (o, runs)."""
    kernel, panel, scratch = _kernel(shape, simple=len(values) == 2 and "row_runs" not in args)
    if kernel == "conv_float_windows":
        shape = _flattened(shape, ROW)
        panel = 1 if shape.o < LEAST_PANELS else shape.grid.height
    units = shape.o * -(-shape.grid.height // max(1, panel))
    if kernel == "conv_float_winograd":
        units = -(-_quads(shape) // panel)
    elif kernel == "conv_float_pixel":
        units = -(-shape.o // WIDTHS[kernel])
    elif kernel == "conv_float":
        shape = _flattened(shape, shape.grid.height * shape.grid.width)
        units = -(-shape.grid.height * shape.grid.width // panel)
    spare = -shape.o % WIDTHS[kernel] if kernel == "conv_float_pixel" else 0
    sizes = geometry(shape)
    for key in ("pitch_in", "pitch_out"):
        del sizes[key]
    sizes |= {
        "in": Table(values[0].places),
        "out": Table(values[-1].places),
        "weights": _pack(lw, shape, kernel, weights),
        "bias": np.ascontiguousarray(np.pad(bias.T, ((0, 0), (0, spare))), "<f4").tobytes(),
        "groups": shape.groups,
        "channels_in": shape.per_group,
        "channels_out": shape.o // shape.groups,
        "panel": panel,
    }
    lw.emit(kernel, units, sizes | args, values, scratch=scratch, macs=shape.macs, name=name)


def _kernel(shape: Shape, *, simple: bool) -> tuple[str, int, int]:
    """Return the kernel that is fastest, its panel, and the bytes of scratch it needs.

    simple: there is one bias, and no residual.
    """
    if shape.per_group == 1 or shape.o // shape.groups < TILE:
        along = shape.kernel, shape.strides[1], shape.dilations
        return "conv_float_windows", 0, windows_scratch(_flattened(shape, ROW).grid.width, *along)
    if simple and shape.groups == shape.taps == shape.grid.height * shape.grid.width == 1:
        return "conv_float_pixel", 0, shape.per_group * 4
    if _suits_winograd(shape):
        panel = min(QUADS * max(1, COLUMNS_BYTES // (TAPS * shape.per_group * 64)), 16)
        block = min(-(-shape.o // TILE) * TILE, 64)
        return "conv_float_winograd", panel, TAPS * panel * 16 * (shape.per_group + block)
    depth, pixels = shape.per_group * shape.taps, shape.grid.height * shape.grid.width
    most = min(max(2, pixels // (16 * LEAST_PANELS)), 16)  # sixteens of pixels
    panel = 16 * max(1, min(DEEP_BYTES // (depth * 64), most))
    return "conv_float", panel, panel * (depth + TILE) * 4


def _quads(shape: Shape) -> int:
    return -(-shape.grid.width // QUAD) * -(-shape.grid.height // 4)


def _suits_winograd(shape: Shape) -> bool:
    """Return whether Winograd pays: a dense 3x3 with enough outputs to fill its tiles."""
    simple = shape.kernel == (3, 3) and shape.strides == shape.dilations == (1, 1)
    if not simple or shape.groups > 1 or min(shape.per_group, shape.o) < 8:
        return False
    filled = shape.grid.height * shape.grid.width / (_quads(shape) * 4 * QUAD)
    return filled > 0.45 and shape.per_group * shape.o <= WINOGRAD_MOST


def _flattened(shape: Shape, most: int) -> Shape:
    """Return a 1x1 convolution as one of fewer rows, joined ones of at most `most` pixels."""
    if shape.kernel != (1, 1) or shape.strides != (1, 1) or any(shape.pads):
        return shape
    height, width = shape.grid.height, shape.grid.width
    joined = next(
        n for n in range(height, 0, -1) if height % n == 0 and n * width <= max(most, width)
    )
    row = Grid(height // joined, width * joined)
    return Shape(
        shape.o, shape.per_group, (1, 1), (1, 1), shape.pads, (1, 1), shape.groups, row, row
    )


def _pack(lw: Lowering, shape: Shape, kernel: str, weights: Weights) -> Argument:
    """Add the packing of the weights (o, per_group, kh, kw); return where they will be."""
    depth, outputs = shape.per_group * shape.taps, shape.o // shape.groups
    width = WIDTHS.get(kernel, TILE)
    tiles = -(-outputs // width)
    count, name = shape.groups * tiles * depth * width, "pack_float"
    if kernel == "conv_float_winograd":
        count, name = TAPS * tiles * shape.per_group * TILE, "pack_float_winograd"
    region = lw.draft.region(count * 4)
    args: dict[str, Argument] = {"weights": region, "outputs": outputs, "depth": depth}
    args["width"] = width
    lw.draft.packs.append(Pack(name, shape.groups * tiles, args, weights, shape.o * depth, 0))
    return region


def lower_gemm(lw: Lowering, node: Node) -> str:
    """Emit a Gemm or MatMul of one row with constant weights: a 1x1 convolution of one pixel."""
    rows, weights = lw.graph.shapes[node.inputs[0]], lw.model.weights.get(node.inputs[1])
    if len(rows) != 2 or rows[0] != 1 or integer(node, "transA", 0) or weights is None:
        return f"{node.op} has a kernel for one row and constant weights only"
    matrix = weights.decode()  # (c, o)
    if integer(node, "transB", 0):
        matrix = matrix.T
    bias = np.zeros(matrix.shape[1], np.float32)
    if len(node.inputs) > 2 and node.inputs[2]:
        if node.inputs[2] not in lw.model.weights:
            return f"{node.op} has a kernel for constant biases only"
        bias += lw.model.weights[node.inputs[2]].decode().reshape(-1) * _number(node, "beta")
    source = lw.as_floats(node.inputs[0])
    if source is None or matrix.ndim != 2:
        return f"{node.op} has no kernel for values of this shape"
    alpha = _number(node, "alpha")
    out = lw.draft.float_value(matrix.shape[1], Grid(1, 1))
    shape = Shape(
        matrix.shape[1], len(matrix), (1, 1), (1, 1), (0, 0, 0, 0), (1, 1), 1, out.grid, out.grid
    )
    emit_product(lw, shape, lambda: matrix.T * alpha, bias[:, None], {}, (source, out), node.name)
    lw.floats[node.name] = out
    return ""


def _number(node: Node, name: str) -> np.float32:
    value = node.attributes.get(name, 1.0)
    assert isinstance(value, int | float), (node.name, name)
    return np.float32(value)
