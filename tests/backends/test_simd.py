"""The simd backend keeps float32 where asked, and says what it cannot do."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from offcut import backends
from offcut.backends import simd
from offcut.errors import BackendError
from tests import conformance

TOLERANCE_FLOAT = 1e-5  # the transforms of Winograd convolutions lose some bits


def test_float32_agrees_to_the_last_digits() -> None:
    async def compile_and_run(case: conformance.Case) -> float:
        model = conformance.as_model(case)
        program = await simd.compile(model, threads=1, precision="float32")
        inputs = dict(zip(model.graph.inputs, case.inputs, strict=False))
        got = (await program.run(inputs, backends.no_checkpoint))["y"]
        program.close()
        want = conformance.OPS[case.op](*case.inputs, **case.attributes)
        return float(abs(got - want).max() / abs(want).max())

    for case in conformance.cases():
        assert asyncio.run(compile_and_run(case)) < TOLERANCE_FLOAT, str(case)


def test_a_node_without_a_kernel_is_named_with_the_reason() -> None:
    case = next(case for case in conformance.cases() if case.op == "Softmax")
    program = asyncio.run(simd.compile(conformance.as_model(case), threads=1))
    assert program.fallbacks == {"y": "Softmax has no kernel"}
    program.close()


@pytest.mark.parametrize("threads", [0, 9])
def test_an_impossible_number_of_threads_is_refused(threads: int) -> None:
    model = conformance.as_model(conformance.cases()[0])
    with pytest.raises(BackendError, match="expected 1 to 8"):
        asyncio.run(simd.compile(model, threads=threads))


def test_a_wrong_input_shape_is_refused() -> None:
    model = conformance.as_model(conformance.cases()[0])
    program = asyncio.run(simd.compile(model, threads=1))
    with pytest.raises(BackendError, match="shape is"):
        wrong = {"v0": np.zeros((1, 3, 4, 4), np.float32)}
        asyncio.run(program.run(wrong, backends.no_checkpoint))
    program.close()


def test_a_closed_program_does_not_run() -> None:
    case = conformance.cases()[0]
    program = asyncio.run(simd.compile(conformance.as_model(case), threads=2))
    program.close()
    with pytest.raises(BackendError, match="closed"):
        asyncio.run(program.run({"v0": case.inputs[0]}, backends.no_checkpoint))
