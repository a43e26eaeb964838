"""Quantized (QDQ) graphs convert: weights dequantized, computed values limited as integers are."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from offcut.convert.families import recognised
from offcut.convert.onnx_reader import read_onnx
from offcut.errors import UnsupportedOperatorError
from tests.convert import networks
from tests.convert.builder import INPUT, Builder
from tests.convert.test_networks import CLOSE, Network, converted, image, in_onnxruntime, run

SIZE = (64, 64)


class Images(CalibrationDataReader):
    """A few images to calibrate with."""

    def __init__(self) -> None:
        self.left = iter([image(SIZE) * scale for scale in (1, 0.7)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        x = next(self.left, None)
        return None if x is None else {INPUT: x}


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("network", [networks.u2net, networks.modnet])
def test_graph_of_onnxruntimes_quantizer_converts(
    network: Network, per_channel: bool, tmp_path: Path
) -> None:
    plain = network(Builder(13, SIZE, folded=True))
    onnx.save(plain, tmp_path / "plain.onnx")
    quantize_static(
        tmp_path / "plain.onnx",
        tmp_path / "quantized.onnx",
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(tmp_path / "quantized.onnx")
    x = image(SIZE)

    got = run(converted(model), x)

    # The file's integers round every value, which Offcut does not: the result lies nearer to the
    # float network than what onnxruntime makes of the file, on average.
    rounded, exact = in_onnxruntime(model, x, optimize=False), in_onnxruntime(plain, x)
    assert abs(got - exact).mean() <= abs(rounded - exact).mean()
    assert abs(got - rounded).mean() < 0.05
    found = recognised(read_onnx(model.SerializeToString(), "net.onnx"))
    assert found is not None


def qdq(
    weights: np.ndarray, zero: np.ndarray, scale: np.ndarray, opset: int = 13, **attributes: int
) -> onnx.ModelProto:
    """Return a 1x1 convolution whose weights are stored as integers."""
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["w"], **attributes),
        helper.make_node("Conv", [INPUT, "w"], ["y"]),
    ]
    stored = [(weights, "q"), (scale.astype(np.float32), "scale"), (zero, "zero")]
    return _model(nodes, [numpy_helper.from_array(a, n) for a, n in stored], opset)


def _model(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], opset: int = 13
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "quantized",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_weights_are_dequantized_by_one_scale_or_by_channels(dtype: type) -> None:
    rng = np.random.default_rng(8)
    weights = rng.integers(0, 100, (4, 3, 1, 1)).astype(dtype)
    x = image((8, 8))
    one = qdq(weights, np.array(7, dtype), np.array(0.01))
    channels = qdq(weights, np.arange(4).astype(dtype), rng.uniform(0.01, 0.1, 4), axis=0)
    for model in (one, channels):
        want = in_onnxruntime(model, x, optimize=False)
        assert abs(run(converted(model), x) - want).max() <= CLOSE


def test_weights_of_four_bits_in_blocks_are_dequantized() -> None:
    q = np.arange(-8, 8, dtype=np.int8).reshape(4, 4)
    scale = np.array([[0.5, 2.0]] * 4, np.float32)  # two blocks of two along axis 1
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["m"], axis=1, block_size=2),
        helper.make_node("Reshape", ["m", "shape"], ["w"]),
        helper.make_node("Slice", ["w", "zero", "three", "one"], ["w3"]),
        helper.make_node("Conv", [INPUT, "w3"], ["y"]),
    ]
    four_bits = helper.make_tensor("q", TensorProto.INT4, (4, 4), q.reshape(-1).tolist())
    lists = {"shape": [4, 4, 1, 1], "zero": [0], "three": [3], "one": [1]}
    weights = [four_bits, numpy_helper.from_array(scale, "scale")]
    weights += [numpy_helper.from_array(np.array(v), name) for name, v in lists.items()]
    draft = converted(_model(nodes, weights, 21))
    want = (q * np.repeat(scale, 2, axis=1))[:, :3]
    (w,) = (array for name, array in draft.weights.items() if array.ndim == 4)
    assert np.array_equal(w[:, :, 0, 0], want)


def between(scale: float, zero: int, back: float | None = None) -> onnx.ModelProto:
    """Return a quantization and its inverse around nothing."""
    rows = {"s": np.float32(scale), "z": np.uint8(zero), "t": np.float32(back or scale)}
    nodes = [
        helper.make_node("QuantizeLinear", [INPUT, "s", "z"], ["q"], name="/quantize"),
        helper.make_node("MaxPool", ["q"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("DequantizeLinear", ["p", "t", "z"], ["y"], name="/back"),
    ]
    return _model(nodes, [numpy_helper.from_array(np.asarray(v), n) for n, v in rows.items()])


def test_integers_limits_are_kept_and_their_rounding_is_not() -> None:
    x = np.random.default_rng(6).uniform(-9, 9, (1, 3, 8, 8)).astype(np.float32)
    model = between(1 / 64, 0)  # what a quantizer that left a ReLU out writes
    got, want = run(converted(model), x), in_onnxruntime(model, x, optimize=False)
    assert got.min() == 0 and got.max() <= 255 / 64
    assert 0 < abs(got - want).max() <= 1 / 128 + 1e-6


def test_dequantizing_by_another_scale_is_named() -> None:
    with pytest.raises(UnsupportedOperatorError, match="/back"):
        converted(between(1 / 64, 0, 1 / 32))


def test_limits_behind_limits_fall_away() -> None:
    rows = {"s": np.float32(1 / 64), "z": np.uint8(0)}
    names = [INPUT, "a", "b", "c", "y"]
    nodes = []
    for at, (before, after) in enumerate(itertools.pairwise(names)):
        nodes.append(helper.make_node("QuantizeLinear", [before, "s", "z"], [f"q{at}"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"q{at}", "s", "z"], [after]))
    nodes.insert(2, helper.make_node("Relu", ["a"], ["r"]))
    nodes[3].input[0] = "r"
    stored = [numpy_helper.from_array(np.asarray(v), n) for n, v in rows.items()]
    draft = converted(_model(nodes, stored))
    assert [node.op for node in draft.graph.nodes] == ["Clip"]
    x = image((8, 8)) * 3
    assert np.array_equal(run(draft, x), np.clip(x, 0, np.float32(255 / 64)))
