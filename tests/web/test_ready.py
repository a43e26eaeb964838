"""A model that waits: the same results as one that is opened, and only for its own file."""

from __future__ import annotations

import asyncio
import hashlib

import numpy as np
import pytest

from offcut import container
from offcut.backends import no_checkpoint, simd
from offcut.container import Model
from offcut.web import ready
from tests import tiny


@pytest.fixture(autouse=True)
def nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test lets wait to itself."""
    monkeypatch.setattr(ready, "_waiting", {})
    monkeypatch.setattr(simd, "_prepared", [])


def alpha(model: Model) -> np.ndarray:
    """Return what the kernels make of noise."""
    x = np.random.default_rng(5).random((1, 3, tiny.SIZE, tiny.SIZE), np.float32)

    async def run() -> np.ndarray:
        program = await simd.compile(model, threads=1)
        try:
            return (await program.run({"image": x}, no_checkpoint))["alpha"]
        finally:
            program.close()

    return asyncio.run(run())


def test_a_model_that_waited_gives_what_its_file_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    data = container.write(tiny.model())
    name = ready.prepare(data, "tiny")
    opened = alpha(container.read(data, "tiny"))
    monkeypatch.setattr(simd, "lower", lambda *_, **__: pytest.fail("it was lowered again"))

    model = ready.find(name)

    assert model is not None
    assert name == hashlib.sha256(data).hexdigest()
    assert np.array_equal(alpha(model), opened)


def test_a_model_that_waits_does_without_its_file() -> None:
    data = bytearray(container.write(tiny.model()))
    name = ready.prepare(data, "tiny")
    data[:] = bytes(len(data))

    model = ready.find(name)

    assert model is not None
    assert model.weights["w1"].decode()[0, 0] == 30
    assert model.spans["red"].tolist() == [0, 96, 96, 96]


def test_another_file_does_not_find_it() -> None:
    ready.prepare(container.write(tiny.model()), "tiny")

    assert ready.find("0" * 64) is None


def test_in_full_precision_a_model_that_waits_is_lowered_anew() -> None:
    model = container.read(container.write(tiny.model()), "tiny")
    simd.prepare(model)

    exact = asyncio.run(simd.compile(model, threads=1, precision="float32"))
    exact.close()

    assert not {kernel for kernel, _, _ in exact.ops} & {"conv_winograd", "conv_direct"}
