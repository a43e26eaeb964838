"""Convolution, the definition: patches times weights.

A bias may have the shape (o, rows, columns) instead of (o,): one value for each run of output rows
and columns that see the same kernel taps. With zero padding, adding a constant to the input changes
the output by another amount at the border than inside; such a bias holds all of them exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from offcut.ops.elementwise import activate
from offcut.ops.registry import op

__all__ = ["border_runs", "conv", "conv_transpose", "expand_bias", "padded", "size_after"]

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


@op("Conv")
def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    dilations: Pair = (1, 1),
    group: int = 1,
    activation: str = "",
) -> np.ndarray:
    """Convolve x (n, c, h, w) with w (o, c/group, kh, kw); return (n, o, oh, ow).

    b: (o,), or (o, rows, columns) as the module says. Source: ONNX Conv-11.
    """
    n = x.shape[0]
    o, per_group, kh, kw = w.shape
    spread = (dilations[0] * (kh - 1) + 1, dilations[1] * (kw - 1) + 1)
    patches = sliding_window_view(padded(x, pads), spread, axis=(2, 3))
    patches = patches[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    oh, ow = patches.shape[2:4]
    y = np.empty((n, group, o // group, oh * ow), np.float32)
    for g in range(group):
        part = patches[:, g * per_group : (g + 1) * per_group]  # (n, c/group, oh, ow, kh, kw)
        columns = part.transpose(0, 1, 4, 5, 2, 3).reshape(n, per_group * kh * kw, oh * ow)
        rows = w[g * (o // group) : (g + 1) * (o // group)].reshape(o // group, -1)
        np.matmul(rows, columns, out=y[:, g])  # (o/group, k) @ (n, k, oh*ow)
    y = y.reshape(n, o, oh, ow)
    if b is not None:
        y += expand_bias(b, x.shape[2:], w.shape[2:], strides, pads, dilations)
    return activate(y, activation)


@op("ConvTranspose")
def conv_transpose(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    dilations: Pair = (1, 1),
    output_padding: Pair = (0, 0),
    group: int = 1,
) -> np.ndarray:
    """Spread x (n, c, h, w) through w (c, o/group, kh, kw); return (n, o, oh, ow).

    Source: ONNX ConvTranspose-11; the gradient of `conv` with respect to its input.
    """
    n, c, h, width = x.shape
    _, per_group, kh, kw = w.shape
    o = per_group * group
    top, left, bottom, right = pads
    full_h = strides[0] * (h - 1) + output_padding[0] + dilations[0] * (kh - 1) + 1
    full_w = strides[1] * (width - 1) + output_padding[1] + dilations[1] * (kw - 1) + 1
    y = np.zeros((n, o, full_h, full_w), np.float32)
    for g in range(group):
        part = x[:, g * (c // group) : (g + 1) * (c // group)]
        weights = w[g * (c // group) : (g + 1) * (c // group)]  # (c/group, o/group, kh, kw)
        rows = slice(g * per_group, (g + 1) * per_group)
        for i in range(kh):
            for j in range(kw):
                tap = np.einsum("nchw,co->nohw", part, weights[:, :, i, j], optimize=True)
                at_h = slice(i * dilations[0], i * dilations[0] + strides[0] * h, strides[0])
                at_w = slice(j * dilations[1], j * dilations[1] + strides[1] * width, strides[1])
                y[:, rows, at_h, at_w][:, :, :h, :width] += tap
    y = np.ascontiguousarray(y[:, :, top : full_h - bottom, left : full_w - right])
    if b is not None:
        y += b.reshape(1, -1, 1, 1)
    return y


def padded(x: np.ndarray, pads: Pads) -> np.ndarray:
    """Return x (n, c, h, w) with zeros around it; x itself when there is nothing to add."""
    top, left, bottom, right = pads
    if not any(pads):
        return x
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))


def size_after(size: int, kernel: int, stride: int, dilation: int, begin: int, end: int) -> int:
    """Return how many positions a kernel takes along one axis."""
    return (size + begin + end - dilation * (kernel - 1) - 1) // stride + 1


def border_runs(
    size: int, kernel: int, stride: int, dilation: int, begin: int, end: int
) -> np.ndarray:
    """Number the runs of output positions along one axis that see the same kernel taps.

    Return int (size_out,), counting up from 0: [0, 1, ..., 1, 2] for a padded kernel of three.
    """
    size_out = size_after(size, kernel, stride, dilation, begin, end)
    taps = np.arange(size_out)[:, None] * stride - begin + np.arange(kernel) * dilation
    inside = (taps >= 0) & (taps < size)  # (size_out, kernel)
    changes = np.any(inside[1:] != inside[:-1], axis=1)
    return np.concatenate([np.zeros(1, np.intp), np.cumsum(changes, dtype=np.intp)])


def expand_bias(
    b: np.ndarray, size: Pair, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair
) -> np.ndarray:
    """Return the bias in a shape that broadcasts over (n, o, oh, ow)."""
    if b.ndim == 1:
        return b.reshape(-1, 1, 1)
    top, left, bottom, right = pads
    rows = border_runs(size[0], kernel[0], strides[0], dilations[0], top, bottom)
    columns = border_runs(size[1], kernel[1], strides[1], dilations[1], left, right)
    return b[:, rows[:, None], columns]  # (o, oh, ow)
