"""Lowering of what u8 planes can do by channel, with each other, and within limits."""

from __future__ import annotations

import numpy as np

from offcut.backends.simd.draft import Argument, Table
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.values import CELL, Plane, Quantization, Value
from offcut.graph import Node

__all__ = ["emit_add", "emit_affine", "emit_limits", "emit_normalization", "joint_factors"]

# As in kernels/affine.c:
BAND = 16  # rows in a piece of work
SCALING_BYTES = CELL * 8 + 8  # of a plane
FINER = 14  # fraction bits of two values' factors
MOST_MISSED = 1 / 16  # of a step, that they may be off: 12 bits in both would be as far


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
    first, second = a.scale / steps.scale, b.scale / steps.scale
    zero = steps.zero - a.zero * first - b.zero * second
    args: dict[str, Argument] = {"other": Table(other.places)}
    args |= {"scale": first, "second": second, "zero": zero}
    joint = joint_factors(first, second, zero)
    if joint:
        args["joint"] = joint
    _emit(lw, node, source, steps, args, (other,))


def joint_factors(first: float, second: float, term: float) -> bytes:
    """Return the factors i16 [4][2] and high bytes i8 [8][2] of two u8; b"" when there are none.

    The high bytes stand for the term: 256 * (high * first + higher * second). Of all pairs of them,
    and of factors some units off, those are taken that miss the real sum least.
    """
    real = np.array([first, second]) * (1 << FINER)
    near = np.clip(np.rint(real)[:, None] + np.arange(-2, 3), 1, 32767)  # (2, 5)
    f, s = near[0][:, None, None], near[1][:, None]
    high = np.arange(-128, 128)
    wanted = (term + 0.5) * (1 << FINER) / 256  # shifting rounds down
    higher = np.clip(np.rint((wanted - high * f) / s), -128, 127)  # (5, 5, 256)
    missed = 256 * abs(wanted - high * f - higher * s)
    missed += 255 * (abs(f - real[0]) + abs(s - real[1]))
    at = np.unravel_index(missed.argmin(), missed.shape)
    if missed[at] > MOST_MISSED * (1 << FINER):
        return b""
    factors = np.array([near[0][at[0]], near[1][at[1]]] * 4, "<i2")
    return factors.tobytes() + np.array([high[at[2]], higher[at]] * 8, "i1").tobytes()


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
    out = lw.draft.u8_planes([Plane(p.place, p.channels, steps) for p in source.planes], grid)
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
