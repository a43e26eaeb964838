"""Alpha at the photo's size: edges come from the photo, certainty stays, no size is special."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut.card import OutputSpec
from offcut.imaging import refine as module
from offcut.imaging.guided import coefficients
from offcut.imaging.refine import refine

SPEC = OutputSpec("alpha", contrast=1.5)


def disc(height: int, width: int) -> np.ndarray:
    """Return bool (height, width): a disc in the middle."""
    y, x = np.mgrid[:height, :width]
    return (y - height / 2 + 0.5) ** 2 + (x - width / 2 + 0.5) ** 2 < (min(height, width) / 3) ** 2


def painted(mask: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return u8 RGBA with the mask in warm, the rest in cold colours, a little noisy."""
    rng = np.random.default_rng(seed)
    image = np.where(mask[..., None], (200, 120, 60, 255), (40, 90, 160, 255))
    image[..., :3] += rng.integers(-8, 9, (*mask.shape, 3))
    return image.astype(np.uint8)


def shrunk(mask: np.ndarray, factor: int) -> np.ndarray:
    """Return f32: block means of the mask, blurred over three blocks, as a network's map is."""
    h, w = mask.shape[0] // factor, mask.shape[1] // factor
    small = mask[: h * factor, : w * factor].reshape(h, factor, w, factor).mean(axis=(1, 3))
    padded = np.pad(small, 1, mode="edge")
    blurred = sum(padded[i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9
    return np.asarray(blurred, np.float32)


def test_edges_follow_the_photo_not_the_map() -> None:
    truth = disc(480, 640)
    map_small = shrunk(truth, 10)
    alpha = refine(map_small, painted(truth), SPEC)
    plain = refine(map_small, np.full((480, 640, 4), 128, np.uint8), SPEC)  # nothing to follow
    assert np.abs(alpha - truth).mean() < 0.25 * np.abs(plain - truth).mean()
    assert ((alpha > 0.5) == truth).mean() > 0.998


def test_a_plain_photo_gives_linear_interpolation() -> None:
    map_small = np.linspace(0, 1, 20, dtype=np.float32)[None].repeat(8, axis=0)
    alpha = refine(map_small, np.full((80, 200, 4), 99, np.uint8), OutputSpec("alpha"))
    # The filter's two means shorten a ramp only near its ends.
    at = np.linspace(0, 1, 200)
    assert np.abs(alpha[40, 50:150] - at[50:150]).max() < 0.03


def test_contrast_is_about_one_half() -> None:
    levels = np.array([0.1, 0.3, 0.5, 0.7, 0.9], np.float32)
    for level, expected in zip(levels, [0, 0.1, 0.5, 0.9, 1], strict=True):
        alpha = refine(
            np.full((4, 4), level, np.float32),
            np.zeros((9, 9, 4), np.uint8),
            OutputSpec("alpha", contrast=2),
        )
        assert np.allclose(alpha, expected, atol=1e-5)


def test_leaving_out_what_is_sure_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = disc(333, 555)
    image, map_small = painted(truth), shrunk(truth, 9)
    monkeypatch.setattr(module, "LARGE", 0)
    quick = refine(map_small, image, SPEC)
    monkeypatch.setattr(module, "_sure", lambda lines, _: np.zeros(lines.shape[1:], np.int8))
    assert np.array_equal(quick, refine(map_small, image, SPEC))


@settings(max_examples=40, deadline=None)
@given(
    full=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 99),
)
def test_any_sizes_give_alpha_in_range(
    full: tuple[int, int], size: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (*full, 4), dtype=np.uint8)
    alpha = refine(rng.random(size, dtype=np.float32), image, SPEC)
    assert alpha.shape == full and alpha.dtype == np.float32
    assert alpha.min() >= 0 and alpha.max() <= 1


@pytest.mark.parametrize("level", [0, 1])
def test_an_empty_and_a_full_map_stay_so(level: int) -> None:
    image = np.random.default_rng(4).integers(0, 256, (70, 90, 4), dtype=np.uint8)
    assert (refine(np.full((10, 10), level, np.float32), image, SPEC) == level).all()


def test_temporaries_stay_small() -> None:
    truth = disc(2000, 3000)
    image, map_small = painted(truth), shrunk(truth, 10)
    tracemalloc.start()
    refine(map_small, image, SPEC)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - 4 * truth.size < 40e6  # beyond the 24 MB of the result


def test_coefficients_of_a_linear_alpha_are_found() -> None:
    rng = np.random.default_rng(5)
    colours = rng.random((3, 30, 40), dtype=np.float32)
    alpha = 0.5 * colours[0] - 0.3 * colours[1] + 0.2 * colours[2] + 0.25
    lines = coefficients(alpha, colours)
    for line, expected in zip(lines, (0.5, -0.3, 0.2, 0.25), strict=True):
        assert np.abs(line - expected).max() < 0.01  # the regularisation's share
