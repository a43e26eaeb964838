"""Small files that would be huge when decoded, in every format that can say so."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image

from tests.corpus.ladders import encoded, picture
from tests.corpus.png_suite import SIGNATURE, chunk

SIDE = 30_000  # pixels; 3.6 GB as RGBA
HUGE = 200_000


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each."""
    yield "png-1-bit", png(SIDE, SIDE, depth=1)
    yield "png-header-only", png(HUGE, HUGE, depth=8, rows=0)
    yield "png-wide", png(2**31 - 1, 1, depth=1, rows=0)
    yield "png-interlaced", png(20_000, 20_000, depth=1, interlaced=True)
    yield "png-text", text_bomb()
    yield "gif-screen", b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + GIF_FRAME
    yield "gif-frame", gif_frame(65_535)
    yield "webp-vp8x", webp_extended(16_384, 16_384)
    yield "webp-lossless", webp_lossless(16_383)
    yield "tiff-group-4", tiff(SIDE)
    yield "tiff-tiles-claimed", tiff_claimed(HUGE)
    yield "jpeg-header", jpeg_resized(65_500)
    yield "jpeg-many-scans", many_scans(7_000, 2_000)
    yield "bmp-header", bmp(SIDE)
    yield "bmp-run-length", bmp(60_000, compression=1)
    yield "avif-header", avif(SIDE)
    yield (
        "ico",
        b"\0\0\1\0\1\0"
        + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, 99, 22)
        + png(SIDE, SIDE, depth=1),
    )


GIF_FRAME = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00\x3b"


@cache
def png(
    width: int, height: int, *, depth: int, rows: int | None = None, interlaced: bool = False
) -> bytes:
    """Return a PNG of zeros; its pixels deflate a thousandfold."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, interlaced)
    row = bytes(1 + width * depth // 8) if rows != 0 else b""
    packer = zlib.compressobj(6)
    body = b"".join(packer.compress(row) for _ in range(height if rows is None else rows))
    body += packer.flush()
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """Return a small PNG whose text inflates to 200 MB."""
    data = encoded(picture(), "PNG")
    packer = zlib.compressobj(6)
    text = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    return data[:33] + chunk(b"zTXt", b"Comment\0\0" + text) + data[33:]


def gif_frame(side: int) -> bytes:
    """Return a GIF of a small screen with a frame beyond it."""
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00\x3b"
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + frame


def webp_extended(width: int, height: int) -> bytes:
    """Return a WebP whose canvas is larger than its picture."""
    small = encoded(picture(), "WEBP")[12:]
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + small
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_lossless(side: int) -> bytes:
    """Return a lossless WebP whose header has another size than its pixels."""
    data = bytearray(encoded(picture(), "WEBP", lossless=True))
    bits = struct.unpack_from("<I", data, 21)[0] & ~0xFFFFFFF
    struct.pack_into("<I", data, 21, bits | (side - 1) << 14 | (side - 1))
    return bytes(data)


def tiff(side: int) -> bytes:
    """Return a fax of white paper."""
    small = Image.new("1", (side, 64))
    data = bytearray(encoded(small, "TIFF", compression="group4"))
    return retagged(data, {257: side, 278: side})


def tiff_claimed(side: int) -> bytes:
    """Return a TIFF with a size that its data never has."""
    return retagged(bytearray(encoded(picture(), "TIFF")), {256: side, 257: side})


def retagged(data: bytearray, values: dict[int, int]) -> bytes:
    """Return a TIFF of Pillow's making (little-endian) with other numbers in some tags."""
    at = struct.unpack_from("<I", data, 4)[0]
    for number in range(struct.unpack_from("<H", data, at)[0]):
        entry = at + 2 + 12 * number
        tag = struct.unpack_from("<H", data, entry)[0]
        if tag in values:
            struct.pack_into("<HII", data, entry + 2, 4, 1, values[tag])
    return bytes(data)


def jpeg_resized(side: int) -> bytes:
    """Return a JPEG whose frame header says another size."""
    data = bytearray(encoded(picture(), "JPEG"))
    at = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, at + 5, side, side)
    return bytes(data)


def many_scans(side: int, count: int) -> bytes:
    """Return a blank progressive JPEG with a scan of few bytes again and again: slow to decode."""
    data = encoded(Image.new("L", (side, side)), "JPEG", progressive=True)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    begin = data.rindex(b"\xff\xc4", 0, second)
    end = data.index(b"\xff\xc4", second)
    return data[:begin] + data[begin:end] * count + data[begin:]


def bmp(side: int, *, compression: int = 0) -> bytes:
    """Return a BMP of a header alone."""
    info = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024, 0, 0, 54 + 1024) + info + bytes(1024)


def avif(side: int) -> bytes:
    """Return an AVIF whose `ispe` box says another size."""
    data = bytearray(encoded(picture(), "AVIF"))
    at = data.index(b"ispe")
    struct.pack_into(">II", data, at + 8, side, side)
    return bytes(data)
