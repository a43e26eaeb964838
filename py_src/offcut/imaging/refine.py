"""Enlarge alpha from the network's size to the photo's, with the photo's own edges.

Bilinear enlarging of a 320x320 map makes edges that are pixels of the map wide, and wobble. Here
the map is expressed by the photo's colours (guided.py) and only those coefficients are enlarged;
then contrast about one half, as the card says, undoes the softness of hard edges. Most of a photo
is plainly inside or plainly outside: there the result is filled in without computing it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from offcut.card import OutputSpec
from offcut.imaging.guided import coefficients
from offcut.imaging.resample import bilinear_taps, bilinear_width, shrink

__all__ = ["refine"]

BAND = 32  # rows worked on at a time
JOIN = 64  # columns: spans of work that are nearer than this become one


def refine(
    alpha: np.ndarray, image: np.ndarray, spec: OutputSpec, *, small: np.ndarray | None = None
) -> np.ndarray:
    """Return alpha, f32 (H, W) in [0, 1], for `image`, u8 (H, W, 4), from alpha, f32 (h, w).

    small: `image` shrunk to the size of alpha, f32 (3, h, w), 0 to 255, if that is known.
    """
    height, width = image.shape[:2]
    if small is None or small.shape[1:] != alpha.shape:
        small = shrink(image, (alpha.shape[0], alpha.shape[1]))[:3]  # (3, h, w)
    lines = coefficients(alpha, small * np.float32(1 / 255))  # (4, h, w)
    sure = _sure(lines, spec.contrast)  # i8 (h, w)
    # With contrast, and for colours from 0 to 255.
    lines *= np.float32(spec.contrast)
    lines[3] += np.float32(0.5 - 0.5 * spec.contrast)
    lines[:3] *= np.float32(1 / 255)
    lows, parts = bilinear_taps(alpha.shape[0], height)  # (H,)
    columns, column_parts = bilinear_taps(alpha.shape[1], width)  # (W,)
    out = np.empty((height, width), np.float32)
    for top in range(0, height, BAND):
        rows = slice(top, min(top + BAND, height))
        band_sure = _agreed(sure[lows[top] : lows[rows.stop - 1] + 2])[columns]  # i8 (W,)
        out[rows] = band_sure == 1
        for span in _spans(band_sure == 0):
            first, last = columns[span.start], columns[span.stop - 1]
            near = lines[:, :, first : last + 2]  # (4, h, w'), what the span reads
            mixed = _rows_between(near, lows[rows], parts[rows])  # (4, n, w')
            taps = columns[span] - first, column_parts[span]
            out[rows, span] = _combine(image[rows, span], mixed, taps)
    return out


def _sure(lines: np.ndarray, contrast: float) -> np.ndarray:
    """Return i8 (h, w): 1 where no colour gives less than 1, -1 where none gives more than 0."""
    margin = np.float32(0.5 / contrast)
    least = lines[3] + np.minimum(lines[:3], 0).sum(axis=0)
    most = lines[3] + np.maximum(lines[:3], 0).sum(axis=0)
    return (least >= np.float32(0.5) + margin).astype(np.int8) - (most <= np.float32(0.5) - margin)


def _agreed(sure: np.ndarray) -> np.ndarray:
    """Return i8 (w,): what all rows of `sure` and the next column too say, 0 if they differ.

    Interpolation between places that are all sure of the same is sure of it as well.
    """
    low, high = sure.min(axis=0), sure.max(axis=0)
    low[:-1], high[:-1] = np.minimum(low[:-1], low[1:]), np.maximum(high[:-1], high[1:])
    return np.where(low == high, low, 0)


def _spans(active: np.ndarray) -> Iterator[slice]:
    """Yield the runs of columns of bool (W,) that are active, near ones as one."""
    changes = np.flatnonzero(np.diff(active, prepend=False, append=False))
    begins, ends = changes[::2], changes[1::2]
    apart = np.flatnonzero(begins[1:] - ends[:-1] > JOIN)
    if begins.size:
        starts = [0, *(apart + 1).tolist()]
        stops = [*apart.tolist(), begins.size - 1]
        yield from (slice(begins[i], ends[j]) for i, j in zip(starts, stops, strict=True))


def _rows_between(lines: np.ndarray, lows: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return f32 (4, n, w): `lines`, f32 (4, h, w), interpolated at rows `lows + parts`, (n,)."""
    upper = lines[:, lows]
    lower = lines[:, np.minimum(lows + 1, lines.shape[1] - 1)]
    lower -= upper
    lower *= parts[:, None]
    lower += upper
    return lower


def _combine(
    pixels: np.ndarray, lines: np.ndarray, taps: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return alpha, f32 (n, m), of u8 `pixels` (n, m, 4) by the lines, f32 (4, n, w), at `taps`."""
    total = bilinear_width(lines[3], *taps)
    for c in range(3):
        factor = bilinear_width(lines[c], *taps)
        factor *= pixels[..., c]
        total += factor
    np.maximum(total, 0, out=total)
    return np.minimum(total, 1, out=total)
