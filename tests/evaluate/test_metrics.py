"""The metrics agree with pysodmetrics and with cases worked out by hand."""

from __future__ import annotations

import numpy as np
import py_sod_metrics
import pytest

from offcut.evaluate import masks, mattes
from offcut.evaluate.distance import nearest

# pysodmetrics rounds predictions to 8 bits and stretches them to [0, 1] first.
CLOSE = 1e-6
# Where two object pixels are equally near, either may lend its error.
TIES = 5e-4


def picture(seed: int, h: int = 60, w: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return a blurred guess in 8 bits that spans 0 to 255, and a truth of ellipses."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    truth = np.zeros((h, w), bool)
    for _ in range(2):
        cy, cx, ry, rx = rng.uniform([15, 15, 5, 5], [45, 65, 18, 25])
        truth |= ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1
    guess = np.clip(truth * 0.7 + rng.normal(0.1, 0.25, (h, w)), 0, 1)
    guess = (guess - guess.min()) / (guess.max() - guess.min())
    return np.round(guess * 255).astype(np.uint8), truth


@pytest.mark.parametrize("seed", range(6))
def test_mask_metrics_agree_with_pysodmetrics(seed: int) -> None:
    guess, truth = picture(seed)
    gt = (truth * 255).astype(np.uint8)
    theirs = {
        "mae": py_sod_metrics.MAE(),
        "weighted": py_sod_metrics.WeightedFmeasure(),
        "structure": py_sod_metrics.Smeasure(),
        "f": py_sod_metrics.FmeasureV2(
            {"fm": py_sod_metrics.FmeasureHandler(with_adaptive=False, with_dynamic=True, beta=0.3)}
        ),
    }
    for metric in theirs.values():
        metric.step(pred=guess, gt=gt)
    alpha = guess.astype(np.float32) / np.float32(255)
    assert masks.mae(alpha, truth) == pytest.approx(theirs["mae"].get_results()["mae"], abs=CLOSE)
    weighted = theirs["weighted"].get_results()["wfm"]
    assert masks.weighted_f(alpha, truth) == pytest.approx(weighted, abs=TIES)
    assert masks.structure(alpha, truth) == pytest.approx(
        theirs["structure"].get_results()["sm"], abs=1e-5
    )
    curve = theirs["f"].get_results()["fm"]["dynamic"]
    assert masks.max_f(alpha, truth) == pytest.approx(np.max(curve), abs=1e-5)


def test_a_perfect_mask_scores_perfectly() -> None:
    _, truth = picture(1)
    alpha = truth.astype(np.float32)
    assert masks.mae(alpha, truth) == 0
    assert masks.iou(alpha, truth) == masks.max_f(alpha, truth) == 1
    assert masks.weighted_f(alpha, truth) == pytest.approx(1)
    assert masks.structure(alpha, truth) == pytest.approx(1, abs=1e-3)


def test_iou_by_hand() -> None:
    alpha = np.array([[0.5, 0.9, 0.1]], np.float32)
    assert masks.iou(alpha, np.array([[True, False, True]])) == pytest.approx(1 / 3)
    assert masks.iou(np.zeros((2, 2), np.float32), np.zeros((2, 2), bool)) == 1


def test_an_empty_truth_rewards_an_empty_mask_only() -> None:
    empty, full = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
    nothing = np.zeros((4, 4), bool)
    assert masks.structure(empty, nothing) == 1
    assert masks.structure(full, nothing) == 0


def test_nearest_agrees_with_trying_every_pixel() -> None:
    rng = np.random.default_rng(3)
    for share in (0.01, 0.1, 0.6):
        marked = rng.random((23, 31)) < share
        marked[5, 7] = True
        distance, rows, columns = nearest(marked)
        at_y, at_x = np.nonzero(marked)
        y, x = np.mgrid[:23, :31]
        all_distances = np.hypot(y[..., None] - at_y, x[..., None] - at_x)
        assert np.allclose(distance, all_distances.min(-1))
        assert np.allclose(np.hypot(y - rows, x - columns), distance)
        assert marked[rows, columns].all()


def test_matte_metrics_by_hand() -> None:
    a, b = np.zeros((10, 100), np.float32), np.full((10, 100), 0.5, np.float32)
    assert mattes.sad(a, b) == pytest.approx(0.5)
    assert mattes.mse(a, b) == pytest.approx(0.25)
    assert mattes.gradient_error(a, b) == pytest.approx(0, abs=1e-12)
    step = np.zeros((9, 20), np.float32)
    step[:, 10:] = 1
    assert mattes.gradient_error(step, step) == 0
    assert mattes.gradient_error(step, a[:9, :20]) > 0
