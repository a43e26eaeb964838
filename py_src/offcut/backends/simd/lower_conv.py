"""Lowering of Conv, and of an Add that can be done while the convolution writes its result."""

from __future__ import annotations

import numpy as np

from offcut.backends.simd.attributes import text
from offcut.backends.simd.conv_result import (
    Target,
    epilogue,
    fixed_point_of,
    folded,
    is_plain,
    stored,
    weights_for,
)
from offcut.backends.simd.conv_shape import Shape, geometry, shape_of
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_conv_float import ACTIVATIONS, emit_float
from offcut.backends.simd.lower_depthwise import emit_depthwise, suits_depthwise
from offcut.backends.simd.lower_spread import emit_narrow, suits_narrow
from offcut.backends.simd.packing import (
    FINE_CHANNELS,
    FINE_LIMIT,
    FINE_LIMIT_WINOGRAD,
    TAPS,
    Packing,
    limit_of,
    pack_direct,
    pack_fine,
    pack_fine_winograd,
    pack_narrow,
    pack_winograd,
)
from offcut.backends.simd.values import BLOCK, Quantization, Value
from offcut.graph import Node

__all__ = ["lower_conv"]

GROUPS, SHALLOW = 4, 40  # as in kernels/conv_direct.c
GROUP = 10  # most columns that a build of the kernels takes at a time (gemm.h)
NARROW = 4  # fewer outputs go faster in conv_narrow; of same 3x3 kernels, fewer than a block
# In u8, groups are done as one convolution with zeros in its weights; more of them go in floats.
DENSE_GROUPS = 4


def lower_conv(lw: Lowering, node: Node) -> str:
    """Emit a Conv: Winograd or direct on u8, the stem on the input image, or floats."""
    grid_in, grid = lw.grid(node.inputs[0]), lw.grid(node.name)
    if grid_in is None or grid is None or node.inputs[1] not in lw.model.weights:
        return "Conv needs batch 1 and constant weights"
    shape = shape_of(lw, node, grid_in, grid)
    activation = text(node, "activation", "")
    if activation not in ACTIVATIONS:
        return f"activation {activation} has no kernel"
    target = _target(lw, node, activation)
    source = lw.preferred_u8(node.inputs[0])
    steps = lw.range_of(target.name, target.activation_last if target.other else activation)
    if not lw.wants_u8(node.name):
        steps = None
    if source is not None and suits_depthwise(shape, source, steps):
        assert steps is not None
        emit_depthwise(lw, node, shape, source, steps, activation)
        return ""
    if source is not None and shape.groups <= DENSE_GROUPS:
        _emit_u8(lw, node, shape, target, source, steps)
        return ""
    steps = lw.range_of(node.name, activation) if lw.wants_u8(node.name) else None
    floats = lw.as_floats(node.inputs[0])
    if floats is None:
        return f"{node.inputs[0]} cannot be stored as floats"
    in_range = lw.range_of(node.inputs[0])
    if steps and in_range and shape.groups == 1 and shape.per_group <= FINE_CHANNELS:
        _emit_stem(lw, node, shape, Target(node.name, activation), floats, steps)
    elif suits_narrow(lw, node, shape, activation):
        emit_narrow(lw, node, shape, floats)
    else:
        emit_float(lw, node, shape, floats, activation)
    return ""


def _target(lw: Lowering, node: Node, activation: str) -> Target:
    """Return where the result goes: into a following Add, when that is possible."""
    add = lw.only_user(node.name)
    if add is None or add.op != "Add" or add.inputs[0] == add.inputs[1]:
        return Target(node.name, activation)
    other = add.inputs[1] if add.inputs[0] == node.name else add.inputs[0]
    last = text(add, "activation", "")
    value = lw.u8.get(other)
    same = lw.graph.shapes[other] == lw.graph.shapes[node.name] == lw.graph.shapes[add.name]
    if value is None or not same or last not in ACTIVATIONS:
        return Target(node.name, activation)
    full = all(plane.channels == 16 for plane in value.planes[:-1])
    if not full or value.shared is None or lw.range_of(add.name, last) is None:
        return Target(node.name, activation)
    return Target(add.name, activation, other, last)


