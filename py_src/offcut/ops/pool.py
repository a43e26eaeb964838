"""Pooling over windows."""

from __future__ import annotations

import numpy as np

from offcut.ops.registry import op

__all__ = ["average_pool", "max_pool", "pooled_size"]

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]  # top, left, bottom, right


@op("MaxPool")
def max_pool(
    x: np.ndarray,
    *,
    kernel_shape: Pair,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    dilations: Pair = (1, 1),
    ceil_mode: int = 0,
) -> np.ndarray:
    """Return the largest value of each window of x (n, c, h, w). Source: ONNX MaxPool-12."""
    oh, ow = _size_out(x, kernel_shape, strides, pads, dilations, ceil_mode)
    windows = _padded(x, (oh, ow), kernel_shape, strides, pads, dilations, np.float32(-np.inf))
    y: np.ndarray | None = None
    for i in range(kernel_shape[0]):
        for j in range(kernel_shape[1]):
            tap = _tap(windows, i * dilations[0], j * dilations[1], (oh, ow), strides)
            y = tap.copy() if y is None else np.maximum(y, tap, out=y)
    assert y is not None
    return y


@op("AveragePool")
def average_pool(
    x: np.ndarray,
    *,
    kernel_shape: Pair,
    strides: Pair = (1, 1),
    pads: Pads = (0, 0, 0, 0),
    ceil_mode: int = 0,
    count_include_pad: int = 0,
) -> np.ndarray:
    """Return the mean of each window of x (n, c, h, w). Source: ONNX AveragePool-11.

    Cells that ceil_mode adds beyond the padding never count; padding counts if count_include_pad.
    """
    oh, ow = _size_out(x, kernel_shape, strides, pads, (1, 1), ceil_mode)
    counted = np.ones((1, 1, *x.shape[2:]), np.float32)
    if count_include_pad:
        top, left, bottom, right = pads
        x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
        counted = np.ones((1, 1, *x.shape[2:]), np.float32)
        pads = (0, 0, 0, 0)
    zero = np.float32(0)
    values = _padded(x, (oh, ow), kernel_shape, strides, pads, (1, 1), zero)
    weights = _padded(counted, (oh, ow), kernel_shape, strides, pads, (1, 1), zero)
    total = np.zeros((*x.shape[:2], oh, ow), np.float32)
    count = np.zeros((1, 1, oh, ow), np.float32)
    for i in range(kernel_shape[0]):
        for j in range(kernel_shape[1]):
            total += _tap(values, i, j, (oh, ow), strides)
            count += _tap(weights, i, j, (oh, ow), strides)
    return total / count


def pooled_size(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, ...], ceil_mode: int
) -> int:
    """Return how many windows fit along one axis; pads: (begin, end).

    With ceil_mode a last window may hang over the end, if it starts inside the input or its
    left padding.
    """
    begin, end = pads
    room = size + begin + end - dilation * (kernel - 1) - 1
    count = (-(-room // stride) if ceil_mode else room // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + begin:
        count -= 1
    return count


def _size_out(
    x: np.ndarray, kernel: Pair, strides: Pair, pads: Pads, dilations: Pair, ceil_mode: int
) -> Pair:
    """Return the output's height and width."""
    h, w = (
        pooled_size(x.shape[2 + a], kernel[a], strides[a], dilations[a], pads[a::2], ceil_mode)
        for a in (0, 1)
    )
    return h, w


def _padded(
    x: np.ndarray,
    size_out: Pair,
    kernel: Pair,
    strides: Pair,
    pads: Pads,
    dilations: Pair,
    value: np.float32,
) -> np.ndarray:
    """Return x padded with `value` so that every window lies inside."""
    top, left, _, _ = pads
    needed = [(size_out[a] - 1) * strides[a] + dilations[a] * (kernel[a] - 1) + 1 for a in (0, 1)]
    below = max(needed[0] - top - x.shape[2], 0)
    right = max(needed[1] - left - x.shape[3], 0)
    if not (top or left or below or right):
        return x
    return np.pad(x, ((0, 0), (0, 0), (top, below), (left, right)), constant_values=value)


def _tap(x: np.ndarray, i: int, j: int, size_out: Pair, strides: Pair) -> np.ndarray:
    """Return the view of x with cell (i, j) of every window, (n, c, oh, ow)."""
    rows = slice(i, i + (size_out[0] - 1) * strides[0] + 1, strides[0])
    columns = slice(j, j + (size_out[1] - 1) * strides[1] + 1, strides[1])
    return x[:, :, rows, columns]
