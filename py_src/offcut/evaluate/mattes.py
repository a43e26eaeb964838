"""Metrics of a predicted alpha against a soft ground truth, as image matting uses them.

Both are float (h, w) in [0, 1]. The figures are over the whole photo, as there is no trimap here.
Source: Rhemann et al., "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.
"""

from __future__ import annotations

import numpy as np

__all__ = ["gradient_error", "mse", "sad"]

SIGMA = 1.4  # of the Gaussian derivative, as in the benchmark
REACH = 5  # pixels on each side: the kernel is below 1 % of its peak beyond


def sad(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the sum of absolute differences, in thousands."""
    return float(np.abs(prediction - truth).sum(dtype=np.float64) / 1000)


def mse(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared error."""
    return float(np.mean((prediction - truth) ** 2, dtype=np.float64))


def gradient_error(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the sum of squared differences of the gradients' magnitudes, in thousands."""
    difference = _magnitude(prediction) - _magnitude(truth)
    return float((difference**2).sum() / 1000)


def _magnitude(alpha: np.ndarray) -> np.ndarray:
    """Return the magnitude of the gradient under a Gaussian of width SIGMA, float64 (h, w)."""
    at = np.arange(-REACH, REACH + 1)
    bell = np.exp(-(at**2) / (2 * SIGMA**2))
    slope = at * bell
    # Unit energy, as the benchmark's filters have it.
    norm = np.sqrt((slope**2).sum() * (bell**2).sum())
    values = alpha.astype(np.float64)
    across = _filtered(_filtered(values, slope, 1), bell, 0) / norm
    down = _filtered(_filtered(values, slope, 0), bell, 1) / norm
    return np.asarray(np.hypot(across, down))


def _filtered(values: np.ndarray, kernel: np.ndarray, axis: int) -> np.ndarray:
    """Return `values` under `kernel` along one axis, the border repeated."""
    widths = [(0, 0), (0, 0)]
    widths[axis] = (REACH, REACH)
    padded = np.pad(values, widths, mode="edge")
    size = values.shape[axis]
    total = np.zeros_like(values)
    for i, weight in enumerate(kernel):
        total += weight * padded[(slice(None),) * axis + (slice(i, i + size),)]
    return total
