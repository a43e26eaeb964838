"""The same bits on native code and WebAssembly, on one thread and on many, near the definition."""

from __future__ import annotations

import numpy as np
import pytest

from tests.simd.machines import Machine, run
from tests.simd.networks import evaluate, random_network

SEEDS = range(6)
# A chain of eight layers in 8 bits: each rounds to 1/255 of its range, errors add up like noise.
TOLERANCE_U8 = 0.06
# Sums in another order than numpy's, in float32.
TOLERANCE_FLOAT = 2e-5


def expected(seed: int) -> dict[str, np.ndarray]:
    model, inputs = random_network(seed)
    weights = {name: tensor.decode() for name, tensor in model.weights.items()}
    return evaluate(model.graph.nodes, {**inputs, **weights})


@pytest.mark.parametrize("seed", SEEDS)
def test_u8_is_near_the_definition(native: Machine, seed: int) -> None:
    model, inputs = random_network(seed)
    want = expected(seed)
    for name, value in run(native, model, inputs).items():
        assert abs(value - want[name]).max() < TOLERANCE_U8 * abs(want[name]).max()


@pytest.mark.parametrize("seed", SEEDS)
def test_float32_is_next_to_the_definition(native: Machine, seed: int) -> None:
    model, inputs = random_network(seed)
    want = expected(seed)
    for name, value in run(native, model, inputs, quantize=False).items():
        assert abs(value - want[name]).max() < TOLERANCE_FLOAT * abs(want[name]).max()


@pytest.mark.parametrize("quantize", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_webassembly_gives_the_bits_of_native_code(
    native: Machine, wasm: Machine, seed: int, quantize: bool
) -> None:
    model, inputs = random_network(seed)
    want = run(native, model, inputs, quantize=quantize)
    got = run(wasm, model, inputs, quantize=quantize)
    assert all(np.array_equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("threads", [2, 3, 4, 8])
@pytest.mark.parametrize("machine", ["native", "wasm"])
def test_threads_do_not_change_bits(
    request: pytest.FixtureRequest, machine: str, threads: int
) -> None:
    start = request.getfixturevalue(machine)
    for seed in (0, 1):
        model, inputs = random_network(seed)
        want = run(start, model, inputs)
        got = run(start, model, inputs, threads=threads)
        assert all(np.array_equal(got[name], want[name]) for name in want)
