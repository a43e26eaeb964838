"""Reductions and normalisations."""

from __future__ import annotations

import numpy as np

from offcut.ops.registry import op

__all__ = ["global_average_pool", "instance_normalization", "reduce_max", "reduce_mean"]
__all__ += ["reduce_sum", "softmax"]


@op("GlobalAveragePool")
def global_average_pool(x: np.ndarray) -> np.ndarray:
    """Return the mean of each channel of x (n, c, h, w), shape (n, c, 1, 1)."""
    return x.mean(axis=(2, 3), keepdims=True, dtype=np.float32)


@op("ReduceMean")
def reduce_mean(x: np.ndarray, *, axes: tuple[int, ...], keepdims: int = 1) -> np.ndarray:
    """Return the mean over `axes`."""
    return np.asarray(x.mean(axis=axes, keepdims=bool(keepdims), dtype=np.float32))


@op("ReduceSum")
def reduce_sum(x: np.ndarray, *, axes: tuple[int, ...], keepdims: int = 1) -> np.ndarray:
    """Return the sum over `axes`."""
    return np.asarray(x.sum(axis=axes, keepdims=bool(keepdims), dtype=np.float32))


@op("ReduceMax")
def reduce_max(x: np.ndarray, *, axes: tuple[int, ...], keepdims: int = 1) -> np.ndarray:
    """Return the largest value over `axes`."""
    return np.asarray(x.max(axis=axes, keepdims=bool(keepdims)))


@op("InstanceNormalization")
def instance_normalization(
    x: np.ndarray, scale: np.ndarray, bias: np.ndarray, *, epsilon: float = 1e-5
) -> np.ndarray:
    """Normalise each channel of each image of x (n, c, ...), then scale and shift by channel."""
    places = tuple(range(2, x.ndim))
    by_channel = (1, -1, *[1] * len(places))
    centred = x - x.mean(axis=places, keepdims=True)
    variance = np.mean(centred * centred, axis=places, keepdims=True)
    factor = scale.reshape(by_channel) / np.sqrt(variance + np.float32(epsilon))
    return centred * factor + bias.reshape(by_channel)


@op("Softmax")
def softmax(x: np.ndarray, *, axis: int = -1) -> np.ndarray:
    """Return exp(x) normalised to sum 1 along `axis`."""
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)
