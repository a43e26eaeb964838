"""Pictures filtered by the kernels are, to the bit, those that numpy filters."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offcut.backends.simd import workbench
from offcut.backends.simd.workbench import Workbench
from offcut.imaging import resample
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
    assert np.array_equal(got, resample.in_numpy(picture, rows, columns))


def test_a_photo_is_shrunk_to_the_same_bits(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (333, 457, 4)).astype(np.uint8)
    wanted = resample.shrink(image, (96, 128))
    monkeypatch.setattr(resample, "_chosen", [bench.filter])
    assert np.array_equal(resample.shrink(image, (96, 128)), wanted)


def test_many_planes_are_done_in_several_jobs(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbench, "MOST", 3 * 50 * 40 * 4)  # three planes
    picture = np.random.default_rng(2).normal(size=(7, 50, 40)).astype(np.float32)
    kernels = kernel(3, 50, 20, seed=3), kernel(2, 40, 30, seed=4)
    wanted = resample.in_numpy(picture, *kernels)
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
