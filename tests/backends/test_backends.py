"""Every backend agrees with the definitions, keeps to what was asked, and stops when told."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from offcut import backends
from offcut.errors import BackendError, Cancelled
from tests import conformance


@pytest.mark.parametrize("backend", backends.BACKENDS)
def test_every_backend_agrees_with_the_definitions(backend: str) -> None:
    assert conformance.check(backend) == []


def test_more_than_one_thread_is_refused_not_ignored() -> None:
    model = conformance.as_model(conformance.cases()[0])
    with pytest.raises(BackendError, match="one thread"):
        asyncio.run(backends.load("reference").compile(model, threads=2))


def test_checkpoint_stops_a_run() -> None:
    case = conformance.cases()[0]
    model = conformance.as_model(case)

    async def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    async def run() -> None:
        program = await backends.load("reference").compile(model)
        await program.run({"v0": case.inputs[0]}, stop)

    with pytest.raises(Cancelled):
        asyncio.run(run())


def test_unknown_backend_names_the_known_ones() -> None:
    with pytest.raises(BackendError) as caught:
        backends.load("gpu")
    assert "reference" in caught.value.remedy


def test_running_twice_gives_the_same_bits() -> None:
    case = conformance.cases()[0]
    model = conformance.as_model(case)

    async def run() -> list[np.ndarray]:
        program = await backends.load("reference").compile(model)
        return [
            (await program.run({"v0": case.inputs[0]}, backends.no_checkpoint))["y"]
            for _ in range(2)
        ]

    first, second = asyncio.run(run())
    assert np.array_equal(first, second)
