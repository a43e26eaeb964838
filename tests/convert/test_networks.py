"""The networks that people bring give what onnxruntime gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest

from offcut.backends.reference import run_node
from offcut.convert.draft import Draft
from offcut.convert.fuse import fuse
from offcut.convert.onnx_reader import read_onnx
from offcut.convert.trace import trace
from tests.convert import networks
from tests.convert.builder import INPUT, Builder

Network = Callable[[Builder], onnx.ModelProto]
NETWORKS: dict[str, Network] = {
    "u2net": networks.u2net,
    "u2netp": lambda b: networks.u2net(b, small=True),
    "isnet": networks.isnet,
    "modnet": networks.modnet,
}
OPSETS = (9, 11, 13, 17, 21)
CASES = [(name, opset) for name in NETWORKS for opset in OPSETS]
CASES.remove(("modnet", 9))  # it would halve by Upsample, which runtimes refuse; so exporters did
CASES.append(("modnet", 10))
# Sums in another order, over some hundred layers: a hundredth of what an 8-bit alpha shows.
CLOSE = 1e-4
# Sixteen-bit floats have eleven bits; each of some hundred layers rounds.
HALF = 0.02


def converted(model: onnx.ModelProto, size: tuple[int, int] | None = None) -> Draft:
    read = read_onnx(model.SerializeToString(), "net.onnx")
    output = read.outputs[0].name
    return fuse(trace(read, size=size, outputs=[output]), [output])


def run(draft: Draft, x: np.ndarray) -> np.ndarray:
    """Run a draft's graph by the numpy definitions, in float32."""
    values = {name: array.astype(np.float32) for name, array in draft.weights.items()}
    values[draft.graph.inputs[0]] = x
    for node in draft.graph.nodes:
        values[node.name] = run_node(node, [values.get(name) for name in node.inputs])
        assert values[node.name].shape == draft.graph.shapes[node.name], node
    return values[draft.graph.outputs[0]]


def in_onnxruntime(model: onnx.ModelProto, x: np.ndarray, *, optimize: bool = True) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if not optimize:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return np.asarray(session.run([model.graph.output[0].name], {INPUT: x})[0])


def image(size: tuple[int, int]) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.standard_normal((1, 3, size[0] // 8 + 1, size[1] // 8 + 1))
    smooth = np.kron(coarse, np.ones((8, 8)))[..., : size[0], : size[1]]
    return (smooth + 0.1 * rng.standard_normal(smooth.shape)).astype(np.float32)


@pytest.mark.parametrize(("name", "opset"), CASES)
def test_network_gives_what_onnxruntime_gives(name: str, opset: int) -> None:
    size = (64, 96)
    model = NETWORKS[name](Builder(opset, size))
    x = image(size)

    got = run(converted(model), x)

    want = in_onnxruntime(model, x)
    assert got.shape == want.shape == (1, 1, *size)
    assert want.std() > 0.005, "the test network says nothing"
    assert abs(got - want).max() <= CLOSE


@pytest.mark.parametrize("name", ["u2net", "isnet"])
def test_sizes_that_do_not_halve_evenly(name: str) -> None:
    size = (75, 101)
    model = NETWORKS[name](Builder(13, size))
    x = image(size)
    assert abs(run(converted(model), x) - in_onnxruntime(model, x)).max() <= CLOSE


@pytest.mark.parametrize("name", NETWORKS)
def test_open_axes_are_fixed_by_the_size(name: str) -> None:
    size = (64, 64)
    model = NETWORKS[name](Builder(17, size, dynamic=True, folded=True))
    x = image(size)
    assert abs(run(converted(model, size), x) - in_onnxruntime(model, x)).max() <= CLOSE


@pytest.mark.parametrize("name", NETWORKS)
def test_float16_weights_count_as_they_are(name: str) -> None:
    size = (64, 64)
    half = NETWORKS[name](Builder(13, size, half=True))
    x = image(size).astype(np.float16).astype(np.float32)

    got = run(converted(half), x)

    widened = NETWORKS[name](Builder(13, size))
    for narrow, wide in zip(half.graph.initializer, widened.graph.initializer, strict=True):
        values = onnx.numpy_helper.to_array(narrow)
        if values.dtype == np.float16:
            wide.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), wide.name))
    assert abs(got - in_onnxruntime(widened, x)).max() <= CLOSE
    assert abs(got - in_onnxruntime(half, x.astype(np.float16))).max() <= HALF


@pytest.mark.parametrize("name", NETWORKS)
def test_nothing_but_kernels_is_left(name: str) -> None:
    draft = converted(NETWORKS[name](Builder(17, (64, 64))))
    ops = {node.op for node in draft.graph.nodes}
    adds = [node for node in draft.graph.nodes if node.op == "Add"]
    assert not {name for node in adds for name in node.inputs} & set(draft.graph.weight_names)
    left = {"Conv", "Relu", "MaxPool", "Concat", "Resize", "Add", "Sigmoid"}
    if name == "modnet":
        left |= {"GlobalAveragePool", "InstanceNormalization", "MatMul", "Mul", "Reshape", "Slice"}
    assert ops <= left
