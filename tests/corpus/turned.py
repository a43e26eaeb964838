"""A picture stored in each of EXIF's eight orientations, in each format that has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from tests.corpus.ladders import encoded, picture

ORIENTATION = 0x0112  # EXIF tag
FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95},
}


def turned() -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Yield name, bytes, and how the pixels as stored are to be shown, u8 RGB (H, W, 3)."""
    for form, options in FORMATS.items():
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[ORIENTATION] = orientation
            data = encoded(picture(), form, exif=exif, **options)
            shown = upright(np.asarray(picture()), orientation)
            yield f"{form.lower()}-turned-{orientation}", data, shown


def upright(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Return stored pixels, u8 (H, W, 3), as a viewer must show them, after EXIF 2.32, table 6."""
    if orientation >= 5:  # the stored rows are the picture's columns
        stored = stored.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        stored = stored[::-1]
    if orientation in (2, 3, 6, 7):
        stored = stored[:, ::-1]
    return stored
