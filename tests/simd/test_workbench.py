"""What the kernels make of pictures is, to the bit, what numpy makes of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from offcut.backends.simd import workbench
from offcut.backends.simd.workbench import Workbench
from offcut.card import OutputSpec
from offcut.imaging import foreground, guided, png, preview, refine, resample, unmix
from offcut.imaging.compose import compose
from tests.simd import machines


@pytest.fixture(params=["native", "wasm"])
def bench(
    request: pytest.FixtureRequest, cache: pytest.Cache, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workbench]:
    monkeypatch.setattr(workbench, "SMALL", 0)
    start = machines.native if request.param == "native" else machines.wasm(cache, pictures=True)
    yield Workbench(lambda size: start(size, 1))


def kernel(taps: int, rows_in: int, rows_out: int, seed: int) -> resample.Kernel:
    rng = np.random.default_rng(seed)
    where = rng.integers(0, rows_in, (taps, rows_out)).astype(np.int32)
    return where, rng.normal(size=(taps, rows_out)).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 5), *[st.integers(1, 60)] * 4, st.integers(1, 12))
def test_any_filter_gives_numpys_bits(
    planes: int, height: int, width: int, high: int, wide: int, taps: int
) -> None:
    rng = np.random.default_rng(width)
    picture = rng.normal(size=(planes, height, width)).astype(np.float32)
    rows, columns = kernel(taps, height, high, seed=taps), kernel(taps, width, wide, seed=wide)
    limit, workbench.SMALL = workbench.SMALL, 0
    try:
        native = Workbench(lambda size: machines.native(size, 1))
        got = native.filter(picture, rows, columns)
    finally:
        workbench.SMALL = limit
    assert np.array_equal(got, resample.filtered.definition(picture, rows, columns))


def test_a_photo_is_shrunk_to_the_same_bits(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (333, 457, 4)).astype(np.uint8)
    wanted = resample.shrink(image, (96, 128))
    monkeypatch.setattr(resample.filtered, "_chosen", bench.filter)
    monkeypatch.setattr(resample.block_sums, "_chosen", bench.sum_blocks)
    assert np.array_equal(resample.shrink(image, (96, 128)), wanted)


@pytest.mark.parametrize("size", [(8, 8), (40, 33), (320, 320), (7, 50)])
def test_the_guided_filter_gives_numpys_bits(bench: Workbench, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[0])
    colours = rng.random((3, *size), np.float32)
    alpha = np.clip(rng.normal(0.5, 1, size), 0, 1).astype(np.float32)
    colours[:, : size[0] // 2] = 0.25  # where a colour does not vary
    wanted = guided.coefficients.definition(alpha, colours)
    assert np.array_equal(bench.coefficients(alpha, colours), wanted)


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 40)] * 4)
def test_any_lines_are_applied_to_the_same_bits(h: int, w: int, high: int, width: int) -> None:
    rng = np.random.default_rng(h * w)
    lines = rng.normal(size=(4, h, w)).astype(np.float32)
    lines[:3] /= 255
    pixels = rng.integers(0, 256, (high, width, 4)).astype(np.uint8)
    taps = resample.bilinear_taps(h, high), resample.bilinear_taps(w, width)
    native = Workbench(lambda size: machines.native(size, 1))
    wanted = refine.enlarged.definition(lines, pixels, *taps)
    assert np.array_equal(native.enlarged(lines, pixels, *taps), wanted)


def test_a_photos_alpha_is_refined_to_the_same_bits(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    image = rng.integers(0, 256, (333, 1457, 4)).astype(np.uint8)
    alpha = np.zeros((64, 64), np.float32)
    alpha[20:40, 10:50] = 1
    alpha[40:44] = 0.5
    spec = OutputSpec("alpha", contrast=1.5)
    wanted = refine.refine(alpha, image, spec)
    for step, name in [
        (resample.filtered, "filter"),
        (guided.coefficients, "coefficients"),
        (refine.enlarged, "enlarged"),
    ]:
        monkeypatch.setattr(step, "_chosen", getattr(bench, name))
    assert np.array_equal(refine.refine(alpha, image, spec), wanted)


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 40)] * 2, st.integers(2, 16), st.integers(0, 9))
def test_any_soft_pixels_are_unmixed_to_the_same_bits(
    high: int, width: int, block: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (high, width, 4)).astype(np.uint8)
    pixels[..., 3] = rng.choice([255, 255, 100], (high, width))
    matte = rng.choice(np.array([0, 1, 128, 254, 255], np.uint8), (high, width))
    h, w = -(-high // block), -(-width // block)
    cells = rng.uniform(0, 255, (h, w, 8)).astype(np.float32)
    taps = [resample.bilinear_taps(*sizes, block) for sizes in ((h, high), (w, width))]
    wanted, got = pixels.copy(), pixels.copy()
    unmix.unmix.definition(wanted, matte, cells, taps[0], taps[1])
    Workbench(lambda size: machines.native(size, 1)).unmix(got, matte, cells, taps[0], taps[1])
    assert np.array_equal(got, wanted)


def test_a_cutout_is_composed_to_the_same_bits(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(6)
    image = rng.integers(0, 256, (333, 1457, 4)).astype(np.uint8)
    image[..., 3] = 255
    alpha = np.clip(rng.normal(0.5, 0.5, (333, 1457)), 0, 1).astype(np.float32)
    wanted = compose(image, alpha)
    monkeypatch.setattr(resample.filtered, "_chosen", bench.filter)
    monkeypatch.setattr(unmix.unmix, "_chosen", bench.unmix)
    monkeypatch.setattr(foreground.spread, "_chosen", bench.spread)
    assert np.array_equal(compose(image, alpha), wanted)


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 60)] * 2, *[st.integers(1, 16)] * 2)
def test_any_blocks_have_the_same_sums(rows: int, width: int, high: int, wide: int) -> None:
    band = np.random.default_rng(rows).integers(200, 256, (rows, width, 4)).astype(np.uint8)
    got = Workbench(lambda size: machines.native(size, 1)).sum_blocks(band, high, wide)
    assert np.array_equal(got, resample.block_sums.definition(band, high, wide))


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 6)] * 2, st.integers(1, 8), st.integers(0, 7), st.integers(0, 9))
def test_any_blocks_are_shrunk_to_the_same_bytes(
    high: int, wide: int, block: int, rest: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = high * block + rest % block, wide * block + rest // 2 % block, 4
    pixels = rng.integers(0, 256, shape).astype(np.uint8)
    pixels[..., 3] = rng.choice([0, 1, 128, 254, 255, 255], shape[:2])
    got = Workbench(lambda size: machines.native(size, 1)).shrink_blocks(pixels, block)
    assert np.array_equal(got, preview.shrink_blocks.definition(pixels, block))


@settings(max_examples=60, deadline=None)
@given(*[st.integers(1, 70)] * 2, st.integers(0, 9))
def test_any_colours_are_spread_to_the_same_bits(high: int, wide: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    small = rng.uniform(0, 255, (4, high, wide)).astype(np.float32)
    small[3] = np.clip(rng.normal(127, 300, (high, wide)), 0, 255)
    if seed == 0:
        small[3] = 255  # no background anywhere
    got = Workbench(lambda size: machines.native(size, 1)).spread(small)
    assert np.array_equal(got, foreground.spread.definition(small))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 70), st.sampled_from([1, 3, 4]), st.integers(0, 9))
def test_any_rows_are_filtered_for_a_png_to_the_same_bytes(
    high: int, width: int, channels: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rows = np.cumsum(rng.integers(0, 5, (high, width * channels)), axis=seed % 2).astype(np.uint8)
    above = rng.integers(0, 256, width * channels).astype(np.uint8)
    got = Workbench(lambda size: machines.native(size, 1)).filter_png(rows, above, channels)
    assert np.array_equal(got, png.filter_rows.definition(rows, above, channels))


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 120),
    st.integers(1, 300),
    st.sampled_from([1, 3, 4]),
    st.sampled_from([1, 2, 3, 9, 100, 256]),
    st.integers(1, 40),
    st.integers(0, 10**6),
)
def test_any_picture_is_deflated_to_zlibs_bytes(
    high: int, width: int, channels: int, levels: int, repeats: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    rare = rng.integers(0, levels, (high, width, channels)) * (rng.random((high, width, 1)) < 0.3)
    pixels = np.repeat(rare, repeats, axis=1)[:, :width].astype(np.uint8)
    bench = Workbench(lambda size: machines.native(size, 1))
    old, png.BAND_BYTES = png.BAND_BYTES, int(rng.integers(1, 40_000))
    try:
        got = [*bench.deflate_png(pixels)]
    finally:
        png.BAND_BYTES = old
    wanted = b"".join(part for _, part in png.deflated.definition(pixels))
    assert b"".join(part for _, part in got) == wanted
    assert got[-1][0] == high


def test_a_photo_and_noise_are_deflated_to_zlibs_bytes(bench: Workbench) -> None:
    photo = np.dstack([data.astronaut(), np.full((512, 512), 255, np.uint8)])
    photo[:200, :300] = 0
    noise = np.random.default_rng(1).integers(0, 256, (300, 200, 4)).astype(np.uint8)
    noise = np.concatenate([np.zeros_like(noise), noise])  # which zlib stores
    for pixels in (photo, noise):
        wanted = b"".join(part for _, part in png.deflated.definition(pixels))
        assert b"".join(part for _, part in bench.deflate_png(pixels)) == wanted


def test_many_planes_are_done_in_several_jobs(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbench, "MOST", 3 * 50 * 40 * 4)  # three planes
    picture = np.random.default_rng(2).normal(size=(7, 50, 40)).astype(np.float32)
    kernels = kernel(3, 50, 20, seed=3), kernel(2, 40, 30, seed=4)
    wanted = resample.filtered.definition(picture, *kernels)
    assert np.array_equal(bench.filter(picture, *kernels), wanted)


def test_P7_what_a_job_left_is_zeroed(bench: Workbench) -> None:
    picture = np.random.default_rng(4).normal(size=(1, 50, 40)).astype(np.float32)
    kernels = kernel(3, 50, 20, seed=3), kernel(2, 40, 30, seed=4)
    wanted = bench.filter(picture, *kernels)
    left = np.empty(bench._size, np.uint8)
    assert bench._library

    bench.forget()
    bench._library.read(0, left)

    assert not left.any()
    assert np.array_equal(bench.filter(picture, *kernels), wanted)
