"""Lowering of everything but Conv: pooling, resizing, concatenation, elementwise operators."""

from __future__ import annotations

from typing import cast

import numpy as np

from offcut.backends.simd.attributes import integer, pads, pair, text
from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_conv import ACTIVATIONS
from offcut.backends.simd.values import Quantization, Value
from offcut.graph import Node
from offcut.ops.resize import linear_taps, nearest_taps, source_positions

__all__ = ["lower_add", "lower_concat", "lower_elementwise", "lower_pool", "lower_resize"]


def lower_pool(lw: Lowering, node: Node) -> str:
    """Emit a MaxPool or AveragePool of u8 planes."""
    source, grid = lw.preferred_u8(node.inputs[0]), lw.grid(node.name)
    if source is None or grid is None or len(node.outputs) > 1:
        return f"{node.op} has a kernel for u8 values only"
    kernel, strides, dilations = (
        pair(node, name) for name in ("kernel_shape", "strides", "dilations")
    )
    top, left, bottom, right = pads(node)
    if kernel[0] * kernel[1] > 1 << 15:
        return f"a window of {kernel} cells could overflow"
    planes = [(plane.channels, plane.quantization) for plane in source.planes]
    out = lw.draft.u8_planes(planes, grid)
    args: dict[str, Argument] = {
        **_planes(source, out),
        "kernel_h": kernel[0],
        "kernel_w": kernel[1],
        "stride_h": strides[0],
        "stride_w": strides[1],
        "dilation_h": dilations[0],
        "dilation_w": dilations[1],
        "pad_top": top,
        "pad_left": left,
    }
    if node.op == "AveragePool":
        args["count_padding"] = integer(node, "count_include_pad", 0)
        args["h_end"] = source.grid.height + bottom
        args["w_end"] = source.grid.width + right
    name = {"MaxPool": "max_pool", "AveragePool": "average_pool"}[node.op]
    lw.emit(name, grid.height, args, (source, out), name=node.name)
    lw.u8[node.name] = out
    return ""


def lower_resize(lw: Lowering, node: Node) -> str:
    """Emit a Resize of u8 planes or of floats."""
    grid_in, grid = lw.grid(node.inputs[0]), lw.grid(node.name)
    if grid_in is None or grid is None:
        return "Resize needs batch 1"
    mode = text(node, "mode", "nearest")
    if mode not in ("linear", "nearest"):
        return f"Resize mode {mode} has no kernel"
    sizes = ((grid_in.height, grid.height), (grid_in.width, grid.width))
    scales = cast(tuple[float, ...], node.attributes.get("scales", ())) or (None, None)
    rows, columns = (_taps(node, mode, *pair) for pair in zip(sizes, scales, strict=True))
    source = lw.preferred_u8(node.inputs[0])
    if source is None:
        floats = lw.as_floats(node.inputs[0])
        if floats is None:
            return f"{node.inputs[0]} cannot be stored as floats"
        made = lw.draft.float_value(floats.channels, grid)
        args = _planes(floats, made) | {"rows": rows.tobytes(), "columns": columns.tobytes()}
        lw.emit("resize_float", grid.height, args, (floats, made), name=node.name)
        lw.floats[node.name] = made
        return ""
    planes = [(plane.channels, plane.quantization) for plane in source.planes]
    out = lw.draft.u8_planes(planes, grid)
    args = _planes(source, out) | {"rows": rows.tobytes(), "columns": columns.tobytes()}
    args["doubling"] = int(mode == "linear" and _is_doubling(rows) and _is_doubling(columns))
    lw.emit(f"resize_{mode}", grid.height, args, (source, out), name=node.name)
    lw.u8[node.name] = out
    return ""


TAP = np.dtype([("low", "<i4"), ("high", "<i4"), ("weight", "<f4"), ("steps", "<i4")])


def _taps(node: Node, mode: str, size: tuple[int, int], scale: float | None) -> np.ndarray:
    """Return the resize_tap of each output cell, (size_out,) TAP; size: (size_in, size_out)."""
    size_in, size_out = size
    transformation = text(node, "coordinate_transformation_mode", "half_pixel")
    at = source_positions(size_in, size_out, transformation, scale)
    taps = np.zeros(size_out, TAP)
    if mode == "nearest":
        nearest = text(node, "nearest_mode", "round_prefer_floor")
        taps["low"] = taps["high"] = nearest_taps(at, size_in, nearest)
        return taps
    taps["low"], taps["high"], taps["weight"] = linear_taps(at, size_in)
    taps["steps"] = np.rint(taps["weight"] * np.float32(1 << 14))
    return taps


def _is_doubling(taps: np.ndarray) -> bool:
    """Return whether the taps are those of twice the size with half-pixel centres."""
    size = len(taps) // 2
    if len(taps) != 2 * size:
        return False
    twice = np.zeros(2 * size, TAP)
    twice["low"], twice["high"], twice["weight"] = linear_taps(
        source_positions(size, 2 * size, "half_pixel"), size
    )
    same = all(np.array_equal(taps[key], twice[key]) for key in ("low", "weight"))
    return same and bool(np.array_equal(taps["high"][1:], twice["high"][1:]))


