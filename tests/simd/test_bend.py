"""Bent planes: which values are stored so, and that all kernels which meet them read them right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Instruction
from offcut.backends.simd.lower import lower
from offcut.backends.simd.values import Quantization, quantization
from offcut.container import Model
from offcut.graph import Node
from tests.simd import arithmetic
from tests.simd.machines import Machine, run
from tests.simd.networks import evaluate, network

SEEDS = range(6)
SAME: dict[str, Any] = {"pads": (1, 1, 1, 1)}
RELU = SAME | {"activation": "Relu"}
# Of the largest output: two layers in 8 bits, each of which rounds to at most 3 steps of 393.
TOLERANCE = 0.02


def weights_for(rng: np.random.Generator, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def made_bent(model: Model) -> set[str]:
    """Return the names of the convolutions that write bent planes."""
    steps = lower(model, LOWERING, quantize=True).steps
    instructions = [step for step in steps if isinstance(step, Instruction)]
    return {step.name for step in instructions if step.args.get("bent")}


def read_by(nodes: list[Node], size: int = 12, **weights: np.ndarray) -> Model:
    """Return a network that makes "y", 16 channels after a Relu, of which `nodes` make "z"."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 16, size, size)).astype(np.float32)
    first = Node("Conv", ("x", "w"), ("y",), RELU)
    weights |= weights_for(rng, w=(16, 16, 3, 3), v=(16, 16, 3, 3))
    return network([first, *nodes], {"x": x}, weights, ["z"])


LAST = Node("Conv", ("p", "v"), ("z",), SAME)
READERS: dict[str, tuple[list[Node], bool]] = {
    "a convolution": ([Node("Conv", ("y", "v"), ("z",), SAME)], True),
    "a pool": ([Node("MaxPool", ("y",), ("p",), {"kernel_shape": (1, 1)}), LAST], True),
    "a mean": ([Node("AveragePool", ("y",), ("p",), {"kernel_shape": (1, 1)}), LAST], False),
    "an enlargement": (
        [Node("Resize", ("y",), ("p",), {"mode": "linear", "size": (24, 24)}), LAST],
        False,
    ),
    "a sum with a convolution": (
        [Node("Conv", ("x", "v"), ("c",), SAME), Node("Add", ("y", "c"), ("p",)), LAST],
        True,
    ),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_value_is_bent_if_all_its_readers_know_how(native: Machine, reader: str) -> None:
    nodes, bent = READERS[reader]
    model = read_by(nodes)
    assert ("y" in made_bent(model)) == bent
    x = np.random.default_rng(0).standard_normal((1, 16, 12, 12)).astype(np.float32)
    arrays = {name: tensor.decode() for name, tensor in model.weights.items()}
    want = evaluate(model.graph.nodes, {"x": x, **arrays})["z"]
    got = run(native, model, {"x": x})["z"]
    assert np.abs(got - want).max() < TOLERANCE * np.abs(want).max()


def test_a_bent_value_goes_to_floats_where_it_must(native: Machine) -> None:
    rng = np.random.default_rng(1)
    nodes = [
        Node("Conv", ("x", "v"), ("f",), SAME),
        Node("Concat", ("y", "f"), ("p",), {"axis": 1}),
        Node("Conv", ("p", "u"), ("z",), SAME),
    ]
    model = read_by(nodes, **weights_for(rng, u=(16, 32, 3, 3)))
    model = replace(model, ranges={k: v for k, v in model.ranges.items() if k != "f"})
    assert made_bent(model) == {"y"}
    x = np.random.default_rng(0).standard_normal((1, 16, 12, 12)).astype(np.float32)
    arrays = {name: tensor.decode() for name, tensor in model.weights.items()}
    want = evaluate(model.graph.nodes, {"x": x, **arrays})["z"]
    got = run(native, model, {"x": x})["z"]
    assert np.abs(got - want).max() < TOLERANCE * np.abs(want).max()


def test_what_goes_out_is_not_bent() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 16, 8, 8)).astype(np.float32)
    node = Node("Conv", ("x", "w"), ("y",), RELU)
    model = network([node], {"x": x}, weights_for(rng, w=(16, 16, 3, 3)), ["y"])
    assert not made_bent(model)


