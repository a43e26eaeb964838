"""Lowering of Conv, and of an Add that can be done while the convolution writes its result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from offcut.backends.simd.attributes import text
from offcut.backends.simd.conv_shape import (
    PLAIN_LIMIT,
    Shape,
    bias_of,
    geometry,
    shape_of,
)
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.fixed_point import (
    NO_FLOOR,
    FixedPoint,
    fixed_point,
    residual_factors,
    residual_floor,
)
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_conv_float import ACTIVATIONS, emit_float
from offcut.backends.simd.lower_depthwise import emit_depthwise, suits_depthwise
from offcut.backends.simd.lower_spread import emit_narrow, suits_narrow
from offcut.backends.simd.packing import (
    FINE_CHANNELS,
    FINE_LIMIT,
    TAPS,
    Packing,
    pack_direct,
    pack_fine,
    pack_fine_winograd,
    pack_narrow,
    pack_winograd,
)
from offcut.backends.simd.values import BLOCK, Quantization, Value
from offcut.graph import Node
from offcut.spans import FOLLOWING

__all__ = ["lower_conv"]

GROUPS, SHALLOW = 4, 40  # as in kernels/conv_direct.c
GROUP = 10  # most columns that a build of the kernels takes at a time (gemm.h)
LEAST = -3e38  # of sums without a Relu
NARROW = 4  # fewer outputs go faster in conv_narrow
# In u8, groups are done as one convolution with zeros in its weights; more of them go in floats.
DENSE_GROUPS = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Where a convolution's result goes, and what is done to it on the way."""

    name: str  # the value made
    activation: str
    other: str = ""  # a value to add, and the activation after that
    activation_last: str = ""
    portions: tuple[float, ...] = ()  # of its range, for each channel


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
        target, steps = _stored(lw, target, steps)
        out = lw.draft.u8_value(shape.o, shape.grid, steps, target.portions)
    weights, bias, run_args = _weights(lw, node, shape, target)
    plain = _is_plain(weights(), target, source, steps, bias)
    fixed = None
    if plain and shape.same_3x3:
        inputs = source.quantizations
        fixed = _fixed_point(lw, weights(), target, inputs, steps, bias, source.lanes)
        plain = fixed is not None
    args = geometry(shape) | run_args
    values: tuple[Value, ...] = (source, out)
    args |= {"in": Table(source.blocks), "floats": int(out.floats)}
    args |= {"knees": source.knees} if source.bent else {}
    args |= _epilogue(lw, target, out, steps, plain, fixed)
    if target.other:
        values += (lw.u8[target.other],)
    pack = Packing(lw.draft, bias, *_folded(lw, target, steps, plain), weights)
    few = shape.o < BLOCK if shape.same_3x3 else shape.same_1x1 and shape.o < NARROW
    if out.floats and few and not run_args and not source.bent:
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


def _stored(lw: Lowering, target: Target, steps: Quantization) -> tuple[Target, Quantization]:
    """Return how the result is stored: bent, by channel, both or neither."""
    if target.name in lw.bendable:
        steps = steps.bend()
    added = lw.u8[target.other].shared if target.other else None
    if steps.zero or (added and added.zero) or target.activation not in FOLLOWING:
        return target, steps
    return replace(target, portions=lw.portions_of(target.name)), steps


def _weights(
    lw: Lowering, node: Node, shape: Shape, target: Target
) -> tuple[Callable[[], np.ndarray], np.ndarray, dict[str, Argument]]:
    """Return what makes the weights, bias (o, runs) and the runs' arguments.

    Where channels take portions of the range, their outputs are made that much larger: then all
    of them have the same steps.
    """
    tensor = lw.model.weights[node.inputs[1]]
    bias, args = bias_of(lw, node, shape)
    if not target.portions:
        return lambda: tensor.decode(), bias, args
    portions = np.array(target.portions, np.float32)[:, None]
    return lambda: tensor.decode() / portions[..., None, None], bias / portions, args


def _ratios(lw: Lowering, target: Target, step: float) -> np.ndarray:
    """Return f64 (channels,): how many steps of the result a step of the residual is."""
    scales = np.array([q.scale for q in lw.u8[target.other].quantizations])
    return scales / (step * np.array(target.portions or (1.0,)))


def _is_plain(
    weights: np.ndarray,
    target: Target,
    source: Value,
    steps: Quantization | None,
    bias: np.ndarray,
) -> bool:
    """Return whether scale, bias, residual and saturation are all that happens to the sums."""
    first, last = target.activation, target.activation_last
    if target.other:
        linear = first in ("", "Relu") and last in ("", "Relu", "Relu6")
    else:
        linear = first in ("", "Relu", "Relu6")
    if steps is None or not linear:
        return False
    most = max(q.scale * q.most for q in source.quantizations)
    sums = np.abs(weights).reshape(len(weights), -1).sum(axis=1).max(initial=0.0) * most
    return bool(sums + np.abs(bias).max(initial=0.0) < PLAIN_LIMIT * steps.scale)