def _emit_u8(
    lw: Lowering,
    node: Node,
    shape: Shape,
    target: Target,
    source: Value,
    steps: Quantization | None,
) -> None:
    """Emit a convolution of u8 planes."""
    if steps is None:
        target = Target(node.name, target.activation)
        out = lw.draft.float_value(shape.o, shape.grid)
    else:
        target, steps = stored(lw, target, steps)
        out = lw.draft.u8_value(shape.o, shape.grid, steps, target.portions)
    weights, bias, run_args = weights_for(lw, node, shape, target)
    plain = is_plain(weights(), target, source, steps, bias)
    fixed = None
    if plain and shape.same_3x3:
        inputs = source.quantizations
        size = {"limit": limit_of(source), "lanes": len(source.lanes)}
        fixed = fixed_point_of(lw, weights(), target, inputs, steps, bias, **size)
        plain = fixed is not None
    args = geometry(shape) | run_args
    values: tuple[Value, ...] = (source, out)
    args |= {"in": Table(source.blocks), "floats": int(out.floats)}
    args |= {"knees": source.knees} if source.bent else {}
    args |= epilogue(lw, target, out, steps, plain, fixed)
    if target.other:
        values += (lw.u8[target.other],)
    pack = Packing(lw.draft, bias, *folded(lw, target, steps, plain), weights)
    few = shape.o < (BLOCK if shape.same_3x3 else NARROW)
    if out.floats and few and shape.suits_narrow and not run_args and not source.bent:
        kernel, units = "conv_narrow", shape.grid.height
        args |= pack_narrow(pack, shape, source)
        scratch = 0
    elif shape.same_3x3:
        kernel = "conv_winograd"
        args |= pack_winograd(pack, shape, source, fixed)
        units, scratch, args["parts"] = _winograd_work(shape, len(source.blocks))
    else:
        kernel, units = "conv_direct", shape.grid.height
        args |= pack_direct(pack, shape, source)
        scratch = _direct_scratch(shape.taps * len(source.blocks))
    lw.emit(kernel, units, args, values, scratch=scratch, macs=shape.macs, name=target.name)
    (lw.floats if out.floats else lw.u8)[target.name] = out
    if target.other:
        lw.done.add(target.name)


def _emit_stem(
    lw: Lowering, node: Node, shape: Shape, target: Target, source: Value, steps: Quantization
) -> None:
    """Emit the convolution of the float input image to u8: in more bits, since 8 would blur it."""
    low, high = lw.model.ranges[node.inputs[0]]
    limit = FINE_LIMIT_WINOGRAD if shape.same_3x3 else FINE_LIMIT
    in_scale = max(abs(low), abs(high), 1e-20) / limit
    target, steps = stored(lw, target, steps)
    out = lw.draft.u8_value(shape.o, shape.grid, steps, target.portions)
    weights, bias, run_args = weights_for(lw, node, shape, target)
    plain = target.activation in ("", "Relu", "Relu6")
    fixed = None
    if plain and shape.same_3x3:
        inputs = [Quantization(in_scale, 0)] * shape.per_group
        size = {"limit": 2 * limit, "lanes": BLOCK}  # see pack_fine_winograd
        fixed = fixed_point_of(lw, weights(), target, inputs, steps, bias, **size)
        plain = fixed is not None
    pack = Packing(lw.draft, bias, *folded(lw, target, steps, plain), weights)
    fine = _quantized_finely(lw, source, in_scale, limit)
    args = geometry(shape) | run_args | epilogue(lw, target, out, steps, plain, fixed)
    args |= {"in": Table(fine.blocks), "fine": 1}
    if shape.same_3x3:
        kernel = "conv_winograd"
        args |= pack_fine_winograd(pack, shape, in_scale, fixed)
        units, scratch, args["parts"] = _winograd_work(shape, 1)
    else:
        kernel, units = "conv_direct", shape.grid.height
        args |= pack_fine(pack, shape, in_scale)
        scratch = _direct_scratch(-(-shape.taps // 2))
    values, macs = (fine, out), shape.macs
    lw.emit(kernel, units, args, values, scratch=scratch, macs=macs, name=target.name)
    lw.u8[target.name] = out


def _quantized_finely(lw: Lowering, source: Value, in_scale: float, limit: int) -> Value:
    """Emit the conversion of a float image to a block of cells of up to four i16."""
    made = lw.draft.u8_value(2 * FINE_CHANNELS, source.grid, Quantization(in_scale, 0))
    args: dict[str, Argument] = {
        "in": Table(source.places),
        "out": Table(made.places),
        "planes": 1,
        "counts": np.array([source.channels], "<u4").tobytes(),
        "h": source.grid.height,
        "w": source.grid.width,
        "pitch": source.grid.pitch,
        "parameters": np.array([(1.0 / in_scale, limit)] * source.channels, "<f4").tobytes(),
    }
    lw.emit("quantize_finely", source.grid.height, args, (source, made), name="quantize_finely")
    return made


def _winograd_work(shape: Shape, blocks: int) -> tuple[int, int, int]:
    """Return conv_winograd's units, the scratch bytes of a thread, and the parts of a tile row.

    Parts are small, so that no thread waits long for the last one.
    """
    height, width = shape.grid.height, shape.grid.width
    rows, tiles = -(-height // 4), -(-width // 4)
    whole = height % 4 == width % 4 == 0
    parts = next((n for n in (4, 2) if whole and tiles % n == 0 and tiles >= 10 * n), 1)
    return rows * parts, TAPS * GROUP * (blocks * 16 + 32), parts


def _direct_scratch(depth: int) -> int:
    """Return the scratch bytes of a thread in conv_direct, for columns of `depth` blocks."""
    return (GROUPS if depth <= SHALLOW else 1) * GROUP * depth * 16
