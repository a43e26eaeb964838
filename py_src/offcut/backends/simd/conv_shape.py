"""The sizes of a convolution, as the kernels' arguments want them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offcut.backends.simd.attributes import integer, pads, pair
from offcut.backends.simd.draft import Argument
from offcut.backends.simd.lower import Lowering
from offcut.backends.simd.values import BLOCK, Grid
from offcut.graph import Node
from offcut.ops.conv import border_runs

__all__ = [
    "PLAIN_LIMIT",
    "Shape",
    "bias_of",
    "blocks_for",
    "geometry",
    "shape_of",
    "windows_scratch",
]


# A plain conv's rounding holds for results below 2^22 u8 steps; see round_f32 in vector.h.
PLAIN_LIMIT = 4e6


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of one convolution."""

    o: int
    per_group: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]  # top, left, bottom, right
    dilations: tuple[int, int]
    groups: int
    grid_in: Grid
    grid: Grid

    @property
    def same_3x3(self) -> bool:
        """A 3x3 kernel that keeps the size."""
        simple = self.strides == (1, 1) and self.dilations == (1, 1) and self.groups == 1
        return self.kernel == (3, 3) and simple and self.pads == (1, 1, 1, 1)

    @property
    def suits_narrow(self) -> bool:
        """A shape that kernels/conv_narrow.c takes, without a cell beyond a plane's border."""
        stride, dense = self.strides[1], self.groups == 1 and self.dilations == (1, 1)
        known = (self.kernel[0], self.kernel[1], stride) in ((1, 1, 1), (3, 3, 1), (3, 3, 2))
        last = self.grid.whole_width * stride - 1 + self.kernel[1] - 1 - self.pads[1]
        return known and dense and last <= self.grid_in.whole_width and max(self.pads) <= 1

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return self.kernel[0] * self.kernel[1]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the direct way."""
        return self.o * self.per_group * self.taps * self.grid.height * self.grid.width


def shape_of(lw: Lowering, node: Node, grid_in: Grid, grid: Grid) -> Shape:
    """Return the sizes of a Conv whose values lie on these grids."""
    o, per_group, kh, kw = lw.graph.shapes[node.inputs[1]]
    return Shape(
        o,
        per_group,
        (kh, kw),
        pair(node, "strides"),
        pads(node),
        pair(node, "dilations"),
        integer(node, "group", 1),
        grid_in,
        grid,
    )


def geometry(shape: Shape) -> dict[str, Argument]:
    """Return the sizes as arguments."""
    return {
        "h_in": shape.grid_in.height,
        "w_in": shape.grid_in.width,
        "h_out": shape.grid.height,
        "w_out": shape.grid.width,
        "kernel_h": shape.kernel[0],
        "kernel_w": shape.kernel[1],
        "stride_h": shape.strides[0],
        "stride_w": shape.strides[1],
        "dilation_h": shape.dilations[0],
        "dilation_w": shape.dilations[1],
        "pad_top": shape.pads[0],
        "pad_left": shape.pads[1],
        "pitch_in": shape.grid_in.pitch,
        "pitch_out": shape.grid.pitch,
        "channels_out": shape.o,
    }


def bias_of(lw: Lowering, node: Node, shape: Shape) -> tuple[np.ndarray, dict[str, Argument]]:
    """Return the bias as f32 (o, runs of rows * runs of columns), and the runs' arguments."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return np.zeros((shape.o, 1), np.float32), {}
    bias = lw.model.weights[node.inputs[2]].decode()
    if bias.ndim == 1:
        return bias.reshape(-1, 1), {}
    (top, left, bottom, right), runs = shape.pads, []
    for axis, begin, end in ((0, top, bottom), (1, left, right)):
        size = (shape.grid_in.height, shape.grid_in.width)[axis]
        along = shape.kernel[axis], shape.strides[axis], shape.dilations[axis]
        cells = border_runs(size, *along, begin, end)
        # Tiles of 4 that stick out read on, but write nothing.
        runs.append(np.pad(cells, (0, -len(cells) % 4), mode="edge").astype("<u4").tobytes())
    args: dict[str, Argument] = {"row_runs": runs[0], "column_runs": runs[1]}
    return bias.reshape(shape.o, -1), args | {"runs": bias.shape[2]}


def blocks_for(channels: int) -> int:
    """Return how many blocks of 8 hold that many channels."""
    return -(-channels // BLOCK)


def windows_scratch(
    width: int, kernel: tuple[int, int], stride: int, dilations: tuple[int, int]
) -> int:
    """Return the bytes that kernels/windows.c needs: an output row, and input rows it keeps."""
    whole = -(-width // 16) * 16
    copy = whole * stride + (kernel[1] - 1) * dilations[1] + 4
    rows = (kernel[0] - 1) * dilations[0] + 1
    return rows * 8 + (whole + rows * copy) * 4
