"""Shrinking agrees with Pillow's Lanczos, at any size; enlarging with linear interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from offcut.imaging import resample
from offcut.imaging.resample import bilinear_taps, bilinear_width, shrink

# float32 sums of a few dozen terms of up to 255.
ROUNDING = 1e-3
# Whole blocks first, then Lanczos, against Lanczos alone: levels of a detailed photo.
BLOCKS_MEAN, BLOCKS_MAX = 0.8, 12.0


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)


def by_pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return f32 (4, h, w) by Pillow's Lanczos in floating point."""
    planes = [Image.fromarray(image[..., c].astype(np.float32)) for c in range(4)]
    small = [plane.resize(size[::-1], Image.Resampling.LANCZOS) for plane in planes]
    return np.clip(np.stack([np.asarray(plane) for plane in small]), 0, 255)


@pytest.mark.parametrize("size", [(32, 32), (30, 61), (100, 100), (64, 1), (1, 90), (40, 200)])
def test_small_factors_agree_with_pillow(size: tuple[int, int]) -> None:
    image = noise(64, 90)
    small = shrink(image, size)
    assert small.dtype == np.float32 and small.shape == (4, *size)
    factors = [n // (2 * m) for n, m in zip((64, 90), size, strict=True)]
    if max(factors) <= 1:
        assert np.abs(small - by_pillow(image, size)).max() < ROUNDING


def test_large_factors_agree_with_pillow_on_a_photo() -> None:
    photo = np.tile(data.astronaut(), (3, 4, 1))  # (1536, 2048, 3)
    image = np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])
    difference = np.abs(shrink(image, (160, 150)) - by_pillow(image, (160, 150)))
    assert difference.mean() < BLOCKS_MEAN and difference.max() < BLOCKS_MAX


@settings(max_examples=60, deadline=None)
@given(
    full=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    level=st.integers(0, 255),
)
def test_a_plain_image_stays_plain_at_any_size(
    full: tuple[int, int], size: tuple[int, int], level: int
) -> None:
    small = shrink(np.full((*full, 4), level, np.uint8), size)
    assert np.abs(small - level).max() < ROUNDING


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (1, 1), (700, 3)])
def test_extreme_shapes_keep_their_mean(shape: tuple[int, int]) -> None:
    image = noise(*shape)
    small = shrink(image, (1, 1))
    # Lanczos weighs the border less: near the mean, not equal to it.
    assert np.abs(small[:, 0, 0] - image.mean(axis=(0, 1))).max() < 25


def test_white_does_not_overflow_the_largest_blocks() -> None:
    assert shrink(np.full((1024, 1030, 4), 255, np.uint8), (4, 4)).min() > 255 - ROUNDING


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(203, 97)
    whole = shrink(image, (20, 20))
    monkeypatch.setattr(resample, "BAND_SAMPLES", 1)
    assert np.array_equal(shrink(image, (20, 20)), whole)


def test_prepare_sees_every_row_once_and_replaces_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resample, "BAND_SAMPLES", 97 * 4 * 30)
    image, seen = noise(203, 97), []

    def inverted(band: np.ndarray, rows: slice) -> np.ndarray:
        seen.extend(range(rows.start, rows.stop))
        assert np.array_equal(band, image[rows])
        return 255 - band

    assert np.allclose(shrink(image, (20, 20), prepare=inverted), shrink(255 - image, (20, 20)))
    assert seen == list(range(203))


def test_bilinear_by_hand() -> None:
    # Two samples over four: the outer quarters repeat the border, the inner ones mix 3 to 1.
    rows = np.array([[0, 4]], np.float32)
    assert bilinear_width(rows, *bilinear_taps(2, 4)).tolist() == [[0, 1, 3, 4]]
    assert bilinear_width(rows[:, :1], *bilinear_taps(1, 3)).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("size", "full"), [(7, 50), (50, 7), (13, 13), (1, 9), (320, 4001)])
def test_bilinear_agrees_with_numpys_interpolation(size: int, full: int) -> None:
    values = np.random.default_rng(2).random(size, dtype=np.float32)
    at = (np.arange(full) + 0.5) * size / full - 0.5
    expected = np.interp(at, np.arange(size), values)
    got = bilinear_width(values[None], *bilinear_taps(size, full))[0]
    assert np.allclose(got, expected, atol=1e-5)
