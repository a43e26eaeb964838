"""What a photo's file holds beside one upright picture of 8 bits: frames, deeper levels, a turn.

Told to the user, since of all that a cutout keeps one picture of 8 bits.

    GIF     image descriptors among its blocks
    PNG     bit depth in IHDR; frames in acTL (APNG)
    WebP    ANMF chunks of the RIFF container; orientation in the chunk EXIF
    TIFF    a chain of directories; BitsPerSample (258) in the first
    AVIF    samples of an image sequence (box stsz); bits in the box pixi

Sources: GIF89a, PNG (third edition), WebP container, TIFF 6.0, EXIF 2.32, ISO 14496-12, 23008-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import error, unpack_from

from offcut.imaging.sniff import read_header

__all__ = ["Contents", "notes", "read_contents", "read_notes"]

MOST_FRAMES = 100_000  # nobody counts further
ORIENTATION, BITS_PER_SAMPLE = 274, 258  # TIFF tags
SHORT, LONG = 3, 4  # TIFF types
CUT = (error, IndexError, ValueError)  # in a file cut off: what there is counts


@dataclass(frozen=True, slots=True)
class Contents:
    """What was found."""

    frames: int = 1
    bits: int = 8  # of the deepest channel
    orientation: int = 1  # of a WebP, as EXIF has it: browsers differ on these


def read_contents(data: bytes, kind: str) -> Contents:
    """Return what the file `data`, a photo of `kind`, holds. Nothing is raised."""
    try:
        reader = {"GIF": _gif, "PNG": _png, "WebP": _webp, "TIFF": _tiff, "AVIF": _avif}.get(kind)
        return reader(data) if reader else Contents()
    except CUT:
        return Contents()


def notes(contents: Contents) -> list[str]:
    """Return what the user should know, in a few words each."""
    told = [f"the first of {contents.frames} pictures"] if contents.frames > 1 else []
    return told + ([f"{contents.bits} bits became 8"] if contents.bits > 8 else [])


def read_notes(data: bytes, name: str) -> list[str]:
    """Return the notes on a file. Raises ImageError when it is no photo."""
    return notes(read_contents(data, read_header(data, name).kind))


def _gif(data: bytes) -> Contents:
    at = 13 + _table(data[10])
    frames = 0
    try:
        while data[at] != 0x3B:
            if data[at] == 0x2C:
                frames += 1
                at += 10 + _table(data[at + 9]) + 1
            else:
                at += 2
            while data[at]:  # sub-blocks, up to an empty one
                at += 1 + data[at]
            at += 1
    except IndexError:
        pass  # the frames so far
    return Contents(max(1, frames))


def _table(flags: int) -> int:
    """Return the bytes of a GIF's colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _png(data: bytes) -> Contents:
    pixels = data.find(b"IDAT")
    at = data.find(b"acTL", 8, pixels)
    if at < 0:
        return Contents(1, data[24])
    frames = unpack_from(">I", data, at + 4)[0]
    frames += data.find(b"fcTL", 8, pixels) < 0  # a picture for those who show no animations
    return Contents(min(max(1, frames), MOST_FRAMES), data[24])


def _webp(data: bytes) -> Contents:
    at, frames, orientation = 12, 0, 1
    while at + 8 <= len(data):
        kind, length = unpack_from("<4sI", data, at)
        frames += kind == b"ANMF"
        if kind == b"EXIF":
            exif = data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
            orientation = _tag(exif, ORIENTATION, 1)
        at += 8 + length + length % 2
    return Contents(max(1, frames), orientation=orientation if 1 <= orientation <= 8 else 1)


def _tiff(data: bytes) -> Contents:
    return Contents(max(1, sum(1 for _ in _directories(data))), _tag(data, BITS_PER_SAMPLE, 8))


def _tag(data: bytes, wanted: int, otherwise: int) -> int:
    """Return a number, or the first of several, from the first directory of a TIFF."""
    order = "<" if data[:2] == b"II" else ">"
    for at in _directories(data):
        for entry in range(at + 2, at + 2 + 12 * unpack_from(f"{order}H", data, at)[0], 12):
            tag, kind, count, value = unpack_from(f"{order}HHII", data, entry)
            if tag != wanted or kind not in (SHORT, LONG):
                continue
            size = 2 if kind == SHORT else 4
            place = entry + 8 if count * size <= 4 else value
            return int(unpack_from(order + "xHI"[size // 2], data, place)[0])
        break
    return otherwise


def _directories(data: bytes) -> Iterator[int]:
    """Yield where each directory of a TIFF begins; a chain that bites its tail ends."""
    order = "<" if data[:2] == b"II" else ">"
    at = unpack_from(f"{order}I", data, 4)[0]
    seen: set[int] = set()
    while at and at not in seen and at + 2 <= len(data) and len(seen) < MOST_FRAMES:
        seen.add(at)
        yield at
        behind = at + 2 + 12 * unpack_from(f"{order}H", data, at)[0]
        at = unpack_from(f"{order}I", data, behind)[0] if behind + 4 <= len(data) else 0


def _avif(data: bytes) -> Contents:
    at, frames = data.find(b"stsz"), 1
    if data[8:12] == b"avis" and at > 0:
        frames = unpack_from(">I", data, at + 12)[0]
    pixi = data.find(b"pixi")
    bits = data[pixi + 9] if pixi > 0 else 8
    return Contents(min(max(1, frames), MOST_FRAMES), bits)
