"""PNG files of every kind the format knows, with the pixels they stand for, and corrupt ones.

Written from the PNG specification (third edition), not by Pillow, so that it can be judged too.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
DEPTHS = {GREY: (1, 2, 4, 8, 16), COLOUR: (8, 16), PALETTE: (1, 2, 4, 8)} | {
    GREY_ALPHA: (8, 16),
    COLOUR_ALPHA: (8, 16),
}
CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
SIZES = ((1, 1), (3, 2), (7, 9), (33, 17))  # width, height: Adam7 leaves passes of some empty
FILTERS = (0, 1, 2, 3, 4, "mixed")
# Adam7: first column and row of each pass, and the steps between.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
PASSES += ((0, 1, 1, 2),)


@dataclass(frozen=True)
class Png:
    """A kind of PNG file, and what makes the pixels in it."""

    colour: int
    depth: int
    size: tuple[int, int]
    interlaced: bool = False
    transparent: bool = False  # with a tRNS chunk
    filtering: int | str = 0
    parts: int = 1  # IDAT chunks

    @property
    def name(self) -> str:
        """What a failed test says."""
        more = ("-adam7" if self.interlaced else "") + ("-trns" if self.transparent else "")
        width, height = self.size
        kind = f"png-c{self.colour}-d{self.depth}-{width}x{height}{more}"
        return f"{kind}-f{self.filtering}-i{self.parts}.png"

    @property
    def samples(self) -> np.ndarray:
        """The values in the file, u16 (H, W, channels)."""
        width, height = self.size
        rng = np.random.default_rng(self.colour * 100 + self.depth)
        shape = (height, width, CHANNELS[self.colour])
        return rng.integers(0, 1 << self.depth, shape).astype(np.uint16)

    @property
    def palette(self) -> np.ndarray:
        """u8 (entries, 4): red, green, blue, alpha."""
        entries = np.random.default_rng(self.depth).integers(0, 256, (1 << self.depth, 4), np.uint8)
        if not self.transparent:
            entries[:, 3] = 255
        return entries

    @property
    def pixels(self) -> np.ndarray:
        """What the file stands for, u8 RGBA (H, W, 4); 16 bits are reduced to the upper 8."""
        values = self.samples
        if self.colour == PALETTE:
            return self.palette[values[..., 0]]
        top = (1 << self.depth) - 1
        eight = values >> 8 if self.depth == 16 else np.rint(values * (255 / top))
        eight = eight.astype(np.uint8)
        grey = self.colour in (GREY, GREY_ALPHA)
        rgb = np.repeat(eight[..., :1], 3, axis=2) if grey else eight[..., :3]
        alpha = np.full(values.shape[:2], 255, np.uint8)
        if self.colour in (GREY_ALPHA, COLOUR_ALPHA):
            alpha = eight[..., -1]
        elif self.transparent:
            alpha = np.where((values == values[0, 0]).all(axis=2), 0, 255).astype(np.uint8)
        return np.dstack([rgb, alpha])


def files() -> Iterator[Png]:
    """Yield every kind: colour types, depths, sizes, interlacing, transparency, filters."""
    for colour, depths in DEPTHS.items():
        for depth in depths:
            for number, size in enumerate(SIZES):
                for interlaced in (False, True):
                    yield Png(colour, depth, size, interlaced, filtering="mixed", parts=number + 1)
                if colour in (GREY, COLOUR, PALETTE):
                    yield Png(colour, depth, size, size[0] == 7, transparent=True)
            for filtering in FILTERS:
                yield Png(colour, depth, SIZES[-1], filtering=filtering)


def corrupt() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of files that must be refused."""
    png = Png(COLOUR, 8, (33, 17))
    data = encode(png)
    at = data.index(b"IDAT")
    yield "signature-byte-1", b"\x88" + data[1:]
    yield "signature-line-end", data.replace(b"\r\n\x1a\n", b"\n\x1a\n", 1)
    yield "signature-carriage-return", data.replace(b"\r\n\x1a\n", b"\r\r\x1a\n", 1)
    yield "signature-stripped-bit", data.replace(b"\x89", b"\x09", 1)
    yield "header-checksum", flip(data, 30)
    yield "pixels-checksum", flip(data, at + 10)
    yield "pixels-missing", data[: at - 4] + chunk(b"IEND", b"")
    yield "end-missing", data[:-12]
    yield "width-zero", encode(png, size=(0, 17))
    yield "height-zero", encode(png, size=(33, 0))
    for colour, depth in ((1, 8), (9, 8), (COLOUR, 0), (COLOUR, 3), (COLOUR, 99), (PALETTE, 16)):
        yield f"colour-{colour}-depth-{depth}", encode(png, colour=colour, depth=depth)
    yield "palette-missing", encode(Png(PALETTE, 8, (33, 17)), palette=False)
    yield "pixels-cut", encode(png, keep=0.5)
    yield "pixels-not-deflated", rebuilt(data, b"IDAT", b"no zlib stream at all")
    yield "filter-unknown", encode(replace(png, filtering=7))


