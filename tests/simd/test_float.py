"""Float kernels agree with the definitions over random shapes, and with themselves everywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from offcut.backends.simd import LOWERING
from offcut.backends.simd.draft import Draft, Instruction
from offcut.backends.simd.lower import lower
from offcut.card import ModelCard, from_document
from offcut.container import Model
from offcut.graph import Node
from tests.simd.machines import Machine, run
from tests.simd.networks import evaluate, network, one_node

SEEDS = range(10)
KINDS = ["conv_float", "conv_float_winograd", "conv_float_windows", "spread_float"]
# Float sums in another order than numpy's; Winograd's transforms lose some bits more.
TOLERANCE = 1e-5

Arrays = dict[str, np.ndarray]


def array(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape).astype(np.float32)


def kernels_of(draft: Draft) -> list[str]:
    return [step.kernel for step in draft.steps if isinstance(step, Instruction)]


def check(native: Machine, model: Model, inputs: Arrays, kernel: str = "") -> None:
    """Hold the model in floats to its definition; no node may fall back to numpy."""
    draft = lower(model, LOWERING, quantize=False)
    assert not draft.fallbacks
    assert not kernel or kernel in kernels_of(draft)
    weights = {name: tensor.decode() for name, tensor in model.weights.items()}
    want = evaluate(model.graph.nodes, {**inputs, **weights})
    for name, value in run(native, model, inputs, quantize=False).items():
        assert value.shape == want[name].shape
        assert abs(value - want[name]).max() <= TOLERANCE * abs(want[name]).max()


def check_bits(native: Machine, wasm: Machine, model: Model, inputs: Arrays) -> None:
    """Hold WebAssembly and threads to the bits of native code."""
    want = run(native, model, inputs, quantize=False)
    for got in (
        run(native, model, inputs, quantize=False, threads=3),
        run(wasm, model, inputs, quantize=False),
    ):
        assert all(np.array_equal(got[name], want[name]) for name in want)


def random_conv(seed: int, kind: str) -> tuple[Model, Arrays]:
    """Return a convolution for the kernel `kind`, some with a residual and an activation."""
    rng = np.random.default_rng(seed)

    def pick(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    groups, c, o = 1, pick(8, 40), pick(8, 40)
    kernel, strides, dilations = (3, 3), (1, 1), (1, 1)
    if kind != "conv_float_winograd":
        kernel = (pick(1, 6), pick(1, 6))
        strides, dilations = (pick(1, 4), pick(1, 4)), (pick(1, 4), pick(1, 4))
    if kind == "conv_float" and seed % 2:
        groups, c, o = 3, 3 * pick(2, 6), 3 * pick(4, 8)
    if kind == "conv_float_windows":
        groups = c = pick(1, 20)
        o = groups * pick(1, 3)
        if seed % 3 == 0:
            groups, o = 1, pick(1, 4)
    if kind == "spread_float":
        kernel, strides, o = (pick(2, 6), pick(2, 6)), (1, 1), pick(1, 4)
    pads = tuple(pick(0, 3) for _ in range(4))
    spread = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    h, w = (pick(max(size, 12), 70) for size in spread)
    if kind == "conv_float_winograd":
        w = pick(28, 70)
    scale = np.float32(1 / np.sqrt(c // groups * kernel[0] * kernel[1]))
    weights = {"w": array(rng, o, c // groups, *kernel) * scale, "b": array(rng, o)}
    attributes = {"strides": strides, "pads": pads, "dilations": dilations, "group": groups}
    activation = str(rng.choice(["", "Relu", "Relu6", "HardSwish", "Sigmoid"]))
    if kind == "spread_float":
        activation = ""
    nodes = [Node("Conv", ("x", "w", "b"), ("y",), attributes | {"activation": activation})]
    x = array(rng, 1, c, h, w)
    if seed % 4 == 1:
        nodes = [
            Node("Conv", ("x", "w", "b"), ("other",), attributes),
            Node("Conv", ("x", "w", "b"), ("z",), attributes | {"activation": activation}),
            Node("Add", ("z", "other"), ("y",), {"activation": "Relu"}),
        ]
    return network(nodes, {"x": x}, weights, ["y"]), {"x": x}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_convolutions_agree_with_the_definition(native: Machine, seed: int, kind: str) -> None:
    check(native, *random_conv(seed, kind), kind)


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("pad", [0, 1, 2])
@pytest.mark.parametrize("width", [48, 63, 64, 66, 100])
def test_steps_inside_of_wide_rows_read_them_where_they_are(
    native: Machine, width: int, pad: int, groups: int
) -> None:
    """Steps at the ends read copies, which are kept for the next row."""
    rng = np.random.default_rng(width)
    weights = {"w": array(rng, groups, 3 // groups, 3, 3), "b": array(rng, groups)}
    x = array(rng, 1, 3, 12, width)
    node = Node("Conv", ("x", "w", "b"), ("y",), {"pads": (1, pad, 1, pad), "group": groups})
    check(native, network([node], {"x": x}, weights, ["y"]), {"x": x}, "conv_float_windows")


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("width", [63, 96, 97, 130])
def test_strided_steps_inside_of_wide_rows_read_them_where_they_are(
    native: Machine, width: int, stride: int
) -> None:
    rng = np.random.default_rng(width)
    weights = {"w": array(rng, 20, 1, 3, 3), "b": array(rng, 20)}
    x = array(rng, 1, 20, 9, width)
    along = {"pads": (1, 1, 1, 1), "strides": (stride, stride), "group": 20}
    node = Node("Conv", ("x", "w", "b"), ("y",), along)
    check(native, network([node], {"x": x}, weights, ["y"]), {"x": x}, "conv_float_windows")


@pytest.mark.parametrize("activation", ["", "Relu", "Relu6", "Sigmoid"])
@pytest.mark.parametrize("size", [(16, 16), (8, 12), (7, 9), (96, 128)])
@pytest.mark.parametrize("c", [3, 8, 19])
def test_few_sums_of_channels_agree_with_the_definition(
    native: Machine, wasm: Machine, c: int, size: tuple[int, int], activation: str
) -> None:
    """A 1x1 kernel with fewer outputs than a tile, its channels in groups."""
    rng = np.random.default_rng(c)
    weights = {"w": array(rng, 2, c, 1, 1), "b": array(rng, 2)}
    x = array(rng, 1, c, *size) * np.float32(4)
    node = Node("Conv", ("x", "w", "b"), ("y",), {"activation": activation})
    model = network([node], {"x": x}, weights, ["y"])
    check(native, model, {"x": x}, "conv_float_windows")
    check_bits(native, wasm, model, {"x": x})


@pytest.mark.parametrize("kind", KINDS)
def test_convolutions_give_the_same_bits_everywhere(
    native: Machine, wasm: Machine, kind: str
) -> None:
    for seed in (0, 1):
        check_bits(native, wasm, *random_conv(seed, kind))


def test_an_add_after_a_convolution_is_done_on_the_way() -> None:
    model, _ = random_conv(1, "conv_float")
    assert "elementwise_float" not in kernels_of(lower(model, LOWERING, quantize=False))


@pytest.mark.parametrize("seed", SEEDS)
def test_transposed_convolutions_agree_with_the_definition(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, strides, dilations = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3))
    groups = int(rng.integers(1, 3))
    c, per_group = groups * int(rng.integers(1, 9)), int(rng.integers(1, 9))
    attributes = {
        "strides": strides,
        "dilations": dilations,
        "pads": tuple(int(rng.integers(0, size)) for size in (*kernel, *kernel)),
        "output_padding": tuple(int(rng.integers(0, stride)) for stride in strides),
        "group": groups,
    }
    inputs = {"x": array(rng, 1, c, 9, 11)}
    weights = {"w": array(rng, c, per_group, *kernel), "b": array(rng, groups * per_group)}
    check(native, one_node("ConvTranspose", inputs, weights, **attributes), inputs)


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pooling_agrees_with_the_definition(native: Machine, seed: int, op: str) -> None:
    rng = np.random.default_rng(seed)
    kernel = tuple(rng.integers(1, 5, 2).tolist())
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": tuple(rng.integers(1, 4, 2).tolist()),
        "pads": tuple(int(rng.integers(0, kernel[axis % 2])) for axis in range(4)),
        "ceil_mode": int(rng.integers(0, 2)),
    }
    if op == "AveragePool":
        attributes["count_include_pad"] = int(rng.integers(0, 2))
    inputs = {"x": array(rng, 1, 3, *(int(size) for size in rng.integers(5, 50, 2)))}
    check(native, one_node(op, inputs, {}, **attributes), inputs)


@pytest.mark.parametrize("seed", SEEDS)
def test_resizing_agrees_with_the_definition(native: Machine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs = {"x": array(rng, 1, 3, *(int(size) for size in rng.integers(1, 30, 2)))}
    attributes = {
        "size": tuple(int(size) for size in rng.integers(1, 60, 2)),
        "mode": str(rng.choice(["linear", "nearest"])),
        "coordinate_transformation_mode": str(rng.choice(["half_pixel", "align_corners"])),
    }
    check(native, one_node("Resize", inputs, {}, **attributes), inputs)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
@pytest.mark.parametrize(
    "shape", [(1, 5, 7, 19), (1, 5, 1, 1), (1, 1, 7, 19), (1, 5, 7, 1), (1, 1, 1, 19)]
)
def test_operands_are_broadcast(native: Machine, op: str, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    inputs = {"a": array(rng, 1, 5, 7, 19), "b": array(rng, *shape) + np.float32(3)}
    check(native, one_node(op, inputs, {}), inputs, "elementwise_float")
    check(native, one_node(op, {"b": inputs["b"], "a": inputs["a"]}, {}), inputs)
    weights = {"b": inputs["b"][0]}
    check(native, one_node(op, {"a": inputs["a"]}, weights), {"a": inputs["a"]})


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("Relu", {}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("HardSwish", {}),
        ("HardSigmoid", {"alpha": 0.3}),
        ("LeakyRelu", {"alpha": 0.2}),
        ("Clip", {"min": -0.5, "max": 1.5}),
        ("Clip", {"min": 0.0}),
        ("Identity", {}),
    ],
)
@pytest.mark.parametrize("shape", [(1, 3, 9, 11), (1, 70), (1, 2, 33)])
def test_functions_agree_with_the_definition(
    native: Machine, op: str, attributes: dict[str, float], shape: tuple[int, ...]
) -> None:
    inputs = {"x": array(np.random.default_rng(4), *shape) * np.float32(3)}
    check(native, one_node(op, inputs, {}, **attributes), inputs)


def test_roots_squares_and_slopes_agree_with_the_definition(native: Machine) -> None:
    rng = np.random.default_rng(5)
    x = {"x": abs(array(rng, 1, 3, 9, 11))}
    check(native, one_node("Sqrt", x, {}), x)
    check(native, one_node("Pow", x, {"two": np.full((1,), 2, np.float32)}), x)
    signed = {"x": array(rng, 1, 3, 9, 11)}
    check(native, one_node("PRelu", signed, {"slope": array(rng, 3, 1, 1)}), signed)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "ReduceMean", "ReduceSum", "ReduceMax"])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions_agree_with_the_definition(native: Machine, op: str, keepdims: int) -> None:
    inputs = {"x": array(np.random.default_rng(6), 1, 5, 37, 41) + np.float32(1)}
    attributes = {} if op == "GlobalAveragePool" else {"axes": (2, 3), "keepdims": keepdims}
    check(native, one_node(op, inputs, {}, **attributes), inputs)


def test_normalisation_keeps_digits_on_large_maps(native: Machine) -> None:
    rng = np.random.default_rng(7)
    inputs = {"x": array(rng, 1, 4, 300, 301) + np.float32(10)}
    weights = {"scale": array(rng, 4), "bias": array(rng, 4)}
    check(native, one_node("InstanceNormalization", inputs, weights), inputs)


def squeeze_and_excite() -> tuple[Model, Arrays]:
    """Return a block as in MODNet: channel weights from pooled values, and halves joined again."""
    rng = np.random.default_rng(8)
    slices = {"axes": (1,), "steps": (1,)}
    nodes = [
        Node("GlobalAveragePool", ("x",), ("pooled",)),
        Node("Reshape", ("pooled",), ("flat",), {"shape": (1, 24)}),
        Node("Gemm", ("flat", "w1", "b1"), ("inner",), {"transB": 1, "alpha": 0.5}),
        Node("Relu", ("inner",), ("active",)),
        Node("MatMul", ("active", "w2"), ("outer",)),
        Node("Sigmoid", ("outer",), ("gates",)),
        Node("Reshape", ("gates",), ("factors",), {"shape": (1, 24, 1, 1)}),
        Node("Mul", ("x", "factors"), ("scaled",)),
        Node("Slice", ("scaled",), ("first",), slices | {"starts": (0,), "ends": (11,)}),
        Node("Slice", ("scaled",), ("last",), slices | {"starts": (11,), "ends": (1 << 31,)}),
        Node("InstanceNormalization", ("last", "scale", "bias"), ("normal",)),
        Node("Concat", ("first", "normal"), ("y",), {"axis": 1}),
    ]
    weights = {"w1": array(rng, 6, 24), "b1": array(rng, 6), "w2": array(rng, 6, 24)}
    weights |= {"scale": array(rng, 13), "bias": array(rng, 13)}
    x = array(rng, 1, 24, 9, 13)
    return network(nodes, {"x": x}, weights, ["y"]), {"x": x}


def test_squeeze_and_excite_needs_no_numpy(native: Machine, wasm: Machine) -> None:
    model, inputs = squeeze_and_excite()
    check(native, model, inputs)
    check_bits(native, wasm, model, inputs)


def test_values_that_the_card_names_stay_in_floats(native: Machine) -> None:
    rng = np.random.default_rng(9)
    x = array(rng, 1, 16, 12, 14)
    nodes = [
        Node("Conv", ("x", "w"), ("inner",), {"pads": (1, 1, 1, 1)}),
        Node("Conv", ("inner", "w"), ("y",), {"pads": (1, 1, 1, 1)}),
    ]
    model = network(nodes, {"x": x}, {"w": array(rng, 16, 16, 3, 3)}, ["y"])
    document = dict(model.card.document) | {"quantization": {"float32": ["inner", "y"]}}
    island = Model(model.graph, model.weights, stored_card(document), model.ranges)
    made = kernels_of(lower(island, LOWERING, quantize=True))
    assert made == ["quantize", "conv_winograd", "conv_float_winograd"]
    (got,) = run(native, island, {"x": x}).values()
    (coarse,) = run(native, model, {"x": x}).values()
    want = evaluate(nodes, {"x": x, "w": model.weights["w"].decode()})["y"]
    assert abs(got - want).mean() < abs(coarse - want).mean()


def stored_card(document: dict[str, Any]) -> ModelCard:
    """Return the card of a document, read back from what a model file stores."""
    return from_document(from_document(document, "test").to_metadata(), "test")
