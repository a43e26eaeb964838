"""Lowering of Resize."""

from __future__ import annotations

from typing import cast

import numpy as np

from offcut.backends.simd.attributes import text
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.lower_pool import planes_of
from offcut.graph import Node
from offcut.ops.resize import linear_taps, nearest_taps, source_positions

__all__ = ["lower_resize"]

TAP = np.dtype([("low", "<i4"), ("high", "<i4"), ("weight", "<f4"), ("steps", "<i4")])


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
    if source is None or source.bent:
        floats = lw.as_floats(node.inputs[0])
        if floats is None:
            return f"{node.inputs[0]} cannot be stored as floats"
        made = lw.draft.float_value(floats.channels, grid)
        args = planes_of(floats, made) | {"rows": rows.tobytes(), "columns": columns.tobytes()}
        units, scratch = made.channels * grid.height, 2 * grid.width * 4
        lw.emit("resize_float", units, args, (floats, made), scratch=scratch, name=node.name)
        lw.floats[node.name] = made
        return ""
    out = lw.draft.u8_planes(source.planes, grid)
    args = planes_of(source, out) | {"rows": rows.tobytes(), "columns": columns.tobytes()}
    args["doubling"] = int(mode == "linear" and _is_doubling(rows) and _is_doubling(columns))
    lw.emit("resize_u8", grid.height, args, (source, out), name=node.name)
    lw.u8[node.name] = out
    return ""


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
    taps["high"] = np.where(taps["weight"] == 0, taps["low"], taps["high"])
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
    return all(np.array_equal(taps[key], twice[key]) for key in ("low", "weight"))