def encode(
    png: Png,
    *,
    size: tuple[int, int] | None = None,
    colour: int | None = None,
    depth: int | None = None,
    palette: bool = True,
    keep: float = 1.0,
) -> bytes:
    """Return the file; what is given takes the place of what would be right."""
    width, height = size or png.size
    kinds = (png.depth if depth is None else depth, png.colour if colour is None else colour)
    data = SIGNATURE + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, *kinds, 0, 0, png.interlaced)
    )
    if png.colour == PALETTE and palette:
        data += chunk(b"PLTE", png.palette[:, :3].tobytes())
    if png.transparent:
        first = png.samples[0, 0].astype(">u2").tobytes()
        data += chunk(b"tRNS", png.palette[:, 3].tobytes() if png.colour == PALETTE else first)
    raw = b"".join(scanlines(png, part) for part in passes(png))
    body = zlib.compress(raw[: int(len(raw) * keep)])
    step = -(-len(body) // png.parts)
    for begin in range(0, len(body), step):
        data += chunk(b"IDAT", body[begin : begin + step])
    return data + chunk(b"IEND", b"")


def passes(png: Png) -> Iterator[np.ndarray]:
    """Yield the samples of each pass, (h, w, channels)."""
    if not png.interlaced:
        yield png.samples
        return
    for left, top, across, down in PASSES:
        part = png.samples[top::down, left::across]
        if part.size:
            yield part


def scanlines(png: Png, samples: np.ndarray) -> bytes:
    """Return rows of packed and filtered bytes, each behind its filter's number."""
    height, _, channels = samples.shape
    if png.depth == 16:
        packed = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    elif png.depth == 8:
        packed = samples.astype(np.uint8).reshape(height, -1)
    else:
        bits = (samples[..., 0, None] >> np.arange(png.depth)[::-1]) & 1  # (h, w, depth)
        packed = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    step = max(1, channels * png.depth // 8)
    above = np.zeros(packed.shape[1], np.uint8)
    out = []
    for number, row in enumerate(packed):
        kind = number % 5 if png.filtering == "mixed" else int(png.filtering)
        out.append(bytes([kind]) + filtered(row, above, step, kind).tobytes())
        above = row
    return b"".join(out)


def filtered(row: np.ndarray, above: np.ndarray, step: int, kind: int) -> np.ndarray:
    """Return a row minus what the filter predicts, modulo 256."""
    left = np.concatenate([np.zeros(step, np.uint8), row])[: row.size].astype(np.int32)
    corner = np.concatenate([np.zeros(step, np.uint8), above])[: row.size].astype(np.int32)
    up = above.astype(np.int32)
    guess = left + up - corner
    away = np.abs(guess - np.stack([left, up, corner]))  # (3, bytes)
    paeth = np.choose(np.argmin(away, axis=0), [left, up, corner])
    predicted = {1: left, 2: up, 3: (left + up) // 2, 4: paeth}.get(kind, np.zeros_like(up))
    return (row - predicted).astype(np.uint8)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rebuilt(data: bytes, kind: bytes, body: bytes) -> bytes:
    """Return the file with another body in its one chunk of a kind."""
    at = data.index(kind) - 4
    length = struct.unpack_from(">I", data, at)[0]
    return data[:at] + chunk(kind, body) + data[at + 12 + length :]


def flip(data: bytes, at: int) -> bytes:
    """Return the file with one bit of one byte flipped."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
