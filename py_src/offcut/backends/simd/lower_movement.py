"""Lowering of what moves values without computing: mostly nothing but other lists of planes."""

from __future__ import annotations

from dataclasses import replace

from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.values import BLOCK, Plane, Value
from offcut.graph import Node

__all__ = ["lower_concat", "lower_identity", "lower_reshape", "lower_slice"]


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


def lower_identity(lw: Lowering, node: Node) -> str:
    """Give the value another name."""
    source = node.inputs[0]
    if source in lw.u8:
        lw.u8[node.name] = lw.u8[source]
    else:
        value = lw.as_floats(source)
        if value is None:
            return f"{source} cannot be stored as floats"
        lw.floats[node.name] = value
    return ""


def lower_reshape(lw: Lowering, node: Node) -> str:
    """Cut the same floats into other channels; they must lie one behind the other for that."""
    source, extent = lw.as_floats(node.inputs[0]), lw.extent(node.name)
    if source is None or extent is None:
        return "Reshape has no kernel for these shapes"
    channels = lw.graph.shapes[node.name][1]
    if extent.channel_bytes == source.grid.channel_bytes:
        lw.floats[node.name] = replace(source, grid=extent)
        return ""
    buffer, first = source.planes[0].place
    if not source.contiguous:
        return "Reshape of a joined value has no kernel"
    planes = (Plane((buffer, first + i * extent.channel_bytes), 1) for i in range(channels))
    lw.floats[node.name] = Value(True, extent, tuple(planes))
    return ""


def lower_slice(lw: Lowering, node: Node) -> str:
    """Keep some channels: no work, only a shorter list of planes."""
    channels, grid = _sliced_channels(lw, node), lw.grid(node.name)
    if channels is None or grid is None:
        return "Slice has a kernel for channels only"
    kept = lw.u8.get(node.inputs[0])
    part = _part(kept, channels) if kept else None
    if part:
        lw.u8[node.name] = Value(False, grid, part)
        return ""
    source = lw.as_floats(node.inputs[0])
    if source is None:
        return f"{node.inputs[0]} cannot be stored as floats"
    lw.floats[node.name] = Value(True, grid, tuple(source.planes[i] for i in channels))
    return ""


def _sliced_channels(lw: Lowering, node: Node) -> range | None:
    """Return the channels that a Slice keeps; None when it cuts along other axes."""
    whole, left = (lw.graph.shapes[name] for name in (node.inputs[0], node.name))
    if len(whole) != 4 or whole[0] != 1 or whole[2:] != left[2:]:
        return None
    channels = range(whole[1])
    axes, starts, ends, steps = (
        node.attributes[name] for name in ("axes", "starts", "ends", "steps")
    )
    assert isinstance(axes, tuple) and isinstance(starts, tuple)
    assert isinstance(ends, tuple) and isinstance(steps, tuple)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if axis in (1, -3):
            channels = channels[int(start) : int(end) : int(step)]
        elif step != 1:
            return None
    return channels


def _part(value: Value, channels: range) -> tuple[Plane, ...] | None:
    """Return planes, or halves of planes, that hold these channels; None when a half is cut.

    The first half of a plane may also lose its last channels: what follows them is not read.
    """
    if channels.step != 1:
        return None
    planes, first = [], 0
    for plane in value.planes:
        begin = max(channels.start - first, 0)
        end = min(channels.stop - first, plane.channels)
        first += plane.channels
        if begin >= end:
            continue
        if begin % BLOCK:
            return None
        planes.append(plane.cut(begin, end))
    return tuple(planes)