def test_late_and_large_values_are_not_bent() -> None:
    moved = [
        Node("MaxPool", (f"p{i}",), (f"p{i + 1}",), {"kernel_shape": (1, 1)}) for i in range(3)
    ]
    late = [
        Node("MaxPool", ("x",), ("p0",), {"kernel_shape": (1, 1)}),
        *moved,
        Node("Conv", ("p3", "w"), ("y",), RELU),
        Node("Conv", ("y", "w"), ("z",), SAME),
    ]
    for size, bent in ((160, True), (164, False)):
        x = np.zeros((1, 16, size, size), np.float32)
        x[..., 0, 0] = 1
        model = network(late, {"x": x}, {"w": np.ones((16, 16, 3, 3), np.float32)}, ["z"])
        assert ("y" in made_bent(model)) == bent


def test_a_value_that_may_be_negative_is_not_bent() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 16, 8, 8)).astype(np.float32)
    nodes = [Node("Conv", ("x", "w"), ("y",), SAME), Node("Conv", ("y", "w"), ("z",), SAME)]
    assert not made_bent(network(nodes, {"x": x}, weights_for(rng, w=(16, 16, 3, 3)), ["z"]))


def test_every_bent_u8_stands_for_the_steps_that_are_stored_as_it() -> None:
    u8 = np.arange(256)
    steps = arithmetic.unbend(u8)
    assert (arithmetic.bend(steps) == u8).all()
    every = np.arange(steps[-1] + 1)
    assert np.abs(arithmetic.unbend(arithmetic.bend(every)) - every).max() == 1
    assert arithmetic.bend(np.array([-5, 32767])).tolist() == [0, 255]


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_two_convolutions_give_the_bytes_of_their_arithmetic(
    native: Machine, seed: int, dilation: int
) -> None:
    rng = np.random.default_rng(seed)
    c, o, last = (int(size) for size in rng.integers(8, 40, 3))
    h, w = (int(size) for size in rng.integers(4, 40, 2))
    x = rng.standard_normal((1, c, h, w)).astype(np.float32)
    weights = weights_for(rng, w=(o, c, 3, 3), v=(last, o, 3, 3), b=(o,), d=(last,))
    second = {"pads": (dilation,) * 4, "dilations": (dilation,) * 2}
    nodes = [
        Node("Conv", ("x", "w", "b"), ("y",), RELU),
        Node("Conv", ("y", "v", "d"), ("z",), second),
    ]
    model = network(nodes, {"x": x}, weights, ["z"])
    draft = lower(model, LOWERING, quantize=True)
    convs = [s for s in draft.steps if isinstance(s, Instruction) and s.kernel.startswith("conv")]
    assert made_bent(model) == {"y"}

    (got,) = run(native, model, {"x": x}).values()

    q = quantization(*model.ranges["x"])
    values = arithmetic.padded_lanes(arithmetic.quantize(x[0], q.scale, q.zero), q.zero)
    for step, pack in zip(convs, draft.packs, strict=True):
        direct = step.kernel == "conv_direct"
        u, bias = arithmetic.packed(pack.args, pack.source(), 1 if direct else 9)
        if direct:
            y = arithmetic.direct(step.args, u[..., 0], pack.args, values, q.zero)
            made = arithmetic.finish(step.args, y, bias, None)
        else:
            made = arithmetic.winograd(step.args, u, bias, pack.args, values, q.zero)
        q = Quantization(1.0, 0)
        values = arithmetic.padded_lanes(arithmetic.unbend(made), q.zero)
    out = quantization(*model.ranges["z"])
    assert np.array_equal(got[0], arithmetic.dequantize(made, out.scale, out.zero))
