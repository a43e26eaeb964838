"""A smaller picture, for the eye: each of its pixels is the mean of a block, weighted by alpha."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from offcut.replaceable import Replaceable

__all__ = ["preview", "shrink_blocks"]

MOST_BLOCK = 8  # pixels, high and wide
BAND_PIXELS = 1 << 20  # worked on at a time


def preview(pixels: np.ndarray, limit: int) -> np.ndarray:
    """Return u8 (h, w, 4) with at most `limit` pixels, of u8 (H, W, 4) with straight alpha.

    Rows and columns that fill no block are left out. Blocks have at most MOST_BLOCK rows.
    """
    block = math.ceil(math.sqrt(pixels.shape[0] * pixels.shape[1] / limit))
    block = min(block, MOST_BLOCK, *pixels.shape[:2])
    parts = (shrink_blocks(band, block) for band in _bands(pixels, block))
    return np.concatenate(list(parts)) if block > 1 else pixels


def _bands(pixels: np.ndarray, block: int) -> Iterator[np.ndarray]:
    height, width = pixels.shape[:2]
    step = max(1, BAND_PIXELS // (width * block)) * block
    for top in range(0, height - height % block, step):
        yield pixels[top : min(top + step, height - height % block)]


@Replaceable
def shrink_blocks(pixels: np.ndarray, block: int) -> np.ndarray:
    """Return u8 (H // block, W // block, 4): rounded means; a colour weighs what its alpha is."""
    high, wide = (extent // block for extent in pixels.shape[:2])
    whole = pixels[: high * block, : wide * block].reshape(high, block, wide, block, 4)
    alphas = np.zeros((high, wide, 1), np.uint32)
    colours = np.zeros((high, wide, 3), np.uint32)  # times their alphas
    for y, x in np.ndindex(block, block):
        some = whole[:, y, :, x].astype(np.uint32)  # (high, wide, 4)
        alphas += some[..., 3:]
        colours += some[..., :3] * some[..., 3:]
    out = np.empty((high, wide, 4), np.uint8)
    out[..., :3] = (colours + alphas // 2) // np.maximum(alphas, 1)
    out[..., 3:] = (alphas + block * block // 2) // (block * block)
    return out
