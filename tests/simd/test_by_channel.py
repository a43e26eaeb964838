"""Values whose channels each take their own portion of the range: who writes and who reads them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Instruction, Pack
from offcut.backends.simd.lower import lower
from offcut.backends.simd.storage import values_by_channel
from offcut.backends.simd.values import quantization
from offcut.container import Model
from offcut.graph import Node
from tests.simd import arithmetic
from tests.simd.machines import Machine, run
from tests.simd.networks import evaluate, network

SAME: dict[str, Any] = {"pads": (1, 1, 1, 1)}
RELU = SAME | {"activation": "Relu"}
TOLERANCE = 0.02  # of the largest output; channels differ by a factor of 20


def uneven(rng: np.random.Generator, o: int, c: int, size: int = 3) -> np.ndarray:
    """Return weights (o, c, size, size) whose outputs differ in size."""
    sizes = np.exp(rng.uniform(-3, 0, (o, 1, 1, 1)))
    return (rng.standard_normal((o, c, size, size)) * sizes).astype(np.float32)


def read_by(nodes: list[Node]) -> tuple[Model, dict[str, np.ndarray]]:
    """Return a network that makes "y", 16 uneven channels, of which `nodes` make "z"."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (1, 16, 12, 12)).astype(np.float32) / 256  # exact in u8
    first = Node("Conv", ("x", "w"), ("y",), RELU)
    weights = {"w": uneven(rng, 16, 16), "u": uneven(rng, 16, 16, 1), "v": uneven(rng, 16, 16)}
    even = rng.standard_normal((4, 16, 3, 3)).astype(np.float32)
    weights["all"] = even / np.abs(weights["w"]).mean(axis=(1, 2, 3))[:, None, None]
    used = {name for node in (first, *nodes) for name in node.inputs}
    chosen = {name: weights[name] for name in sorted(used & weights.keys())}
    return network([first, *nodes], {"x": x}, chosen, ["z"]), {"x": x}


LAST = Node("Conv", ("p", "v"), ("z",), SAME)
READERS: dict[str, tuple[list[Node], bool]] = {
    "a convolution": ([Node("Conv", ("y", "v"), ("z",), SAME)], True),
    "a 1x1 convolution": ([Node("Conv", ("y", "u"), ("z",))], True),
    "a pool": ([Node("MaxPool", ("y",), ("p",), {"kernel_shape": (2, 2)}), LAST], True),
    "a mean": ([Node("AveragePool", ("y",), ("p",), {"kernel_shape": (2, 2)}), LAST], True),
    "an enlargement": (
        [Node("Resize", ("y",), ("p",), {"mode": "linear", "size": (24, 24)}), LAST],
        True,
    ),
    "a sum with a convolution": (
        [Node("Conv", ("x", "w"), ("c",), SAME), Node("Add", ("y", "c"), ("p",)), LAST],
        True,
    ),
    "a sum, then a Relu": (
        [
            Node("Conv", ("x", "w"), ("c",), RELU),
            Node("Add", ("y", "c"), ("p",), {"activation": "Relu"}),
            LAST,
        ],
        True,
    ),
    "a sum with a function": (
        [
            Node("Conv", ("x", "u"), ("c",)),
            Node("Add", ("y", "c"), ("p",), {"activation": "HardSwish"}),
            LAST,
        ],
        True,
    ),
    "a sum with itself": ([Node("Add", ("y", "y"), ("p",)), LAST], False),
    "a function": ([Node("Sigmoid", ("y",), ("p",)), LAST], False),
}


def by_channel(model: Model) -> frozenset[str]:
    return values_by_channel(model.graph, model.graph.users())


@pytest.mark.parametrize("reader", READERS)
def test_a_value_is_kept_by_channel_if_all_its_readers_know_how(
    native: Machine, reader: str
) -> None:
    nodes, known = READERS[reader]
    model, inputs = read_by(nodes)
    assert ("y" in by_channel(model)) == known
    assert not lower(model, LOWERING, quantize=True).fallbacks
    arrays = {name: tensor.decode() for name, tensor in model.weights.items()}
    want = evaluate(model.graph.nodes, inputs | arrays)["z"]
    got = run(native, model, inputs)["z"]
    assert np.abs(got - want).max() < TOLERANCE * np.abs(want).max()


def test_small_channels_keep_their_levels(native: Machine) -> None:
    model, inputs = read_by([Node("Conv", ("y", "all"), ("z",), SAME)])
    arrays = {name: tensor.decode() for name, tensor in model.weights.items()}
    want = evaluate(model.graph.nodes, inputs | arrays)["z"]
    errors = [
        np.abs(run(native, each, inputs)["z"] - want).mean()
        for each in (model, replace(model, spans={}))
    ]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("activation", ["", "Relu", "HardSwish"])
@pytest.mark.parametrize("seed", range(4))
def test_a_sum_of_uneven_values_gives_the_bytes_of_its_arithmetic(
    native: Machine, seed: int, activation: str, kernel: int
) -> None:
    rng = np.random.default_rng(seed)
    c = int(rng.integers(8, 40))
    h, w = (int(size) for size in rng.integers(4, 24, 2))
    x = rng.standard_normal((1, c, h, w)).astype(np.float32)
    weights = {"w": uneven(rng, c, c), "v": uneven(rng, c, c, kernel), "u": uneven(rng, 9, c)}
    first = (SAME if kernel == 3 else {}) | ({"activation": "Relu"} if seed % 2 else {})
    nodes = [
        Node("Conv", ("x", "w"), ("y",), RELU),
        Node("Conv", ("x", "v"), ("c",), first),
        Node("Add", ("c", "y"), ("p",), {"activation": activation} if activation else {}),
        Node("Conv", ("p", "u"), ("z",), SAME),
    ]
    model = network(nodes, {"x": x}, weights, ["z"])
    draft = lower(model, LOWERING, quantize=True)
    convs = [s for s in draft.steps if isinstance(s, Instruction) and s.kernel.startswith("conv")]
    assert [step.name for step in convs] == ["y", "p", "z"]

    (got,) = run(native, model, {"x": x}).values()

    q = quantization(*model.ranges["x"])
    values = {"x": arithmetic.padded_lanes(arithmetic.quantize(x[0], q.scale, q.zero), q.zero)}
    zeros = {"x": q.zero}
    for step, pack, source in zip(convs, draft.packs, ("x", "x", "p"), strict=True):
        residual = values["y"][:c] if step.name == "p" else None
        made = convolved(step, pack, values[source], zeros[source], residual)
        zeros[step.name] = int(step.args["border"])
        steps = arithmetic.unbend(made) if step.args["bent"] else made
        values[step.name] = arithmetic.padded_lanes(steps, zeros[step.name])
    out = quantization(*model.ranges["z"])
    assert np.array_equal(got[0], arithmetic.dequantize(made, out.scale, out.zero))


def convolved(
    step: Instruction, pack: Pack, x: np.ndarray, zero: int, residual: np.ndarray | None
) -> np.ndarray:
    """Return the u8 of a convolution of steps x (lanes, h, w), by its kernel's arithmetic."""
    if step.kernel == "conv_winograd":
        u, bias = arithmetic.packed(pack.args, pack.source(), 9)
        return arithmetic.winograd(step.args, u, bias, pack.args, x, zero, residual)
    u, bias = arithmetic.packed(pack.args, pack.source(), 1)
    y = arithmetic.direct(step.args, u[..., 0], pack.args, x, zero)
    return arithmetic.finish(step.args, y, bias, residual)
