"""How much an error in a convolution's weights moves the final map, per output channel, in a file.

Some layers forgive a coarse step and others do not: by factors of a thousand. What a row's steps
should be follows from it (grids.py), so this is measured once, with gradients on photos
(offcut/train/sensitivity.py), and kept beside the card: 11 KB for U2-Netp. The file has the layout
of safetensors:

    8 bytes     little-endian length n of the header, n <= 1 MiB
    n bytes     JSON object: "__metadata__" -> {"format": "offcut-sensitivity-1", "values"} and
                "sensitivity" -> {"dtype": "F32", "shape": [rows], ...}
    the rest    the array, float32: all rows of all weights, one after another

"values" lists [weight name, rows] in that order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from offcut.convert.statistics import read_header
from offcut.errors import ModelFormatError

__all__ = ["read_sensitivity", "write_sensitivity"]

FORMAT = "offcut-sensitivity-1"


def write_sensitivity(rows: Mapping[str, np.ndarray]) -> bytes:
    """Return the file's bytes. rows: by weight name, (o,) each."""
    values = [[name, len(row)] for name, row in rows.items()]
    data = np.concatenate(list(rows.values())).astype("<f4").tobytes()
    meta = {"format": FORMAT, "values": json.dumps(values, separators=(",", ":"))}
    shape = {"dtype": "F32", "shape": [len(data) // 4], "data_offsets": [0, len(data)]}
    header = {"__metadata__": meta, "sensitivity": shape}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data


def read_sensitivity(data: bytes, where: str) -> dict[str, np.ndarray]:
    """Read the file: float64 (o,) by weight name. Raises ModelFormatError, which names `where`."""
    try:
        values, rest = read_header(data, FORMAT)
        numbers = np.frombuffer(rest, "<f4").astype(np.float64)
        if any(count < 1 for _, count in values) or len(numbers) != sum(n for _, n in values):
            raise ValueError("counts and numbers do not agree")
        if not (np.isfinite(numbers).all() and (numbers >= 0).all()):
            raise ValueError("a number is negative or not finite")
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ModelFormatError(f"{where}: malformed sensitivity file: {error}") from error
    ends = np.cumsum([count for _, count in values])
    rows = np.split(numbers, ends[:-1]) if values else []
    return {name: row for (name, _), row in zip(values, rows, strict=True)}
