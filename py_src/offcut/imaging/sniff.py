"""What a photo's bytes tell before decoding: kind, size, transparency, whether they are whole.

Browsers are no help here: Firefox and WebKit fill the missing half of a cut PNG with white or
transparent pixels and report success, and none refuses a decompression bomb before decoding it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct, error, unpack_from

from offcut.errors import ImageError

__all__ = ["MAX_PIXELS", "Header", "check_size", "check_whole", "jpeg_segments", "read_header"]

MAX_PIXELS = 50_000_000  # what is tested; larger photos are refused before they are decoded
MAX_SCANS = 100  # of a progressive JPEG: encoders write about 10, each costs a pass over all pixels
PNG = b"\x89PNG\r\n\x1a\n"
CHUNK = Struct(">I4s")
# JPEG markers that start a frame and so carry the size: SOF0-15 without DHT, JPG and DAC.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
SHORT = (error, IndexError, ValueError)  # of struct, indexing and bytes.index, in a file cut off
START_OF_SCAN = 0xDA
BRANDS = {"avif": "AVIF", "avis": "AVIF", "heic": "HEIC", "heix": "HEIC", "mif1": "HEIC"}
# What people drop that is no photo: its first bytes, its name in the message.
STRANGERS = {
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a ZIP archive or an office document",
    b"\x1f\x8b": "a gzip archive",
    b"<svg": "an SVG drawing",
    b"<?xml": "an SVG drawing or another XML file",
    b"<!DOC": "a web page",
    b"<html": "a web page",
    b"\x1aE\xdf\xa3": "a video",
    b"ID3": "music",
    b"MZ": "a program",
}


@dataclass(frozen=True, slots=True)
class Header:
    """What the first bytes of a photo tell."""

    kind: str
    size: tuple[int, int] | None  # width, height as stored; None when only a decoder can tell
    transparent: bool = False  # some pixels may be transparent


def read_header(data: bytes, name: str) -> Header:
    """Return the header of the photo in `data`; `name` is used in errors. Raises ImageError."""
    if not data:
        raise ImageError(f"{name} is empty", remedy="choose another file")
    try:
        header = _header(data)
    except SHORT as cause:
        raise _damaged(name, "its header is cut off") from cause
    if header is None:
        start = data[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        what = next((s for magic, s in STRANGERS.items() if start.startswith(magic.lower())), "")
        raise ImageError(
            f"{name} is {what}, not a photo" if what else f"{name} is not a photo Offcut can read",
            remedy="choose a JPEG, PNG, WebP, AVIF, GIF or BMP file",
        )
    return header


def check_size(size: tuple[int, int], name: str, limit: int = MAX_PIXELS) -> None:
    """Raise ImageError when width times height is nothing, or more than `limit`."""
    width, height = size
    if width < 1 or height < 1:
        raise _damaged(name, f"its header says {width} x {height} pixels")
    if width * height > limit:
        here = "" if limit >= MAX_PIXELS else " on this device"
        raise ImageError(
            f"{name} has {width} x {height} pixels, {width * height / 1e6:.0f} megapixels; "
            f"the limit{here} is {limit // 1_000_000}",
            remedy="make it smaller, then try again",
        )


def check_whole(data: bytes, header: Header, name: str) -> None:
    """Raise ImageError when the file is cut off or a checksum in it is wrong."""
    if header.kind == "PNG":
        _check_png(data, name)
    elif header.kind == "JPEG":
        _check_jpeg(data, name)
    elif header.kind == "WebP" and unpack_from("<I", data, 4)[0] + 8 > len(data):
        raise _damaged(name, "it ends before the picture does")


def _header(data: bytes) -> Header | None:
    if data.startswith(PNG):
        return _png(data)
    if data.startswith(b"\xff\xd8\xff"):
        return Header("JPEG", _jpeg_size(data))
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return Header("GIF", unpack_from("<HH", data, 6), transparent=True)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith(b"BM") and unpack_from("<I", data, 14)[0] in (12, 40, 52, 56, 64, 108, 124):
        return _bmp(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        return Header("TIFF", None, transparent=True)
    if data[4:8] == b"ftyp":
        kind = BRANDS.get(data[8:12].decode("latin-1"))
        return Header(kind, _largest_extent(data), transparent=True) if kind else None
    if data.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return Header("JPEG XL", None, transparent=True)
    return None


def _png(data: bytes) -> Header:
    width, height, _, colour = unpack_from(">IIBB", data, 16)
    before_pixels = data[: max(data.find(b"IDAT"), 0)]
    return Header("PNG", (width, height), colour in (4, 6) or b"tRNS" in before_pixels)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for marker, at in jpeg_segments(data):
        if marker in FRAMES:
            height, width = unpack_from(">HH", data, at + 3)
            return width, height
    raise IndexError("pixels begin before their size is told")


def _check_jpeg(data: bytes, name: str) -> None:
    """See that an end marker follows the first pixels (phones append films) after a few scans."""
    try:
        *_, (_, begin) = jpeg_segments(data)
        end = data.index(b"\xff\xd9", begin)
    except SHORT as cause:
        raise _damaged(name, "it ends before the picture does") from cause
    scans = data.count(b"\xff\xda", begin, end) + 1
    if scans > MAX_SCANS:
        raise _damaged(name, f"it has {scans} scans, which would take very long")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each segment's marker and where its length stands, up to the first scan."""
    at, marker = 2, 0
    while marker != START_OF_SCAN:
        at = data.index(b"\xff", at)
        while data[at] == 0xFF:  # a marker may be padded
            at += 1
        marker, at = data[at], at + 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # these have no length
            continue
        yield marker, at
        at += unpack_from(">H", data, at)[0]


