"""What exporters spell out is fused exactly: constants into convolutions, idle nodes away."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.convert.builder import INPUT
from tests.convert.test_networks import CLOSE, converted, image, in_onnxruntime, run

SIZE = (8, 8)
WEIGHTS = np.random.default_rng(4).standard_normal((6, 3, 3, 3)).astype(np.float32)
PER_CHANNEL = np.array([0.5, 0, -2, 1, 3, 0.25], np.float32).reshape(6, 1, 1)


def node(op: str, *names: str, **attributes: Any) -> Any:
    """Return a node; the last name is its output."""
    return helper.make_node(op, names[:-1], [names[-1]], **attributes)


CONV = node("Conv", INPUT, "w", "c", pads=[1, 1, 1, 1])


def model(*nodes: Any, **weights: np.ndarray) -> ModelProto:
    stored = {"w": WEIGHTS, **weights}
    graph = helper.make_graph(
        [CONV, *nodes],
        "fused",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, (1, 3, *SIZE))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def fused(made: ModelProto) -> list[str]:
    """Return the operators that are left, once their result is right."""
    x, draft = image(SIZE), converted(made)
    assert abs(run(draft, x) - in_onnxruntime(made, x)).max() <= CLOSE
    return [left.op for left in draft.graph.nodes]


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul"])
def test_constants_per_channel_go_into_the_convolution(op: str) -> None:
    assert fused(model(node(op, "c", "k", "y"), k=PER_CHANNEL)) == ["Conv"]


def test_division_goes_into_the_convolution_unless_by_zero() -> None:
    assert fused(model(node("Div", "c", "k", "y"), k=PER_CHANNEL + 5)) == ["Conv"]
    by_zero = converted(model(node("Div", "c", "k", "y"), k=PER_CHANNEL))
    assert [left.op for left in by_zero.graph.nodes] == ["Conv", "Div"]


def test_a_convolution_that_others_read_is_left_alone() -> None:
    both = model(node("Mul", "c", "k", "m"), node("Add", "m", "c", "y"), k=PER_CHANNEL)
    assert fused(both) == ["Conv", "Mul", "Add"]


def halves(first_end: int, second_begin: int) -> ModelProto:
    """Return a convolution whose channels are split; the first part is scaled and shifted."""
    lists = {"i0": [0], "i1": [first_end], "i2": [second_begin], "i3": [6], "axis": [1]}
    return model(
        node("Slice", "c", "i0", "i1", "axis", "a"),
        node("Slice", "c", "i2", "i3", "axis", "b"),
        node("Mul", "a", "k", "m"),
        node("Add", "m", "k", "n"),
        node("Concat", "n", "b", "y", axis=1),
        k=PER_CHANNEL[:first_end],
        **{name: np.array(values) for name, values in lists.items()},
    )


def test_constants_go_into_a_part_of_the_convolutions_channels() -> None:
    assert fused(halves(3, 3)) == ["Conv", "Slice", "Slice", "Concat"]


def test_channels_that_are_read_twice_are_left_alone() -> None:
    assert fused(halves(4, 3)) == ["Conv", "Slice", "Slice", "Mul", "Add", "Concat"]


def test_expansion_before_a_product_falls_away() -> None:
    nodes = (
        node("GlobalAveragePool", "c", "g"),
        node("Shape", "c", "s"),
        node("Expand", "g", "s", "e"),
        node("Mul", "c", "e", "y"),
    )
    assert fused(model(*nodes)) == ["Conv", "GlobalAveragePool", "Mul"]


def test_relu6_and_hard_swish_are_recognised_and_carried_by_the_convolution() -> None:
    six = model(node("Clip", "c", "low", "high", "y"), low=np.float32(0), high=np.float32(6))
    assert fused(six) == ["Conv"]
    gate = node("HardSigmoid", "c", "g", alpha=1 / 6, beta=0.5)
    assert fused(model(gate, node("Mul", "c", "g", "y"))) == ["Conv"]
