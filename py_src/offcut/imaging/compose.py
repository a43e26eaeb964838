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
    colours = estimate(image, matte) if decontaminate and _is_soft(matte) else None
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
    return any(bool(_soft(matte[top : top + BAND]).any()) for top in range(0, matte.shape[0], BAND))


def _soft(matte: np.ndarray) -> np.ndarray:
    return np.asarray(matte + np.uint8(1) > 1)  # bool; 255 becomes 0


def _decontaminate(
    band: np.ndarray, matte: np.ndarray, top: int, height: int, colours: Colours
) -> None:
    """Replace the colours of the soft pixels of `band`, u8 (n, W, 4), in place.

    matte: u8 (n, W). top, height: the band's first row and the photo's rows. Pixels that were
    transparent already hold no mixture.
    """
    width = matte.shape[1]
    at = np.flatnonzero(_soft(matte) & (band[..., 3] == 255))  # (m,)
    if not at.size:
        return
    y, x = at // width, at % width
    rows = _Places(colours[0].shape[1], height, y + top)
    columns = _Places(colours[0].shape[2], width, x)
    alpha = matte.reshape(-1)[at] * np.float32(1 / 255)  # (m,)
    pixels = band.reshape(-1, 4)  # a view
    for c in range(3):
        subject, old = (_sample(planes[c], rows, columns) for planes in colours)  # (m,)
        mixed = alpha * subject + (1 - alpha) * old
        own = subject + alpha * (pixels[at, c] - mixed)
        pixels[at, c] = np.clip(own, 0, 255) + np.float32(0.5)


class _Places:
    """Where samples lie along one axis of a small map."""

    def __init__(self, size: int, size_full: int, at: np.ndarray) -> None:
        low, part = bilinear_taps(size, size_full)
        self.low, self.part = low[at], part[at]  # (m,) each
        self.high = np.minimum(self.low + 1, size - 1)


def _sample(plane: np.ndarray, rows: _Places, columns: _Places) -> np.ndarray:
    """Return f32 (m,): f32 `plane` (h, w) at the places, bilinearly."""
    upper = plane[rows.low, columns.low]
    upper += columns.part * (plane[rows.low, columns.high] - upper)
    lower = plane[rows.high, columns.low]
    lower += columns.part * (plane[rows.high, columns.high] - lower)
    return np.asarray(upper + rows.part * (lower - upper))


def _put_on(band: np.ndarray, background: Color) -> None:
    """Put u8 RGBA `band` (n, W, 4) on one colour, in place."""
    own = band[..., 3:].astype(np.uint16)  # (n, W, 1)
    mixed = band[..., :3] * own + np.array(background, np.uint16) * (255 - own)
    band[..., :3] = (mixed + 127) // 255
    band[..., 3] = 255
