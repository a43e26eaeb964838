"""Pixels in and pictures out by means of the browser: its decoders, its canvas.

A canvas gives opaque pixels back exactly, unless a privacy mode adds noise: `is_exact` finds out.
Pixels with partial alpha it changes (they are stored premultiplied), so such photos are decoded by
Pillow, and results are never made by a canvas.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import js
import numpy as np
from pyodide.ffi import JsException, to_js

from offcut.imaging import png
from offcut.imaging.sniff import check_size
from offcut.web.budget import pixel_limit

__all__ = ["is_exact", "keeps_numbers", "pixels_allowed", "read_pixels", "to_blob", "to_jpeg"]

BAND_PIXELS = 1 << 22  # read at a time, so that a large photo is in memory once, not thrice
NOISE_SIDE = 256  # pixels; farbling changes few of them


async def read_pixels(photo: Any, name: str, *, raw: bool = False) -> np.ndarray | None:
    """Return a Blob's pixels, u8 RGBA (H, W, 4), turned by EXIF.

    raw: as they stand in the file; else in sRGB, by the file's profile. None when the browser
    cannot decode it. All engines apply EXIF orientation here by themselves. Raises ImageError when
    the decoded photo is too large.
    """
    try:
        wanted = _object(colorSpaceConversion="none" if raw else "default")
        bitmap = await js.createImageBitmap(photo, wanted)
    except JsException:
        return None
    try:
        width, height = bitmap.width, bitmap.height
        check_size((width, height), name, pixels_allowed())
        pixels = np.empty((height, width, 4), np.uint8)  # (H, W, 4)
        rows = max(1, min(height, BAND_PIXELS // width))
        context = _context(width, rows)
        for top in range(0, height, rows):
            band = pixels[top : top + rows]  # (rows, W, 4), a view
            context.clearRect(0, 0, width, rows)
            context.drawImage(bitmap, 0, -top)
            context.getImageData(0, 0, width, band.shape[0]).data.assign_to(band)
            await asyncio.sleep(0)
    finally:
        bitmap.close()
    return pixels


@functools.cache
def pixels_allowed() -> int:
    """Return the most pixels that a photo may have on this device."""
    return pixel_limit(getattr(js.navigator, "deviceMemory", None), js.navigator.userAgent)


@functools.cache
def is_exact() -> bool:
    """Tell whether this browser's canvas gives back opaque pixels as they were put in."""
    counter = np.arange(NOISE_SIDE * NOISE_SIDE * 4, dtype=np.uint32)
    noise = (counter * np.uint32(2654435761) >> np.uint32(24)).astype(np.uint8)
    noise[3::4] = 255
    noise = noise.reshape(NOISE_SIDE, NOISE_SIDE, 4)
    back = np.empty_like(noise)
    context = _context(NOISE_SIDE, NOISE_SIDE)
    context.putImageData(_image_data(noise), 0, 0)
    context.getImageData(0, 0, NOISE_SIDE, NOISE_SIDE).data.assign_to(back)
    return bool(np.array_equal(noise, back))


async def keeps_numbers(colours: bytes) -> bool:
    """Tell whether this browser decodes photos with these colour chunks without converting them.

    It is asked to, on every level of each channel.
    """
    ramp = np.arange(256, dtype=np.uint8)
    levels = np.stack([ramp, ramp[::-1], np.roll(ramp, 77), np.full_like(ramp, 255)], axis=1)
    photo = to_blob(png.encode(levels[None], colours=colours), "image/png")  # (1, 256, 4)
    got = await read_pixels(photo, "the colour test", raw=True)
    return got is not None and np.array_equal(got, levels[None])


async def to_jpeg(pixels: np.ndarray) -> Any:
    """Return u8 RGBA (H, W, 4) as the browser's JPEG, a Blob, as most photos are."""
    context = _context(pixels.shape[1], pixels.shape[0])
    context.putImageData(_image_data(pixels), 0, 0)
    return await context.canvas.convertToBlob(_object(type="image/jpeg"))


def to_blob(data: bytes, kind: str) -> Any:
    """Return a Blob of `data` with the MIME type `kind`."""
    return js.Blob.new([to_js(memoryview(data))], _object(type=kind))


def _image_data(pixels: np.ndarray) -> Any:
    """Return a JavaScript ImageData of u8 RGBA (H, W, 4)."""
    clamped = js.Uint8ClampedArray.new(pixels.size)
    clamped.assign(pixels.reshape(-1))
    return js.ImageData.new(clamped, pixels.shape[1])


def _context(width: int, height: int) -> Any:
    canvas = js.OffscreenCanvas.new(width, height)
    return canvas.getContext("2d", _object(willReadFrequently=True))


def _object(**fields: object) -> Any:
    return to_js(fields, dict_converter=js.Object.fromEntries)
