"""Operators that move values without computing. Static operands are attributes, not inputs."""

from __future__ import annotations

import numpy as np

from offcut.ops.registry import op

__all__ = ["concat", "expand", "pad", "reshape", "slice_", "transpose"]


@op("Concat")
def concat(*parts: np.ndarray, axis: int) -> np.ndarray:
    """Join the parts along `axis`."""
    return np.concatenate(parts, axis)


@op("Reshape")
def reshape(x: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    """Return x in the given static shape."""
    return x.reshape(shape)


@op("Expand")
def expand(x: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    """Return x broadcast to the given static shape, a copy."""
    return np.array(np.broadcast_to(x, shape))


@op("Transpose")
def transpose(x: np.ndarray, *, perm: tuple[int, ...]) -> np.ndarray:
    """Return x with its axes in the order `perm`."""
    return np.ascontiguousarray(x.transpose(perm))


@op("Slice")
def slice_(
    x: np.ndarray,
    *,
    starts: tuple[int, ...],
    ends: tuple[int, ...],
    axes: tuple[int, ...],
    steps: tuple[int, ...],
) -> np.ndarray:
    """Return the part of x from starts to ends (exclusive, Python's meaning of negatives)."""
    ranges = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        ranges[axis] = slice(start, end, step)
    return np.ascontiguousarray(x[tuple(ranges)])


@op("Pad")
def pad(
    x: np.ndarray, *, pads: tuple[int, ...], mode: str = "constant", value: float = 0.0
) -> np.ndarray:
    """Return x with cells around it; pads: all begins, then all ends (ONNX's order)."""
    half = len(pads) // 2
    widths = list(zip(pads[:half], pads[half:], strict=True))
    if mode == "constant":
        return np.pad(x, widths, constant_values=np.float32(value))
    return np.pad(x, widths, mode="edge" if mode == "edge" else "reflect")
