"""What a photo's numbers mean in colours: read from its file, to be written with its cutout.

Pixels keep their numbers, so the cutout needs the ICC profile, or what a PNG has in its place, that
says what the numbers mean. Nothing here looks at more of a profile than its header; no colours are
converted.

    JPEG    APP2 segments "ICC_PROFILE\\0", number, count, piece
    PNG     chunk iCCP: name, 0, 0, zlib stream; or cICP, or gAMA and cHRM
    WebP    chunk ICCP of the RIFF container
    AVIF    box colr of type "prof"

Source: ICC.1:2022 (header, section 7.2; embedding, annex B), PNG and WebP specifications.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from struct import error, unpack_from

from offcut.imaging.png import profile_chunk
from offcut.imaging.sniff import jpeg_segments

__all__ = ["MOST_BYTES", "read_colours", "read_profile"]

MOST_BYTES = 4 << 20  # larger ones are not profiles of photos
APP2 = 0xE2
LABEL = b"ICC_PROFILE\0"
RGB = b"RGB "  # the data colour space of a profile, at its byte 16; results are RGB only
SIGNATURE = b"acsp"  # at byte 36 of every profile
SIZES = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}  # bytes of PNG's own colour chunks


def read_colours(data: bytes) -> bytes:
    """Return the PNG chunks that say of a cutout's colours what the file says; b"" means sRGB.

    data: the file. Of several the one counts that the PNG specification prefers (section 4.3).
    """
    own = {}
    if data.startswith(b"\x89PNG"):
        own = {
            kind: chunk for kind, chunk in _chunks(data) if len(chunk) == SIZES.get(kind, -13) + 12
        }
    profile = b"" if b"cICP" in own else read_profile(data)
    if profile:
        return profile_chunk(profile)
    if b"sRGB" in own and b"cICP" not in own:
        return b""
    return own.get(b"cICP") or own.get(b"gAMA", b"") + own.get(b"cHRM", b"")


def read_profile(data: bytes) -> bytes:
    """Return the RGB profile inside a JPEG, PNG, WebP or AVIF, b"" if none is whole.

    data: the file. A damaged profile is no reason to refuse a photo, so nothing is raised.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            profile = _from_jpeg(data)
        elif data.startswith(b"\x89PNG"):
            profile = _from_png(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            profile = _from_webp(data)
        elif data[4:8] == b"ftyp":
            profile = _from_heif(data)
        else:
            return b""
    except (error, IndexError, ValueError, zlib.error):
        return b""
    return profile if _is_sound(profile) else b""


def _is_sound(profile: bytes) -> bool:
    return (
        128 <= len(profile) <= MOST_BYTES
        and unpack_from(">I", profile)[0] == len(profile)
        and profile[16:20] == RGB
        and profile[36:40] == SIGNATURE
    )


def _from_jpeg(data: bytes) -> bytes:
    pieces: dict[int, bytes] = {}
    total = 0
    for marker, at in jpeg_segments(data):
        if marker == APP2 and data.startswith(LABEL, at + 2):
            number, total = data[at + 14], data[at + 15]
            pieces[number] = data[at + 16 : at + unpack_from(">H", data, at)[0]]
    if sorted(pieces) != list(range(1, total + 1)):
        return b""
    return b"".join(pieces[number] for number in sorted(pieces))


def _from_png(data: bytes) -> bytes:
    for kind, chunk in _chunks(data):
        if kind == b"iCCP":
            body = chunk[8:-4]
            stream = zlib.decompressobj()
            return stream.decompress(body[body.index(b"\0") + 2 :], MOST_BYTES + 1)
    return b""


def _from_heif(data: bytes) -> bytes:
    at = data.find(b"colrprof")
    return data[at + 8 : at - 4 + unpack_from(">I", data, at - 4)[0]] if at > 0 else b""


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and bytes of each chunk of a PNG before its pixels."""
    at = 8
    while data[at + 4 : at + 8] not in (b"IDAT", b"IEND") and at + 12 <= len(data):
        length, kind = unpack_from(">I4s", data, at)
        yield kind, data[at : at + 12 + length]
        at += 12 + length


def _from_webp(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        kind, length = unpack_from("<4sI", data, at)
        if kind == b"ICCP":
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return b""
