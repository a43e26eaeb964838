"""Every operator's definition agrees with examples worked out by hand, and with onnxruntime."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from offcut.ops import OPS
from offcut.ops.conv import border_runs
from tests import conformance

# Attributes that the converter folds from inputs, in the inputs' order: onnxruntime wants these
# back. A Resize's come after two empty ones.
FOLDED = {
    "Clip": ("min", "max"),
    "Expand": ("shape",),
    "Pad": ("pads", "value"),
    "ReduceMax": ("axes",),
    "ReduceMean": ("axes",),
    "ReduceSum": ("axes",),
    "Reshape": ("shape",),
    "Slice": ("starts", "ends", "axes", "steps"),
}
# Float32 sums in another order differ in their last digits.
ROUNDING = 2e-6


def test_examples_by_hand_agree_with_every_definition() -> None:
    assert conformance.check_examples() == []


def in_onnxruntime(case: conformance.Case) -> np.ndarray:
    names = [f"i{at}" for at in range(len(case.inputs))]
    attributes = {k: v for k, v in case.attributes.items() if k != "activation"}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
        for name, value in zip(names, case.inputs, strict=True)
    ]
    nodes, feed = [], list(names)
    for key in FOLDED.get(case.op, ()):
        if key in attributes:
            value = np.asarray(attributes.pop(key))
            kind = np.float32 if value.dtype.kind == "f" else np.int64
            constant = numpy_helper.from_array(value.astype(kind), key)
            nodes.append(helper.make_node("Constant", [], [key], value=constant))
            feed.append(key)
    if case.op == "Resize":
        n, c, *_ = case.inputs[0].shape
        size, scales = attributes.pop("size"), attributes.pop("scales", ())
        value = np.array([1, 1, *scales], np.float32) if scales else np.array([n, c, *size])
        constant = numpy_helper.from_array(value, "wanted")
        nodes.append(helper.make_node("Constant", [], ["wanted"], value=constant))
        feed += ["", "wanted"] if scales else ["", "", "wanted"]
    nodes.append(helper.make_node(case.op, feed, ["y"], **attributes))
    if case.attributes.get("activation"):
        nodes.append(helper.make_node(case.attributes["activation"], ["y"], ["z"]))
    result = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "case", inputs, [result])
    opset = helper.make_opsetid("", 18)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (got,) = session.run(None, dict(zip(names, case.inputs, strict=True)))
    return np.asarray(got)


@pytest.mark.parametrize("case", conformance.cases(), ids=str)
def test_definition_agrees_with_onnxruntime(case: conformance.Case) -> None:
    if any(value.ndim == 3 for value in case.inputs[2:3]):
        zero_bias = (*case.inputs[:2], np.zeros(case.inputs[1].shape[0], np.float32))
        case = conformance.Case(case.op, zero_bias, case.attributes)  # ONNX has no border bias
    got = OPS[case.op](*case.inputs, **case.attributes)
    want = in_onnxruntime(case)
    assert got.shape == want.shape
    assert abs(got - want).max() <= ROUNDING * abs(want).max()


@pytest.mark.parametrize("dilation", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [3, 5, 10])
def test_border_bias_equals_a_constant_added_inside_the_padding(dilation: int, size: int) -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal((1, 3, size, size + 2)).astype(np.float32)
    w = rng.standard_normal((2, 3, 3, 3)).astype(np.float32)
    attributes = {"pads": (dilation,) * 4, "dilations": (dilation, dilation)}
    effect = OPS["Conv"](np.full_like(x, 5), w, **attributes)[0]
    firsts = [
        np.unique(runs, return_index=True)[1]
        for runs in (
            border_runs(extent, 3, 1, dilation, dilation, dilation) for extent in x.shape[2:]
        )
    ]
    bias = effect[:, firsts[0][:, None], firsts[1]]
    got = OPS["Conv"](x, w, bias, **attributes)
    want = OPS["Conv"](x + 5, w, **attributes)
    assert abs(got - want).max() <= 1e-5 * abs(want).max()
