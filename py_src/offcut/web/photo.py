"""A photo's way in and its cutout's way out: which decoder, which checks, which name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from pyodide.ffi import JsException

from offcut.errors import DownloadError, ImageError
from offcut.imaging import files, png, sniff
from offcut.imaging.profile import read_profile
from offcut.pipeline import Report
from offcut.web import canvas

__all__ = ["decode", "encode", "name_of_result"]

PREVIEW_PIXELS = 4_000_000  # what a phone can show twice without trouble
PILLOW_READS = ("PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF")

LoadPackage = Callable[[str], Awaitable[None]]


async def decode(photo: Any, name: str, load_package: LoadPackage) -> tuple[np.ndarray, bytes]:
    """Return a Blob's pixels, u8 RGBA (H, W, 4), turned by EXIF, and its ICC profile or b"".

    The browser decodes; Pillow does where the browser cannot or where a canvas would alter pixels:
    partial alpha, or noise against fingerprinting. Raises ImageError and DownloadError.
    """
    data = bytes((await photo.arrayBuffer()).to_bytes())
    header = sniff.read_header(data, name)
    if header.size is not None:
        sniff.check_size(header.size, name)
    sniff.check_whole(data, header, name)
    exact = canvas.is_exact()
    profile = read_profile(data)
    raw = bool(profile) and await canvas.keeps_numbers()
    pixels = await canvas.read_pixels(photo, name, raw=raw) if exact else None
    if pixels is not None and not (header.transparent and pixels[..., 3].min() < 255):
        return pixels, profile if raw else b""  # else the browser has converted them to sRGB
    if header.kind in PILLOW_READS:
        return await _decode_with_pillow(data, name, load_package), profile
    if pixels is not None:
        return pixels, b""  # AVIF and the like: colours under partial alpha are rounded
    raise ImageError(
        f"{name} is {header.kind}, which this browser cannot decode"
        + ("" if exact else " for a page without adding noise to it"),
        remedy="save it as JPEG or PNG, or open this page in another browser",
    )


async def _decode_with_pillow(data: bytes, name: str, load_package: LoadPackage) -> np.ndarray:
    try:
        await load_package("pillow")
    except JsException as error:
        raise DownloadError(
            f"{name} needs one more part of Offcut: {error}", remedy="check the connection"
        ) from error
    return files.decode(data, name)


async def encode(pixels: np.ndarray, profile: bytes, report: Report) -> dict[str, Any]:
    """Return {"png", "preview"}, Blobs, of u8 RGBA (H, W, 4); preview is None for small ones.

    profile: what the PNG and the preview say of their colours.

    Not by the browser's CompressionStream: its level cannot be chosen and it takes four times as
    long as Python's zlib; here one can also stop between parts.
    """
    height, width = pixels.shape[:2]
    parts = []
    for done, part in png.deflated(pixels):
        parts.append(part)
        await report("encode", done, height)
    picture = canvas.to_blob(png.wrap(b"".join(parts), pixels.shape, profile=profile), "image/png")
    large = height * width > PREVIEW_PIXELS
    return {
        "png": picture,
        "preview": await canvas.shrink(pixels, PREVIEW_PIXELS, profile) if large else None,
    }


def name_of_result(name: str) -> str:
    """Return `photo-offcut.png` for `photo.jpg`."""
    return f"{PurePosixPath(name).stem or 'photo'}-offcut.png"
