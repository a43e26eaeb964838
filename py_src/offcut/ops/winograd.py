"""Convolution by Winograd's minimal filtering F(4x4, 3x3): 36 products for 16 outputs, not 144.

For each tile of 6x6 inputs d and each kernel g the 4x4 outputs are A'[(G g G') * (B' d B)]A, summed
over channels between * and A'. The image is worked off in bands of tile rows, so that temporaries
stay small.

Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv 1509.09308.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from offcut.graph import Attribute
from offcut.ops.conv import Pads, expand_bias
from offcut.ops.elementwise import activate
from offcut.ops.matmul import product

__all__ = ["conv", "suits", "transform_weights"]

TILE = 4  # outputs per tile and axis
REACH = 6  # inputs per tile and axis
BAND = 384  # tiles per band: enough to amortise a call, few enough that temporaries stay small

G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)


def suits(operands: Sequence[np.ndarray | None], attributes: Mapping[str, Attribute]) -> bool:
    """Return whether `conv` here computes this Conv node, and faster than the definition."""
    x, w = operands[0], operands[1]
    assert x is not None and w is not None
    return (
        w.shape[2:] == (3, 3)
        and w.shape[0] >= 4
        and w.shape[1] >= 4
        and x.shape[2] * x.shape[3] >= 4 * TILE * TILE
        and attributes.get("strides", (1, 1)) == (1, 1)
        and attributes.get("dilations", (1, 1)) == (1, 1)
        and attributes.get("group", 1) == 1
    )


def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    pads: Pads = (0, 0, 0, 0),
    activation: str = "",
    strides: tuple[int, int] = (1, 1),
    dilations: tuple[int, int] = (1, 1),
    group: int = 1,
) -> np.ndarray:
    """Convolve x (n, c, h, w) with w (o, c, 3, 3) as ops/conv.py does; return (n, o, oh, ow)."""
    n, _, h, width = x.shape
    top, left, bottom, right = pads
    oh, ow = h + top + bottom - 2, width + left + right - 2
    u = transform_weights(w)  # (36, o, c)
    across = -(-ow // TILE)  # tiles in a row
    band = max(1, BAND // across)  # tile rows in a band
    y = np.empty((n, w.shape[0], oh, ow), np.float32)
    for image in range(n):
        for row in range(0, -(-oh // TILE), band):
            rows = min(band, -(-oh // TILE) - row)
            first = row * TILE
            d = _window(x[image], first - top, -left, rows * TILE + 2, across * TILE + 2)
            m = product(u, _transform_input(d, rows, across))  # (36, o, rows * across)
            out = _transform_output(m, rows, across)  # (o, rows * 4, across * 4)
            last = min(first + rows * TILE, oh)
            band_out = out[:, : last - first, :ow]
            if b is not None:
                shape, part = (h, width), slice(first, last)
                band_out += expand_bias(b, shape, (3, 3), strides, pads, dilations, part=part)
            y[image, :, first:last] = activate(band_out, activation)
    return y


def transform_weights(w: np.ndarray) -> np.ndarray:
    """Return G w G' for each channel pair: w (o, c, 3, 3) -> float32 (36, o, c)."""
    o, c = w.shape[:2]
    both = np.kron(G, G).astype(np.float32)  # (36, 9)
    return np.ascontiguousarray(np.matmul(w.reshape(o * c, 9), both.T).T).reshape(36, o, c)


def _window(x: np.ndarray, top: int, left: int, height: int, width: int) -> np.ndarray:
    """Return the window of x (c, h, w) that begins at (top, left), zero outside x."""
    c, h, w = x.shape
    d = np.zeros((c, height, width), np.float32)
    rows = slice(max(top, 0), min(top + height, h))
    columns = slice(max(left, 0), min(left + width, w))
    d[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = x[
        :, rows, columns
    ]
    return d


def _transform_input(d: np.ndarray, rows: int, across: int) -> np.ndarray:
    """Return B' d B of all tiles: d (c, rows * 4 + 2, across * 4 + 2) -> (36, c, rows * across)."""
    c, _, width = d.shape
    lines = [d[:, i : i + TILE * rows : TILE] for i in range(REACH)]  # 6 of (c, rows, width)
    half = np.empty((REACH, c, rows, width), np.float32)
    _apply_b(lines, half)
    v = np.empty((REACH, REACH, c, rows, across), np.float32)
    for i in range(REACH):
        cells = [
            np.ascontiguousarray(half[i, :, :, j : j + TILE * across : TILE]) for j in range(REACH)
        ]
        _apply_b(cells, v[i])
    return v.reshape(36, c, rows * across)


def _apply_b(d: list[np.ndarray], out: np.ndarray) -> None:
    """Write B' times the six arrays d to the six arrays of out.

    B' = [4 0 -5 0 1 0; 0 -4 -4 1 1 0; 0 4 -4 -1 1 0; 0 -2 -1 2 1 0; 0 2 -1 -2 1 0; 0 4 0 -5 0 1]
    """
    four = np.float32(4)
    even = d[4] - d[2] * four  # d4 - 4 d2
    odd = d[3] - d[1] * four  # d3 - 4 d1
    np.add(even, odd, out=out[1])
    np.subtract(even, odd, out=out[2])
    np.subtract(d[4], d[2], out=even)
    np.subtract(d[3], d[1], out=odd)
    odd += odd
    np.add(even, odd, out=out[3])
    np.subtract(even, odd, out=out[4])
    np.subtract(d[0], d[2], out=out[0])  # 4 (d0 - d2) + (d4 - d2)
    out[0] *= four
    out[0] += even
    np.subtract(d[5], d[3], out=out[5])  # (d5 - d3) - 4 (d3 - d1)
    odd += odd
    out[5] -= odd


def _transform_output(m: np.ndarray, rows: int, across: int) -> np.ndarray:
    """Return A' m A of every tile: m (36, o, rows * across) -> (o, rows * 4, across * 4)."""
    o = m.shape[1]
    m = m.reshape(REACH, REACH, o, rows, across)
    half = np.empty((TILE, REACH, o, rows, across), np.float32)
    for i, line in enumerate(_apply_a(list(m))):
        half[i] = line
    out = np.empty((o, rows, TILE, across, TILE), np.float32)
    for i in range(TILE):
        for j, cell in enumerate(_apply_a(list(half[i]))):
            out[:, :, i, :, j] = cell
    return out.reshape(o, rows * TILE, across * TILE)


def _apply_a(m: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the four arrays A' times the six arrays m.

    A' = [1 1 1 1 1 0; 0 1 -1 2 -2 0; 0 1 1 4 4 0; 0 1 -1 8 -8 1]
    """
    p, q = m[1] + m[2], m[1] - m[2]
    r, s = m[3] + m[4], m[3] - m[4]
    yield m[0] + p + r
    s += s
    yield q + s
    r *= np.float32(4)
    yield p + r
    s *= np.float32(4)
    yield q + s + m[5]
