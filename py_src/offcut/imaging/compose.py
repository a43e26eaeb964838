"""From a photo and its alpha to the result: straight alpha, a background, or the mask alone.

Soft edges are mixtures of subject and old background. `decontaminate` replaces their colour by an
estimate of the subject's own: blurred subject and background colours around the pixel, corrected so
that they mix to what is seen. Source: Forte, "Approximate Fast Foreground Colour Estimation", ICIP
2021; here the blurred colours come from a small copy of the photo.
"""

from __future__ import annotations

import numpy as np

from offcut.errors import OffcutError
from offcut.imaging.resample import resize

__all__ = ["Color", "compose", "parse_color"]

Color = tuple[int, int, int]  # red, green, blue, 0 to 255
BAND = 256  # rows worked off at a time
SMALL = 512  # pixels on the long side of the copy that the blurred colours come from
RADIUS = 8  # pixels of that copy

NAMES: dict[str, Color] = {
    "black": (0, 0, 0),
    "blue": (0, 0, 255),
    "gray": (128, 128, 128),
    "green": (0, 128, 0),
    "grey": (128, 128, 128),
    "red": (255, 0, 0),
    "white": (255, 255, 255),
    "yellow": (255, 255, 0),
}


def compose(
    image: np.ndarray,
    alpha: np.ndarray,
    *,
    only_mask: bool = False,
    background: Color | None = None,
    decontaminate: bool = True,
) -> np.ndarray:
    """Return u8 RGBA (H, W, 4) with straight alpha, or with `only_mask` the alpha u8 (H, W).

    image: u8 RGBA (H, W, 4), whose own alpha is multiplied in. alpha: float32 (H, W) in [0, 1].
    Pixels that stay opaque keep their colours exactly; what is removed is not in the result.
    """
    colours = _nearby_colours(image, alpha) if decontaminate and not only_mask else None
    out = np.empty(image.shape[:2] if only_mask else image.shape, np.uint8)
    for row in range(0, image.shape[0], BAND):
        rows = slice(row, row + BAND)
        part = image[rows]
        final = np.rint(alpha[rows] * part[..., 3]).astype(np.uint8)  # (rows, W)
        if only_mask:
            out[rows] = final
            continue
        rgb = part[..., :3].copy()
        if colours is not None:
            _decontaminate(rgb, alpha[rows], colours, row, image.shape[0])
        rgb[final == 0] = 0
        if background is not None:
            rgb = _over(rgb, final, background)
            final = np.full_like(final, 255)
        out[rows, :, :3] = rgb
        out[rows, :, 3] = final
    return out


def _over(rgb: np.ndarray, alpha: np.ndarray, background: Color) -> np.ndarray:
    """Return u8 (h, w, 3): rgb with alpha over one colour."""
    a = alpha[..., None].astype(np.uint16)
    mixed = rgb * a + np.asarray(background, np.uint16) * (255 - a)
    return ((mixed + 127) // 255).astype(np.uint8)


def _nearby_colours(image: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the blurred colours of subject and background, float32 (h, w, 3) each, small."""
    shrink = min(1.0, SMALL / max(image.shape[:2]))
    size = tuple(max(1, round(extent * shrink)) for extent in image.shape[:2])
    small = resize(image, (size[0], size[1]))[..., :3]
    opacity = resize(alpha[..., None], (size[0], size[1]))
    found = []
    for weight in (opacity, 1 - opacity):
        near = _blurred(np.concatenate([small * weight, weight], axis=2), RADIUS)
        found.append(near[..., :3] / np.maximum(near[..., 3:], np.float32(1e-3)))
    return found[0], found[1]


def _blurred(x: np.ndarray, radius: int) -> np.ndarray:
    """Return x (h, w, c) under a box of 2 * radius + 1, the border repeated."""
    for axis in (0, 1):
        widths = [(radius + 1, radius) if at == axis else (0, 0) for at in range(3)]
        total = np.cumsum(np.pad(x, widths, mode="edge"), axis=axis, dtype=np.float64)
        span, size = 2 * radius + 1, x.shape[axis]
        high = np.take(total, range(span, span + size), axis)
        low = np.take(total, range(size), axis)
        x = ((high - low) / span).astype(np.float32)
    return x


def _decontaminate(
    rgb: np.ndarray,
    alpha: np.ndarray,
    colours: tuple[np.ndarray, np.ndarray],
    first_row: int,
    height: int,
) -> None:
    """Replace the colours of soft pixels in rgb, u8 (rows, W, 3), in place."""
    y, x = np.nonzero((alpha > 0) & (alpha < 1))
    if not y.size:
        return
    h, w = colours[0].shape[:2]
    at_y = np.minimum((y + first_row) * h // height, h - 1)
    at_x = np.minimum(x * w // alpha.shape[1], w - 1)
    subject, old = (found[at_y, at_x] for found in colours)  # (n, 3) each
    a = alpha[y, x][:, None]
    seen = rgb[y, x].astype(np.float32)
    own = subject + a * (seen - a * subject - (1 - a) * old)
    rgb[y, x] = np.rint(np.clip(own, 0, 255)).astype(np.uint8)


def parse_color(text: str) -> Color:
    """Return the colour that "white", "#f80", "#ff8800" or "255,136,0" names."""
    plain = text.strip().lower()
    if plain in NAMES:
        return NAMES[plain]
    digits = plain.removeprefix("#")
    try:
        if "," in plain:
            values = tuple(int(part) for part in plain.split(","))
        elif len(digits) == 3:
            values = tuple(int(digit * 2, 16) for digit in digits)
        elif len(digits) == 6:
            values = tuple(bytes.fromhex(digits))
        else:
            values = ()
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        names = ", ".join(NAMES)
        remedy = f"write #rrggbb, or three numbers from 0 to 255, or one of {names}"
        raise OffcutError(f"{text!r} is not a colour", remedy=remedy)
    return values[0], values[1], values[2]
