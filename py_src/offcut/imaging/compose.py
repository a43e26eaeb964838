"""Make the result from a photo and its alpha: straight alpha, a background, or the mask alone.

What is removed is not in the result: pixels whose alpha is 0 have no colour. Pixels that are
opaque keep their colour exactly. In between, the old background shines through; `decontaminate`
replaces it: the subject's colour is taken so that it would mix with the background's to what is
seen, starting from the estimates of foreground.py. Source of that correction: Forte, "Approximate
Fast Foreground Colour Estimation", ICIP 2021.
"""

from __future__ import annotations

import numpy as np

from offcut.imaging.colors import Color, parse_color
from offcut.imaging.foreground import Estimate, estimate
from offcut.imaging.resample import bilinear_taps

__all__ = ["Color", "compose", "parse_color"]

BAND = 64  # rows worked on at a time


def compose(
    image: np.ndarray,
    alpha: np.ndarray,
    *,
    only_mask: bool = False,
    background: Color | None = None,
    decontaminate: bool = True,
) -> np.ndarray:
    """Return u8 RGBA (H, W, 4) with straight alpha, or with `only_mask` the alpha, u8 (H, W).

    image: u8 RGBA (H, W, 4), whose own alpha is multiplied in. alpha: f32 (H, W) in [0, 1].
    background: a colour to put the subject on; the result is opaque then.
    """
    image = np.ascontiguousarray(image)
    matte = _in_eight_bits(alpha)  # (H, W)
    if only_mask:
        return _masked(matte, image[..., 3])
    soft = decontaminate and _is_soft(matte)
    colours = _Colours(estimate(image, matte), matte.shape) if soft else None
    out = np.zeros_like(image)
    for top in range(0, matte.shape[0], BAND):
        rows = slice(top, top + BAND)
        band, final = out[rows], _masked(matte[rows], image[rows, :, 3])
        seen = band.view(np.uint32), image[rows].view(np.uint32)  # (n, W, 1), a pixel in one
        np.copyto(*seen, where=final[..., None] > 0)
        if colours is not None:
            _decontaminate(band, matte[rows], rows, colours)
        band[..., 3] = final
        if background is not None:
            _put_on(band, background)
    return out


def _in_eight_bits(alpha: np.ndarray) -> np.ndarray:
    """Return u8 (H, W): f32 alpha (H, W) in [0, 1] in steps of 1/255, rounded."""
    out = np.empty(alpha.shape, np.uint8)
    for top in range(0, alpha.shape[0], BAND):
        band = alpha[top : top + BAND] * np.float32(255)
        band += np.float32(0.5)
        out[top : top + BAND] = band  # truncated
    return out


def _masked(matte: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return u8 (n, W): the matte times the photo's own alpha, both u8 (n, W)."""
    if own.min() == 255:
        return matte
    out = np.empty_like(matte)
    for top in range(0, matte.shape[0], BAND):
        rows = slice(top, top + BAND)
        out[rows] = (matte[rows] * own[rows].astype(np.uint16) + 127) // 255
    return out


def _is_soft(matte: np.ndarray) -> bool:
    """Tell whether any pixel of u8 (H, W) is neither 0 nor 255."""
    bands = (matte[top : top + BAND] for top in range(0, matte.shape[0], BAND))
    return any(_soft(band).size > 0 for band in bands)


def _soft(matte: np.ndarray) -> np.ndarray:
    """Return where pixels of u8 (n, W) are neither 0 nor 255, intp (m,), counted along the rows.

    Eight are looked at together first: most are all of the one or all of the other.
    """
    flat = matte.reshape(-1)
    whole = flat.size // 8 * 8
    mixed = np.flatnonzero(flat[:whole].view(np.uint64) + np.uint64(1) > 1)  # eights
    at = (mixed[:, None] * 8 + np.arange(8)).reshape(-1)
    at = np.concatenate([at, np.arange(whole, flat.size)])
    return at[flat[at] + np.uint8(1) > 1]  # 255 becomes 0


class _Colours:
    """Estimated colours, to be looked up for pixels of a photo."""

    def __init__(self, found: Estimate, size: tuple[int, ...]) -> None:
        """size: rows and columns of the photo."""
        _, high, wide = found.subject.shape
        planes = np.zeros((2, 4, high, wide), np.float32)
        planes[0, :3], planes[1, :3] = found.subject, found.background
        # f32 (h, w, 8): subject, 0, background, 0, so that one look finds all of a pixel.
        self._cells = np.ascontiguousarray(planes.reshape(8, high, wide).transpose(1, 2, 0))
        self._down = bilinear_taps(high, size[0], found.block)
        self._across = bilinear_taps(wide, size[1], found.block)

    def at(self, rows: slice, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return f32 (m, 8) for the pixels at row y of `rows` and at column x, (m,) each."""
        low, right = self._across
        lines = self._lines(rows)  # (n, w, 8)
        wide = lines.shape[1]
        flat = lines.reshape(-1, 8)
        first = y * wide + low[x]
        left = flat.take(first, axis=0)
        beside = flat.take(first + int(wide > 1), axis=0)
        beside -= left
        beside *= right[x][:, None]
        left += beside
        return left

    def _lines(self, rows: slice) -> np.ndarray:
        """Return f32 (n, w, 8): the cells, interpolated at the photo's `rows`."""
        low, down = (part[rows] for part in self._down)
        upper = self._cells[low]
        below = self._cells[np.minimum(low + 1, len(self._cells) - 1)]
        below -= upper
        below *= down[:, None, None]
        upper += below
        return upper


def _decontaminate(band: np.ndarray, matte: np.ndarray, rows: slice, colours: _Colours) -> None:
    """Replace the colours of the soft pixels of `band`, u8 (n, W, 4), in place.

    matte: u8 (n, W). rows: of the photo that the band is. Pixels that were transparent already
    hold no mixture.
    """
    width = matte.shape[1]
    at = _soft(matte)  # (m,)
    at = at[band.reshape(-1, 4)[at, 3] == 255]
    if not at.size:
        return
    y = at // width
    found = colours.at(rows, y, at - y * width)  # (m, 8)
    alpha = matte.reshape(-1)[at] * np.float32(1 / 255)  # (m,)
    levels = band.reshape(-1)  # a view
    for c in range(3):
        subject, old = found[:, c], found[:, 4 + c]  # (m,)
        mixed = old + alpha * (subject - old)
        own = subject + alpha * (levels[at * 4 + c] - mixed)
        levels[at * 4 + c] = np.clip(own, 0, 255) + np.float32(0.5)


def _put_on(band: np.ndarray, background: Color) -> None:
    """Put u8 RGBA `band` (n, W, 4) on one colour, in place."""
    own = band[..., 3:].astype(np.uint16)  # (n, W, 1)
    mixed = band[..., :3] * own + np.array(background, np.uint16) * (255 - own)
    band[..., :3] = (mixed + 127) // 255
    band[..., 3] = 255
