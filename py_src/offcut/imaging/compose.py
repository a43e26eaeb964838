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
from offcut.imaging.foreground import Colours, estimate
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
    colours = _side_by_side(estimate(image, matte)) if soft else None
    out = np.zeros_like(image)
    for top in range(0, matte.shape[0], BAND):
        rows = slice(top, top + BAND)
        band, final = out[rows], _masked(matte[rows], image[rows, :, 3])
        seen = band.view(np.uint32), image[rows].view(np.uint32)  # (n, W, 1), a pixel in one
        np.copyto(*seen, where=final[..., None] > 0)
        if colours is not None:
            _decontaminate(band, matte[rows], top, matte.shape[0], colours)
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


def _side_by_side(colours: Colours) -> np.ndarray:
    """Return f32 (h, w, 8): subject, 0, background, 0, so that one look finds all of a pixel."""
    planes = np.zeros((2, 4, *colours[0].shape[1:]), np.float32)
    planes[0, :3], planes[1, :3] = colours
    return np.ascontiguousarray(planes.reshape(8, *planes.shape[2:]).transpose(1, 2, 0))


def _decontaminate(
    band: np.ndarray, matte: np.ndarray, top: int, height: int, colours: np.ndarray
) -> None:
    """Replace the colours of the soft pixels of `band`, u8 (n, W, 4), in place.

    matte: u8 (n, W). top, height: the band's first row and the photo's rows. colours: f32
    (h, w, 8). Pixels that were transparent already hold no mixture.
    """
    width = matte.shape[1]
    at = _soft(matte)  # (m,)
    at = at[band.reshape(-1, 4)[at, 3] == 255]
    if not at.size:
        return
    y = at // width
    found = _sample(_lines(colours, top, len(band), height), y, at - y * width, width)  # (m, 8)
    alpha = matte.reshape(-1)[at] * np.float32(1 / 255)  # (m,)
    levels = band.reshape(-1)  # a view
    for c in range(3):
        subject, old = found[:, c], found[:, 4 + c]  # (m,)
        mixed = old + alpha * (subject - old)
        own = subject + alpha * (levels[at * 4 + c] - mixed)
        levels[at * 4 + c] = np.clip(own, 0, 255) + np.float32(0.5)


def _lines(colours: np.ndarray, top: int, count: int, height: int) -> np.ndarray:
    """Return f32 (count, w, 8): `colours` at rows [top, top + count) of a photo of `height`."""
    low, down = (part[top : top + count] for part in bilinear_taps(len(colours), height))
    upper = colours[low]
    below = colours[np.minimum(low + 1, len(colours) - 1)]
    below -= upper
    below *= down[:, None, None]
    upper += below
    return upper


def _sample(lines: np.ndarray, y: np.ndarray, x: np.ndarray, width: int) -> np.ndarray:
    """Return f32 (m, 8): `lines`, f32 (n, w, 8), at row y and column x of `width`, (m,) each."""
    across = lines.shape[1]
    low, right = bilinear_taps(across, width)
    flat = lines.reshape(-1, 8)
    first = y * across + low[x]
    left = flat.take(first, axis=0)
    beside = flat.take(first + int(across > 1), axis=0)
    beside -= left
    beside *= right[x][:, None]
    left += beside
    return left


def _put_on(band: np.ndarray, background: Color) -> None:
    """Put u8 RGBA `band` (n, W, 4) on one colour, in place."""
    own = band[..., 3:].astype(np.uint16)  # (n, W, 1)
    mixed = band[..., :3] * own + np.array(background, np.uint16) * (255 - own)
    band[..., :3] = (mixed + 127) // 255
    band[..., 3] = 255
