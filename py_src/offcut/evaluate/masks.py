"""Metrics of a predicted mask against a binary ground truth, as salient object detection uses them.

Predictions are float32 (h, w) in [0, 1], truths bool (h, w) of the same size. Each function gives
one number per photo; `weighted_f` and `structure` follow their papers' published definitions.
"""

from __future__ import annotations

import numpy as np

from offcut.evaluate.distance import nearest

__all__ = ["iou", "mae", "max_f", "structure", "weighted_f"]

BETA_SQUARED = 0.3  # Achanta et al., CVPR 2009: precision counts more than recall
EPSILON = np.spacing(1)


def mae(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean absolute error, 0 to 1."""
    return float(np.mean(np.abs(prediction - truth), dtype=np.float64))


def iou(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return intersection over union of prediction >= 1/2 and truth; 1 when both are empty."""
    chosen = prediction >= 0.5
    union = np.count_nonzero(chosen | truth)
    return float(np.count_nonzero(chosen & truth) / union) if union else 1.0


def f_curve(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the F-measure (beta^2 = 0.3) of mask >= t for t = 255, ..., 0; float64 (256,).

    The mask is the prediction in 8 bits. The mean of these curves over a data set has its maximum
    at the set's maximal F-measure.
    """
    levels = np.rint(prediction * 255).astype(np.intp)  # as an 8-bit mask has them
    hits = np.bincount(levels[truth], minlength=256)[::-1].cumsum()
    chosen = np.bincount(levels.ravel(), minlength=256)[::-1].cumsum()
    precision = hits / np.maximum(chosen, 1)
    recall = hits / max(int(np.count_nonzero(truth)), 1)
    weight = BETA_SQUARED * precision + recall
    return (1 + BETA_SQUARED) * precision * recall / np.where(weight == 0, 1, weight)


def max_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the largest F-measure over all 256 thresholds."""
    return float(f_curve(prediction, truth).max())


def weighted_f(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the weighted F-measure (beta = 1).

    Source: Margolin, Zelnik-Manor and Tal, "How to Evaluate Foreground Maps?", CVPR 2014.
    """
    if not truth.any():
        return 0.0
    distance, rows, columns = nearest(truth)  # of the nearest foreground pixel
    error = np.abs(prediction.astype(np.float64) - truth)
    # An error outside the object counts as that of the nearest object pixel, smoothed.
    spread = np.where(truth, error, error[rows, columns])
    smooth = _smoothed(spread)
    least = np.where(truth & (smooth < error), smooth, error)
    importance = np.where(truth, 1.0, 2 - np.exp(np.log(0.5) / 5 * distance))
    weighted = least * importance
    inside = float(np.count_nonzero(truth))
    true_positive = inside - weighted[truth].sum()
    false_positive = weighted[~truth].sum()
    recall = 1 - weighted[truth].mean()
    precision = true_positive / (true_positive + false_positive + EPSILON)
    return float(2 * recall * precision / (recall + precision + EPSILON))


def _smoothed(error: np.ndarray) -> np.ndarray:
    """Return `error` under a 7x7 Gaussian of sigma 5, zero outside."""
    at = np.arange(-3, 4)
    kernel = np.exp(-(at**2) / (2 * 5.0**2))
    kernel /= kernel.sum()
    padded = np.pad(error, 3)
    h, w = error.shape
    across = sum(kernel[i] * padded[:, i : i + w] for i in range(7))
    return np.asarray(sum(kernel[i] * across[i : i + h] for i in range(7)))


def structure(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the structure measure S with alpha = 1/2.

    Source: Fan, Cheng, Liu, Li and Borji, "Structure-measure", ICCV 2017.
    """
    share = truth.mean()
    if share == 0:
        return float(1 - prediction.mean(dtype=np.float64))
    if share == 1:
        return float(prediction.mean(dtype=np.float64))
    values = prediction.astype(np.float64)
    objects = share * _object_score(values[truth])
    objects += (1 - share) * _object_score(1 - values[~truth])
    return max(0.0, float(0.5 * objects + 0.5 * _region_score(values, truth)))


def _object_score(values: np.ndarray) -> float:
    """Return how high and how even the values of one class are."""
    mean = values.mean()
    deviation = values.std(ddof=1) if values.size > 1 else 0.0
    return float(2 * mean / (mean**2 + 1 + deviation + EPSILON))


def _region_score(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the similarity of the four quadrants around the object's centre, by their area."""
    h, w = truth.shape
    rows, columns = np.nonzero(truth)
    y, x = int(np.round(rows.mean())) + 1, int(np.round(columns.mean())) + 1
    score = 0.0
    for part in (np.s_[:y, :x], np.s_[:y, x:], np.s_[y:, :x], np.s_[y:, x:]):
        if prediction[part].size:
            similarity = _similarity(prediction[part], truth[part].astype(np.float64))
            score += prediction[part].size / (h * w) * similarity
    return score


def _similarity(x: np.ndarray, y: np.ndarray) -> float:
    """Return the structural similarity of two regions as wholes."""
    n = x.size
    mean_x, mean_y = x.mean(), y.mean()
    scale = 1 / (n - 1) if n > 1 else 0.0
    spread_x, spread_y = ((x - mean_x) ** 2).sum() * scale, ((y - mean_y) ** 2).sum() * scale
    together = ((x - mean_x) * (y - mean_y)).sum() * scale
    above = 4 * mean_x * mean_y * together
    below = (mean_x**2 + mean_y**2) * (spread_x + spread_y)
    if above != 0:
        return float(above / (below + EPSILON))
    return 1.0 if below == 0 else 0.0
