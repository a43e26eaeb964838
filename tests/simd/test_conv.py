"""Convolution kernels give the bytes that their arithmetic says, over random shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Draft, Instruction
from offcut.backends.simd.lower import lower
from offcut.backends.simd.values import quantization
from offcut.container import Model
from offcut.graph import Node
from offcut.ops.conv import border_runs, conv
from tests.simd import arithmetic
from tests.simd.machines import Machine, run
from tests.simd.networks import network

SEEDS = range(12)
Case = tuple[Model, dict[str, np.ndarray]]


def random_conv(seed: int, *, same: bool) -> Case:
    """Return a convolution of random shape, some with a residual, some with a bias of runs.

    same: 3x3 that keeps the size.
    """
    rng = np.random.default_rng(seed)
    c, o = (int(size) for size in rng.integers(8, 50, 2))
    residual = same and rng.random() < 0.5
    if residual:
        o = c
    kernel = (3, 3) if same else tuple(int(k) for k in rng.integers(1, 6, 2))
    dilations = (1, 1) if same else tuple(int(d) for d in rng.integers(1, 4, 2))
    strides = (1, 1) if same else tuple(int(s) for s in rng.integers(1, 4, 2))
    pads = (1, 1, 1, 1) if same else tuple(int(p) for p in rng.integers(0, 3, 4))
    spread = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    h, w = (int(rng.integers(max(size, 4), 45)) for size in spread)
    x = rng.standard_normal((1, c, h, w)).astype(np.float32) + np.float32(rng.uniform(-2, 2))
    weights = {"w": rng.standard_normal((o, c, *kernel)).astype(np.float32)}
    weights["w"] *= np.exp(rng.standard_normal((o, 1, 1, 1))).astype(np.float32)
    shape: tuple[int, ...] = (o,)
    if rng.random() < 0.4:
        sizes = zip((h, w), kernel, strides, dilations, pads[:2], pads[2:], strict=True)
        shape = (o, *(int(border_runs(*size)[-1]) + 1 for size in sizes))
    weights["b"] = rng.standard_normal(shape).astype(np.float32)
    activation = str(rng.choice(["", "Relu", "Relu6", "HardSwish"]))
    attributes: dict[str, Any] = {"strides": strides, "pads": pads, "dilations": dilations}
    nodes = [Node("Conv", ("x", "w", "b"), ("y",), attributes | {"activation": activation})]
    if residual:
        nodes.insert(0, Node("MaxPool", ("x",), ("other",), {"kernel_shape": (1, 1)}))
        nodes.append(Node("Add", ("other", "y"), ("sum",), {"activation": "Relu"}))
    return network(nodes, {"x": x}, weights, [nodes[-1].name]), {"x": x}


def conv_of(draft: Draft) -> Instruction:
    """Return the draft's convolution."""
    return next(
        step
        for step in draft.steps
        if isinstance(step, Instruction) and step.kernel.startswith("conv")
    )


