"""Resizing feature maps: nearest and linear, in ONNX's coordinate conventions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offcut.errors import UnsupportedOperatorError
from offcut.ops.registry import op

__all__ = ["linear_taps", "nearest_taps", "resize", "source_positions"]

CHANNELS = 16  # resized at a time


@op("Resize")
def resize(
    x: np.ndarray,
    *,
    size: tuple[int, int],
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
) -> np.ndarray:
    """Return x (n, c, h, w) at the size (height, width), one axis after the other.

    No antialiasing, as ONNX Resize-13 without `antialias`. The scale is size_out / size_in.
    Some channels at a time, so that temporaries stay small.
    """
    y = np.empty((*x.shape[:2], *size), np.float32)
    for first in range(0, x.shape[1], CHANNELS):
        part = slice(first, first + CHANNELS)
        x_part, positions = x[:, part], coordinate_transformation_mode
        y[:, part] = _resized(x_part, size, mode, positions, nearest_mode)
    return y


def _resized(
    x: np.ndarray, size: tuple[int, int], mode: str, positions: str, nearest_mode: str
) -> np.ndarray:
    # Columns first: gathering them is the slow part, and there are still few rows.
    for axis, size_out in ((3, size[1]), (2, size[0])):
        at = source_positions(x.shape[axis], size_out, positions)
        if mode == "nearest":
            x = np.take(x, nearest_taps(at, x.shape[axis], nearest_mode), axis)
        elif mode == "linear":
            low, high, weight = linear_taps(at, x.shape[axis])
            weight = weight.reshape(-1, *[1] * (3 - axis))
            first, y = np.take(x, low, axis), np.take(x, high, axis)
            y -= first
            y *= weight
            y += first
            x = y
        else:
            raise UnsupportedOperatorError(f"Resize: mode is {mode!r}, known: linear, nearest")
    return x


def source_positions(size_in: int, size_out: int, mode: str) -> np.ndarray:
    """Return where along the input each output cell reads, float64 (size_out,)."""
    cells = np.arange(size_out, dtype=np.float64)
    if mode == "align_corners":
        return cells * ((size_in - 1) / (size_out - 1) if size_out > 1 else 0.0)
    if mode == "asymmetric":
        return cells * (size_in / size_out)
    if mode == "half_pixel" or (mode == "pytorch_half_pixel" and size_out > 1):
        return (cells + 0.5) * (size_in / size_out) - 0.5
    if mode == "pytorch_half_pixel":
        return np.zeros(1)
    raise UnsupportedOperatorError(f"Resize: coordinate_transformation_mode is {mode!r}")


def linear_taps(at: np.ndarray, size_in: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (low, high, weight of high) for positions `at`, clamped to the input."""
    at = np.clip(at, 0, size_in - 1)
    low = np.floor(at).astype(np.intp)
    return low, np.minimum(low + 1, size_in - 1), (at - low).astype(np.float32)


def nearest_taps(at: np.ndarray, size_in: int, mode: str) -> np.ndarray:
    """Return the index of the input cell nearest to each position, by ONNX's `nearest_mode`."""
    rounding: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "round_prefer_floor": lambda p: np.ceil(p - 0.5),
        "round_prefer_ceil": lambda p: np.floor(p + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    if mode not in rounding:
        raise UnsupportedOperatorError(f"Resize: nearest_mode is {mode!r}")
    return np.clip(rounding[mode](at), 0, size_in - 1).astype(np.intp)
