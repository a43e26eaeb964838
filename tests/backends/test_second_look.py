"""Photos of which the network is unsure are computed again without rounding; others are not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from offcut import backends
from offcut.backends import simd
from offcut.backends.simd.program import SimdProgram
from offcut.card import from_document
from offcut.container import Model
from offcut.errors import BackendError, Cancelled
from offcut.graph import Graph, Node
from offcut.quant import float_tensor
from offcut.session import Session, open_session

SIZE = 16


def model() -> Model:
    """Return a network that is sure of bright photos, unsure of dim ones, and rounds values."""
    rng = np.random.default_rng(0)
    first = rng.uniform(0.1, 1.0, (8, 3, 1, 1)).astype(np.float32)
    second = rng.uniform(0.5, 1.0, (1, 8, 1, 1)).astype(np.float32)
    shapes = {
        "image": (1, 3, SIZE, SIZE),
        "w0": first.shape,
        "hidden": (1, 8, SIZE, SIZE),
        "w1": second.shape,
        "b1": (1,),
        "score": (1, 1, SIZE, SIZE),
        "alpha": (1, 1, SIZE, SIZE),
    }
    nodes = (
        Node("Conv", ("image", "w0"), ("hidden",), {"activation": "Relu"}),
        Node("Conv", ("hidden", "w1", "b1"), ("score",)),
        Node("Sigmoid", ("score",), ("alpha",)),
    )
    document = {"name": "test", "input": {"size": [SIZE, SIZE]}, "output": {"name": "alpha"}}
    weights = {"w0": first, "w1": second, "b1": np.array([-1], np.float32)}
    return Model(
        Graph(nodes, ("image",), ("alpha",), shapes),
        {name: float_tensor(values) for name, values in weights.items()},
        from_document(document, "the test's card"),
        {"image": (0.0, 1.0), "hidden": (0.0, 3.0), "score": (-1.0, 20.0), "alpha": (0.0, 1.0)},
    )


def photo(light: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (light * rng.uniform(0.9, 1.0, (1, 3, SIZE, SIZE))).astype(np.float32)


DIM, BRIGHT = photo(0.1), photo(1.0)


@pytest.fixture
def session() -> Session:
    return asyncio.run(open_session(model(), backend="simd", threads=1))


def looked(session: Session, x: np.ndarray) -> np.ndarray:
    return asyncio.run(session.run(x))


def unrounded(x: np.ndarray) -> np.ndarray:
    async def run() -> np.ndarray:
        program = await simd.compile(model(), threads=1, precision="float32")
        return (await program.run({"image": x}, backends.no_checkpoint))["alpha"]

    return asyncio.run(run())


def test_what_is_unsure_is_computed_again_without_rounding(session: Session) -> None:
    assert np.array_equal(looked(session, DIM), unrounded(DIM))
    once = looked(replace(session, second_look=False), DIM)
    assert not np.array_equal(once, unrounded(DIM))
    assert np.abs(once - unrounded(DIM)).max() < 0.02


def test_what_is_sure_is_computed_once(session: Session) -> None:
    once = looked(replace(session, second_look=False), BRIGHT)
    assert np.array_equal(looked(session, BRIGHT), once)
    assert not np.array_equal(once, unrounded(BRIGHT))


def test_without_room_for_it_the_first_look_stands(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = looked(replace(session, second_look=False), DIM)
    monkeypatch.setattr(simd, "MOST_UNROUNDED", 0)
    assert np.array_equal(looked(session, DIM), once)


def test_when_it_fails_the_first_look_stands(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*args: object, **more: object) -> None:
        raise BackendError("no memory")

    once = looked(replace(session, second_look=False), DIM)
    monkeypatch.setattr(simd, "compile_unrounded", fail)
    assert np.array_equal(looked(session, DIM), once)


def test_a_second_look_can_be_stopped_and_leaves_nothing(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[SimdProgram] = []
    compile_it = simd.compile_unrounded

    async def compile_unrounded(model: Model, *, threads: int | None = None) -> SimdProgram | None:
        program = await compile_it(model, threads=threads)
        assert program is not None
        made.append(program)
        return program

    async def checkpoint(done: int, total: int) -> None:
        assert done == total or not made  # once the second look has begun, all seems done
        if made:
            raise Cancelled("stopped")

    monkeypatch.setattr(simd, "compile_unrounded", compile_unrounded)
    with pytest.raises(Cancelled):
        asyncio.run(session.run(DIM, checkpoint))
    assert len(made) == 1
    assert made[0].library is None


def test_a_model_that_rounds_nothing_is_not_compiled_again() -> None:
    assert asyncio.run(simd.compile_unrounded(replace(model(), ranges={}))) is None
    assert asyncio.run(backends.load("reference").compile_unrounded(model())) is None
