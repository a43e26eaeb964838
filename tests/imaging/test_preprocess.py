"""The network's input: scaled, normalised, finite for every photo, blind to hidden colours."""

from __future__ import annotations

import numpy as np
import pytest

from offcut.card import InputSpec
from offcut.imaging.preprocess import preprocess

PLAIN = InputSpec((8, 8))
U2NET = InputSpec((32, 32), "max", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def flat(colour: tuple[int, int, int, int], height: int = 24, width: int = 24) -> np.ndarray:
    return np.full((height, width, 4), colour, np.uint8)


def test_levels_mean_and_deviation_by_hand() -> None:
    x = preprocess(flat((51, 102, 204, 255)), InputSpec((4, 6), "255", (0.2, 0.1, 0), (1, 2, 0.5)))
    assert x.shape == (1, 3, 4, 6) and x.dtype == np.float32
    assert np.allclose(x[0, :, 0, 0], [0, 0.15, 1.6], atol=1e-5)


def test_max_divides_by_the_brightest_level() -> None:
    x = preprocess(flat((50, 100, 25, 255)), InputSpec((4, 4), "max"))
    assert np.allclose(x[0, :, 0, 0], [0.5, 1, 0.25], atol=1e-5)


def test_a_black_photo_stays_black_and_finite() -> None:
    x = preprocess(flat((0, 0, 0, 255)), U2NET)
    assert np.allclose(x[0, :, 0, 0], -np.array(U2NET.mean) / U2NET.std)


def test_hidden_colours_are_not_seen() -> None:
    image = flat((10, 20, 30, 0))
    image[8:16, 8:16] = (90, 40, 20, 255)
    other = image.copy()
    other[image[..., 3] == 0, :3] = 77
    assert np.array_equal(preprocess(image, PLAIN), preprocess(other, PLAIN))


@pytest.mark.parametrize(("level", "paper"), [(20, 1.0), (150, 1.0), (250, 0.0)])
def test_what_is_cut_out_lies_on_white_or_if_bright_on_black(level: int, paper: float) -> None:
    image = flat((0, 0, 0, 0))
    image[9:15, 9:15] = (level, level, level, 255)
    assert preprocess(image, PLAIN)[0, :, 0, 0] == pytest.approx([paper] * 3, abs=1e-4)


def test_half_transparent_pixels_are_half_paper() -> None:
    image = flat((100, 100, 100, 128))
    assert preprocess(image, PLAIN)[0, 0, 4, 4] * 255 == pytest.approx(177, abs=1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (700, 500)])
@pytest.mark.parametrize("alpha", [255, 0, 90])
def test_every_size_gives_a_finite_input(shape: tuple[int, int], alpha: int) -> None:
    image = np.random.default_rng(3).integers(0, 256, (*shape, 4), dtype=np.uint8)
    image[..., 3] = alpha
    x = preprocess(image, U2NET)
    assert x.shape == (1, 3, 32, 32) and np.isfinite(x).all()
    assert x.flags.c_contiguous
