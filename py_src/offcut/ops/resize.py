"""Resizing feature maps: nearest, linear and cubic, in ONNX's coordinate conventions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from offcut.errors import UnsupportedOperatorError
from offcut.ops.registry import op

__all__ = ["COORDINATES", "MODES", "NEAREST", "linear_taps", "nearest_taps", "resize"]
__all__ += ["source_positions"]

CHANNELS = 16  # resized at a time
MODES = ("nearest", "linear", "cubic")
Scales = tuple[float, ...]  # of rows and columns; () when they are the ratios of the sizes


@op("Resize")
def resize(
    x: np.ndarray,
    *,
    size: tuple[int, int],
    mode: str = "nearest",
    coordinate_transformation_mode: str = "half_pixel",
    nearest_mode: str = "round_prefer_floor",
    scales: Scales = (),
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
) -> np.ndarray:
    """Return x (n, c, h, w) at the size (height, width), one axis after the other.

    No antialiasing, as ONNX Resize-13 without `antialias`. scales: those of rows and columns where
    they are not size_out / size_in, because the size was rounded down from them.
    Some channels at a time, so that temporaries stay small.
    """
    places = []
    for axis in (2, 3):
        scale = scales[axis - 2] if scales else None
        size_in, size_out = x.shape[axis], size[axis - 2]
        places.append(source_positions(size_in, size_out, coordinate_transformation_mode, scale))
    if mode == "nearest":
        columns = nearest_taps(places[1], x.shape[3], nearest_mode)
        rows = nearest_taps(places[0], x.shape[2], nearest_mode)
        return np.take(np.take(x, columns, 3), rows, 2)
    y = np.empty((*x.shape[:2], *size), np.float32)
    for first in range(0, x.shape[1], CHANNELS):
        part = slice(first, first + CHANNELS)
        # Columns first: gathering them is the slow part, and there are still few rows.
        if mode == "linear":
            y[:, part] = _linear(_linear(x[:, part], places[1], 3), places[0], 2)
        elif mode == "cubic":
            settings = cubic_coeff_a, bool(exclude_outside)
            y[:, part] = _cubic(
                _cubic(x[:, part], places[1], 3, *settings), places[0], 2, *settings
            )
        else:
            raise UnsupportedOperatorError(f"Resize: mode is {mode!r}, known: {', '.join(MODES)}")
    return y


def _linear(x: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    """Interpolate between two neighbours along one axis."""
    low, high, weight = linear_taps(at, x.shape[axis])
    first, y = np.take(x, low, axis), np.take(x, high, axis)
    y -= first
    y *= weight.reshape(-1, *[1] * (3 - axis))
    y += first
    return y


def _cubic(x: np.ndarray, at: np.ndarray, axis: int, a: float, inside_only: bool) -> np.ndarray:
    """Interpolate between four neighbours along one axis.

    a: the kernel's free coefficient. inside_only: neighbours outside weigh nothing instead of
    repeating the border. Source: Keys, "Cubic convolution interpolation", 1981.
    """
    size_in = x.shape[axis]
    cell = np.floor(at)
    weights, taps = np.empty((4, at.size)), np.empty((4, at.size), np.intp)
    for step in range(4):
        tap = cell + (step - 1)
        d = np.abs(at - tap)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        weights[step] = np.where(d <= 1, near, np.where(d < 2, far, 0))
        if inside_only:
            weights[step] *= (tap >= 0) & (tap < size_in)
        taps[step] = np.clip(tap, 0, size_in - 1)
    if inside_only:
        weights /= weights.sum(axis=0)
    columns = weights.astype(np.float32).reshape(4, -1, *[1] * (3 - axis))
    y = np.take(x, taps[0], axis) * columns[0]
    for step in (1, 2, 3):
        y += np.take(x, taps[step], axis) * columns[step]
    return y


def source_positions(
    size_in: int, size_out: int, mode: str, scale: float | None = None
) -> np.ndarray:
    """Return where along the input each output cell reads, float64 (size_out,).

    mode: a coordinate_transformation_mode. scale: the ratio of the sizes when None.
    """
    cells = np.arange(size_out, dtype=np.float64)
    if mode == "align_corners":
        return cells * (size_in - 1) / max(size_out - 1, 1)
    if mode == "pytorch_half_pixel" and size_out == 1:
        return np.zeros(1)
    if mode not in COORDINATES:
        raise UnsupportedOperatorError(f"Resize: coordinate_transformation_mode is {mode!r}")
    before, after = COORDINATES[mode]
    # In whole numbers as far as possible, so that what falls on a cell does so exactly.
    moved = cells + before
    at = moved * size_in / size_out if scale is None else moved / scale
    if mode == "half_pixel_symmetric" and scale is not None:
        at += (size_in - size_out / scale) / 2
    return at + after


COORDINATES: dict[str, tuple[float, float]] = {  # added before and after scaling
    "align_corners": (0, 0),
    "asymmetric": (0, 0),
    "half_pixel": (0.5, -0.5),
    "half_pixel_symmetric": (0.5, -0.5),
    "pytorch_half_pixel": (0.5, -0.5),
    "tf_half_pixel_for_nn": (0.5, 0),
}


def linear_taps(at: np.ndarray, size_in: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (low, high, weight of high) for positions `at`, clamped to the input."""
    at = np.clip(at, 0, size_in - 1)
    low = np.floor(at).astype(np.intp)
    return low, np.minimum(low + 1, size_in - 1), (at - low).astype(np.float32)


NEAREST: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda at: np.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: np.floor(at + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def nearest_taps(at: np.ndarray, size_in: int, mode: str) -> np.ndarray:
    """Return the index of the input cell nearest to each position, by ONNX's `nearest_mode`."""
    if mode not in NEAREST:
        raise UnsupportedOperatorError(f"Resize: nearest_mode is {mode!r}")
    return np.clip(NEAREST[mode](at), 0, size_in - 1).astype(np.intp)
