"""A photo's way in and its cutout's way out: which decoder, which checks, which name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from pyodide.ffi import JsException

from offcut.errors import DownloadError, ImageError
from offcut.imaging import files, png, sniff
from offcut.imaging.contents import Contents, read_contents
from offcut.imaging.preview import preview
from offcut.imaging.profile import read_colours
from offcut.pipeline import Report
from offcut.web import canvas

__all__ = ["Decoded", "decode", "encode", "name_of_result", "picture_to_compare"]

PREVIEW_PIXELS = 6_000_000  # what a phone can show twice without trouble
PILLOW_READS = ("PNG", "JPEG", "GIF", "WebP", "BMP", "TIFF")

LoadPackage = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A photo's pixels, and what else its file says."""

    pixels: np.ndarray  # u8 RGBA (H, W, 4), turned by EXIF
    colours: bytes  # the PNG chunks that say what their numbers mean; b"" is sRGB
    contents: Contents
    kind: str


async def decode(photo: Any, name: str, load_package: LoadPackage) -> Decoded:
    """Return what is in a Blob.

    The browser decodes; Pillow does where the browser cannot or where a canvas would alter pixels:
    partial alpha, or noise against fingerprinting. Raises ImageError and DownloadError.
    """
    data = bytes((await photo.arrayBuffer()).to_bytes())
    header = sniff.read_header(data, name)
    if header.size is not None:
        sniff.check_size(header.size, name, canvas.pixels_allowed())
    sniff.check_whole(data, header, name)
    exact = canvas.is_exact()
    colours = read_colours(data)
    raw = bool(colours) and await canvas.keeps_numbers(colours)
    contents = read_contents(data, header.kind)
    alike = exact and not _engines_differ(header.kind, contents)
    pixels = await canvas.read_pixels(photo, name, raw=raw) if alike else None
    kept = colours if raw else b""  # else the browser has converted to sRGB
    if pixels is not None and not (header.transparent and pixels[..., 3].min() < 255):
        return Decoded(pixels, kept, contents, header.kind)
    if header.kind in PILLOW_READS:
        try:
            decoded = await _decode_with_pillow(data, name, load_package)
            return Decoded(decoded, colours, contents, header.kind)
        except ImageError:
            if pixels is None:  # else the browser can what Pillow cannot: some BMP
                raise
    if pixels is not None:
        return Decoded(
            pixels, kept, contents, header.kind
        )  # colours under partial alpha are rounded
    raise ImageError(
        f"{name} is {header.kind}, which this browser cannot decode"
        + ("" if exact else " for a page without adding noise to it"),
        remedy="save it as JPEG or PNG, or open this page in another browser",
    )


def _engines_differ(kind: str, contents: Contents) -> bool:
    """Tell whether browsers disagree: on a WebP's orientation, on what of an APNG comes first."""
    return contents.orientation != 1 or (kind == "PNG" and contents.frames > 1)


async def _decode_with_pillow(data: bytes, name: str, load_package: LoadPackage) -> np.ndarray:
    try:
        await load_package("pillow")
    except JsException as error:
        raise DownloadError(
            f"{name} needs one more part of Offcut: {error}", remedy="check the connection"
        ) from error
    return files.decode(data, name)


async def encode(pixels: np.ndarray, colours: bytes, report: Report) -> dict[str, Any]:
    """Return {"png", "preview"}, Blobs, of u8 RGBA (H, W, 4); preview is None for small ones.

    colours: the chunks in which PNG and preview say what their numbers mean.

    Not by the browser's CompressionStream: its level cannot be chosen and it takes four times as
    long as zlib at level 1; here one can also stop between parts.
    """
    height, width = pixels.shape[:2]
    parts = []
    for done, part in png.deflated(pixels):
        parts.append(part)
        if done < height:
            await report("encode", done, height)
    picture = canvas.to_blob(png.wrap(b"".join(parts), pixels.shape, colours=colours), "image/png")
    large = height * width > PREVIEW_PIXELS
    return {
        "png": picture,
        "preview": _to_show(pixels, colours) if large else None,
    }


def picture_to_compare(decoded: Decoded) -> Any:
    """Return a Blob that shows the photo where the page's <img> would not show it as decoded."""
    contents = decoded.contents
    if decoded.kind == "TIFF" or contents.frames > 1 or contents.orientation != 1:
        return _to_show(decoded.pixels, decoded.colours)
    return None


def _to_show(pixels: np.ndarray, colours: bytes) -> Any:
    """Return a Blob that shows u8 RGBA (H, W, 4) with at most PREVIEW_PIXELS."""
    small = preview(pixels, PREVIEW_PIXELS)
    return canvas.to_blob(png.stored(small, colours=colours), "image/png")


def name_of_result(name: str) -> str:
    """Return `photo-offcut.png` for `photo.jpg`."""
    return f"{PurePosixPath(name).stem or 'photo'}-offcut.png"
