"""Shrink a photo to a small picture, and enlarge small maps: separable, in bands of rows.

A large photo is first averaged in whole blocks of pixels, four channels at once in one 64-bit
integer, which costs one pass over its bytes; the rest, at most a factor of three, is Lanczos-3,
as Pillow does it. Of triangle, area, Hamming, cubic and Lanczos, Lanczos and Pillow's aliased box
gave the best masks on a hundred photos; see tests/imaging/test_resample.py for the exactness.
Every sum is a chain of element-wise additions, so that all platforms give the same bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from offcut.replaceable import Replaceable

__all__ = [
    "BAND_SAMPLES",
    "MAX_BLOCK",
    "Kernel",
    "Taps",
    "bilinear_kernel",
    "bilinear_taps",
    "bilinear_width",
    "block_means",
    "block_sums",
    "filtered",
    "shrink",
    "taps_within",
]

BAND_SAMPLES = 1 << 21  # of one array in a band of rows: 8 MB in float32
LOBES = 3  # of the Lanczos kernel
MAX_BLOCK = 16  # 16 * 16 * 255 is the most that 16 bits hold
KEPT = 2  # blocks an output pixel keeps per axis, so that Lanczos decides the frequencies

Prepare = Callable[[np.ndarray, slice], np.ndarray]
Taps = tuple[np.ndarray, np.ndarray]  # of bilinear_taps
Kernel = tuple[np.ndarray, np.ndarray]  # taps, i32, and weights, f32, both (t, size_out)


def shrink(
    image: np.ndarray, size: tuple[int, int], *, prepare: Prepare | None = None
) -> np.ndarray:
    """Return `image`, u8 (H, W, 4), resampled to `size` (h, w): f32 (4, h, w), 0 to 255.

    prepare: called as prepare(band, rows) with u8 (n, W, 4), a view of those rows; returns what
    shall be resampled in its place. An axis may also grow; Lanczos then interpolates.
    """
    full = image.shape[:2]
    block = tuple(min(MAX_BLOCK, max(1, n // (m * KEPT))) for n, m in zip(full, size, strict=True))
    means = block_means(image, (block[0], block[1]), prepare)  # (4, H', W')
    kernels = [_filter(*extents) for extents in zip(full, block, size, strict=True)]
    out = filtered(means, kernels[0], kernels[1])  # (4, h, w)
    return np.clip(out, 0.0, 255.0, out=out)


def bilinear_taps(size_in: int, size_out: int, block: int | None = None) -> Taps:
    """Return, for every output sample, the index before it, i32, and how far past it lies, f32.

    block: outputs that an input covers, of which the last may be cut; None: size_out / size_in.

    Pixel areas are aligned, not pixel centres (align_corners is false); edges are repeated. The
    index is at most size_in - 2 (0 when there is one sample), so index + 1 needs care only then.
    """
    step = 1 / block if block else size_in / size_out
    at = (np.arange(size_out, dtype=np.float64) + 0.5) * step - 0.5
    at = np.clip(at, 0.0, size_in - 1)
    low = np.minimum(at.astype(np.int32), max(size_in - 2, 0))
    return low, (at - low).astype(np.float32)


def taps_within(taps: Taps, some: slice) -> tuple[Taps, slice]:
    """Return the taps of `some` of the samples, and the cells they need, from which they count."""
    low, part = taps[0][some], taps[1][some]
    cells = slice(int(low[0]), int(low[-1]) + 2)
    return (low - cells.start, part), cells


def bilinear_kernel(size_in: int, size_out: int) -> Kernel:
    """Return bilinear_taps as a kernel of two taps."""
    low, part = bilinear_taps(size_in, size_out)
    taps = np.stack([low, np.minimum(low + 1, size_in - 1)])
    return taps, np.stack([1 - part, part])


def bilinear_width(rows: np.ndarray, low: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return f32 (n, W): each of `rows`, f32 (n, w), sampled at `low + part`, both (W,)."""
    steps = np.zeros_like(rows)  # (n, w)
    np.subtract(rows[:, 1:], rows[:, :-1], out=steps[:, :-1])
    out: np.ndarray = steps[:, low]  # (n, W)
    out *= part
    out += rows[:, low]
    return out


