"""Convolution, the definition: for each kernel tap, weights times the shifted input, summed.

A bias may have the shape (o, rows, columns) instead of (o,): one value for each run of output rows
and columns that see the same kernel taps. With zero padding, adding a constant to the input changes
the output by another amount at the border than inside; such a bias holds all of them exactly.
"""

from __future__ import annotations

import numpy as np

from offcut.ops.elementwise import activate
from offcut.ops.matmul import product
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
    (sh, sw), (dh, dw) = strides, dilations
    oh = size_after(x.shape[2], kh, sh, dh, pads[0], pads[2])
    ow = size_after(x.shape[3], kw, sw, dw, pads[1], pads[3])
    x_padded = padded(x, pads)
    grouped = w.reshape(group, o // group, per_group, kh, kw)
    y = np.zeros((n, group, o // group, oh * ow), np.float32)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
            tap = x_padded[:, :, rows, columns].reshape(n, group, per_group, oh * ow)
            y += product(grouped[..., i, j], tap)
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
    top, left, bottom, right = pads
    full_h = strides[0] * (h - 1) + output_padding[0] + dilations[0] * (kh - 1) + 1
    full_w = strides[1] * (width - 1) + output_padding[1] + dilations[1] * (kw - 1) + 1
    grouped = w.reshape(group, c // group, per_group, kh, kw).swapaxes(1, 2)
    flat = x.reshape(n, group, c // group, h * width)
    y = np.zeros((n, group * per_group, full_h, full_w), np.float32)
    for i in range(kh):
        for j in range(kw):
            tap = product(grouped[..., i, j], flat)  # (n, group, o/group, h*w)
            rows = slice(i * dilations[0], i * dilations[0] + strides[0] * (h - 1) + 1, strides[0])
            first = j * dilations[1]
            columns = slice(first, first + strides[1] * (width - 1) + 1, strides[1])
            y[:, :, rows, columns] += tap.reshape(n, group * per_group, h, width)
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
    b: np.ndarray,
    size: Pair,
    kernel: Pair,
    strides: Pair,
    pads: Pads,
    dilations: Pair,
    *,
    part: slice = slice(None),
) -> np.ndarray:
    """Return the bias in a shape that broadcasts over (n, o, oh, ow), for a part of the rows."""
    if b.ndim == 1:
        return b.reshape(-1, 1, 1)
    top, left, bottom, right = pads
    rows = border_runs(size[0], kernel[0], strides[0], dilations[0], top, bottom)[part]
    columns = border_runs(size[1], kernel[1], strides[1], dilations[1], left, right)
    return b[:, rows[:, None], columns]  # (o, rows of the part, ow)