def _fixed_point(
    lw: Lowering,
    weights: np.ndarray,
    target: Target,
    inputs: Sequence[Quantization],
    steps: Quantization | None,
    bias: np.ndarray,
    lanes: Sequence[int],
) -> FixedPoint | None:
    """Return how conv_winograd does a plain result, in fixed point, or None if it cannot."""
    assert steps is not None
    added = None
    if target.other:
        q = lw.u8[target.other].shared
        ratios = _ratios(lw, target, steps.scale)
        if q is None or residual_factors(ratios) is None:
            return None
        added = 0.0 if target.activation == "Relu" else q.most * float(ratios.max())
    middle = _middle(lw, target, steps)
    return fixed_point(weights, bias, steps, inputs, middle=middle, lanes=len(lanes), added=added)


def _folded(
    lw: Lowering, target: Target, steps: Quantization | None, plain: bool
) -> tuple[float, float]:
    """Return what packing multiplies scales and biases with, and what it adds to biases."""
    if not plain or steps is None:
        return 1.0, 0.0
    return 1.0 / steps.scale, _middle(lw, target, steps)


def _middle(lw: Lowering, target: Target, steps: Quantization) -> float:
    """Return the u8 that stands for 0.0 in the result, less what the residual brings along."""
    q = lw.u8[target.other].shared if target.other else None
    return steps.zero - q.zero * q.scale / steps.scale if q else float(steps.zero)


def _epilogue(
    lw: Lowering,
    target: Target,
    out: Value,
    steps: Quantization | None,
    plain: bool,
    fixed: FixedPoint | None,
) -> dict[str, Argument]:
    args: dict[str, Argument] = {
        "out": Table(out.places if out.floats else out.blocks),
        "plain": int(plain),
        "steps": 1.0,
        "border": steps.zero if steps else 0,
        "bent": int(bool(steps and steps.bent)),
        "residual_least": LEAST,
    }
    if not plain:
        args["activation"] = ACTIVATIONS[target.activation]
        args["activation_last"] = ACTIVATIONS[target.activation_last]
        if steps is not None:
            args |= {"steps": 1.0 / steps.scale, "zero": float(steps.zero)}
    if target.other:
        other = lw.u8[target.other]
        q = other.shared
        assert q is not None and steps is not None
        args["residual_knee"] = q.knee
        args |= {"residual": Table(other.blocks), "pitch_residual": other.grid.pitch}
        ratios = _ratios(lw, target, steps.scale if plain else 1.0)
        padded = np.pad(ratios, (0, -len(ratios) % BLOCK))
        scales = padded.astype("<f4") if fixed is None else residual_factors(padded)
        assert scales is not None
        args["residual_scales"] = scales.tobytes()
        if plain:  # in u8 steps
            args["residual_floor"] = NO_FLOOR
            if target.activation == "Relu":
                middle = _middle(lw, target, steps)
                args |= {"residual_least": middle, "residual_floor": residual_floor(middle)}
        else:
            args["residual_offset"] = -q.zero * q.scale
    return args


def _emit_stem(
    lw: Lowering, node: Node, shape: Shape, target: Target, source: Value, steps: Quantization
) -> None:
    """Emit the convolution of the float input image to u8: in 13 bits, since 8 would blur it."""
    low, high = lw.model.ranges[node.inputs[0]]
    in_scale = max(abs(low), abs(high), 1e-20) / FINE_LIMIT
    target, steps = _stored(lw, target, steps)
    out = lw.draft.u8_value(shape.o, shape.grid, steps, target.portions)
    weights, bias, run_args = _weights(lw, node, shape, target)
    plain = target.activation in ("", "Relu", "Relu6")
    fixed = None
    if plain and shape.same_3x3:
        both = [Quantization(65 * in_scale, 128)] * shape.per_group  # coarse and fine
        fixed = _fixed_point(lw, weights(), target, both, steps, bias, range(BLOCK))
        plain = fixed is not None
    pack = Packing(lw.draft, bias, *_folded(lw, target, steps, plain), weights)
    fine = _quantized_finely(lw, source, in_scale, whole=not shape.same_3x3)
    args = geometry(shape) | run_args | _epilogue(lw, target, out, steps, plain, fixed)
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


def _quantized_finely(lw: Lowering, source: Value, in_scale: float, *, whole: bool) -> Value:
    """Emit the conversion of a float image to a block of `whole` channels, or coarse and fine."""
    made = lw.draft.u8_value(2 * FINE_CHANNELS, source.grid, Quantization(in_scale, 128))
    args: dict[str, Argument] = {
        "in": Table(source.places),
        "out": Table(made.places),
        "planes": 1,
        "counts": np.array([source.channels], "<u4").tobytes(),
        "h": source.grid.height,
        "w": source.grid.width,
        "pitch": source.grid.pitch,
        "parameters": np.full((source.channels, 2), 1.0 / in_scale, "<f4").tobytes(),
        "whole": whole,
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
