"""Make the result from a photo and its alpha: straight alpha, a background, or the mask alone.

What is removed is not in the result: pixels whose alpha is 0 have no colour. Pixels that are
opaque keep their colour exactly. In between, the old background shines through: `decontaminate`
replaces it, by what foreground.py estimates and unmix.py corrects.
"""

from __future__ import annotations

import numpy as np

from offcut.imaging.colors import Color, parse_color
from offcut.imaging.foreground import estimate
from offcut.imaging.unmix import soft_pixels, unmix

__all__ = ["Color", "compose", "parse_color"]

BAND = 64  # rows worked on at a time,
BAND_PIXELS = 1 << 17  # or more, up to so many pixels


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
    colours = estimate(image, matte) if soft else None
    out = np.zeros_like(image)
    step = max(BAND, BAND_PIXELS // matte.shape[1])
    for top in range(0, matte.shape[0], step):
        rows = slice(top, top + step)
        band, final = out[rows], _masked(matte[rows], image[rows, :, 3])
        seen = band.view(np.uint32), image[rows].view(np.uint32)  # (n, W, 1), a pixel in one
        np.copyto(*seen, where=final[..., None] > 0)
        if colours is not None:
            unmix(band, matte[rows], *colours.around(rows))
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
    return any(soft_pixels(band).size > 0 for band in bands)


def _put_on(band: np.ndarray, background: Color) -> None:
    """Put u8 RGBA `band` (n, W, 4) on one colour, in place."""
    own = band[..., 3:].astype(np.uint16)  # (n, W, 1)
    mixed = band[..., :3] * own + np.array(background, np.uint16) * (255 - own)
    band[..., :3] = (mixed + 127) // 255
    band[..., 3] = 255
