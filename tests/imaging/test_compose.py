"""The result: exact where opaque, empty where removed, the subject's own colour in between."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut.errors import OffcutError
from offcut.imaging.compose import compose, parse_color
from offcut.imaging.foreground import estimate


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 4), dtype=np.uint8)
    image[..., 3] = 255
    return image


def ramp(height: int = 60, width: int = 90) -> np.ndarray:
    """Return alpha, f32: 0 on the left third, 1 on the right third, a ramp between."""
    third = width // 3
    line = np.clip((np.arange(width) - third) / third, 0, 1).astype(np.float32)
    return line[None].repeat(height, axis=0)


def mixture(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return u8 RGBA of a varying subject over a varying background, and the subject, f32."""
    height, width = alpha.shape
    y = np.linspace(0, 1, height)[:, None, None]
    x = np.linspace(0, 1, width)[None, :, None]
    subject = np.array([220, 120, 60]) - 60 * y + 20 * x  # (H, W, 3)
    background = np.array([20, 90, 200]) + 50 * y - 15 * x
    seen = alpha[..., None] * subject + (1 - alpha[..., None]) * background
    opaque = np.full((height, width, 1), 255)
    return np.rint(np.concatenate([seen, opaque], axis=2)).astype(np.uint8), subject


@pytest.mark.parametrize("decontaminate", [True, False])
def test_opaque_pixels_are_exact_and_removed_ones_empty(decontaminate: bool) -> None:
    image, alpha = noise(60, 90), ramp()
    result = compose(image, alpha, decontaminate=decontaminate)
    assert np.array_equal(result[alpha == 1], image[alpha == 1])
    assert not result[alpha == 0].any()
    assert np.array_equal(result[..., 3], np.floor(alpha * np.float32(255) + np.float32(0.5)))


def test_the_image_given_is_not_changed() -> None:
    image = noise(60, 90)
    before = image.copy()
    compose(image, ramp(), background=(1, 2, 3))
    assert np.array_equal(image, before)


def test_soft_edges_lose_the_old_background() -> None:
    alpha = ramp(150, 240)
    image, subject = mixture(alpha)
    soft = (alpha > 0.1) & (alpha < 1)
    touched = np.abs(compose(image, alpha)[..., :3] - subject)[soft].mean()
    left = np.abs(compose(image, alpha, decontaminate=False)[..., :3] - subject)[soft].mean()
    assert touched < 0.25 * left


def test_an_object_and_a_background_of_one_colour_keep_it() -> None:
    image = np.full((60, 90, 4), (100, 150, 50, 255), np.uint8)
    result = compose(image, ramp())
    assert np.abs(result[..., :3].astype(int)[result[..., 3] > 0] - (100, 150, 50)).max() <= 1


def test_estimates_are_the_pure_colours() -> None:
    image = np.full((64, 64, 4), (250, 10, 10, 255), np.uint8)
    image[:, 32:] = (10, 10, 250, 255)
    matte = np.zeros((64, 64), np.uint8)
    matte[:, :32] = 255
    cells = estimate(image, matte).cells
    assert np.abs(cells[..., :3] - (250, 10, 10)).max() < 15
    assert np.abs(cells[..., 4:7] - (10, 10, 250)).max() < 15


def test_the_alpha_of_the_photo_is_multiplied_in() -> None:
    image = noise(60, 90)
    image[..., 3] = 100
    alpha = ramp()
    result = compose(image, alpha)
    assert np.abs(result[..., 3] - 100 * alpha).max() <= 0.7
    # These colours are unmixed already: they stay exact under any alpha.
    kept = result[..., 3] > 0
    assert np.array_equal(result[kept, :3], image[kept, :3])


def test_all_256_levels_of_alpha_keep_their_colours() -> None:
    image = noise(16, 256)
    image[..., 3] = np.arange(256)
    result = compose(image, np.ones((16, 256), np.float32))
    assert np.array_equal(result[:, 1:], image[:, 1:]) and not result[:, 0].any()


def test_the_mask_is_the_alpha_of_the_result() -> None:
    image = noise(60, 90)
    image[:30, :, 3] = 77
    mask = compose(image, ramp(), only_mask=True)
    assert mask.shape == (60, 90) and np.array_equal(mask, compose(image, ramp())[..., 3])


def test_a_background_by_hand() -> None:
    image = np.full((1, 3, 4), (200, 100, 0, 255), np.uint8)
    alpha = np.array([[0, 0.5, 1]], np.float32)
    result = compose(image, alpha, background=(0, 100, 255), decontaminate=False)
    assert result.tolist() == [[[0, 100, 255, 255], [100, 100, 127, 255], [200, 100, 0, 255]]]


@settings(max_examples=50, deadline=None)
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    seed=st.integers(0, 99),
    own=st.booleans(),
)
def test_any_size_and_alpha_works(height: int, width: int, seed: int, own: bool) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    if not own:
        image[..., 3] = 255
    alpha = np.clip(rng.normal(0.5, 0.6, (height, width)), 0, 1).astype(np.float32)
    result = compose(image, alpha)
    assert np.abs(result[..., 3] - alpha * image[..., 3]).max() <= 1
    assert not result[result[..., 3] == 0].any()


@pytest.mark.parametrize("level", [0, 1])
def test_an_empty_and_a_full_alpha(level: int) -> None:
    image = noise(33, 44)
    result = compose(image, np.full((33, 44), level, np.float32))
    assert np.array_equal(result, image * np.uint8(level))


def test_an_image_that_is_a_view_works() -> None:
    image = noise(60, 90)
    turned = image.swapaxes(0, 1)
    expected = compose(turned.copy(), ramp(90, 60))
    assert np.array_equal(compose(turned, ramp(90, 60)), expected)


def test_temporaries_stay_small() -> None:
    image, alpha = noise(2000, 3000), ramp(2000, 3000)
    tracemalloc.start()
    compose(image, alpha)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - image.size < 50e6  # beyond the 24 MB of the result


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("white", (255, 255, 255)),
        (" Black ", (0, 0, 0)),
        ("#f80", (255, 136, 0)),
        ("ff8800", (255, 136, 0)),
        ("255, 136,0", (255, 136, 0)),
    ],
)
def test_colours_as_people_write_them(text: str, colour: tuple[int, int, int]) -> None:
    assert parse_color(text) == colour


@pytest.mark.parametrize(
    "text", ["", "#12", "#12345g", "blau", "1,2", "1,2,3,4", "-1,0,0", "256,0,0"]
)
def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(OffcutError, match="is not a colour") as caught:
        parse_color(text)
    assert "#rrggbb" in caught.value.remedy