def expected(model: Model, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Return the output by the arithmetic of the kernel that lowering chose."""
    draft = lower(model, LOWERING, quantize=True)
    assert not draft.fallbacks
    step, pack = conv_of(draft), draft.packs[0].args
    source = draft.packs[0].source()
    activation = dict(model.graph.nodes[-1].attributes).get("activation", "")
    q_in = quantization(*model.ranges["x"])
    x = arithmetic.quantize(inputs["x"][0], q_in.scale, q_in.zero)
    residual = x[: len(source)] if "residual" in step.args else None
    if step.kernel == "conv_winograd":
        u, bias = arithmetic.packed(pack, source, 9)
        q = arithmetic.winograd(step.args, u, bias, pack, x, q_in.zero, residual)
    else:
        u, bias = arithmetic.packed(pack, source, 1)
        x = arithmetic.padded_lanes(x, q_in.zero)
        y = arithmetic.direct(step.args, u[..., 0], pack, x, q_in.zero)
        q = arithmetic.finish(step.args, y, bias, residual)
    out = quantization(*model.ranges[model.graph.outputs[0]], activation)
    return arithmetic.dequantize(q, out.scale, out.zero)[None]


@pytest.mark.parametrize("seed", SEEDS)
def test_winograd_gives_the_bytes_of_its_arithmetic(native: Machine, seed: int) -> None:
    model, inputs = random_conv(seed, same=True)
    (got,) = run(native, model, inputs).values()
    assert np.array_equal(got, expected(model, inputs))


@pytest.mark.parametrize("seed", SEEDS)
def test_direct_gives_the_bytes_of_its_arithmetic(native: Machine, seed: int) -> None:
    model, inputs = random_conv(seed, same=False)
    (got,) = run(native, model, inputs).values()
    assert np.array_equal(got, expected(model, inputs))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["same 3x3", "1x1", "strided 3x3"])
def test_narrow_gives_the_floats_of_its_arithmetic(native: Machine, kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, o = int(rng.integers(8, 70)), int(rng.integers(1, 8 if kind == "same 3x3" else 4))
    h, w = (int(size) for size in rng.integers(1, 30, 2))
    kernel, attributes = (1, 1), dict[str, Any]()
    if kind == "same 3x3":
        kernel, attributes = (3, 3), {"pads": (1, 1, 1, 1)}
    if kind == "strided 3x3":
        kernel, strides = (3, 3), (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
        pads = (int(rng.integers(2)), 1, int(rng.integers(2)), 1)
        h, w = h + 2, 4 * strides[1] * int(rng.integers(1, 6))
        attributes = {"strides": strides, "pads": pads}
    weights = {
        "w": rng.standard_normal((o, c, *kernel)).astype(np.float32),
        "b": rng.standard_normal(o).astype(np.float32),
    }
    x = rng.standard_normal((1, c, h, w)).astype(np.float32)
    node = Node("Conv", ("x", "w", "b"), ("y",), attributes)
    model = network([node], {"x": x}, weights, ["y"])
    draft = lower(model, LOWERING, quantize=True)
    step, pack = conv_of(draft), draft.packs[0].args
    assert step.kernel == "conv_narrow"

    (got,) = run(native, model, {"x": x}).values()

    q_in = quantization(*model.ranges["x"])
    lanes = arithmetic.padded_lanes(arithmetic.quantize(x[0], q_in.scale, q_in.zero), q_in.zero)
    u, bias = arithmetic.packed(pack, weights["w"], 1)
    blocks_first = u[..., 0].reshape(-1, kernel[0] * kernel[1], 8, o)  # (blocks, taps, 8, o)
    q, scale = arithmetic.rounded(u[..., 0], 255)
    q = q.reshape(blocks_first.shape).swapaxes(0, 1).reshape(-1, o)  # taps first
    sums = arithmetic.integer_convolution(step.args, q, lanes, q_in.zero)
    assert np.array_equal(
        got[0], sums.astype(np.float32) * scale[:, None, None] + bias[0][:, None, None]
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": (2, 2), "pads": (1, 1, 1, 1)},  # outputs up to the 8th read up to the 17th cell
        {"pads": (1, 2, 1, 1)},  # a border has one cell
        {"pads": (1, 1, 2, 1)},
        {"pads": (1, 1, 1, 1), "dilations": (1, 2)},
    ],
)
def test_a_few_channels_that_read_beyond_a_border_take_the_direct_way(
    native: Machine, attributes: dict[str, Any]
) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 20, 9, 9)).astype(np.float32)
    weights = {"w": rng.standard_normal((2, 20, 3, 3)).astype(np.float32)}
    model = network([Node("Conv", ("x", "w"), ("y",), attributes)], {"x": x}, weights, ["y"])
    assert conv_of(lower(model, LOWERING, quantize=True)).kernel == "conv_direct"

    (got,) = run(native, model, {"x": x}).values()

    q_in = quantization(*model.ranges["x"])
    scale, zero = q_in.scale, q_in.zero
    rounded = arithmetic.dequantize(arithmetic.quantize(x, scale, zero), scale, zero)
    exact = conv(rounded, weights["w"], **attributes)
    assert np.abs(got - exact).max() < 1e-3 * np.abs(exact).max()


def test_too_many_channels_for_fixed_point_are_finished_in_floats(native: Machine) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 1400, 6, 5)).astype(np.float32)
    weights = {"w": rng.standard_normal((9, 1400, 3, 3)).astype(np.float32)}
    node = Node("Conv", ("x", "w"), ("y",), {"pads": (1, 1, 1, 1), "activation": "Relu"})
    model = network([node], {"x": x}, weights, ["y"])
    step = conv_of(lower(model, LOWERING, quantize=True))
    assert step.kernel == "conv_winograd"
    assert not step.args["plain"]

    (got,) = run(native, model, {"x": x}).values()

    assert np.array_equal(got, expected(model, {"x": x}))


@pytest.mark.parametrize("lanes", [8, 16, 64])
def test_numbers_that_are_said_to_fit_do_so_however_large_the_weights(
    native: Machine, lanes: int
) -> None:
    rng = np.random.default_rng(lanes)
    x = rng.standard_normal((1, lanes, 9, 7)).astype(np.float32)
    size = np.exp(rng.normal(0, 3, (16, 1, 1, 1)))  # from one output to the next
    weights = {"w": (rng.standard_normal((16, lanes, 3, 3)) * size).astype(np.float32)}
    nodes = [
        Node("MaxPool", ("x",), ("other",), {"kernel_shape": (1, 1)}),
        Node("Conv", ("x", "w"), ("y",), {"pads": (1, 1, 1, 1), "activation": "Relu"}),
    ]
    if lanes == 16:
        nodes.append(Node("Add", ("other", "y"), ("sum",), {"activation": "Relu"}))
    model = network(nodes, {"x": x}, weights, [nodes[-1].name])

    (got,) = run(native, model, {"x": x}).values()

    assert np.array_equal(got, expected(model, {"x": x}))


def test_large_values_that_cancel_in_a_sum_are_not_cut_off_before(native: Machine) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 16, 12, 12)).astype(np.float32)
    w = np.zeros((16, 16, 3, 3), np.float32)
    w[range(16), range(16), 1, 1] = -0.8
    nodes = [
        Node("MaxPool", ("x",), ("other",), {"kernel_shape": (1, 1)}),
        Node("Conv", ("x", "w"), ("y",), {"pads": (1, 1, 1, 1)}),
        Node("Add", ("other", "y"), ("sum",), {"activation": "Relu"}),
    ]
    model = network(nodes, {"x": x}, {"w": w}, ["sum"])
    (got,) = run(native, model, {"x": x}).values()
    assert np.array_equal(got, expected(model, {"x": x}))
    step = quantization(*model.ranges["x"]).scale  # of both values that are added
    assert np.abs(got - np.maximum(0.2 * x, 0)).max() < 1.5 * step


@pytest.mark.parametrize("seed", SEEDS)
def test_an_image_is_convolved_in_more_bits_than_8(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, o = int(rng.integers(1, 5)), int(rng.integers(8, 40))
    h, w = (int(size) for size in rng.integers(1, 40, 2))
    x = rng.standard_normal((1, c, h, w)).astype(np.float32)
    weights = {"w": rng.standard_normal((o, c, 3, 3)).astype(np.float32)}
    attributes = {"pads": (1, 1, 1, 1), "activation": "Relu"}
    node = Node("Conv", ("x", "w"), ("y",), attributes)
    model = network([node], {"x": x}, weights, ["y"])
    draft = lower(model, LOWERING, quantize=True)
    step, pack = conv_of(draft), draft.packs[0].args
    assert step.kernel == "conv_winograd"

    (got,) = run(native, model, {"x": x}).values()

    steps = np.float32(327 / np.abs(x).max())
    whole = np.rint(np.clip(x[0] * steps, -327, 327)).astype(np.int64)
    u, bias = arithmetic.packed(pack, weights["w"], 9)
    want = arithmetic.winograd(step.args, u, bias, pack, whole, 0)
    out = quantization(*model.ranges["y"], "Relu")
    assert np.array_equal(got[0], arithmetic.dequantize(want, out.scale, out.zero))
    exact = conv(x, weights["w"], None, pads=(1, 1, 1, 1), activation="Relu")
    # Half a step of the output, half a step of each input, and a tenth of that for weights.
    inputs = 0.5 * np.abs(weights["w"]).reshape(o, -1).sum(axis=1).max() / steps
    assert np.abs(got - exact).max() < 0.5 * out.scale + 1.1 * inputs


def in_order(q: np.ndarray, taps: int) -> np.ndarray:
    """Return a stem's weights (inputs, o) as [taps][4]; the last tap may fill other taps' gaps."""
    q = q.reshape(-1, 4, q.shape[1]).copy()
    if len(q) < taps:
        last = np.zeros_like(q[:1])
        last[0, :3] = q[:3, 3]
        q[:3, 3] = 0
        q = np.concatenate([q, last])
    return q[:taps].reshape(-1, q.shape[2])


@pytest.mark.parametrize("seed", SEEDS)
def test_stem_gives_the_bytes_of_its_arithmetic(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, o, kh, kw = (int(rng.integers(low, high)) for low, high in ((1, 5), (8, 40), (1, 6), (1, 6)))
    h, w = (int(size) for size in rng.integers(6, 40, 2))
    strides, pads = tuple(rng.integers(1, 4, 2).tolist()), tuple(rng.integers(0, 3, 4).tolist())
    x = rng.standard_normal((1, c, h, w)).astype(np.float32)
    weights = {"w": rng.standard_normal((o, c, kh, kw)).astype(np.float32)}
    attributes = {"strides": strides, "pads": pads, "activation": "Relu"}
    node = Node("Conv", ("x", "w"), ("y",), attributes)
    model = network([node], {"x": x}, weights, ["y"])
    draft = lower(model, LOWERING, quantize=True)
    step, pack = conv_of(draft), draft.packs[0].args
    assert step.kernel == "conv_direct"

    (got,) = run(native, model, {"x": x}).values()

    steps = np.float32(8159 / np.abs(x).max())
    inputs = np.zeros((4, h, w), np.int64)
    inputs[:c] = np.rint(np.clip(x[0] * steps, -8159, 8159))
    u, bias = arithmetic.packed(pack, weights["w"], 1)
    q, _ = arithmetic.rounded(u[..., 0], 8159)
    sums = arithmetic.integer_convolution(step.args, in_order(q, kh * kw), inputs, 0)
    scale = np.float32(pack["steps"]) / arithmetic.direct_factor(u[..., 0], 8159)
    y = sums.astype(np.float32) * scale[:, None, None]
    out = quantization(*model.ranges["y"], "Relu")
    want = arithmetic.finish(step.args, y, bias, None)
    assert np.array_equal(got[0], arithmetic.dequantize(want, out.scale, out.zero))
