"""A PNG encoder: rows filtered in numpy, deflated by zlib. No metadata is written.

    signature, IHDR (size, 8 bits, colour type), IDAT..., IEND; a chunk is length, type, data, CRC

A row is stored as the difference to the row above, to the pixel at the left, or as it is: the one
with the smallest sum of absolute differences, a rule of thumb from the PNG specification.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

__all__ = ["encode", "filtered", "wrap"]

COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # channels -> grey, RGB, RGBA
LEVEL = 4  # of zlib
BAND = 256  # rows filtered at a time
CHUNK = 1 << 20  # bytes of an IDAT chunk


def encode(pixels: np.ndarray) -> bytes:
    """Return the PNG of u8 pixels (H, W), (H, W, 3) or (H, W, 4); alpha is straight."""
    deflate = zlib.compressobj(LEVEL)
    parts = [deflate.compress(band) for band in filtered(pixels)]
    parts.append(deflate.flush())
    return wrap(b"".join(parts), pixels.shape)


def filtered(pixels: np.ndarray) -> Iterator[bytes]:
    """Yield the rows with their filter bytes, as they are to be deflated, in bands."""
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)  # (H, W * c)
    c = rows.shape[1] // width
    above = np.zeros((1, rows.shape[1]), np.uint8)
    for row in range(0, height, BAND):
        band = rows[row : row + BAND]
        left = band.copy()
        left[:, c:] -= band[:, :-c]
        up = band - np.concatenate([above, band[:-1]])
        costs = np.stack([_cost(candidate) for candidate in (band, left, up)])  # (3, rows)
        kinds = costs.argmin(axis=0).astype(np.uint8)[:, None]  # PNG's None, Sub, Up
        chosen = np.where(kinds == 1, left, np.where(kinds == 2, up, band))
        yield np.concatenate([kinds, chosen], axis=1).tobytes()
        above = band[-1:]


def _cost(rows: np.ndarray) -> np.ndarray:
    """Return the sum of absolute values of each row, its bytes taken as signed."""
    signed = rows.view(np.int8).astype(np.int16)
    return np.asarray(np.abs(signed).sum(axis=1, dtype=np.int64))


def wrap(deflated: bytes, shape: tuple[int, ...]) -> bytes:
    """Return the PNG file around a zlib stream of filtered rows; shape: of the pixels."""
    height, width = shape[:2]
    colour = COLOUR_TYPES[shape[2] if len(shape) == 3 else 1]
    parts = [b"\x89PNG\r\n\x1a\n"]
    parts.append(_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, colour, 0, 0, 0)))
    starts = range(0, len(deflated), CHUNK)
    parts += [_chunk(b"IDAT", deflated[at : at + CHUNK]) for at in starts]
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return b"".join(
        (struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data)))
    )