def _webp(data: bytes) -> Header:
    form = data[12:16]
    if form == b"VP8X":
        low = [data[24 + k] | data[25 + k] << 8 | data[26 + k] << 16 for k in (0, 3)]
        return Header("WebP", (low[0] + 1, low[1] + 1), bool(data[20] & 0x10))
    if form == b"VP8L":
        bits = unpack_from("<I", data, 21)[0]
        size = ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        return Header("WebP", size, bool(bits >> 28 & 1))
    width, height = unpack_from("<HH", data, 26)
    return Header("WebP", (width & 0x3FFF, height & 0x3FFF))


def _largest_extent(data: bytes) -> tuple[int, int] | None:
    """Return the largest size that a HEIF container's `ispe` boxes name: tiles have one too."""
    sizes: list[tuple[int, int]] = []
    at = data.find(b"ispe")
    while at >= 0 and len(sizes) < 100:
        sizes.append(unpack_from(">II", data, at + 8))
        at = data.find(b"ispe", at + 4)
    return max(sizes, key=lambda size: int(size[0] * size[1]), default=None)


def _bmp(data: bytes) -> Header:
    if unpack_from("<I", data, 14)[0] == 12:
        return Header("BMP", unpack_from("<HH", data, 18))
    width, height, _, bits, compression = unpack_from("<iiHHI", data, 18)
    # A negative height means rows from the top. Run lengths may leave pixels out.
    transparent = bits in (16, 32) or compression != 0
    return Header("BMP", (width, abs(height)), transparent)


def _check_png(data: bytes, name: str) -> None:
    """Walk the chunks up to IEND and check each one's CRC; look for the palette on the way."""
    view, at = memoryview(data), len(PNG)
    needs_palette = data[25] == 3
    while at + 12 <= len(data):
        length, kind = CHUNK.unpack_from(data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != unpack_from(">I", data, end)[0]:
            raise _damaged(name, "a checksum in it is wrong")
        if kind == b"PLTE":
            needs_palette = False
        if kind == b"IDAT" and needs_palette:
            raise _damaged(name, "its palette is missing")
        if kind == b"IEND":
            return
        at = end + 4
    raise _damaged(name, "it ends before the picture does")


def _damaged(name: str, how: str) -> ImageError:
    return ImageError(f"{name} is damaged: {how}", remedy="copy or download it again")
