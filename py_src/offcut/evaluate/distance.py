"""The exact Euclidean distance to the nearest marked pixel, and which pixel that is."""

from __future__ import annotations

import numpy as np

__all__ = ["nearest"]


def nearest(marked: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (distance float64, row, column) of the nearest marked pixel; all (h, w).

    marked: bool (h, w), at least one true. Along columns by two sweeps, then along rows by the
    lower envelope of parabolas. Source: Felzenszwalb and Huttenlocher, "Distance Transforms of
    Sampled Functions", 2012.
    """
    h, w = marked.shape
    row_of = _nearest_in_column(marked)  # (h, w), -1 where the column has none
    rise = np.where(row_of < 0, np.inf, (np.arange(h)[:, None] - row_of).astype(np.float64) ** 2)
    column_of = np.empty((h, w), np.intp)
    for y in range(h):
        column_of[y] = _lower_envelope(rise[y])
    rows = np.take_along_axis(row_of, column_of, axis=1)
    across = (np.arange(w) - column_of).astype(np.float64)
    return np.sqrt(np.take_along_axis(rise, column_of, axis=1) + across**2), rows, column_of


def _nearest_in_column(marked: np.ndarray) -> np.ndarray:
    """Return the row of the nearest marked pixel of the same column, -1 where there is none."""
    h, _ = marked.shape
    at = np.arange(h)[:, None]
    above = np.maximum.accumulate(np.where(marked, at, -1), axis=0)
    below = np.minimum.accumulate(np.where(marked, at, 2 * h)[::-1], axis=0)[::-1]
    far_above = np.where(above < 0, 4 * h, at - above)
    rows = np.where(far_above <= below - at, above, below)
    return np.where((above < 0) & (below >= 2 * h), -1, rows)


def _lower_envelope(rise: np.ndarray) -> np.ndarray:
    """Return for each x the p that minimises (x - p)^2 + rise[p]; (w,)."""
    places = np.flatnonzero(np.isfinite(rise))
    hull: list[int] = []
    starts: list[float] = []  # where each parabola of the hull begins to be the lowest
    for p in places.tolist():
        while hull:
            q = hull[-1]
            start = (rise[p] + p * p - rise[q] - q * q) / (2 * (p - q))
            if start > starts[-1]:
                break
            hull.pop()
            starts.pop()
        starts.append(start if hull else -np.inf)
        hull.append(p)
    at = np.searchsorted(np.array(starts), np.arange(rise.size), side="right") - 1
    return np.array(hull, np.intp)[at]