def block_means(
    image: np.ndarray, block: tuple[int, int], prepare: Prepare | None = None
) -> np.ndarray:
    """Return the mean of each block of pixels, f32 (4, H', W'); blocks at the end may be cut.

    block: rows and columns, at most MAX_BLOCK each. prepare: as in `shrink`.
    """
    height, width = image.shape[:2]
    high, wide = block
    if block == (1, 1):
        whole = image if prepare is None else prepare(image, slice(0, height))
        return np.ascontiguousarray(whole.transpose(2, 0, 1), np.float32)
    out = np.empty((4, -(-height // high), -(-width // wide)), np.float32)  # (4, H', W')
    widths = np.full(out.shape[2], wide, np.float32)
    widths[-1] = width - (out.shape[2] - 1) * wide
    step = max(1, BAND_SAMPLES // (width * 4 * high)) * high
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        band = image[rows] if prepare is None else prepare(image[rows], rows)
        sums = block_sums(band, high, wide)  # u16 (n, W', 4)
        first = top // high
        means = out[:, first : first + sums.shape[0]]  # (4, n, W')
        means[...] = sums.transpose(2, 0, 1)
        means /= widths * np.float32(high)
        cut = (rows.stop - top) % high
        if cut:
            means[:, -1] *= np.float32(high / cut)
    return out


@Replaceable
def block_sums(band: np.ndarray, high: int, wide: int) -> np.ndarray:
    """Return the sums of blocks of u8 (n, W, 4), u16 (ceil(n / high), ceil(W / wide), 4)."""
    return _column_sums(_row_sums(band, high), wide)


def _row_sums(band: np.ndarray, high: int) -> np.ndarray:
    """Return the sums of every `high` rows, u16 (ceil(n / high), W, 4)."""
    sums = band[::high].astype(np.uint16)
    for k in range(1, high):
        rows = band[k::high]
        sums[: rows.shape[0]] += rows
    return sums


def _column_sums(sums: np.ndarray, wide: int) -> np.ndarray:
    """Return the sums of every `wide` columns of u16 (n, W, 4), u16 (n, ceil(W / wide), 4).

    The four channels of a pixel are one 64-bit integer; MAX_BLOCK keeps them from overflowing.
    """
    if wide == 1:
        return sums
    pixels = sums.view(np.uint64)[..., 0]  # (n, W)
    total = pixels[:, ::wide].copy()  # (n, W')
    for k in range(1, wide):
        columns = pixels[:, k::wide]
        total[:, : columns.shape[1]] += columns
    return total.view(np.uint16).reshape(*total.shape, 4)


@functools.lru_cache(maxsize=8)  # a photo is shrunk more than once
def _filter(size: int, block: int, size_out: int) -> Kernel:
    """Return taps i32 and weights f32, both (t, size_out), for blocks of a line of `size` pixels.

    A block weighs what the kernel says at its centre, times its width; the weights sum to 1.
    """
    count = -(-size // block)
    begins = np.arange(count) * block
    ends = np.minimum(begins + block, size)
    scale = max(size / size_out, 1.0)  # of the kernel: never narrower than the pixels
    centres = (np.arange(size_out) + 0.5) * (size / size_out)
    first = np.floor((centres - LOBES * scale) / block).astype(np.int64)
    reach = int(np.ceil(2 * LOBES * scale / block)) + 1
    taps = first + np.arange(reach)[:, None]  # (t, size_out)
    inside = (taps >= 0) & (taps < count)
    taps = np.clip(taps, 0, count - 1)
    distance = ((begins + ends)[taps] / 2 - centres) / scale
    weights = np.where(inside, _lanczos(distance) * (ends - begins)[taps], 0.0)
    weights /= weights.sum(axis=0)
    used = np.flatnonzero(weights.any(axis=1))
    kept = slice(used[0], used[-1] + 1)
    return taps[kept].astype(np.int32), weights[kept].astype(np.float32)


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < LOBES, np.sinc(x) * np.sinc(x / LOBES), 0.0)


@Replaceable
def filtered(planes: np.ndarray, rows: Kernel, columns: Kernel) -> np.ndarray:
    """Return f32 (c, h, w): `planes`, f32 (c, H, W), filtered along both axes.

    Whole rows are gathered, which is several times faster than gathering numbers.
    """
    for taps, weights in (rows, columns):
        out = planes.take(taps[0], axis=1)
        out *= weights[0][:, None]
        for tap, weight in zip(taps[1:], weights[1:], strict=True):
            term = planes.take(tap, axis=1)
            term *= weight[:, None]
            out += term
        planes = np.ascontiguousarray(out.swapaxes(1, 2))
    return planes
