"""Estimate the subject's and the background's colours around soft edges, on a small copy.

A soft pixel's colour is a mixture of both. Each of the two is spread from where it is pure: a
pyramid of weighted means, read from coarse to fine, where a level counts by how much of its pixel
is pure (pull-push; Gortler et al., "The Lumigraph", 1996). Purity is alpha to the eighth power: so
few mixed pixels take part that no iteration is needed.

Mean error of the subject's colour over soft pixels, for ten mattes on three backgrounds each, with
the true alpha and with a blurred one: untouched .046 and .042; blur-fusion at full size (Forte,
2021) .0119 and .0214; this .0121 and .0204, from a sixteenth of the pixels, shrunk by Lanczos.
Means of whole blocks of pixels, as they are taken now, changed it by -1 to +1 %.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from offcut.imaging.resample import (
    MAX_BLOCK,
    Kernel,
    Taps,
    bilinear_kernel,
    bilinear_taps,
    block_means,
    filtered,
    taps_within,
)
from offcut.replaceable import Replaceable

__all__ = ["COARSEST", "Estimate", "estimate", "spread"]

SIDE = 384  # pixels, about, on the longer side of the small copy; more where MAX_BLOCK says so
LEAST_BLOCK = 2  # finer copies gain nothing
COARSEST = 8  # pixels at most on each side of the level above which there is one mean for all
TRUST = 4.0  # a quarter of a pixel's worth of pure colour is enough to rely on
UNKNOWN = 128  # as alpha: so far from pure that the pixel takes part in neither estimate


@dataclass(frozen=True, slots=True)
class Estimate:
    """Colours by blocks of pixels, of which those at a photo's end may be cut."""

    cells: np.ndarray  # f32 (h, w, 8): subject, 0, background, 0; one look finds all of a pixel
    rows: Taps  # where the photo's lie among them, (H,)
    columns: Taps  # (W,)

    def around(self, rows: slice) -> tuple[np.ndarray, Taps, Taps]:
        """Return what `unmix` needs for some rows of the photo: cells, taps of rows and columns."""
        down, cells = taps_within(self.rows, rows)
        return self.cells[cells], down, self.columns


def estimate(image: np.ndarray, matte: np.ndarray) -> Estimate:
    """Return the colours of subject and background in `image`, u8 (H, W, 4).

    matte: u8 (H, W), the subject's alpha. Pixels that are transparent already hold no mixture.
    """
    block = min(MAX_BLOCK, max(LEAST_BLOCK, round(max(matte.shape) / SIDE)))

    def prepare(band: np.ndarray, rows: slice) -> np.ndarray:
        pixels = band.copy()
        pixels[..., 3] = matte[rows]
        if band[..., 3].min() < 255:
            pixels[..., 3][band[..., 3] < 255] = UNKNOWN
        return pixels

    small = block_means(image, (block, block), prepare)  # (4, h, w)
    taps = (bilinear_taps(*n, block) for n in zip(small.shape[1:], matte.shape, strict=True))
    return Estimate(spread(small), *taps)


def _eighth(x: np.ndarray) -> np.ndarray:
    for _ in range(3):
        x = x * x
    return x


@Replaceable
def spread(small: np.ndarray) -> np.ndarray:
    """Return f32 (h, w, 8), subject, 0, background, 0: colours from where each is pure.

    small: f32 (4, h, w), colours and alpha, 0 to 255.
    """
    alpha = small[3] * np.float32(1 / 255)
    weights = _eighth(np.stack([alpha, 1 - alpha]))  # (2, h, w)
    first = np.empty((2, 4, *alpha.shape), np.float32)
    np.multiply(small[:3], weights[:, None], out=first[:, :3])
    first[:, 3] = weights
    levels = [first]  # (2, 4, h, w) each
    while max(levels[-1].shape[2:]) > COARSEST:
        levels.append(_halved(levels[-1]))
    total = functools.reduce(np.add, np.moveaxis(levels[-1], 2, 0))  # (2, 4, w), row by row
    total = functools.reduce(np.add, np.moveaxis(total, 2, 0))  # (2, 4)
    result = _mean_colour(total[..., None, None])  # (2, 3, 1, 1)
    for level in reversed(levels):
        trust = np.minimum(level[:, 3:] * np.float32(TRUST), 1)
        result = _resampled(result, [bilinear_kernel(*n) for n in _sizes(result, level)])
        result += trust * (_mean_colour(level) - result)
    cells = np.zeros((*alpha.shape, 8), np.float32)
    cells[..., :3], cells[..., 4:7] = result.transpose(0, 2, 3, 1)
    return cells


def _mean_colour(level: np.ndarray) -> np.ndarray:
    return np.asarray(level[:, :3] / np.maximum(level[:, 3:], np.float32(1e-20)))


def _sizes(small: np.ndarray, large: np.ndarray) -> Iterator[tuple[int, int]]:
    return zip(small.shape[2:], large.shape[2:], strict=True)


def _halved(planes: np.ndarray) -> np.ndarray:
    """Return the means of 2x2 pixels of f32 (n, 4, h, w); an odd border counts as repeated."""

    def kernel(size: int) -> Kernel:
        at = np.arange(0, size, 2, dtype=np.int32)
        taps = np.stack([at, np.minimum(at + 1, size - 1)])
        return taps, np.full(taps.shape, 0.5, np.float32)

    return _resampled(planes, [kernel(size) for size in planes.shape[2:]])


def _resampled(planes: np.ndarray, kernels: list[Kernel]) -> np.ndarray:
    """Return f32 (n, c, h, w) planes filtered along both axes."""
    flat = planes.reshape(-1, *planes.shape[2:])
    flat = filtered(flat, kernels[0], kernels[1])
    return flat.reshape(*planes.shape[:2], *flat.shape[1:])
