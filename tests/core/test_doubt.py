"""Which maps are in doubt."""

from __future__ import annotations

import numpy as np
import pytest

from offcut.doubt import is_doubtful


def of(**cells: int) -> np.ndarray:
    """Return a map of 100 cells, so many of them sure of the subject, unsure, or nothing."""
    alpha = np.zeros(100, np.float32)
    alpha[: cells["sure"]] = 0.9
    alpha[cells["sure"] : cells["sure"] + cells["unsure"]] = 0.5
    return alpha.reshape(10, 10)


@pytest.mark.parametrize(
    ("sure", "unsure", "doubtful"),
    [(0, 0, False), (60, 0, False), (60, 20, False), (60, 21, True), (0, 1, True), (3, 1, False)],
)
def test_a_map_is_in_doubt_when_more_than_a_quarter_of_what_may_be_the_subject_is_unsure(
    sure: int, unsure: int, doubtful: bool
) -> None:
    assert is_doubtful(of(sure=sure, unsure=unsure)) == doubtful
