"""Take the old background out of soft pixels: colours that would mix with it to what is seen.

It starts from the colours that foreground.py estimates around a pixel, and gives the subject what
they leave unexplained. Source: Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021.
"""

from __future__ import annotations

import numpy as np

from offcut.imaging.resample import Taps
from offcut.replaceable import Replaceable

__all__ = ["soft_pixels", "unmix"]


@Replaceable
def unmix(
    pixels: np.ndarray, matte: np.ndarray, cells: np.ndarray, rows: Taps, columns: Taps
) -> None:
    """Replace the colours of the soft pixels of u8 (n, W, 4), contiguous, in place.

    matte: u8 (n, W), the subject's alpha. cells: f32 (h, w, 8), subject, 0, background, 0. rows and
    columns: where the pixels lie among them. Pixels that were transparent already hold no mixture.
    """
    at = soft_pixels(matte)  # (m,)
    at = at[pixels.reshape(-1, 4)[at, 3] == 255]
    if not at.size:
        return
    found = _sample(_lines(cells, rows), at, columns)  # (m, 8)
    alpha = matte.reshape(-1)[at] * np.float32(1 / 255)  # (m,)
    levels = pixels.reshape(-1)  # a view
    for c in range(3):
        subject, old = found[:, c], found[:, 4 + c]  # (m,)
        mixed = old + alpha * (subject - old)
        own = subject + alpha * (levels[at * 4 + c] - mixed)
        levels[at * 4 + c] = np.clip(own, 0, 255) + np.float32(0.5)


def soft_pixels(matte: np.ndarray) -> np.ndarray:
    """Return where pixels of u8 (n, W) are neither 0 nor 255, intp (m,), counted along the rows.

    Eight are looked at together first: most are all of the one or all of the other.
    """
    flat = matte.reshape(-1)
    whole = flat.size // 8 * 8
    mixed = np.flatnonzero(flat[:whole].view(np.uint64) + np.uint64(1) > 1)  # eights
    at = (mixed[:, None] * 8 + np.arange(8)).reshape(-1)
    at = np.concatenate([at, np.arange(whole, flat.size)])
    return at[flat[at] + np.uint8(1) > 1]  # 255 becomes 0


def _lines(cells: np.ndarray, rows: Taps) -> np.ndarray:
    """Return f32 (n, w, 8): f32 cells (h, w, 8), interpolated at `rows`, (n,)."""
    low, part = rows
    upper = cells[low]
    below = cells[np.minimum(low + 1, len(cells) - 1)]
    below -= upper
    below *= part[:, None, None]
    upper += below
    return upper


def _sample(lines: np.ndarray, at: np.ndarray, columns: Taps) -> np.ndarray:
    """Return f32 (m, 8): `lines`, f32 (n, w, 8), at pixels, (m,), counted along the rows."""
    low, part = columns  # (W,)
    y = at // len(low)
    x = at - y * len(low)
    wide = lines.shape[1]
    flat = lines.reshape(-1, 8)
    first = y * wide + low[x]
    left = flat.take(first, axis=0)
    beside = flat.take(first + int(wide > 1), axis=0)
    beside -= left
    beside *= part[x][:, None]
    left += beside
    return left
