"""Separable resampling with antialiasing, in plain numpy, the same everywhere.

Each axis is a list of short weighted sums over neighbouring rows. Shrinking widens the triangle
filter by the factor, as Pillow's BILINEAR does; enlarging is bilinear interpolation. Pixel centres
are at half-integers.
"""

from __future__ import annotations

import numpy as np

__all__ = ["resize", "resize_rows", "taps"]


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return float32 (h, w, c) of an image (H, W, c) of any number type; size: (h, w)."""
    h, w = size
    height, width, c = image.shape
    rows = resize_rows(image.reshape(height, width * c), h)  # (h, W * c)
    turned = rows.reshape(h, width, c).swapaxes(0, 1).reshape(width, h * c)
    columns = resize_rows(turned, w)  # (w, h * c)
    return np.ascontiguousarray(columns.reshape(w, h, c).swapaxes(0, 1))


def resize_rows(x: np.ndarray, size_out: int) -> np.ndarray:
    """Return float32 (size_out, m) from x (size_in, m); only a few rows are in float at a time."""
    y = np.empty((size_out, x.shape[1]), np.float32)
    firsts, weights = taps(x.shape[0], size_out)
    for row, (first, row_weights) in enumerate(zip(firsts, weights, strict=True)):
        part = x[first : first + len(row_weights)].astype(np.float32, copy=False)  # (k, m)
        np.einsum("k,km->m", row_weights, part, out=y[row])
    return y


def taps(size_in: int, size_out: int) -> tuple[list[int], list[np.ndarray]]:
    """Return for each output cell the first input cell it reads and float32 weights, sum 1."""
    scale = size_in / size_out
    reach = max(scale, 1.0)  # half the width of the triangle, in input cells
    firsts, weights = [], []
    for cell in range(size_out):
        centre = (cell + 0.5) * scale
        first = max(int(np.floor(centre - reach + 0.5)), 0)
        last = min(int(np.floor(centre + reach + 0.5)), size_in)
        last = max(last, first + 1)
        at = np.arange(first, last) + 0.5 - centre
        w = np.maximum(1 - np.abs(at) / reach, 0)
        w = w if w.sum() > 0 else np.ones_like(w)
        firsts.append(first)
        weights.append((w / w.sum()).astype(np.float32))
    return firsts, weights