def lower_concat(lw: Lowering, node: Node) -> str:
    """Join values along the channels: no work, only a longer list of planes."""
    grid = lw.grid(node.name)
    if grid is None or node.attributes["axis"] not in (1, -3):
        return "Concat has no kernel for this axis"
    if any(name in lw.u8 for name in node.inputs):
        joined = _joined([lw.as_u8(name) for name in node.inputs])
        if joined is not None:
            lw.u8[node.name] = joined
            return ""
    joined = _joined([lw.as_floats(name) for name in node.inputs])
    if joined is None:
        return "an input cannot be stored as floats"
    lw.floats[node.name] = joined
    return ""


def _joined(parts: list[Value | None]) -> Value | None:
    values = [part for part in parts if part is not None]
    if len(values) != len(parts):
        return None
    planes = tuple(plane for value in values for plane in value.planes)
    return Value(values[0].floats, values[0].grid, planes)


def lower_add(lw: Lowering, node: Node) -> str:
    """Emit an Add of two values of one shape."""
    first, second = node.inputs
    shapes = lw.graph.shapes
    activation = text(node, "activation", "")
    if not shapes[first] == shapes[second] == shapes[node.name]:
        return "Add has no kernel that broadcasts"
    if activation not in ACTIVATIONS:
        return f"activation {activation} has no kernel"
    a, b = lw.preferred_u8(first), lw.preferred_u8(second)
    steps = lw.range_of(node.name, activation)
    if a and b and steps and activation in ("", "Relu", "Relu6") and _same_planes(a, b):
        _emit_add(lw, node, a, b, steps)
        return ""
    return _emit_elementwise(lw, node, activation)


def _same_planes(a: Value, b: Value) -> bool:
    same = [plane.channels for plane in a.planes] == [plane.channels for plane in b.planes]
    return same and a.uniform is not None and b.uniform is not None


def _emit_add(lw: Lowering, node: Node, a: Value, b: Value, steps: Quantization) -> None:
    """Fixed point with as many fraction bits as keep the scales below 2^15 (see add.c)."""
    qa, qb = a.uniform, b.uniform
    assert qa is not None and qb is not None
    ratios = (qa.scale / steps.scale, qb.scale / steps.scale)
    shift = 20
    while shift > 0 and max(ratios) * (1 << shift) >= 32767:
        shift -= 1
    scales = [min(round(ratio * (1 << shift)), 32767) for ratio in ratios]
    offset = (steps.zero << shift) - qa.zero * scales[0] - qb.zero * scales[1]
    offset += (1 << shift) >> 1
    grid = a.grid
    out = lw.draft.u8_planes([(plane.channels, steps) for plane in a.planes], grid)
    args: dict[str, Argument] = {
        "a": Table(a.places),
        "b": Table(b.places),
        "out": Table(out.places),
        "planes": len(a.planes),
        "h": grid.height,
        "w": grid.width,
        "pitch_a": grid.pitch,
        "pitch_b": grid.pitch,
        "pitch_out": grid.pitch,
        "scale_a": scales[0],
        "scale_b": scales[1],
        "offset": offset,
        "shift": shift,
        "least": steps.zero if node.attributes.get("activation") else 0,
        "zero": steps.zero,
    }
    lw.emit("add_u8", grid.height, args, (a, b, out), name=node.name)
    lw.u8[node.name] = out


def lower_elementwise(lw: Lowering, node: Node) -> str:
    """Emit an activation that stands alone."""
    return _emit_elementwise(lw, node, node.op)


def _emit_elementwise(lw: Lowering, node: Node, activation: str) -> str:
    operands = [lw.as_floats(name) for name in node.inputs]
    values = [value for value in operands if value is not None]
    if len(values) != len(operands):
        return f"{node.op} has no kernel for values of this shape"
    grid = values[0].grid
    out = lw.draft.float_value(values[0].channels, grid)
    args: dict[str, Argument] = {
        "a": Table(values[0].places),
        "out": Table(out.places),
        "channels": out.channels,
        "w": grid.width,
        "activation": ACTIVATIONS[activation],
    }
    if len(values) > 1:
        args["b"] = Table(values[1].places)
    lw.emit("elementwise_float", grid.height, args, (*values, out), name=node.name)
    lw.floats[node.name] = out
    steps = lw.range_of(node.name) if lw.wants_u8(node.name) else None
    if steps:
        lw.as_u8(node.name)
    return ""


def _planes(source: Value, out: Value) -> dict[str, Argument]:
    args: dict[str, Argument] = {"in": Table(source.places), "out": Table(out.places)}
    args |= {"h_in": source.grid.height, "w_in": source.grid.width, "pitch_in": source.grid.pitch}
    args |= {"h_out": out.grid.height, "w_out": out.grid.width, "pitch_out": out.grid.pitch}
    return args | {"planes": len(source.planes)}
