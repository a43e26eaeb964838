"""Image files on CPython (and in the browser where its decoder cannot be trusted), by Pillow."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from offcut.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["MAX_PIXELS", "decode", "formats", "from_pil"]

MAX_PIXELS = 50_000_000  # what is tested; larger photos are refused before they are decoded


def decode(data: bytes, name: str) -> np.ndarray:
    """Return the first frame of an image file as u8 RGBA (H, W, 4), turned by EXIF.

    name: the file's, for errors. Raises ImageError when it is no image, damaged or too large.
    """
    pil = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pil.DecompressionBombWarning)
            image = pil.open(io.BytesIO(data))
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(
                    f"{name} is {width}x{height}, {width * height / 1e6:.0f} megapixels; "
                    f"at most {MAX_PIXELS / 1e6:.0f} can be cut out",
                    remedy="make it smaller first",
                )
            return from_pil(image)
    except pil.UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not an image that can be read", remedy="save it as JPEG or PNG"
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, pil.DecompressionBombError) as error:
        raise ImageError(
            f"{name} is damaged: {error}", remedy="fetch or export the file again"
        ) from error


def from_pil(image: Image) -> np.ndarray:
    """Return a PIL image as u8 RGBA (H, W, 4), turned by its EXIF orientation."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in ("I", "I;16", "I;16B", "I;16L", "F"):
        turned = _eight_bits(turned)
    return np.asarray(turned.convert("RGBA"), np.uint8)


def _eight_bits(image: Image) -> Image:
    """Return a grey image of 16 or 32 bits in 8: the upper byte, not clipped values."""
    from PIL import Image as pil

    values = np.asarray(image).astype(np.float64)
    top = 65535.0 if values.max(initial=0) > 255 else 255.0
    return pil.fromarray(np.clip(values * (255 / top), 0, 255).astype(np.uint8), "L")


def formats() -> list[str]:
    """Return the names of the formats that can be read here; empty without Pillow."""
    try:
        pil = _pillow()
    except ImageError:
        return []
    pil.init()
    return sorted(pil.OPEN)


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImageError(
            "reading image files needs Pillow", remedy="pip install offcut[images]"
        ) from error
    return Image
