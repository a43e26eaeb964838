"""The ICC colour profile of a photo: read from its file, to be written with its cutout.

Pixels keep their numbers, so the cutout needs the profile that says what the numbers mean. Nothing
here looks at more of a profile than its header; no colours are converted.

    JPEG    APP2 segments "ICC_PROFILE\\0", number, count, piece
    PNG     chunk iCCP: name, 0, 0, zlib stream
    WebP    chunk ICCP of the RIFF container

Source: ICC.1:2022 (header, section 7.2; embedding, annex B), PNG and WebP specifications.
"""

from __future__ import annotations

import zlib
from struct import error, pack, unpack_from

from offcut.imaging.sniff import jpeg_segments

__all__ = ["MOST_BYTES", "exchanged_profile", "read_profile"]

MOST_BYTES = 4 << 20  # larger ones are not profiles of photos
APP2 = 0xE2
LABEL = b"ICC_PROFILE\0"
RGB = b"RGB "  # the data colour space of a profile, at its byte 16; results are RGB only
SIGNATURE = b"acsp"  # at byte 36 of every profile


def read_profile(data: bytes) -> bytes:
    """Return the RGB profile inside a JPEG, PNG or WebP file, b"" when there is none that is whole.

    data: the file. A damaged profile is no reason to refuse a photo, so nothing is raised.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            profile = _from_jpeg(data)
        elif data.startswith(b"\x89PNG"):
            profile = _from_png(data)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            profile = _from_webp(data)
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
    at = 8
    while data[at + 4 : at + 8] not in (b"IDAT", b"IEND", b""):
        length, kind = unpack_from(">I4s", data, at)
        if kind == b"iCCP":
            body = data[at + 8 : at + 8 + length]
            stream = zlib.decompressobj()
            return stream.decompress(body[body.index(b"\0") + 2 :], MOST_BYTES + 1)
        at += 12 + length
    return b""


def _from_webp(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        kind, length = unpack_from("<4sI", data, at)
        if kind == b"ICCP":
            return data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
    return b""


def exchanged_profile() -> bytes:
    """Return a profile like sRGB's with red and blue exchanged: whoever applies it is found out.

    A matrix profile of version 2 with a plain gamma of 2.2 (ICC.1:2001-04, section 6.3.1.2).
    """

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + pack(">3i", *(round(value * 65536) for value in (x, y, z)))

    red, green = xyz(0.4361, 0.2225, 0.0139), xyz(0.3851, 0.7169, 0.0971)
    blue = xyz(0.1431, 0.0606, 0.7141)
    curve = b"curv\0\0\0\0" + pack(">IHH", 1, round(2.2 * 256), 0)
    text = b"desc\0\0\0\0" + pack(">I", 8) + b"swapped\0" + bytes(78)
    tags = {
        b"desc": text.ljust(-(-len(text) // 4) * 4, b"\0"),
        b"cprt": b"text\0\0\0\0none\0\0\0\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": blue,
        b"gXYZ": green,
        b"bXYZ": red,
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body = pack(">I", len(tags)), b""
    at = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + pack(">2I", at + len(body), len(value))
        body += value
    size = at + len(body)
    head = pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, b"mntr", RGB, b"XYZ ")
    head += pack(">6H", 2026, 1, 1, 0, 0, 0) + SIGNATURE
    head = head.ljust(68, b"\0") + pack(">3i", 63190, 65536, 54061)  # the D50 white point
    return head.ljust(128, b"\0") + table + body
