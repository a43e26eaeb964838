"""A picture in every format, cut off at every twentieth, or with bits of it flipped."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {  # name -> Pillow's format, options
    "png": ("PNG", {}),
    "jpeg": ("JPEG", {"quality": 90}),
    "jpeg-progressive": ("JPEG", {"quality": 90, "progressive": True}),
    "jpeg-restart": ("JPEG", {"quality": 90, "restart_marker_rows": 1}),
    "webp": ("WEBP", {"quality": 80}),
    "webp-lossless": ("WEBP", {"lossless": True}),
    "avif": ("AVIF", {"quality": 80}),
    "gif": ("GIF", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff-lzw": ("TIFF", {"compression": "tiff_lzw"}),
    "tiff-deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
}
STEPS = 20
FLIPS = 24  # in each format


def picture(width: int = 50, height: int = 40) -> Image.Image:
    """Return a picture with smooth and noisy parts, its corners unlike each other."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    levels = np.stack([x, y, 255 - x / 2], axis=2)
    levels += np.random.default_rng(5).normal(0, 12, levels.shape) * (x > 128)[..., None]
    return Image.fromarray(levels.clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return an image file."""
    sink = io.BytesIO()
    image.save(sink, form, **options)
    return sink.getvalue()


def whole() -> dict[str, bytes]:
    """Return a file of each format."""
    return {name: encoded(picture(), form, **more) for name, (form, more) in FORMATS.items()}


def cut() -> Iterator[tuple[str, bytes]]:
    """Yield each file cut off at every twentieth of its length, from nothing on."""
    for name, data in whole().items():
        for step in range(STEPS):
            yield f"{name}-cut-{step * 100 // STEPS}", data[: len(data) * step // STEPS]


def flipped() -> Iterator[tuple[str, bytes]]:
    """Yield each file with one bit flipped, early ones more often: there the structure is."""
    rng = np.random.default_rng(9)
    for name, data in whole().items():
        for number in range(FLIPS):
            body = bytearray(data)
            at = int(len(data) ** rng.random()) - 1
            body[at] ^= 1 << int(rng.integers(8))
            yield f"{name}-flip-{number}-at-{at}", bytes(body)
