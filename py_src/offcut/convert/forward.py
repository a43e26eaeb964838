"""Run a graph on CPython as calibration needs it: convolutions as one matrix product each, by BLAS.

The reference backend does without BLAS on purpose; calibrating on dozens of photos is offline work,
where numpy's BLAS is several times faster. The result is the same up to float32 rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from offcut.backends.reference import run_node
from offcut.graph import Graph, Node
from offcut.ops.conv import expand_bias, padded, size_after
from offcut.ops.elementwise import activate

__all__ = ["Geometry", "convolve", "patches", "run"]

BAND_BYTES = 16 << 20  # of patches that are built at a time: they should stay near the cache
Values = dict[str, np.ndarray]


class Geometry:
    """A convolution's strides, pads, dilations and groups, and its output's size."""

    def __init__(self, node: Node, size: tuple[int, int], kernel: tuple[int, int]) -> None:
        given = node.attributes
        self.strides: tuple[int, int] = given.get("strides", (1, 1))  # type: ignore[assignment]
        self.pads: tuple[int, int, int, int]
        self.pads = given.get("pads", (0, 0, 0, 0))  # type: ignore[assignment]
        self.dilations: tuple[int, int] = given.get("dilations", (1, 1))  # type: ignore[assignment]
        self.group = int(given.get("group", 1))  # type: ignore[arg-type]  # an int by its op
        self.kernel = kernel
        pads = (self.pads[:2], self.pads[2:])
        rows = zip(size, kernel, self.strides, self.dilations, *pads, strict=True)
        self.size = tuple(size_after(*row) for row in rows)


def convolve(node: Node, x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the Conv `node` of x (1, c, h, w) with w (o, c, kh, kw), without groups."""
    o = w.shape[0]
    geometry = Geometry(node, x.shape[2:], w.shape[2:])
    oh, ow = geometry.size
    matrix = w.reshape(o, -1)  # (o, c*kh*kw)
    y = np.empty((o, oh, ow), np.float32)
    x_padded = padded(x, geometry.pads)[0]
    band = max(1, BAND_BYTES // (4 * matrix.shape[1] * ow))
    for top in range(0, oh, band):
        rows = slice(top, min(top + band, oh))
        columns = _columns(x_padded, geometry, rows)  # (c*kh*kw, rows*ow)
        y[:, rows] = (matrix @ columns).reshape(o, -1, ow)
    y += expand_bias(
        b, x.shape[2:], geometry.kernel, geometry.strides, geometry.pads, geometry.dilations
    )
    return activate(y[None], str(node.attributes.get("activation", "")))


def _columns(x: np.ndarray, geometry: Geometry, rows: slice) -> np.ndarray:
    """Return the taps of the output rows `rows`, float32 (c*kh*kw, rows*ow); x is padded."""
    (kh, kw), (sh, sw), (dh, dw) = geometry.kernel, geometry.strides, geometry.dilations
    ow, count = geometry.size[1], rows.stop - rows.start
    columns = np.empty((x.shape[0], kh, kw, count, ow), np.float32)
    for i in range(kh):
        for j in range(kw):
            first = rows.start * sh + i * dh
            lines = slice(first, first + (count - 1) * sh + 1, sh)
            columns[:, i, j] = x[:, lines, j * dw : j * dw + (ow - 1) * sw + 1 : sw]
    return columns.reshape(-1, count * ow)


def patches(
    node: Node, x: np.ndarray, kernel: tuple[int, int], positions: np.ndarray
) -> np.ndarray:
    """Return what the convolution sees at output `positions` (n,): float32 (n, c*kh*kw).

    x: (1, c, h, w); positions count the output's pixels row by row.
    """
    geometry = Geometry(node, x.shape[2:], kernel)
    x_padded = padded(x, geometry.pads)[0]
    (kh, kw), (sh, sw), (dh, dw) = kernel, geometry.strides, geometry.dilations
    row, column = np.divmod(positions, geometry.size[1])
    lines = row[:, None, None] * sh + np.arange(kh)[:, None] * dh  # (n, kh, 1)
    pixels = column[:, None, None] * sw + np.arange(kw) * dw  # (n, 1, kw)
    taken = x_padded[:, lines, pixels]  # (c, n, kh, kw)
    return np.ascontiguousarray(taken.transpose(1, 0, 2, 3)).reshape(len(positions), -1)


def run(
    graph: Graph, weights: Callable[[str], np.ndarray], x: np.ndarray
) -> Iterator[tuple[Node, np.ndarray]]:
    """Run the graph on x and yield each node with its value, dropping values after last use."""
    last_uses = graph.last_uses()
    values: Values = {graph.inputs[0]: x}
    for at, node in enumerate(graph.nodes):
        y = values[node.name] = step(node, values, weights)
        for name in node.inputs:
            if last_uses.get(name) == at:
                values.pop(name, None)
        yield node, y


def step(
    node: Node, values: Mapping[str, np.ndarray], weights: Callable[[str], np.ndarray]
) -> np.ndarray:
    """Return the node's value from those of its inputs."""
    operands = [
        None if not name else values[name] if name in values else weights(name)
        for name in node.inputs
    ]
    if node.op == "Conv" and node.attributes.get("group", 1) == 1 and len(operands) == 3:
        return convolve(node, *operands)  # type: ignore[arg-type]  # three arrays
    return run_node(node, operands)
