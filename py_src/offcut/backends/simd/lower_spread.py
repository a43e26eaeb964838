"""Lowering of ConvTranspose, and of convolutions to few channels, which are one as well.

A 1x1 convolution makes the products of every kernel position, and spread_float adds each to where
it belongs. A narrow Conv is a ConvTranspose with the kernel turned around: its input is read once
for all positions, and no window is gathered.
"""

from __future__ import annotations

import numpy as np

from offcut.backends.simd.attributes import integer, pads, pair
from offcut.backends.simd.conv_shape import Shape, bias_of, geometry
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_conv_float import TILE, Weights, emit_product
from offcut.backends.simd.values import Value
from offcut.graph import Node

__all__ = ["emit_narrow", "lower_conv_transpose", "suits_narrow"]

LEAST_INPUTS = 8  # channels; with fewer the products take longer to add than to make


def lower_conv_transpose(lw: Lowering, node: Node) -> str:
    """Emit a ConvTranspose."""
    grid_in, grid = lw.grid(node.inputs[0]), lw.grid(node.name)
    weights = lw.model.weights.get(node.inputs[1])
    if grid_in is None or grid is None or weights is None:
        return "ConvTranspose needs batch 1 and constant weights"
    source = lw.as_floats(node.inputs[0])
    if source is None:
        return f"{node.inputs[0]} cannot be stored as floats"
    c, per_group, kh, kw = lw.graph.shapes[node.inputs[1]]
    groups = integer(node, "group", 1)
    o = per_group * groups

    def rows() -> np.ndarray:
        grouped = weights.decode().reshape(groups, c // groups, per_group * kh * kw)
        return grouped.swapaxes(1, 2)  # (groups, outputs of a group * kh * kw, c / groups)

    bias = np.zeros(o, np.float32)
    if len(node.inputs) > 2 and node.inputs[2]:
        bias = lw.model.weights[node.inputs[2]].decode()
    strides, dilations = pair(node, "strides"), pair(node, "dilations")
    kernel, around = (kh, kw), pads(node)
    shape = Shape(o, c // groups, kernel, strides, around, dilations, groups, grid_in, grid)
    _emit(lw, node, shape, source, rows, bias)
    return ""


def suits_narrow(lw: Lowering, node: Node, shape: Shape, activation: str) -> bool:
    """Return whether a Conv of floats has too few outputs to fill a tile, and nothing special."""
    simple = shape.strides == (1, 1) and shape.groups == 1 and not activation
    runs = bias_of(lw, node, shape)[0].shape[1]
    wide = shape.per_group >= LEAST_INPUTS and shape.taps >= TILE
    return simple and runs == 1 and wide and shape.o < TILE


def emit_narrow(lw: Lowering, node: Node, shape: Shape, source: Value) -> None:
    """Emit such a Conv."""
    weights = lw.model.weights[node.inputs[1]]
    reach = [d * (k - 1) for d, k in zip(shape.dilations, shape.kernel, strict=True)]
    around = tuple(edge - pad for edge, pad in zip(reach * 2, shape.pads, strict=True))

    def rows() -> np.ndarray:
        turned = weights.decode()[:, :, ::-1, ::-1]  # (o, c, kh, kw)
        return turned.transpose(0, 2, 3, 1).reshape(-1, shape.per_group)

    transposed = Shape(
        shape.o,
        shape.per_group,
        shape.kernel,
        (1, 1),
        (around[0], around[1], around[2], around[3]),
        shape.dilations,
        1,
        shape.grid_in,
        shape.grid,
    )
    _emit(lw, node, transposed, source, rows, bias_of(lw, node, shape)[0])


def _emit(
    lw: Lowering, node: Node, shape: Shape, source: Value, rows: Weights, bias: np.ndarray
) -> None:
    """Emit products and their sums; rows: (outputs of all groups * kh * kw, c / groups)."""
    count = shape.o * shape.taps
    products = lw.draft.float_value(count, shape.grid_in)
    ones, none = (1, 1), (0, 0, 0, 0)
    grids = shape.grid_in, shape.grid_in
    pointwise = Shape(count, shape.per_group, ones, ones, none, ones, shape.groups, *grids)
    zeros = np.zeros((count, 1), np.float32)
    emit_product(lw, pointwise, rows, zeros, {}, (source, products), node.name)
    out = lw.draft.float_value(shape.o, shape.grid)
    args: dict[str, Argument] = geometry(shape)
    for key in ("pitch_in", "pitch_out", "channels_out"):
        del args[key]
    args |= {
        "bias": np.ascontiguousarray(bias, "<f4").tobytes(),
        "in": Table(products.places),
        "out": Table(out.places),
    }
    lw.emit("spread_float", shape.o * shape.grid.height, args, (products, out), name=node.name)
    lw.floats[node.name] = out
