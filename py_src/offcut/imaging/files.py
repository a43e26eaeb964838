"""Image files and PIL images as arrays, by Pillow: on CPython, and where a canvas would not do."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from offcut.errors import ImageError
from offcut.imaging import tiff
from offcut.imaging.sniff import MAX_PIXELS, check_size, check_whole, read_header

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["decode", "formats", "from_pil"]

# Pillow's names of the formats that are photos; its other readers are not offered files.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "MPO", "PNG", "TIFF", "WEBP")
# What Pillow's readers raise on damaged files.
DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    OverflowError,
    RuntimeError,  # AVIF
    TypeError,
    ZeroDivisionError,
    struct.error,
)


def decode(data: bytes, name: str, *, mend_deflate: bool = True) -> np.ndarray:
    """Return the first frame of an image file as u8 RGBA (H, W, 4), turned by EXIF.

    name: the file's, for errors. mend_deflate: try a TIFF that Pillow cannot read once more,
    inflated by Python. Raises ImageError when it is no photo, damaged or too large; size and
    wholeness are looked at before anything is decoded.
    """
    header = read_header(data, name)
    if header.size is not None:
        check_size(header.size, name)
    check_whole(data, header, name)
    pil = _pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about metadata, and of sizes that are checked here
            image = pil.open(io.BytesIO(data), formats=formats())
            check_size(image.size, name)
            _forget_unofficial_turns(image)
            if header.kind == "PNG":
                _mend_transparency(image, depth=data[24])
            return from_pil(image)
    except (pil.UnidentifiedImageError, ImportError) as error:
        raise ImageError(
            f"{name} is {header.kind}, which cannot be read here, or is damaged",
            remedy="save it as JPEG or PNG",
        ) from error
    except pil.DecompressionBombError as error:
        raise ImageError(
            f"{name} has too many pixels; the limit is {MAX_PIXELS // 1_000_000} megapixels",
            remedy="make it smaller, then try again",
        ) from error
    except DAMAGE as error:
        if header.kind == "TIFF" and mend_deflate:
            return _decode_without_deflate(data, name, error)
        if header.kind in ("BMP", "TIFF"):  # of which there are more kinds than Pillow reads
            way = tiff.compression(data) if header.kind == "TIFF" else ""
            kind = f"TIFF compressed by {way}, which" if way else f"a kind of {header.kind} that"
            raise ImageError(
                f"{name} is {kind} cannot be read here, or damaged: {error}",
                remedy="save it as JPEG or PNG",
            ) from error
        raise ImageError(
            f"{name} is damaged: {error}", remedy="copy or download it again"
        ) from error


def _decode_without_deflate(data: bytes, name: str, refusal: Exception) -> np.ndarray:
    """Decode a TIFF that Pillow could not; what is not deflated is refused as before."""
    try:
        plainer = tiff.without_deflate(data)
    except (struct.error, zlib.error, ValueError) as error:
        raise ImageError(
            f"{name} is damaged: {error}", remedy="copy or download it again"
        ) from refusal
    return decode(plainer, name, mend_deflate=False)


def _forget_unofficial_turns(image: Image) -> None:
    """Leave EXIF alone to turn a photo, as browsers do: not XMP, nor text in a PNG."""
    image.load()  # some of it may stand behind the pixels
    for place in ("xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
        image.info.pop(place, None)


def _mend_transparency(image: Image, *, depth: int) -> None:
    """Let a PNG's one transparent colour be in the unit of the pixels, which Pillow scales."""
    clear = image.info.get("transparency")
    if image.mode == "L" and isinstance(clear, int):
        image.info["transparency"] = clear * 255 // ((1 << depth) - 1)
    elif image.mode == "RGB" and isinstance(clear, tuple) and depth == 16:
        image.info["transparency"] = tuple(level >> 8 for level in clear)


def from_pil(image: Image) -> np.ndarray:
    """Return a PIL image as u8 RGBA (H, W, 4), turned by its EXIF orientation."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode.startswith("I;16") or turned.mode in ("I", "F"):
        turned = _in_eight_bits(turned)
    return np.asarray(turned.convert("RGBA"), np.uint8)


def _in_eight_bits(image: Image) -> Image:
    """Return a grey image of 16 or 32 bits in 8; Pillow itself would clip at 255."""
    from PIL import Image as pil

    values = np.asarray(image)  # (H, W)
    if image.mode.startswith("I;16"):
        levels = values >> 8  # as Pillow and browsers do with colours
    else:  # may mean 0..1, 0..255 or 0..65535
        highest = float(values.max(initial=0))
        top = 65535.0 if highest > 255 else 1.0 if image.mode == "F" and highest <= 1 else 255.0
        scaled = np.nan_to_num(values.astype(np.float32)) * np.float32(255 / top)
        levels = np.rint(np.clip(scaled, 0, 255))
    grey = pil.fromarray(levels.astype(np.uint8), "L")
    clear = image.info.get("transparency")
    if not isinstance(clear, int):
        return grey
    alpha = pil.fromarray(np.where(values == clear, 0, 255).astype(np.uint8), "L")
    return pil.merge("LA", (grey, alpha))


def formats() -> list[str]:
    """Return the names of the formats that can be read here; empty without Pillow."""
    try:
        pil = _pillow()
    except ImageError:
        return []
    pil.init()
    return [name for name in FORMATS if name in pil.OPEN]


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise ImageError(
            "reading image files needs Pillow", remedy="pip install offcut[images]"
        ) from error
    return Image
