"""Deflated TIFF files for a libtiff that was built without zlib, as Pyodide's is.

Strips or tiles of the first picture are inflated here and written behind the file as LZW of
literals only, so that libtiff still undoes predictors and planes. In LZW a code has 9 bits while
its table is small; so the table is cleared before it grows. Source: TIFF 6.0, sections 2 and 13.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from struct import unpack_from

import numpy as np

__all__ = ["compression", "without_deflate"]

WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES = 256, 257, 258, 259, 277
PIECES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
SIZES = {3: "H", 4: "I"}  # SHORT and LONG
LONG, LZW, DEFLATE = 4, 5, (8, 32946)
CLEAR, END = 256, 257
LITERALS = 250  # between two clears
BLOCK = 8 * LITERALS * 500  # bytes at a time, of which the codes are whole bytes too
NAMES = {6: "JPEG (of the old kind)", 7: "JPEG", 34887: "LERC", 34925: "LZMA"}
NAMES |= dict.fromkeys(DEFLATE, "Deflate") | {50000: "Zstandard", 50001: "WebP"}

Entries = dict[int, tuple[int, list[int]]]  # tag -> where its entry is, its values


def compression(data: bytes) -> str:
    """Return how the first picture is compressed, "" when it is in none of NAMES' ways."""
    try:
        return NAMES.get(_one(dict(_entries(data)), COMPRESSION, 1), "")
    except struct.error:
        return ""


def without_deflate(data: bytes) -> bytes:
    """Return the file with its first picture in LZW, as it is when that is not deflated.

    Raises zlib.error, struct.error and ValueError for a damaged file, and one that holds more than
    its picture needs.
    """
    entries = dict(_entries(data))
    if _one(entries, COMPRESSION, 1) not in DEFLATE:
        return data
    order = _order(data)
    made = bytearray(data + b"\0" * (len(data) % 2))
    left = _most(entries)
    for offsets, counts in PIECES:
        if offsets not in entries or counts not in entries:
            continue
        where = []
        for at, size in zip(entries[offsets][1], entries[counts][1], strict=True):
            piece = _inflated(data[at : at + size], left)
            left -= len(piece)
            packed = _literals(piece)
            where.append((len(made), len(packed)))
            made += packed + b"\0" * (len(packed) % 2)
        for tag, column in ((offsets, 0), (counts, 1)):
            values = [row[column] for row in where]
            _point(made, order, entries[tag][0], values)
    entry = entries[COMPRESSION][0]
    struct.pack_into(f"{order}HI", made, entry + 2, 3, 1)
    struct.pack_into(f"{order}HH", made, entry + 8, LZW, 0)
    return bytes(made)


def _order(data: bytes) -> str:
    return "<" if data[:2] == b"II" else ">"


def _entries(data: bytes) -> Iterator[tuple[int, tuple[int, list[int]]]]:
    """Yield (tag, (place, values)) of the first directory's whole numbers."""
    order = _order(data)
    first = unpack_from(f"{order}I", data, 4)[0]
    for number in range(unpack_from(f"{order}H", data, first)[0]):
        place = first + 2 + 12 * number
        tag, kind, count, value = unpack_from(f"{order}HHII", data, place)
        if kind not in SIZES or count > len(data):
            continue
        letter = SIZES[kind]
        at = place + 8 if count * struct.calcsize(letter) <= 4 else value
        yield tag, (place, [*unpack_from(f"{order}{count}{letter}", data, at)])


def _one(entries: Entries, tag: int, otherwise: int) -> int:
    values = entries.get(tag, (0, []))[1]
    return values[0] if values else otherwise


def _most(entries: Entries) -> int:
    """Return how many bytes the picture may have: tiles may reach beyond its edges."""
    width, height = _one(entries, WIDTH, 0), _one(entries, HEIGHT, 0)
    bits = _one(entries, BITS, 1) * _one(entries, SAMPLES, 1)
    tiles = (width + 1024) * (height + 1024)
    return -(-tiles * bits // 8)


def _inflated(piece: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    data = inflater.decompress(piece, most + 1)
    if len(data) > most:
        raise ValueError("it holds more than its picture needs")
    return data


def _literals(data: bytes) -> bytes:
    """Return LZW of `data`: each byte as its own code."""
    blocks = []
    for first in range(0, max(1, len(data)), BLOCK):
        symbols = np.frombuffer(data[first : first + BLOCK], np.uint8)
        codes = np.insert(symbols.astype(np.uint16), range(0, len(symbols), LITERALS), CLEAR)
        if first + BLOCK >= len(data):
            codes = np.append(codes, END)
        bits = np.empty((len(codes), 9), np.uint8)
        bits[:, 0] = codes >> 8
        bits[:, 1:] = np.unpackbits(codes.astype(np.uint8)[:, None], axis=1)
        blocks.append(np.packbits(bits).tobytes())
    return b"".join(blocks)


def _point(made: bytearray, order: str, entry: int, values: list[int]) -> None:
    """Let the directory entry at `entry` have `values`, as LONG."""
    packed = struct.pack(f"{order}{len(values)}I", *values)
    struct.pack_into(f"{order}HI", made, entry + 2, LONG, len(values))
    if len(packed) <= 4:
        made[entry + 8 : entry + 12] = packed
    else:
        struct.pack_into(f"{order}I", made, entry + 8, len(made))
        made += packed
