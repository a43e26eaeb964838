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
from offcut.imaging.resample import Taps, bilinear_taps, bilinear_width, shrink, taps_within
from offcut.replaceable import Replaceable

__all__ = ["enlarged", "refine"]

LARGE = 1 << 19  # pixels; to find out what is sure takes longer than a smaller photo
BAND = 32  # rows worked on at a time,
BAND_PIXELS = 1 << 17  # or more, up to so many pixels
SLACK = 1e-4  # of alpha: sure enough that no rounding of the sums is seen
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
    large = height * width > LARGE
    sure = _sure(lines, spec.contrast) if large else np.zeros(alpha.shape, np.int8)  # (h, w)
    # With contrast, and for colours from 0 to 255.
    lines *= np.float32(spec.contrast)
    lines[3] += np.float32(0.5 - 0.5 * spec.contrast)
    lines[:3] *= np.float32(1 / 255)
    rows = bilinear_taps(alpha.shape[0], height)  # (H,) each
    columns = bilinear_taps(alpha.shape[1], width)  # (W,) each
    out = np.empty((height, width), np.float32)
    step = max(BAND, BAND_PIXELS // width)
    for top in range(0, height, step):
        band = slice(top, min(top + step, height))
        down, high = taps_within(rows, band)
        band_sure = _agreed(sure[high])[columns[0]]  # i8 (W,)
        out[band] = band_sure == 1
        for span in _spans(band_sure == 0):
            across, wide = taps_within(columns, span)
            out[band, span] = enlarged(lines[:, high, wide], image[band, span], down, across)
    return out


def _sure(lines: np.ndarray, contrast: float) -> np.ndarray:
    """Return i8 (h, w): 1 where no colour gives less than 1, -1 where none gives more than 0."""
    margin = np.float32(0.5 / contrast + SLACK)
    below = np.minimum(lines[:3], 0).sum(axis=0)
    above = lines[0] + lines[1] + lines[2] - below
    surely_in = lines[3] + below >= np.float32(0.5) + margin
    return surely_in.astype(np.int8) - (lines[3] + above <= np.float32(0.5) - margin)


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


@Replaceable
def enlarged(lines: np.ndarray, pixels: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """Return alpha, f32 (n, m), of u8 `pixels` (n, m, 4) by the lines, f32 (4, h, w), at the taps.

    lines: three factors for colours from 0 to 255, and an offset.
    """
    low, part = rows  # (n,)
    upper = lines[:, low]  # (4, n, w)
    between = lines[:, np.minimum(low + 1, lines.shape[1] - 1)]
    between -= upper
    between *= part[:, None]
    between += upper
    total = bilinear_width(between[3], *columns)
    for c in range(3):
        factor = bilinear_width(between[c], *columns)
        factor *= pixels[..., c]
        total += factor
    np.maximum(total, 0, out=total)
    return np.minimum(total, 1, out=total)
