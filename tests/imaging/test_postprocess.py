"""The network's output as alpha: in [0, 1], not stretched, and never silently wrong."""

from __future__ import annotations

import numpy as np
import pytest

from offcut.card import OutputSpec
from offcut.errors import BackendError
from offcut.imaging.postprocess import postprocess

PLAIN = OutputSpec("alpha")
LOGITS = OutputSpec("alpha", activation="sigmoid")


def output(*values: float) -> np.ndarray:
    return np.array(values, np.float32).reshape(1, 1, 1, -1)


def test_faint_noise_is_not_stretched_to_a_subject() -> None:
    assert postprocess(output(0.001, 0.003), PLAIN).max() < 0.01


def test_values_outside_are_clipped() -> None:
    assert postprocess(output(-0.1, 0.25, 1.5), PLAIN).tolist() == [[0, 0.25, 1]]


def test_sigmoid_of_any_logit() -> None:
    alpha = postprocess(output(-1e30, -1, 0, 1, 1e30), LOGITS)
    assert np.allclose(alpha, [[0, 0.268941, 0.5, 0.731059, 1]], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_an_error(bad: float) -> None:
    with pytest.raises(BackendError, match="not numbers"):
        postprocess(output(0.5, bad), PLAIN)


def test_the_output_itself_is_not_changed() -> None:
    given = output(-1, 2)
    postprocess(given, PLAIN)
    assert given.ravel().tolist() == [-1, 2]
