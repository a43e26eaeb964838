"""A preview is small, and its colours are those of what is seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut.imaging import preview as module
from offcut.imaging.preview import preview, shrink_blocks
from tests import tiny


def test_a_small_picture_stays_as_it_is() -> None:
    pixels = tiny.photo()
    assert preview(pixels, pixels.shape[0] * pixels.shape[1]) is pixels


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(200, 2000))
def test_a_large_one_has_at_most_so_many_pixels(high: int, wide: int, limit: int) -> None:
    small = preview(np.zeros((high, wide, 4), np.uint8), limit)
    assert small.shape[0] * small.shape[1] <= limit
    assert small.shape[0] * small.shape[1] * 4 >= min(high * wide, limit) / 4


def test_what_is_removed_does_not_darken_the_edges() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, 1:] = (200, 100, 50, 255)
    small = shrink_blocks(pixels, 2)
    assert (small[..., :3] == (200, 100, 50)).all()
    assert small[0, :, 3].tolist() == [128, 255]


def test_bands_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (90, 70, 4)).astype(np.uint8)
    whole = preview(pixels, 700)
    monkeypatch.setattr(module, "BAND_PIXELS", 500)
    assert np.array_equal(preview(pixels, 700), whole)
