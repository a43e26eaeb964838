"""What calibration knows of each value, per channel, and the small file that keeps it.

Photos used to calibrate cannot always be shipped; their statistics can. With them beside the card a
quantized model is rebuilt byte for byte anywhere. The file has the layout of safetensors:

    8 bytes     little-endian length n of the header, n <= 1 MiB
    n bytes     JSON object: "__metadata__" -> {"format": "offcut-statistics-1", "values", "photos"}
                and "minimum", "maximum", "mean", "square" -> {"dtype": "F32", "shape": [c], ...}
    the rest    the four arrays, c float32 each: all channels of all values, one after another

"values" lists [value name, channels] in that order; "photos" the sha256 of each photo.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from offcut.errors import ModelFormatError
from offcut.graph import Graph
from offcut.spans import spanned_values, spans_for

__all__ = [
    "ChannelStatistics",
    "photo_hashes",
    "ranges_of",
    "read_header",
    "read_statistics",
    "spans_of",
    "write_statistics",
]

FORMAT = "offcut-statistics-1"
PARTS = ("minimum", "maximum", "mean", "square")
MAX_HEADER = 1 << 20


@dataclass(frozen=True, slots=True)
class ChannelStatistics:
    """Over all photos and pixels: extremes, mean, and mean square of each channel; float64 (c,)."""

    minimum: np.ndarray
    maximum: np.ndarray
    mean: np.ndarray
    square: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """The mean square of the deviation from the mean, (c,)."""
        return np.maximum(self.square - self.mean * self.mean, 0.0)

    def shifted(self, m: np.ndarray) -> ChannelStatistics:
        """Return the statistics of x - m; m: (c,)."""
        return ChannelStatistics(
            self.minimum - m,
            self.maximum - m,
            self.mean - m,
            self.square - 2 * m * self.mean + m * m,
        )

    def divided(self, s: np.ndarray) -> ChannelStatistics:
        """Return the statistics of x / s; s: (c,), positive."""
        return ChannelStatistics(
            self.minimum / s, self.maximum / s, self.mean / s, self.square / (s * s)
        )

    def chosen(self, keep: np.ndarray) -> ChannelStatistics:
        """Return the statistics of the channels `keep`, indices or a mask."""
        return ChannelStatistics(
            self.minimum[keep], self.maximum[keep], self.mean[keep], self.square[keep]
        )


def joined(parts: Sequence[ChannelStatistics]) -> ChannelStatistics:
    """Return the statistics of a Concat of values."""
    rows = ([getattr(part, name) for part in parts] for name in PARTS)
    return ChannelStatistics(*(np.concatenate(row) for row in rows))


def ranges_of(statistics: Mapping[str, ChannelStatistics]) -> dict[str, tuple[float, float]]:
    """Return (low, high) of each value over all of its channels, as the model file keeps them."""
    return {
        name: (float(np.float32(row.minimum.min())), float(np.float32(row.maximum.max())))
        for name, row in statistics.items()
    }


def spans_of(graph: Graph, statistics: Mapping[str, ChannelStatistics]) -> dict[str, np.ndarray]:
    """Return the spans of the channels of each value that has them."""
    ranges = ranges_of(statistics)
    return {
        name: spans_for(statistics[name].maximum, ranges[name][1])
        for name in spanned_values(graph, ranges)
    }


def write_statistics(statistics: Mapping[str, ChannelStatistics], photos: Sequence[str]) -> bytes:
    """Return the file's bytes. photos: the sha256 of each photo, in order."""
    values = [[name, len(row.mean)] for name, row in statistics.items()]
    total = sum(len(row.mean) for row in statistics.values())
    header: dict[str, object] = {
        "__metadata__": {
            "format": FORMAT,
            "values": json.dumps(values, separators=(",", ":")),
            "photos": json.dumps(list(photos), separators=(",", ":")),
        }
    }
    for at, name in enumerate(PARTS):
        offsets = [4 * total * at, 4 * total * (at + 1)]
        header[name] = {"dtype": "F32", "shape": [total], "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    everything = joined(list(statistics.values()))
    arrays = (getattr(everything, name).astype("<f4").tobytes() for name in PARTS)
    return len(text).to_bytes(8, "little") + text + b"".join(arrays)


def photo_hashes(data: bytes) -> list[str]:
    """Return the sha256 of each photo that the statistics file is of, in order."""
    size = int.from_bytes(data[:8], "little")
    return [str(h) for h in json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["photos"])]


def read_header(data: bytes, layout: str) -> tuple[list[tuple[str, int]], bytes]:
    """Return "values" as [name, channels], and what follows the header of a file of this layout.

    Raises ValueError, KeyError or TypeError for what is malformed.
    """
    size = int.from_bytes(data[:8], "little")
    if size > min(MAX_HEADER, len(data) - 8):
        raise ValueError(f"header of {size} bytes in a file of {len(data)}")
    meta = json.loads(data[8 : 8 + size])["__metadata__"]
    if meta["format"] != layout:
        raise ValueError(f"format is {meta['format']!r}, expected {layout!r}")
    return [(str(name), int(count)) for name, count in json.loads(meta["values"])], data[8 + size :]


def read_statistics(data: bytes, where: str) -> dict[str, ChannelStatistics]:
    """Read a statistics file. Raises ModelFormatError, which names `where`, unless it is exact."""
    try:
        values, rest = read_header(data, FORMAT)
        total = sum(count for _, count in values)
        numbers = np.frombuffer(rest, "<f4").reshape(len(PARTS), total)
        if any(count < 1 for _, count in values) or not np.isfinite(numbers).all():
            raise ValueError("a count is not positive, or a number is not finite")
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ModelFormatError(f"{where}: malformed statistics file: {error}") from error
    result: dict[str, ChannelStatistics] = {}
    at = 0
    for name, count in values:
        result[name] = ChannelStatistics(*numbers[:, at : at + count].astype(np.float64))
        at += count
    return result
