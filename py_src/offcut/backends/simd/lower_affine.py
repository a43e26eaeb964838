"""Lowering of what u8 planes can do by channel, with each other, and within limits."""

from __future__ import annotations

from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.values import CELL, Quantization, Value
from offcut.graph import Node

__all__ = ["emit_add", "emit_affine", "emit_limits", "emit_normalization"]

# As in kernels/affine.c:
BAND = 4  # rows in a piece of work
SCALING_BYTES = CELL * 8 + 8  # of a plane


def emit_limits(lw: Lowering, node: Node, source: Value, low: float, high: float) -> None:
    """Emit a Relu or Clip, of a value of one quantization, which the result keeps."""
    q = source.uniform
    assert q is not None
    limits = [min(max(limit / q.scale + q.zero, 0.0), 255.0) for limit in (low, high)]
    least, most = (round(limit) for limit in limits)
    _emit(lw, node, source, q, {"limits": 1, "least": least, "most": most}, ())


def emit_add(lw: Lowering, node: Node, source: Value, other: Value, steps: Quantization) -> None:
    """Emit an Add of two values, or a Relu of it: its u8 end at 0.0 then, so saturation does it."""
    a, b = source.uniform, other.uniform
    assert a is not None and b is not None
    args: dict[str, Argument] = {
        "other": Table(other.places),
        "scale": a.scale / steps.scale,
        "second": b.scale / steps.scale,
        "zero": steps.zero - (a.zero * a.scale + b.zero * b.scale) / steps.scale,
    }
    _emit(lw, node, source, steps, args, (other,))


def emit_affine(lw: Lowering, node: Node, source: Value, other: Value, steps: Quantization) -> None:
    """Emit a Mul or Add of `source` and floats of one number per channel, or of one in all."""
    q = source.uniform
    assert q is not None
    places = other.places * (source.channels // other.channels)
    key = "factors" if node.op == "Mul" else "terms"
    args: dict[str, Argument] = {
        key: Table(places),
        "scale": q.scale / steps.scale,
        "offset": -q.zero * q.scale / steps.scale,
        "steps": 1.0 / steps.scale,
        "zero": float(steps.zero),
    }
    _emit(lw, node, source, steps, args, (other,))


def emit_normalization(
    lw: Lowering,
    node: Node,
    source: Value,
    parts: list[Value],
    epsilon: float,
    steps: Quantization,
) -> None:
    """Emit an InstanceNormalization; parts: scale and bias, floats of one number per channel."""
    q = source.uniform
    assert q is not None
    args: dict[str, Argument] = {
        "factors": Table(parts[0].places),
        "terms": Table(parts[1].places),
        "scale": q.scale,
        "offset": epsilon,
        "steps": 1.0 / steps.scale,
        "zero": float(steps.zero),
    }
    _emit(lw, node, source, steps, args, tuple(parts), kernel="normalize_u8")


def _emit(
    lw: Lowering,
    node: Node,
    source: Value,
    steps: Quantization,
    args: dict[str, Argument],
    others: tuple[Value, ...],
    *,
    kernel: str = "affine_u8",
) -> None:
    grid = source.grid
    out = lw.draft.u8_planes([(plane.channels, steps) for plane in source.planes], grid)
    args |= {
        "in": Table(source.places),
        "out": Table(out.places),
        "planes": len(source.planes),
        "counts": source.counts,
        "h": grid.height,
        "w": grid.width,
        "pitch_in": grid.pitch,
        "pitch_out": grid.pitch,
        "border": steps.zero,
    }
    units = -(-grid.height // BAND) if kernel == "affine_u8" else len(source.planes)
    scratch = len(source.planes) * SCALING_BYTES
    lw.emit(kernel, units, args, (source, out, *others), scratch=scratch, name=node.name)
    lw.u8[node.name] = out
