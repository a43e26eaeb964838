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
    corners = _corners(colours[0].shape[1:], (height, width), (y + top, x))
    alpha = matte.reshape(-1)[at] * np.float32(1 / 255)  # (m,)
    levels = band.reshape(-1)  # a view
    for c in range(3):
        subject, old = (_sample(planes[c].reshape(-1), *corners) for planes in colours)  # (m,)
        mixed = old + alpha * (subject - old)
        own = subject + alpha * (levels[at * 4 + c] - mixed)
        levels[at * 4 + c] = np.clip(own, 0, 255) + np.float32(0.5)


def _corners(
    size: tuple[int, ...], full: tuple[int, int], at: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where in a flat map of `size` the pixels `at` of a `full` photo lie.

    The four neighbours, intp (2, 2, m), and how far down and right of the first, f32 (m,).
    """
    (low, down), (left, right) = (bilinear_taps(size[i], full[i]) for i in range(2))
    first = low[at[0]].astype(np.intp) * size[1] + left[at[1]]
    below, beside = size[1] * (size[0] > 1), int(size[1] > 1)
    steps = np.array([[0, beside], [below, below + beside]])
    return steps[..., None] + first, down[at[0]], right[at[1]]


def _sample(
    flat: np.ndarray, corners: np.ndarray, down: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Return f32 (m,): a flat f32 map interpolated between the corners, (2, 2, m)."""
    upper, lower = (begin + right * (end - begin) for begin, end in (flat[row] for row in corners))
    return np.asarray(upper + down * (lower - upper))


def _put_on(band: np.ndarray, background: Color) -> None:
    """Put u8 RGBA `band` (n, W, 4) on one colour, in place."""
    own = band[..., 3:].astype(np.uint16)  # (n, W, 1)
    mixed = band[..., :3] * own + np.array(background, np.uint16) * (255 - own)
    band[..., :3] = (mixed + 127) // 255
    band[..., 3] = 255
